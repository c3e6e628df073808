"""Contract bundles and root lists against openssl: its ECDH, key derivation, ciphers, signatures, CMS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pki.certificate import KeyKind, parse_certificate
from pki.issue.contract import make_contract_data
from pki.issue.sealing import CarPrivateKey, Suite, additional_data, iv_octets, read_public_key
from pki.issue.signed_parts import PLAIN, references_to
from pki.pem import encode_pem
from pki.verify.trust_list import encode_trust_list
from tests.pki.bundles import PCID, House, car_key, house
from tests.pki.mint import AT
from tests.pki.test_trust_list import content, root_entry, service, sign_trust_list

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def openssl(*arguments: str, given: bytes = b"", fails: bool = False) -> bytes:
    """What openssl prints; it must succeed, or fail if that is expected."""
    found = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False, timeout=60)
    assert (found.returncode != 0) is fails, found.stderr.decode()
    return found.stdout


@pytest.fixture(scope="module", params=list(Suite), ids=[suite.value for suite in Suite])
def made(request: pytest.FixtureRequest) -> House:
    return house(request.param)


def derived_by_openssl(folder: Path, car: CarPrivateKey, suite: Suite, dh_public_key: bytes) -> bytes:
    """The key of the cipher: ECDH by `pkeyutl`, ConcatKDF by `kdf`."""
    peer = read_public_key(suite, dh_public_key)
    (folder / "car.pem").write_bytes(car.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "peer.pem").write_bytes(peer.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secret = openssl("pkeyutl", "-derive", "-inkey", str(folder / "car.pem"), "-peerkey", str(folder / "peer.pem"))
    octets, name = (16, "SHA256") if suite is Suite.P256 else (32, "SHA512")
    options = ["-kdfopt", f"digest:{name}", "-kdfopt", f"hexkey:{secret.hex()}", "-kdfopt", "hexinfo:015556"]
    printed = openssl("kdf", "-keylen", str(octets), *options, "SSKDF")
    return bytes.fromhex(printed.decode().strip().replace(":", ""))


def test_openssl_derives_the_key_and_decrypts_a_bundle_of_iso15118_2(tmp_path: Path) -> None:
    made, car = house(Suite.P256), car_key(Suite.P256)
    data = made.data(car)
    key = derived_by_openssl(tmp_path, car, Suite.P256, data.dh_public_key)
    iv, body = data.encrypted_private_key[:16], data.encrypted_private_key[16:]
    plain = openssl("enc", "-d", "-aes-128-cbc", "-nopad", "-K", key.hex(), "-iv", iv.hex(), given=body)
    contract = ec.derive_private_key(int.from_bytes(plain, "big"), ec.SECP256R1())
    (tmp_path / "contract.pem").write_text(encode_pem(data.contract_chain[0]))
    public = openssl("x509", "-in", str(tmp_path / "contract.pem"), "-noout", "-pubkey")
    assert contract.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == public


@pytest.mark.parametrize("suite", [Suite.P521, Suite.X448])
def test_openssl_derives_the_key_of_iso15118_20(tmp_path: Path, suite: Suite) -> None:
    """Its command line has no GCM, so GCM is asked of pyca's own AEAD with the key that openssl derived."""
    made, car = house(suite), car_key(suite)
    data = make_contract_data(car.public_key(), made.certify, pcid=PCID, iv=bytes(iv_octets(suite)))
    key = derived_by_openssl(tmp_path, car, suite, data.dh_public_key)
    identifier = parse_certificate(data.contract_chain[0]).subject_key_identifier
    assert identifier is not None
    aad = additional_data(PCID, identifier)
    plain = AESGCM(key).decrypt(data.encrypted_private_key[:12], data.encrypted_private_key[12:], aad)
    assert len(plain) == (66 if suite is Suite.P521 else 56)


def test_openssl_verifies_the_signature_of_the_service(made: House, tmp_path: Path) -> None:
    bundle = made.bundle(car_key(made.suite))
    kind = {Suite.P256: KeyKind.P256, Suite.P521: KeyKind.P521, Suite.X448: KeyKind.ED448}[made.suite]
    signed = PLAIN.signed_info(references_to(bundle.data.parts(), kind), kind)
    signature = bundle.signature
    if kind is not KeyKind.ED448:
        half = len(signature) // 2
        signature = encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )
    public, octets, beside = (tmp_path / name for name in ("public.pem", "signed", "signature"))
    (tmp_path / "cps.pem").write_text(encode_pem(bundle.cps_chain[0]))
    public.write_bytes(openssl("x509", "-in", str(tmp_path / "cps.pem"), "-noout", "-pubkey"))
    octets.write_bytes(signed)
    beside.write_bytes(signature)
    how = ["pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", str(octets), "-sigfile", str(beside)]
    digest = {KeyKind.P256: ["-digest", "sha256"], KeyKind.P521: ["-digest", "sha512"]}.get(kind, [])
    assert b"Success" in openssl(*how, *digest)
    octets.write_bytes(signed + b"\0")
    openssl(*how, *digest, fails=True)


def test_openssl_verifies_a_root_list_and_finds_its_content(tmp_path: Path) -> None:
    made = service()
    given = content(root_entry(), root_entry())
    (tmp_path / "list.der").write_bytes(sign_trust_list(given, made.signer))
    (tmp_path / "root.pem").write_text(made.root.certificate.pem())
    how = ["cms", "-verify", "-inform", "DER", "-in", str(tmp_path / "list.der"), "-CAfile", str(tmp_path / "root.pem")]
    at = ["-attime", str(int(AT.timestamp())), "-purpose", "any"]
    assert openssl(*how, *at) == encode_trust_list(given)
    (tmp_path / "root.pem").write_text(service().root.certificate.pem())
    openssl(*how, *at, fails=True)


def test_x448_is_the_function_of_rfc_7748() -> None:
    """The vector of RFC 7748 6.2."""
    one = x448.X448PrivateKey.from_private_bytes(
        bytes.fromhex(
            "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d"
            "9ac2d8c0a598726b"
        )
    )
    assert one.public_key().public_bytes_raw().hex().startswith("9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63")

"""Lists and answers made by the `openssl` program, judged by us; ours against its judgement and asn1crypto's reading.

Without the program the tests that need it are skipped, and say so.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import crl as asn1_crl
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pki.certificate import Certificate, parse_certificate
from pki.errors import TrustError
from pki.pem import encode_pem
from pki.verify import RevocationEvidence, RevocationState
from pki.verify.crl import parse_crl, verify_crl
from pki.verify.ocsp import parse_ocsp, verify_ocsp
from tests.pki.evidence_mint import certificates, delegate_of, list_of, long_list
from tests.pki.mint import AT, CONTRACT_USAGE, Branch, Spec, name_of, sound_branch

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl program on this machine")
WIDE = (-4000, 4000)
CONFIG = """
[ca]
default_ca = lab
[lab]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 7
crl_extensions = list
[list]
authorityKeyIdentifier = keyid
"""


def whole_octets(serial: int) -> str:
    """The serial number as openssl's database writes it: hex digits in pairs."""
    digits = f"{serial:X}"
    return "0" * (len(digits) % 2) + digits


class Authority:
    """A sub-CA as `openssl` keeps one: certificate, key, index of what it issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.branch = sound_branch()
        for spec in (self.branch.root, self.branch.sub1, self.branch.sub2):
            spec.days = WIDE
        self.leafs = {
            status: Spec(name_of(f"DEABC00000000{at}", dc="MO"), False, None, CONTRACT_USAGE, days=WIDE)
            for at, status in enumerate(("good", "revoked", "unknown"))
        }
        self.issuer = self.certificate("ca", self.branch.sub2, self.branch.sub1)
        self.certificate("signer", delegate_of(self.branch.sub2, days=WIDE), self.branch.sub2)
        self.parsed = {name: self.certificate(name, spec, self.branch.sub2) for name, spec in self.leafs.items()}
        lines = [
            "\t".join(("V", "351231235959Z", "", whole_octets(self.leafs["good"].serial), "unknown", "/CN=good")),
            "\t".join(
                (
                    "R",
                    "351231235959Z",
                    "250101000000Z,keyCompromise",
                    whole_octets(self.leafs["revoked"].serial),
                    "unknown",
                    "/CN=revoked",
                )
            ),
        ]
        (folder / "index.txt").write_text("".join(f"{line}\n" for line in lines))
        (folder / "crlnumber").write_text("1000\n")
        (folder / "openssl.cnf").write_text(CONFIG)

    def certificate(self, name: str, spec: Spec, issuer: Spec) -> Certificate:
        """Certificate and key as files."""
        der = spec.mint(issuer)
        (self.folder / f"{name}.pem").write_text(encode_pem(der))
        key = spec.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(key)
        return parse_certificate(der)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """What `openssl` says, run in the folder."""
        assert OPENSSL is not None
        return subprocess.run([OPENSSL, *arguments], cwd=self.folder, capture_output=True, timeout=60, check=False)

    def answer(self, name: str, *options: str, signer: str = "ca", digest: str = "-sha256") -> tuple[bytes, bytes]:
        """Request and answer about one leaf."""
        asked = self.run("ocsp", "-issuer", "ca.pem", digest, "-cert", f"{name}.pem", "-reqout", "request.der")
        answered = self.run(
            "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", f"{signer}.pem", "-rkey", f"{signer}.key",
            "-reqin", "request.der", "-respout", "answer.der", *options,
        )  # fmt: skip
        assert asked.returncode == answered.returncode == 0, answered.stderr
        return (self.folder / "request.der").read_bytes(), (self.folder / "answer.der").read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def now() -> datetime:
    """`openssl` dates what it makes by the clock."""
    return datetime.now(UTC)


@needs_openssl
@pytest.mark.parametrize("signer", ["ca", "signer"])
@pytest.mark.parametrize("digest", ["-sha1", "-sha256", "-sha512"])
@pytest.mark.parametrize("name", ["good", "revoked", "unknown"])
def test_answers_of_openssl_say_the_same_to_us(authority: Authority, name: str, digest: str, signer: str) -> None:
    _, der = authority.answer(name, "-ndays", "1", signer=signer, digest=digest)
    found = RevocationEvidence(ocsps=[der]).state(authority.issuer, authority.parsed[name], now())
    assert found.state == name
    if name == "revoked":
        assert verify_ocsp(parse_ocsp(der), authority.issuer).entries[
            authority.leafs[name].serial
        ].revoked_at == datetime(2025, 1, 1, tzinfo=UTC)


@needs_openssl
@pytest.mark.parametrize("by_key", [[], ["-resp_key_id"]])
def test_answers_without_certificates_and_without_nextupdate(authority: Authority, by_key: list[str]) -> None:
    _, der = authority.answer("good", "-resp_no_certs", *by_key)
    found = RevocationEvidence(ocsps=[der]).state(authority.issuer, authority.parsed["good"], now())
    assert found.state is RevocationState.GOOD
    _, der = authority.answer("good", "-resp_no_certs", *by_key, signer="signer")
    found = RevocationEvidence(ocsps=[der]).state(authority.issuer, authority.parsed["good"], now())
    assert found.state is RevocationState.UNKNOWN


@needs_openssl
def test_the_nonce_that_openssl_sends_comes_back(authority: Authority) -> None:
    request, der = authority.answer("good", "-ndays", "1")
    sent = x509.ocsp.load_der_ocsp_request(request).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    # openssl wraps the nonce in an OCTET STRING of its own, which the library hands out as it is.
    nonce = sent[2:] if sent[:1] == b"\x04" and sent[1] == len(sent) - 2 else sent
    assert verify_ocsp(parse_ocsp(der), authority.issuer, nonce=nonce).entries
    _, other = authority.answer("good", "-ndays", "1")
    with pytest.raises(TrustError) as caught:
        verify_ocsp(parse_ocsp(other), authority.issuer, nonce=nonce)
    assert caught.value.code == "ocsp-nonce"


@needs_openssl
def test_an_answer_signed_by_another_key_of_the_program_says_nothing(authority: Authority) -> None:
    authority.certificate("signer", delegate_of(authority.branch.sub1, days=WIDE), authority.branch.sub1)
    _, der = authority.answer("good", "-ndays", "1", signer="signer")
    found = RevocationEvidence(ocsps=[der]).state(authority.issuer, authority.parsed["good"], now())
    assert (found.state, found.notes[0].text.split(":")[0]) == (RevocationState.UNKNOWN, "ocsp-responder")


@needs_openssl
def test_lists_of_openssl_say_the_same_to_us(authority: Authority) -> None:
    made = authority.run("ca", "-gencrl", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
                         "-out", "list.pem")  # fmt: skip
    assert made.returncode == 0, made.stderr
    authority.run("crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
    der = (authority.folder / "list.der").read_bytes()
    evidence = RevocationEvidence([der])
    assert parse_crl(der).number == 0x1000
    for name in ("good", "revoked"):
        assert evidence.state(authority.issuer, authority.parsed[name], now()).state == name


@needs_openssl
@pytest.mark.parametrize("signed_by", ["sub2", "sub1"])
def test_openssl_and_we_agree_on_the_signature_of_a_list(authority: Authority, signed_by: str) -> None:
    branch = authority.branch
    der = list_of(branch.sub2, branch.leaf.serial, key=getattr(branch, signed_by).key)
    (authority.folder / "list.der").write_bytes(der)
    said = authority.run("crl", "-inform", "DER", "-in", "list.der", "-noout", "-verify", "-CAfile", "ca.pem").stderr
    sound = signed_by == "sub2"
    assert (b"verify OK" in said, b"verify failure" in said) == (sound, not sound)
    state = RevocationEvidence([der]).state(authority.issuer, certificates(branch)[0], AT).state
    assert state is (RevocationState.REVOKED if sound else RevocationState.UNKNOWN)


@needs_openssl
@pytest.mark.parametrize("revoked", [True, False])
def test_openssl_and_we_agree_on_a_chain_with_lists(authority: Authority, revoked: bool) -> None:
    branch: Branch = authority.branch
    branch.leaf.days = WIDE
    chain = branch.mint()
    listed = [branch.leaf.serial] if revoked else []
    lists = [list_of(branch.sub2, *listed), list_of(branch.sub1), list_of(branch.root)]
    (authority.folder / "leaf.pem").write_text(encode_pem(chain[0]))
    (authority.folder / "subs.pem").write_text("".join(map(encode_pem, chain[1:])))
    (authority.folder / "trust.pem").write_text(
        encode_pem(branch.anchor()) + "".join(encode_pem(der, "X509 CRL") for der in lists)
    )
    said = authority.run("verify", "-CAfile", "trust.pem", "-untrusted", "subs.pem", "-crl_check_all", "-attime",
                         str(int(AT.timestamp())), "leaf.pem")  # fmt: skip
    assert (said.returncode == 0) is not revoked, said.stderr
    path = [parse_certificate(der) for der in (*chain, branch.anchor())]
    found = RevocationEvidence(lists).along(path, AT)
    assert [each.state.value for each in found] == ["revoked" if revoked else "good", "good", "good"]


def test_asn1crypto_reads_the_same_entries() -> None:
    branch = sound_branch()
    draw = random.Random(7)
    der = long_list(branch.sub2, [draw.getrandbits(draw.choice((8, 64, 159))) | 1 for _ in range(400)])
    index = verify_crl(parse_crl(der), certificates(branch)[1]).revoked
    read = asn1_crl.CertificateList.load(der)["tbs_cert_list"]["revoked_certificates"]
    first: dict[int, datetime] = {}
    for entry in read:
        serial, at = entry["user_certificate"].native, entry["revocation_date"].native
        first[serial] = min(at, first.get(serial, at))
    assert len(index) == len(first)
    assert {serial: index.listing(serial) for serial in first} == {serial: (at, False) for serial, at in first.items()}

"""Keys in a PKCS#11 token, tried with SoftHSM2: authorities sign with them, and nothing gets them out.

Skipped, and said so, where SoftHSM2 (Debian's softhsm2) or python-pkcs11 is missing.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from pki.certificate import KeyKind
from pki.errors import KeyStoreError
from pki.issue.answers import GOOD, AnswerSigner
from pki.issue.authority import LeafOrder, Publication, Subject, Validity, create_root
from pki.issue.keys import PrivateKey, fresh_serial, generate_key, key_kind_of, public_key_der, sign
from pki.issue.lists import Revocation
from pki.profiles import AnchorRole, profile_named
from pki.public_key import algorithm_der, signature_kind, signed_by
from pki.service.key_store import KeyStore, open_token
from pki.verify import RevocationEvidence, RevocationState, TrustStore, verify
from pki.verify.ocsp import parse_ocsp, verify_ocsp
from tests.pki.mint import AT

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: pip install 'pncgate[pkcs11]'")
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
MODULE = next((Path(path) for path in MODULES if Path(path).exists()), None)
PROGRAM = shutil.which("softhsm2-util")
pytestmark = pytest.mark.skipif(
    MODULE is None or PROGRAM is None, reason="SoftHSM2 is not installed (Debian: apt-get install softhsm2)"
)
KINDS = (KeyKind.P256, KeyKind.P521, KeyKind.ED448)
DAY = timedelta(days=1)
DECADE = Validity(AT - 10 * DAY, AT + 3650 * DAY)
PIN = b"73 a pin"


def token_in(folder: Path, label: str) -> None:
    """A new token of SoftHSM2, whose configuration lies in the folder."""
    assert PROGRAM is not None
    command = [PROGRAM, "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN.decode()]
    subprocess.run(command, check=True, capture_output=True, env=environment(folder), timeout=60)


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyStore]:
    """A token of its own. SoftHSM2 reads its configuration once, when the library is loaded."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    text = f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    (folder / "softhsm2.conf").write_text(text)
    token_in(folder, "authorities")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    assert MODULE is not None
    opened = open_token(MODULE, "authorities", PIN)
    yield opened
    opened.close()  # type: ignore[attr-defined]
    pkcs11.unload(str(MODULE))
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture(scope="module", params=KINDS)
def key(request: pytest.FixtureRequest, store: KeyStore) -> PrivateKey:
    """A key of each kind in the token; Ed448 only where SoftHSM2 was built with it."""
    try:
        return store.create(f"root-{request.param.value}", request.param)
    except KeyStoreError as error:
        if request.param is KeyKind.ED448 and "MechanismInvalid" in str(error):
            pytest.skip("this SoftHSM2 was built without EdDSA")
        raise


def refused(act: Callable[[], object]) -> KeyStoreError:
    with pytest.raises(KeyStoreError) as caught:
        act()
    return caught.value


def test_a_key_signs_as_one_in_software_does(key: PrivateKey, store: KeyStore) -> None:
    kind = key_kind_of(key)
    again = store.load(f"root-{kind.value}")
    assert public_key_der(again) == public_key_der(key)
    assert f"root-{kind.value}" in store.names()
    for holder in (key, again, copy.copy(key), copy.deepcopy(key)):
        octets = os.urandom(300)
        assert signed_by(kind, key.public_key(), signature_kind(algorithm_der(kind)), octets, sign(holder, octets))


def test_a_digest_made_elsewhere_is_signed_too(key: PrivateKey) -> None:
    if isinstance(key, ed448.Ed448PrivateKey):
        assert len(key.sign(bytearray(b"octets"))) == 114
        return
    hash_ = hashes.SHA512() if key.key_size == 521 else hashes.SHA256()
    made = hashes.Hash(hash_)
    made.update(b"octets")
    signature = key.sign(made.finalize(), ec.ECDSA(Prehashed(hash_)))
    key.public_key().verify(signature, b"octets", ec.ECDSA(hash_))


def test_an_authority_in_the_token_issues_lists_and_names_signers(key: PrivateKey) -> None:
    kind = key_kind_of(key)
    generation = "iso15118-2" if kind is KeyKind.P256 else "iso15118-20"
    profile, said = profile_named(f"{generation}-contract"), Publication(crl="http://pki.example.test/a.crl")
    root = create_root(Subject(common_name="Root"), key, DECADE, fresh_serial(), profile, said)
    signer = root
    for name in ("Sub1", "Sub2"):
        signer = signer.sub_authority(Subject(common_name=name), generate_key(kind), DECADE, fresh_serial(), said)
    order = LeafOrder(
        subject=Subject(common_name="DEABC000000001", organization="Lab"),
        public_key=generate_key(kind).public_key(),
        validity=Validity(AT - DAY, AT + DAY),
        serial=fresh_serial(),
    )
    chain = [certificate.der for certificate in (signer.issue(order), *signer.sent)]
    trust = TrustStore({AnchorRole.MO: [root.certificate]})
    assert verify(chain, profile=profile, trust=trust, at=AT).path[-1] == root.certificate
    sub1 = signer.above[0]
    listed = root.crl(1, [Revocation(sub1.serial, AT - DAY)], AT - DAY, AT + DAY)
    assert RevocationEvidence([listed]).state(root.certificate, sub1, AT).state is RevocationState.REVOKED
    delegate = root.ocsp_signer(Subject(common_name="Signer"), key.public_key(), DECADE, fresh_serial())
    answer = AnswerSigner(root.certificate, delegate, key).answer(7, GOOD, this_update=AT, next_update=AT + DAY)
    assert [*verify_ocsp(parse_ocsp(answer), root.certificate).entries] == [7]


def test_a_key_never_leaves(key: PrivateKey) -> None:
    encodings, formats = serialization.Encoding, serialization.PrivateFormat
    acts: list[Callable[[], object]] = [
        lambda: key.private_bytes(encodings.DER, formats.PKCS8, serialization.NoEncryption())
    ]
    if isinstance(key, ed448.Ed448PrivateKey):
        acts.append(key.private_bytes_raw)
    else:
        acts.append(key.private_numbers)
        acts.append(lambda: key.exchange(ec.ECDH(), key.public_key()))
    for act in acts:
        assert refused(act).code == "token"


def test_many_threads_sign_at_once(key: PrivateKey) -> None:
    kind = key_kind_of(key)
    algorithm, public = signature_kind(algorithm_der(kind)), key.public_key()

    def work(at: int) -> bool:
        octets = at.to_bytes(4, "big") * 10
        return signed_by(kind, public, algorithm, octets, sign(key, octets))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_a_key_is_never_replaced_and_a_missing_one_is_told(store: KeyStore) -> None:
    before = public_key_der(store.create("once", KeyKind.P256))
    assert refused(lambda: store.create("once", KeyKind.P256)).code == "key-exists"
    assert public_key_der(store.load("once")) == before
    assert refused(lambda: store.load("never")).code == "key-missing"
    for name in ("", "../once", "a" * 65):
        assert refused(lambda name=name: store.load(name)).code == "key-name"
        assert refused(lambda name=name: store.create(name, KeyKind.P256)).code == "key-name"


def test_a_key_that_the_token_would_hand_out_is_refused(store: KeyStore) -> None:
    session = store._slot.session  # type: ignore[attr-defined]
    attribute = pkcs11.Attribute
    curve = {attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
    parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
    loose = {attribute.SENSITIVE: False, attribute.EXTRACTABLE: True}
    parameters.generate_keypair(store=True, label="loose", private_template=loose)
    error = refused(lambda: store.load("loose"))
    assert (error.code, "hand out" in str(error)) == ("token", True)
    other = {attribute.EC_PARAMS: bytes.fromhex("06052b81040022")}
    parameters = session.create_domain_parameters(pkcs11.KeyType.EC, other, local=True)
    tight = {attribute.SENSITIVE: True, attribute.EXTRACTABLE: False}
    for _ in range(2):
        parameters.generate_keypair(store=True, label="p384", private_template=tight)
        error = refused(lambda: store.load("p384"))
        assert error.code == "token"
    assert "2 objects" in str(error)


def test_tokens_that_cannot_be_opened(store: KeyStore, tmp_path: Path) -> None:
    assert MODULE is not None
    for module, token, pin, words in (
        (MODULE, "nobody", PIN, "No token matching"),
        (tmp_path / "none.so", "authorities", PIN, "cannot be opened through"),
        (MODULE, "authorities", PIN, "UserAlreadyLoggedIn"),
        (MODULE, "authorities", b"\xff", "not UTF-8"),
    ):
        error = refused(lambda module=module, token=token, pin=pin: open_token(module, token, pin))
        assert (error.code, words in str(error)) == ("token", True)


CLOSED = """
import sys
from pathlib import Path
from pki.certificate import KeyKind
from pki.errors import KeyStoreError
from pki.issue.keys import sign
from pki.service.key_store import open_token

module = Path(sys.argv[1])
try:
    open_token(module, "other", b"wrong")
except KeyStoreError as error:
    print(error.code, "PinIncorrect" in str(error))
store = open_token(module, "other", sys.argv[2].encode())
key = store.create("root", KeyKind.P521)
store.close()
try:
    sign(key, b"octets")
except KeyStoreError as error:
    print(error.code)
"""


def test_a_wrong_pin_and_a_token_that_was_closed(tmp_path: Path) -> None:
    """In a process of its own, because a token is opened once in each."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    token_in(tmp_path, "other")
    command = [sys.executable, "-c", CLOSED, str(MODULE), PIN.decode()]
    found = subprocess.run(command, env=environment(tmp_path), capture_output=True, timeout=60, check=False, text=True)
    assert found.stdout.split() == ["token", "True", "token"], found.stderr


ABSENT = """
import sys
from pathlib import Path
from pki.errors import KeyStoreError
from pki.service.key_store import open_token

sys.modules["pkcs11"] = None
try:
    open_token(Path("x.so"), "token", b"pin")
except KeyStoreError as error:
    print(error.code, error)
"""


def test_without_the_extra_the_error_says_what_to_install() -> None:
    found = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, timeout=60, check=True, text=True)
    assert found.stdout.strip() == "token keys in a PKCS#11 token need the extra: pip install 'pncgate[pkcs11]'"

"""Certification requests of the `openssl` program, judged by us and by it.

Without the program the tests are skipped, and say so.
"""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from pki.certificate import KeyKind
from pki.errors import IssueError
from pki.issue.request import verify_request

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl program on this machine")
KINDS = (KeyKind.P256, KeyKind.P521, KeyKind.ED448)
NAMED = {
    KeyKind.P256: ("EC", "ec_paramgen_curve:P-256", "-sha256"),
    KeyKind.P521: ("EC", "ec_paramgen_curve:P-521", "-sha512"),
    KeyKind.ED448: ("ED448", None, None),
}
SUBJECT = "/C=DE/O=Lab/CN=DE*ABC*E1/DC=CPO"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *arguments], cwd=folder, capture_output=True, timeout=60, check=False)


def made(folder: Path, algorithm: str, option: str | None, digest: str | None, *more: str) -> bytes:
    """The DER of a request by openssl."""
    options = [] if option is None else [each for name in option.split() for each in ("-pkeyopt", name)]
    key = run(folder, "genpkey", "-algorithm", algorithm, *options, "-out", "key.pem")
    assert key.returncode == 0, key.stderr
    wish = run(folder, "req", "-new", "-key", "key.pem", *([digest] if digest else []), "-outform", "DER",
               "-out", "request.der", "-subj", SUBJECT, *more)  # fmt: skip
    assert wish.returncode == 0, wish.stderr
    return (folder / "request.der").read_bytes()


def accepted(folder: Path, der: bytes) -> bool:
    """Whether openssl takes the request's proof of possession."""
    (folder / "given.der").write_bytes(der)
    said = run(folder, "req", "-in", "given.der", "-inform", "DER", "-noout", "-verify")
    return said.returncode == 0 and b"failure" not in said.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_requests_of_openssl_are_read(tmp_path: Path, kind: KeyKind) -> None:
    names = "subjectAltName=DNS:station.example.test,IP:192.0.2.1"
    der = made(tmp_path, *NAMED[kind], "-addext", names, "-addext", "basicConstraints=critical,CA:TRUE")
    found = verify_request(der, kinds=KINDS)
    assert (found.kind, found.common_name, found.organization, found.country) == (kind, "DE*ABC*E1", "Lab", "DE")
    assert (found.domain_component, found.dns_names) == ("CPO", ("station.example.test",))
    assert found.addresses == (ip_address("192.0.2.1"),)
    assert accepted(tmp_path, der)


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_and_we_agree_on_the_proof_of_possession(tmp_path: Path, kind: KeyKind) -> None:
    der = made(tmp_path, *NAMED[kind])
    at = der.index(b"DE*ABC*E1")
    forged = der[:at] + b"DE*ABC*E2" + der[at + 9 :]
    assert not accepted(tmp_path, forged)
    with pytest.raises(IssueError) as caught:
        verify_request(forged, kinds=KINDS)
    assert caught.value.code == "proof-of-possession"


@pytest.mark.parametrize(
    ("algorithm", "option", "digest", "code"),
    [
        ("EC", "ec_paramgen_curve:P-256 ec_param_enc:explicit", "-sha256", "key-kind"),
        ("EC", "ec_paramgen_curve:P-384", "-sha384", "key-kind"),
        ("EC", "ec_paramgen_curve:P-256", "-sha512", "signature-algorithm"),
        ("EC", "ec_paramgen_curve:P-521", "-sha256", "signature-algorithm"),
        ("RSA", "rsa_keygen_bits:2048", "-sha256", "key-kind"),
        ("ED25519", None, None, "key-kind"),
    ],
)
def test_what_openssl_would_take_and_no_profile_does(
    tmp_path: Path, algorithm: str, option: str | None, digest: str | None, code: str
) -> None:
    der = made(tmp_path, algorithm, option, digest)
    assert accepted(tmp_path, der)
    with pytest.raises(IssueError) as caught:
        verify_request(der, kinds=KINDS)
    assert caught.value.code == code

"""Lists and OCSP answers of our own authority, judged by the `openssl` program and read by asn1crypto.

Without the program the tests that need it are skipped, and say so.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import crl as asn1_crl, ocsp as asn1_ocsp
from cryptography import x509
from cryptography.x509 import ocsp

from pki.certificate import KeyKind
from pki.issue.answers import GOOD, UNKNOWN, AnswerSigner, Standing, revoked
from pki.issue.authority import Publication, Subject, Validity, create_root
from pki.issue.keys import fresh_serial, generate_key
from pki.issue.lists import ListOrder, Reason, Revocation
from pki.pem import encode_pem
from pki.profiles import profile_named
from pki.verify import RevocationEvidence, RevocationState
from pki.verify.certificate_id import HashAlgorithm

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl program on this machine")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DECADE = Validity(NOW - 10 * DAY, NOW + 3650 * DAY)
PROFILES = {
    KeyKind.P256: "iso15118-2-contract",
    KeyKind.P521: "iso15118-20-contract",
    KeyKind.ED448: "iso15118-20-contract",
}


class House:
    """A root with an OCSP signer, and a sub-CA that is asked about; the certificates lie in a folder."""

    def __init__(self, folder: Path, kind: KeyKind) -> None:
        self.folder = folder
        profile, key = profile_named(PROFILES[kind]), generate_key(kind)
        said = Publication(crl="http://pki.example.test/a.crl")
        self.root = create_root(Subject(common_name="Root"), generate_key(kind), DECADE, fresh_serial(), profile, said)
        life = Validity(NOW - DAY, NOW + 30 * DAY)
        delegate = self.root.ocsp_signer(Subject(common_name="Signer"), key.public_key(), life, fresh_serial())
        self.signer = AnswerSigner(self.root.certificate, delegate, key)
        sub = self.root.sub_authority(Subject(common_name="Sub1"), generate_key(kind), DECADE, fresh_serial())
        self.sub = sub.certificate
        for name, certificate in (("root", self.root.certificate), ("sub", self.sub)):
            (folder / f"{name}.pem").write_text(encode_pem(certificate.der))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """What `openssl` says, run in the folder."""
        assert OPENSSL is not None
        return subprocess.run([OPENSSL, *arguments], cwd=self.folder, capture_output=True, timeout=60, check=False)


@pytest.fixture(params=PROFILES)
def house(tmp_path: Path, request: pytest.FixtureRequest) -> House:
    return House(tmp_path, KeyKind(request.param))


@needs_openssl
@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (GOOD, b"sub.pem: good"),
        (UNKNOWN, b"sub.pem: unknown"),
        (revoked(NOW - DAY, Reason.KEY_COMPROMISE), b"Reason: keyCompromise"),
    ],
)
def test_openssl_takes_our_answers(house: House, standing: Standing, words: bytes, algorithm: HashAlgorithm) -> None:
    asked = house.run(
        "ocsp", "-issuer", "root.pem", f"-{algorithm.value}", "-cert", "sub.pem", "-reqout", "request.der"
    )
    assert asked.returncode == 0, asked.stderr
    request = ocsp.load_der_ocsp_request((house.folder / "request.der").read_bytes())
    sent = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    nonce = sent[2:] if sent[:1] == b"\x04" and sent[1] == len(sent) - 2 else sent
    der = house.signer.answer(
        request.serial_number, standing, this_update=NOW - HOUR, next_update=NOW + DAY, algorithm=algorithm, nonce=nonce
    )
    (house.folder / "answer.der").write_bytes(der)
    said = house.run("ocsp", "-respin", "answer.der", "-reqin", "request.der", "-issuer", "root.pem",
                     f"-{algorithm.value}", "-cert", "sub.pem", "-CAfile", "root.pem", "-resp_text",
                     "-no_nonce")  # fmt: skip
    assert b"Response verify OK" in said.stderr, said.stderr
    assert said.returncode == 0
    assert b"WARNING" not in said.stderr, said.stderr
    assert words in said.stdout


@needs_openssl
def test_openssl_refuses_a_changed_answer(house: House) -> None:
    der = house.signer.answer(house.sub.serial, GOOD, this_update=NOW - HOUR, next_update=NOW + DAY)
    at = der.index(b"\x80\x00\x18\x0f")
    (house.folder / "answer.der").write_bytes(der[:at] + b"\x82" + der[at + 1 :])
    said = house.run("ocsp", "-respin", "answer.der", "-issuer", "root.pem", "-cert", "sub.pem", "-CAfile", "root.pem",
                     "-no_nonce")  # fmt: skip
    assert b"Response verify OK" not in said.stderr


def test_asn1crypto_reads_our_answers(house: House) -> None:
    at = NOW - DAY
    der = house.signer.answer(
        house.sub.serial, revoked(at, Reason.SUPERSEDED), this_update=NOW, next_update=NOW + DAY, nonce=b"abc"
    )
    read = asn1_ocsp.OCSPResponse.load(der, strict=True)
    assert read.dump(force=True) == der
    (single,) = read.response_data["responses"]
    assert single["cert_status"].chosen["revocation_time"].native == at
    assert single["cert_status"].chosen["revocation_reason"].native == "superseded"
    assert read.nonce_value.native == b"abc"


def lists_of(house: House) -> dict[str, bytes]:
    """A complete list, one of one point with deltas elsewhere, and a delta."""
    week = ListOrder(number=0x1234, this_update=NOW - HOUR, next_update=NOW + 7 * DAY)
    entries = [
        Revocation(serial, NOW - serial * HOUR, reason)
        for serial, reason in enumerate((each for each in Reason if each is not Reason.REMOVE_FROM_CRL), 1)
    ]
    uri = "http://pki.example.test/a.crl"
    return {
        "complete": house.root.revocation_list(week, entries),
        "empty": house.root.revocation_list(week, []),
        "pointed": house.root.revocation_list(replace(week, point=uri, freshest=uri), entries),
        "delta": house.root.revocation_list(
            replace(week, number=0x1235, base=0x1234), [Revocation(7, NOW - HOUR, Reason.REMOVE_FROM_CRL)]
        ),
    }


@needs_openssl
def test_openssl_takes_our_lists(house: House) -> None:
    for name, der in lists_of(house).items():
        (house.folder / "list.der").write_bytes(der)
        said = house.run(
            "crl", "-inform", "DER", "-in", "list.der", "-noout", "-text", "-verify", "-CAfile", "root.pem"
        )
        assert b"verify OK" in said.stderr, said.stderr
        assert (b"No Revoked Certificates" in said.stdout) is (name == "empty")
        assert (b"Remove From CRL" in said.stdout) is (name == "delta")
        assert (b"Certificate Hold" in said.stdout) is (name in ("complete", "pointed"))
        assert (b"Delta CRL Indicator: critical" in said.stdout) is (name == "delta")
        assert (b"Issuing Distribution Point: critical" in said.stdout) is (name == "pointed")


def test_asn1crypto_reads_our_lists(house: House) -> None:
    for der in lists_of(house).values():
        read = asn1_crl.CertificateList.load(der, strict=True)
        assert read.native["tbs_cert_list"]["version"] == "v2"
        assert read.dump(force=True) == der


@needs_openssl
@pytest.mark.parametrize("listed", [True, False])
def test_openssl_and_we_agree_on_a_chain_with_a_list_and_a_delta(house: House, listed: bool) -> None:
    hold = [Revocation(house.sub.serial, NOW - DAY, Reason.CERTIFICATE_HOLD)]
    week = ListOrder(number=1, this_update=NOW - HOUR, next_update=NOW + 7 * DAY)
    entries = [Revocation(house.sub.serial, NOW - HOUR, Reason.REMOVE_FROM_CRL)] if not listed else []
    lists = [
        # openssl looks for deltas only where the complete list says that there are some.
        house.root.revocation_list(replace(week, freshest="http://pki.example.test/delta.crl"), hold),
        house.root.revocation_list(replace(week, number=2, base=1), entries),
    ]
    (house.folder / "trust.pem").write_text(
        encode_pem(house.root.certificate.der) + "".join(encode_pem(der, "X509 CRL") for der in lists)
    )
    said = house.run("verify", "-CAfile", "trust.pem", "-crl_check", "-extended_crl", "-use_deltas", "sub.pem")
    assert (said.returncode == 0) is not listed, said.stderr
    state = RevocationEvidence(lists).state(house.root.certificate, house.sub, NOW).state
    assert state is (RevocationState.REVOKED if listed else RevocationState.GOOD)

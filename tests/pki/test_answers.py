"""OCSP answers of our own signer: the verifier takes them, and what no answer may say is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from pki.certificate import Certificate, KeyKind, parse_certificate
from pki.errors import IssueError, TrustError
from pki.issue.answers import (
    ANSWER_LIFE,
    GOOD,
    NONCE_OCTETS,
    UNKNOWN,
    AnswerSigner,
    Refusal,
    Standing,
    encode_refusal,
    revoked,
)
from pki.issue.authority import Authority, Publication, Subject, Validity, create_root
from pki.issue.keys import fresh_serial, generate_key
from pki.issue.lists import Reason
from pki.profile import Place
from pki.profiles import profile_named
from pki.verify import RevocationEvidence, RevocationState
from pki.verify.certificate_id import HashAlgorithm
from pki.verify.lint import choose_row, lint_certificate
from pki.verify.ocsp import parse_ocsp, verify_ocsp
from pki.verify.ocsp_answer import OCSPStatus
from tests.pki.mint import AT

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DECADE, MONTH = Validity(AT - 10 * DAY, AT + 3650 * DAY), Validity(AT - DAY, AT + 30 * DAY)
SAID = Publication(crl="http://pki.example.test/a.crl", responder="http://pki.example.test/ocsp")
KINDS = {
    KeyKind.P256: "iso15118-2-contract",
    KeyKind.P521: "iso15118-20-contract",
    KeyKind.ED448: "iso15118-20-contract",
}


def root_of(kind: KeyKind, profile: str | None = None) -> Authority:
    row = profile_named(profile or KINDS[kind])
    return create_root(Subject(common_name="Root"), generate_key(kind), DECADE, fresh_serial(), row, SAID)


def signer_of(root: Authority, life: Validity = MONTH) -> AnswerSigner:
    key = generate_key(root.certificate.key_kind)
    delegate = root.ocsp_signer(Subject(common_name="Responder"), key.public_key(), life, fresh_serial())
    return AnswerSigner(root.certificate, delegate, key)


@pytest.fixture(scope="module", params=KINDS)
def root(request: pytest.FixtureRequest) -> Authority:
    """A root of each kind of key."""
    return root_of(KeyKind(request.param))


@pytest.fixture(scope="module")
def signer(root: Authority) -> AnswerSigner:
    return signer_of(root)


@pytest.fixture(scope="module")
def sub(root: Authority) -> Certificate:
    """A sub-CA, which is asked about."""
    key = generate_key(root.certificate.key_kind)
    return root.sub_authority(Subject(common_name="Sub1"), key, DECADE, fresh_serial()).certificate


def answer(signer: AnswerSigner, sub: Certificate, standing: Standing, algorithm: HashAlgorithm) -> bytes:
    return signer.answer(
        sub.serial, standing, this_update=AT - HOUR, next_update=AT + 6 * DAY, produced_at=AT, algorithm=algorithm
    )


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize(
    ("standing", "state"),
    [
        (GOOD, RevocationState.GOOD),
        (Standing(OCSPStatus.GOOD), RevocationState.GOOD),
        (UNKNOWN, RevocationState.UNKNOWN),
        (revoked(AT - DAY), RevocationState.REVOKED),
        (revoked(AT - DAY, Reason.CERTIFICATE_HOLD), RevocationState.REVOKED),
    ],
)
def test_the_verifier_takes_what_is_said(
    signer: AnswerSigner, sub: Certificate, standing: Standing, state: RevocationState, algorithm: HashAlgorithm
) -> None:
    der = answer(signer, sub, standing, algorithm)
    found = verify_ocsp(parse_ocsp(der), signer.issuer)
    (entry,) = found.entries.values()
    assert (entry.serial, entry.status, entry.revoked_at) == (sub.serial, standing.status, standing.at)
    assert (entry.this_update, entry.next_update, found.answer.produced_at) == (AT - HOUR, AT + 6 * DAY, AT)
    assert (found.delegate, found.checked) == (signer.delegate, True)
    assert RevocationEvidence(ocsps=[der]).state(signer.issuer, sub, AT).state is state


def test_every_reason_is_read_by_the_library(signer: AnswerSigner, sub: Certificate) -> None:
    for reason in Reason:
        if reason is Reason.REMOVE_FROM_CRL:
            continue
        read = ocsp.load_der_ocsp_response(answer(signer, sub, revoked(AT - DAY, reason), HashAlgorithm.SHA256))
        told = None if reason is Reason.UNSPECIFIED else x509.ReasonFlags(reason.value)
        assert read.revocation_reason is told
        assert read.serial_number == sub.serial
        assert read.revocation_time_utc == AT - DAY


@pytest.mark.parametrize("octets", [1, 16, NONCE_OCTETS])
def test_a_nonce_comes_back(signer: AnswerSigner, sub: Certificate, octets: int) -> None:
    nonce = bytes(range(octets))
    der = signer.answer(sub.serial, GOOD, this_update=AT, next_update=AT + DAY, nonce=nonce)
    assert verify_ocsp(parse_ocsp(der), signer.issuer, nonce=nonce).answer.produced_at == AT
    with pytest.raises(TrustError) as caught:
        verify_ocsp(parse_ocsp(der), signer.issuer, nonce=nonce + b"\0")
    assert caught.value.code == "ocsp-nonce"


def test_serial_numbers_of_every_length(signer: AnswerSigner) -> None:
    for serial in (0, 1, 0x7F, 0x80, 0xFF, 1 << 63, (1 << 159) - 1):
        der = signer.answer(serial, UNKNOWN, this_update=AT, next_update=AT + DAY)
        assert [*verify_ocsp(parse_ocsp(der), signer.issuer).entries] == [serial]


@pytest.mark.parametrize(
    ("this_update", "next_update", "code"),
    [
        (AT, AT, "ocsp-dates"),
        (AT, AT - HOUR, "ocsp-dates"),
        (AT, AT + ANSWER_LIFE + timedelta(seconds=1), "ocsp-dates"),
        (AT - 2 * DAY, AT, "ocsp-dates"),
        (AT + 29 * DAY, AT + 31 * DAY, "ocsp-dates"),
    ],
)
def test_dates_that_no_answer_may_have(
    signer: AnswerSigner, this_update: datetime, next_update: datetime, code: str
) -> None:
    with pytest.raises(IssueError) as caught:
        signer.answer(5, GOOD, this_update=this_update, next_update=next_update)
    assert (caught.value.code, bool(caught.value.clause)) == (code, True)
    assert signer.answer(5, GOOD, this_update=AT, next_update=AT + ANSWER_LIFE)


@pytest.mark.parametrize(
    ("serial", "standing", "nonce", "code"),
    [
        (-1, GOOD, None, "ocsp-serial"),
        (1 << 160, GOOD, None, "ocsp-serial"),
        (5, Standing(OCSPStatus.REVOKED), None, "ocsp-status"),
        (5, revoked(AT, Reason.REMOVE_FROM_CRL), None, "ocsp-status"),
        (5, GOOD, b"", "ocsp-nonce"),
        (5, GOOD, bytes(NONCE_OCTETS + 1), "ocsp-nonce"),
    ],
)
def test_what_no_answer_may_say(
    signer: AnswerSigner, serial: int, standing: Standing, nonce: bytes | None, code: str
) -> None:
    with pytest.raises(IssueError) as caught:
        signer.answer(serial, standing, this_update=AT, next_update=AT + DAY, nonce=nonce)
    assert (caught.value.code, bool(caught.value.clause)) == (code, True)


def test_the_delegate_is_as_its_row_says(root: Authority, signer: AnswerSigner) -> None:
    delegate = signer.delegate
    assert lint_certificate(delegate, root.profile, Place.RESPONDER) == ()
    assert choose_row(delegate).place is Place.RESPONDER
    assert delegate.extended_key_usage == {"1.3.6.1.5.5.7.3.9"}
    assert "1.3.6.1.5.5.7.48.1.5" in [extension.oid for extension in delegate.extensions]
    assert delegate.crl_uris == frozenset()
    assert [finding.code for finding in lint_certificate(root.certificate, root.profile, Place.RESPONDER)]


def test_a_leaf_in_the_place_of_the_signer_lacks_its_purpose(root: Authority, sub: Certificate) -> None:
    codes = [finding.code for finding in lint_certificate(sub, root.profile, Place.RESPONDER)]
    assert "extended-key-usage" in codes
    assert "ca-flag" in codes


def test_annex_b_marks_the_identifiers_of_a_delegate_critical_and_its_answers_hold() -> None:
    signer = signer_of(replace(root_of(KeyKind.P521), annex_b_critical=True))
    assert [extension.oid for extension in signer.delegate.extensions if extension.critical][2:] == [
        "2.5.29.14",
        "2.5.29.35",
    ]
    assert verify_ocsp(parse_ocsp(signer.answer(5, GOOD, this_update=AT, next_update=AT + DAY)), signer.issuer)


def test_who_may_not_be_a_signer(root: Authority, signer: AnswerSigner, sub: Certificate) -> None:
    other = generate_key(root.certificate.key_kind)
    stranger = root.impostor(other)
    for issuer, delegate, key in (
        (root.certificate, signer.delegate, other),
        (root.certificate, sub, other),
        (sub, signer.delegate, other),
    ):
        with pytest.raises(IssueError) as caught:
            AnswerSigner(issuer, delegate, key)
        assert caught.value.code == "ocsp-signer"
    with pytest.raises(IssueError) as caught:
        stranger.ocsp_signer(Subject(common_name="a"), other.public_key(), MONTH, 5)
    assert caught.value.code == "profile"
    named = Subject(common_name="a", domain_component="CPO")
    with pytest.raises(IssueError) as caught:
        root.ocsp_signer(named, other.public_key(), MONTH, 5)
    assert caught.value.code == "subject"
    with pytest.raises(IssueError) as caught:
        root.ocsp_signer(Subject(common_name="a"), other.public_key(), Validity(AT, AT + 4000 * DAY), 5)
    assert caught.value.code == "validity"
    wrong_kind = generate_key(KeyKind.P521 if root.certificate.key_kind is not KeyKind.P521 else KeyKind.ED448)
    with pytest.raises(IssueError) as caught:
        root.ocsp_signer(Subject(common_name="a"), wrong_kind.public_key(), MONTH, 5)
    assert caught.value.code == "profile"


@pytest.mark.parametrize("profile", ["backend-server", "iso15118-2-secc"])
def test_other_branches_have_signers_too(profile: str) -> None:
    signer = signer_of(root_of(KeyKind.P256, profile))
    assert parse_certificate(signer.delegate.der).key_kind is KeyKind.P256


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_is_five_octets(refusal: Refusal) -> None:
    der = encode_refusal(refusal)
    assert len(der) == 5
    assert ocsp.load_der_ocsp_response(der).response_status.value == refusal
    with pytest.raises(TrustError) as caught:
        parse_ocsp(der)
    assert caught.value.code == "ocsp-status"

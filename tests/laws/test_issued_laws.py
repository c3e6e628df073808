"""Laws of what an authority signs: lists and answers say what they were told, and changed ones nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings, strategies as st

from pki.errors import TrustError
from pki.issue.answers import ANSWER_LIFE, GOOD, UNKNOWN, AnswerSigner, Standing, revoked
from pki.issue.authority import Publication, Subject, Validity, create_root
from pki.issue.keys import fresh_serial, generate_key
from pki.issue.lists import ListOrder, Reason, Revocation
from pki.profiles import profile_named
from pki.verify.certificate_id import HashAlgorithm
from pki.verify.crl import parse_crl, verify_crl
from pki.verify.ocsp import parse_ocsp, verify_ocsp
from tests.laws.test_pki_laws import changed

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LIFE = Validity(AT - timedelta(days=100), AT + timedelta(days=100))
ROOT = create_root(
    Subject(common_name="Root"),
    generate_key(),
    LIFE,
    fresh_serial(),
    profile_named("iso15118-2-contract"),
    Publication(crl="http://pki.example.test/a.crl"),
)
KEY = generate_key()
DELEGATE = ROOT.ocsp_signer(Subject(common_name="Signer"), KEY.public_key(), LIFE, fresh_serial())
SIGNER = AnswerSigner(ROOT.certificate, DELEGATE, KEY)
SERIAL = st.integers(1, (1 << 159) - 1)
INSTANT = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
REASON = st.sampled_from([reason for reason in Reason if reason is not Reason.REMOVE_FROM_CRL])
ANSWERS = [
    SIGNER.answer(7, standing, this_update=AT, next_update=AT + timedelta(days=1))
    for standing in (GOOD, UNKNOWN, revoked(AT, Reason.KEY_COMPROMISE))
]
STANDING = st.one_of(st.just(GOOD), st.just(UNKNOWN), st.builds(revoked, INSTANT, REASON))


@settings(max_examples=100, deadline=None)
@given(
    entries=st.lists(st.builds(Revocation, SERIAL, INSTANT, REASON), max_size=30, unique_by=lambda entry: entry.serial),
    number=st.integers(0, (1 << 159) - 1),
    begin=INSTANT,
    seconds=st.integers(1, 10**8),
)
def test_a_list_says_what_it_was_told(entries: list[Revocation], number: int, begin: datetime, seconds: int) -> None:
    order = ListOrder(number=number, this_update=begin, next_update=begin + timedelta(seconds=seconds))
    found = verify_crl(parse_crl(ROOT.revocation_list(order, entries)), ROOT.certificate)
    assert (found.number, found.base, len(found.revoked)) == (number, None, len(entries))
    assert (found.this_update, found.next_update) == (order.this_update, order.next_update)
    for entry in entries:
        listing = found.revoked.listing(entry.serial)
        assert listing is not None
        assert (listing.at, listing.removed) == (entry.at, False)


@settings(max_examples=100, deadline=None)
@given(
    entries=st.lists(st.builds(Revocation, SERIAL, INSTANT, st.sampled_from(Reason)), max_size=20,
                     unique_by=lambda entry: entry.serial),
    base=st.integers(0, 1000),
    ahead=st.integers(0, 1000),
)  # fmt: skip
def test_a_delta_says_what_is_removed(entries: list[Revocation], base: int, ahead: int) -> None:
    order = ListOrder(number=base + ahead, this_update=AT, next_update=AT + timedelta(days=1), base=base)
    found = verify_crl(parse_crl(ROOT.revocation_list(order, entries)), ROOT.certificate)
    assert (found.number, found.base) == (base + ahead, base)
    for entry in entries:
        listing = found.revoked.listing(entry.serial)
        assert listing is not None
        assert (listing.at, listing.removed) == (entry.at, entry.reason is Reason.REMOVE_FROM_CRL)


@settings(max_examples=200, deadline=None)
@given(
    serial=st.integers(0, (1 << 159) - 1),
    standing=STANDING,
    seconds=st.integers(1, int(ANSWER_LIFE.total_seconds())),
    algorithm=st.sampled_from(HashAlgorithm),
    nonce=st.one_of(st.none(), st.binary(min_size=1, max_size=32)),
)
def test_an_answer_says_what_it_was_told(
    serial: int, standing: Standing, seconds: int, algorithm: HashAlgorithm, nonce: bytes | None
) -> None:
    end = AT + timedelta(seconds=seconds)
    der = SIGNER.answer(serial, standing, this_update=AT, next_update=end, algorithm=algorithm, nonce=nonce)
    (entry,) = verify_ocsp(parse_ocsp(der), ROOT.certificate, nonce=nonce).entries.values()
    assert (entry.serial, entry.status, entry.revoked_at) == (serial, standing.status, standing.at)
    assert (entry.this_update, entry.next_update) == (AT, end)
    assert entry.issuer is not None
    assert entry.issuer.algorithm is algorithm


@settings(max_examples=300, deadline=None)
@given(data=st.data(), der=st.sampled_from(ANSWERS))
def test_a_changed_answer_says_nothing_else(data: st.DataObject, der: bytes) -> None:
    try:
        found = verify_ocsp(parse_ocsp(data.draw(changed(der))), ROOT.certificate)
    except TrustError:
        return
    # What stands behind the signature, such as a certificate that is sent along, is not signed.
    assert found.answer.signed == parse_ocsp(der).signed

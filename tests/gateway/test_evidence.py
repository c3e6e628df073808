"""What may take the place of what is held: lists and answers, true, of now, and never older ones."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, strategies as st

from gateway.errors import StoreError
from gateway.store.evidence import CRLOrder, EvidenceStore, KeptAnswer, KeptCRL, KeptTrustList, open_evidence
from gateway.uplink.evidence import Asked, accept_answer, accept_crl, encode_ocsp_request
from pki.errors import TrustError
from pki.issue.answers import GOOD, UNKNOWN, AnswerSigner, revoked
from pki.issue.authority import Authority, Subject
from pki.issue.keys import fresh_serial, generate_key
from pki.issue.lists import Revocation
from pki.verify.certificate_id import HashAlgorithm
from pki.verify.revocation import RevocationEvidence
from tests.gateway.rough_pki import Papers, crl, impostor, life, now

NOTHING = RevocationEvidence()


def signer(authority: Authority, days: float = 10) -> AnswerSigner:
    key = generate_key()
    certificate = authority.ocsp_signer(
        Subject(common_name=f"Rough OCSP {secrets.token_hex(4)}"), key.public_key(), life(days), fresh_serial()
    )
    return AnswerSigner(authority.certificate, certificate, key)


# --- lists


def test_list_of_a_known_issuer_is_kept_with_its_order(papers: Papers) -> None:
    kept = accept_crl(crl(papers.mo2, 7), (papers.mo1.certificate, papers.mo2.certificate), now())
    assert kept is not None
    assert kept.issuer == papers.mo2.certificate.sha256
    assert kept.order.number == 7
    assert kept.scope.startswith("full")


def test_list_of_an_unknown_issuer_may_only_wait(papers: Papers) -> None:
    assert accept_crl(crl(papers.mo2, 7), (papers.mo1.certificate,), now()) is None
    assert accept_crl(crl(papers.mo2, 7), (), now()) is None


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda p: crl(impostor(p.mo2), 9), "crl-signature"),
        (lambda p: crl(p.mo2, 9, begun=timedelta(hours=-1)), "crl-dates"),
        (lambda p: b"<html>not found</html>", "malformed-crl"),
        (lambda p: crl(p.mo2, 9)[:-5], "malformed-crl"),
        (lambda p: crl(p.mo2, 9) + b"x", "malformed-crl"),
        (lambda p: b"", "malformed-crl"),
    ],
)
def test_false_list_is_refused(papers: Papers, make: object, code: str) -> None:
    with pytest.raises(TrustError) as refused:
        accept_crl(make(papers), (papers.mo2.certificate,), now())  # type: ignore[operator]  # a function of the table
    assert refused.value.code == code


# --- answers


def test_request_is_what_another_library_would_write(papers: Papers) -> None:
    for algorithm, theirs in (
        (HashAlgorithm.SHA1, hashes.SHA1()),
        (HashAlgorithm.SHA256, hashes.SHA256()),
        (HashAlgorithm.SHA384, hashes.SHA384()),
        (HashAlgorithm.SHA512, hashes.SHA512()),
    ):
        asked = Asked(papers.mo2.certificate, fresh_serial(), algorithm)
        read = ocsp.load_der_ocsp_request(encode_ocsp_request(asked))
        assert read.serial_number == asked.serial
        assert read.hash_algorithm.name == theirs.name
    asked = Asked(papers.cpo1.certificate, papers.cpo2.certificate.serial, HashAlgorithm.SHA256)
    subject: x509.Certificate = papers.cpo2.certificate.parsed
    built = ocsp.OCSPRequestBuilder().add_certificate(subject, papers.cpo1.certificate.parsed, hashes.SHA256()).build()

    assert built.public_bytes(Encoding.DER) == encode_ocsp_request(asked)


def test_fresh_answer_about_what_was_asked_is_kept(papers: Papers) -> None:
    asked, at = Asked(papers.mo2.certificate, 5), now()
    end = at + timedelta(hours=3)
    for standing in (GOOD, revoked(at - timedelta(days=1))):
        der = signer(papers.mo2).answer(5, standing, this_update=at, next_update=end, algorithm=HashAlgorithm.SHA256)
        kept = accept_answer(der, asked, NOTHING, at)
        assert (kept.key, kept.next_update, kept.der) == (asked.key, end, der)


def answered(papers: Papers, **how: object) -> bytes:
    at = now()
    given_ = {"this_update": at, "next_update": at + timedelta(hours=3), "algorithm": HashAlgorithm.SHA256} | how
    authority, serial = given_.pop("authority", papers.mo2), given_.pop("serial", 5)
    standing = given_.pop("standing", GOOD)
    return signer(authority).answer(serial, standing, **given_)  # type: ignore[arg-type]  # as the table has it


LIES = {
    "another serial": (lambda p: answered(p, serial=6), "ocsp-issuer"),
    "another hash": (lambda p: answered(p, algorithm=HashAlgorithm.SHA1), "ocsp-issuer"),
    "another CA": (lambda p: answered(p, authority=p.mo1), "ocsp-issuer"),
    "unknown": (lambda p: answered(p, standing=UNKNOWN), "ocsp-unknown"),
    "past": (
        lambda p: answered(p, this_update=now() - timedelta(minutes=4), next_update=now() - timedelta(minutes=1)),
        "ocsp-dates",
    ),
    "future": (
        lambda p: answered(p, this_update=now() + timedelta(hours=1), next_update=now() + timedelta(hours=2)),
        "ocsp-dates",
    ),
    "garbage": (lambda p: b"\x30\x03\x0a\x01\x00", "malformed-ocsp"),
    "try later": (lambda p: b"\x30\x03\x0a\x01\x03", "ocsp-status"),
    "huge": (lambda p: b"\x30" * 20_000, "size-limit"),
    "bent": (lambda p: answered(p)[:-1] + b"\x00", "ocsp-responder"),
}


@pytest.mark.parametrize("lie", LIES)
def test_false_answer_is_refused(papers: Papers, lie: str) -> None:
    make, code = LIES[lie]
    with pytest.raises(TrustError) as refused:
        accept_answer(make(papers), Asked(papers.mo2.certificate, 5), NOTHING, now())
    assert refused.value.code == code


def test_delegate_that_is_revoked_is_not_believed(papers: Papers) -> None:
    key, serial, at = generate_key(), fresh_serial(), now()
    certificate = papers.mo2.ocsp_signer(Subject(common_name="Rough OCSP"), key.public_key(), life(10), serial)
    der = AnswerSigner(papers.mo2.certificate, certificate, key).answer(
        5, GOOD, this_update=at, next_update=at + timedelta(hours=1), algorithm=HashAlgorithm.SHA256
    )
    asked = Asked(papers.mo2.certificate, 5)
    assert accept_answer(der, asked, NOTHING, at).der == der
    lists = papers.mo2.crl(9, [Revocation(serial, at)], at, at + timedelta(days=1))
    with pytest.raises(TrustError, match="revoked") as refused:
        accept_answer(der, asked, RevocationEvidence(crls=[lists]), at)
    assert refused.value.code == "ocsp-responder"


# --- the store


INSTANT = datetime(2026, 11, 1, tzinfo=UTC)
orders = st.builds(
    CRLOrder,
    st.integers(0, 2**158),
    st.integers(0, 1000).map(lambda minutes: INSTANT + timedelta(minutes=minutes)),
)


@given(offered=st.lists(st.tuples(orders, st.sampled_from(["full", "delta"])), max_size=12))
def test_no_list_goes_back_in_whatever_order_they_come(
    tmp_path_factory: pytest.TempPathFactory, offered: list[tuple[CRLOrder, str]]
) -> None:
    store = EvidenceStore(tmp_path_factory.mktemp("store") / "evidence.db")
    try:
        highest: dict[str, tuple[int, datetime]] = {}
        for order, scope in offered:
            wanted = (order.number, order.this_update)
            new = KeptCRL(issuer="a", scope=scope, order=order, next_update=INSTANT, der=repr(wanted).encode())
            assert store.keep_crl(new, "http://x/") == (wanted >= highest.get(scope, wanted))
            highest[scope] = max(highest.get(scope, wanted), wanted)
        assert set(store.crls()) == {repr(order).encode() for order in highest.values()}
        for scope, (number, this_update) in highest.items():
            assert store.crl_order("a", scope) == CRLOrder(number, this_update)
    finally:
        store.close()


def test_no_answer_and_no_list_of_roots_goes_back(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence.db")
    hour = timedelta(hours=1)
    assert store.keep_answer(KeptAnswer("k", INSTANT, INSTANT + hour, b"1"))
    assert store.keep_answer(KeptAnswer("k", INSTANT + hour, INSTANT + hour, b"2"))
    assert not store.keep_answer(KeptAnswer("k", INSTANT, INSTANT + 9 * hour, b"1"))
    assert [answer.der for answer in store.answers()] == [b"2"]
    for version, minutes, kept in ((5, 0, True), (4, 9, False), (5, -1, False), (5, 1, True), (6, -9, True)):
        at = INSTANT + timedelta(minutes=minutes)
        assert store.keep_trust_list(KeptTrustList(version, at, at + hour, b"x")) is kept
    held = store.trust_list()
    assert held is not None
    assert held.version == 6
    store.forget(INSTANT + 2 * hour)
    assert store.answers() == []
    store.close()
    with pytest.raises(StoreError):
        store.answers()


def test_candidate_waits_and_is_let_go_with_the_list_from_there(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence.db")
    store.keep_candidate("http://x/", b"one")
    store.keep_candidate("http://x/", b"two")
    store.keep_candidate("http://y/", b"three")
    assert dict(store.candidates()) == {"http://x/": b"two", "http://y/": b"three"}
    new = KeptCRL(issuer="a", scope="full", order=CRLOrder(1, INSTANT), next_update=INSTANT, der=b"list")
    assert store.keep_crl(new, "http://x/")
    assert sorted(store.crls()) == [b"list", b"three"]
    store.forget_candidates(frozenset({"http://z/"}))
    assert store.crls() == [b"list"]
    store.close()


def test_damaged_store_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    path.write_bytes(b"no database" * 1000)
    store, remark = open_evidence(path)
    assert remark is not None
    assert "evidence.db.damaged" in remark
    assert store.crls() == []
    store.close()
    again, remark = open_evidence(path)
    assert remark is None
    again.close()

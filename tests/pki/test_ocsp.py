"""OCSP answers: what a sound one says, and every fault that makes one say nothing. The library makes them, not we."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from pki.errors import ChainRejected, NoEvidence, TrustError
from pki.verify import RevocationEvidence, RevocationIndex, RevocationState
from pki.verify.ocsp import OCSP_CAP, OCSP_SKEW, parse_ocsp, verify_ocsp
from pki.verify.statements import Source
from tests.pki.evidence_mint import (
    DAY,
    HOUR,
    UNKNOWN,
    Answer,
    answer_of,
    certificates,
    clean_lists,
    delegate_of,
    delegated,
    entry_surgery,
    generalized,
    list_of,
    wrapped,
)
from tests.pki.mint import AT, Branch, content_of, name_of, new_key, new_p521, sound_branch_20, split, tlv

SECOND = timedelta(seconds=1)
GOOD, REVOKED, STALE = RevocationState.GOOD, RevocationState.REVOKED, RevocationState.STALE
NOTHING = RevocationState.UNKNOWN
CRITICAL = tlv(0x30, b"\x06\x03\x2a\x03\x04\x01\x01\xff\x04\x02\x05\x00")


def state_of(branch: Branch, *answers: Answer | bytes, crls: tuple[bytes, ...] = (), at=AT):
    """What these answers (and lists) say of the leaf at `at`."""
    ders = [answer.make() if isinstance(answer, Answer) else answer for answer in answers]
    leaf, issuer = certificates(branch)
    return RevocationEvidence(crls, ders).state(issuer, leaf, at)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("signer", ["issuer", "delegate"])
def test_a_sound_answer_is_good(branch: Branch, algorithm: hashes.HashAlgorithm, by_name: bool, signer: str) -> None:
    made = delegated(branch, delegate_of(branch.sub2)) if signer == "delegate" else answer_of(branch)
    found = state_of(branch, replace(made, algorithm=algorithm, by_name=by_name))
    assert (found.state, found.at, found.source, found.notes) == (GOOD, AT - DAY, Source.OCSP, ())


@pytest.mark.parametrize("make_key", [new_p521, ed448.Ed448PrivateKey.generate])
@pytest.mark.parametrize("signer", ["issuer", "delegate"])
def test_a_sound_answer_of_generation_20_is_good(make_key: Callable, signer: str) -> None:
    branch = sound_branch_20(make_key)
    delegate = delegate_of(branch.sub2, key=make_key(), hash_=hashes.SHA512())
    made = delegated(branch, delegate) if signer == "delegate" else answer_of(branch)
    assert state_of(branch, made).state is GOOD


def test_answers_of_the_whole_path_satisfy_the_chain(branch: Branch) -> None:
    answers = [answer_of(branch, which).make() for which in ("leaf", "sub2", "sub1")]
    found = branch.judge(revocation=RevocationEvidence(ocsps=answers), require_revocation=True)
    assert (found.revocation, found.findings) == (GOOD, ())
    with pytest.raises(NoEvidence) as caught:
        branch.judge(revocation=RevocationEvidence(ocsps=answers[:2]), require_revocation=True)
    assert (caught.value.code, caught.value.index) == ("revocation-unknown", 2)


@pytest.mark.parametrize(("which", "index"), [("leaf", 0), ("sub2", 1), ("sub1", 2)])
def test_a_revoked_answer_refuses_the_chain(branch: Branch, which: str, index: int) -> None:
    answer = answer_of(branch, which, status="revoked").make()
    with pytest.raises(ChainRejected) as caught:
        branch.judge(revocation=RevocationEvidence(clean_lists(branch), [answer]))
    assert (caught.value.code, caught.value.index) == ("revoked", index)
    assert "ocsp of" in str(caught.value)


def stranger(made: Answer) -> Answer:
    return replace(made, signing_key=new_key())


def with_id(made: Answer, part: int, octets: bytes) -> Answer:
    """The answer with another field in its certificate id: 0 algorithm, 1 name hash, 2 key hash, 3 serial."""

    def edit(parts: list[bytes]) -> list[bytes]:
        fields = split(content_of(parts[0]))
        fields[part] = octets
        return [tlv(0x30, b"".join(fields)), *parts[1:]]

    return replace(made, surgery=entry_surgery(edit))


def other_eku(branch: Branch) -> Answer:
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    return delegated(branch, delegate_of(branch.sub2, extra=[(usage, False), (x509.OCSPNoCheck(), False)]))


def delegate_with(branch: Branch, **changed: object) -> Answer:
    return delegated(branch, delegate_of(branch.sub2, **changed))


def unchecked(branch: Branch) -> Answer:
    return delegate_with(branch, extra=delegate_of(branch.sub2).extra[:1])


FAULTS: list[tuple[str, Callable[[Branch], Answer], str]] = [
    ("signed by a stranger", lambda b: stranger(answer_of(b)), "ocsp-signature"),
    ("delegate's answer signed by a stranger", lambda b: stranger(delegated(b, delegate_of(b.sub2))), "ocsp-signature"),
    ("wrong issuer name hash", lambda b: with_id(answer_of(b), 1, tlv(4, bytes(32))), "ocsp-issuer"),
    ("wrong issuer key hash", lambda b: with_id(answer_of(b), 2, tlv(4, bytes(32))), "ocsp-issuer"),
    (
        "hash called by another algorithm's name",
        lambda b: with_id(answer_of(b), 0, tlv(0x30, bytes.fromhex("0609608648016503040203"))),
        "ocsp-issuer",
    ),
    ("unknown hash algorithm", lambda b: with_id(answer_of(b), 0, tlv(0x30, b"\x06\x03\x2a\x03\x04")), "ocsp-issuer"),
    ("no OCSPSigning", other_eku, "ocsp-responder"),
    ("no extended key usage", lambda b: delegate_with(b, extra=[(x509.OCSPNoCheck(), False)]), "ocsp-responder"),
    ("delegate of another CA", lambda b: delegated(b, delegate_of(b.sub1), above=b.sub1), "ocsp-responder"),
    ("delegate forged under the CA's name", lambda b: delegate_with(b, signer=new_key()), "ocsp-responder"),
    (
        "delegate naming another issuer key",
        lambda b: delegate_with(b, aki_value=x509.AuthorityKeyIdentifier(bytes(20), None, None)),
        "ocsp-responder",
    ),
    ("delegate below a delegate", lambda b: delegated(b, delegate_of(b.leaf), above=b.leaf), "ocsp-responder"),
    ("the leaf as its own responder", lambda b: delegated(b, b.leaf), "ocsp-responder"),
    ("delegate may not sign", lambda b: delegate_with(b, usage=frozenset({"key_agreement"})), "ocsp-responder"),
    ("delegate with a key of another kind", lambda b: delegate_with(b, key=new_p521()), "ocsp-responder"),
    (
        "delegate with an unknown critical extension",
        lambda b: delegate_with(b, extra=[*delegate_of(b.sub2).extra, (UNKNOWN, True)]),
        "ocsp-responder",
    ),
    ("delegate not sent along", lambda b: replace(delegated(b, delegate_of(b.sub2)), sent=False), "ocsp-responder"),
    (
        "delegate over the size of a certificate",
        lambda b: delegate_with(
            b,
            extra=[
                *delegate_of(b.sub2).extra,
                (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(5000)), False),
            ],
        ),
        "ocsp-responder",
    ),
    ("delegate expired when it answered", lambda b: delegate_with(b, days=(-10, -1)), "ocsp-dates"),
    ("delegate not yet valid when it answered", lambda b: delegate_with(b, days=(1, 10)), "ocsp-dates"),
    ("delegate's revocation not shown", unchecked, "ocsp-responder"),
    (
        "thisUpdate in the future",
        lambda b: replace(answer_of(b), this_update=AT + HOUR, produced_at=AT + HOUR),
        "ocsp-dates",
    ),
    ("produced in the future", lambda b: replace(answer_of(b), produced_at=AT + HOUR), "ocsp-dates"),
    ("produced before its thisUpdate", lambda b: replace(answer_of(b), produced_at=AT - 2 * DAY), "ocsp-dates"),
    ("nextUpdate before producedAt", lambda b: replace(answer_of(b), next_update=AT - 2 * HOUR), "ocsp-dates"),
    ("unknown critical extension", lambda b: replace(answer_of(b), extra=((UNKNOWN, True),)), "ocsp-extension"),
    (
        "unknown critical extension on the entry",
        lambda b: replace(answer_of(b), surgery=entry_surgery(lambda parts: [*parts, tlv(0xA1, tlv(0x30, CRITICAL))])),
        "ocsp-extension",
    ),
    (
        "responder id of another key",
        lambda b: replace(answer_of(b), surgery=lambda parts: [tlv(0xA2, tlv(4, bytes(20))), *parts[1:]]),
        "ocsp-responder",
    ),
    ("the responder does not know", lambda b: replace(answer_of(b), status="unknown"), "ocsp-unknown"),
]


@pytest.mark.parametrize("status", ["good", "revoked"])
@pytest.mark.parametrize(("make", "reason"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_faulty_answer_says_nothing(
    branch: Branch, make: Callable[[Branch], Answer], reason: str, status: str
) -> None:
    made = make(branch)
    made = made if made.status == "unknown" else replace(made, status=status, revoked_at=AT + 2 * DAY)
    found = state_of(branch, made)
    assert (found.state, found.source) == (NOTHING, None)
    assert [note.text.split(":")[0] for note in found.notes] == [reason]
    judged = branch.judge(revocation=RevocationEvidence(ocsps=[made.make()]))
    assert judged.revocation is NOTHING


def test_a_fault_does_not_take_back_what_others_say(branch: Branch) -> None:
    forged = stranger(answer_of(branch, status="revoked"))
    assert state_of(branch, forged, answer_of(branch)).state is GOOD
    assert state_of(branch, forged, crls=(list_of(branch.sub2),)).state is GOOD


@pytest.mark.parametrize("serial", [b"\x02\x01\x05", b"\x02\x01\x00"])
def test_an_answer_about_another_serial_number_says_nothing(branch: Branch, serial: bytes) -> None:
    assert state_of(branch, with_id(answer_of(branch), 3, serial)).state is NOTHING


def test_a_good_answer_past_its_nextupdate_is_stale(branch: Branch) -> None:
    made = answer_of(branch)
    at_the_end, after = state_of(branch, made, at=AT + DAY), state_of(branch, made, at=AT + DAY + SECOND)
    assert (at_the_end.state, after.state, after.stale_since) == (GOOD, STALE, AT + DAY)


@pytest.mark.parametrize("next_update", [None, AT + 90 * DAY])
def test_an_answer_counts_for_a_week_at_most(branch: Branch, next_update: object) -> None:
    made = answer_of(branch, next_update=next_update)
    assert state_of(branch, made, at=AT + 6 * DAY).state is GOOD
    assert state_of(branch, made, at=AT + 6 * DAY + SECOND).state is STALE
    leaf, issuer = certificates(branch)
    patient = RevocationEvidence(ocsps=[made.make()], ocsp_age=30 * DAY)
    assert patient.state(issuer, leaf, AT + 8 * DAY).state is GOOD


def test_a_revoked_answer_stays_revoked_past_its_age(branch: Branch) -> None:
    assert state_of(branch, answer_of(branch, status="revoked"), at=AT + 60 * DAY).state is REVOKED


def test_an_answer_does_not_outlive_its_delegate(branch: Branch) -> None:
    made = delegate_with(branch, days=(-10, 0))
    assert state_of(branch, made).state is GOOD
    assert state_of(branch, made, at=AT + HOUR).state is STALE


def test_a_clock_behind_the_responders_is_borne_with(branch: Branch) -> None:
    made = answer_of(branch, this_update=AT + OCSP_SKEW, produced_at=AT + OCSP_SKEW)
    assert state_of(branch, made).state is GOOD
    assert state_of(branch, made, at=AT - SECOND).state is NOTHING


def test_a_delegate_without_nocheck_needs_a_good_word_about_itself(branch: Branch) -> None:
    delegate = delegate_of(branch.sub2)
    delegate.extra = delegate.extra[:1]
    made = delegated(branch, delegate, status="revoked")
    assert state_of(branch, made, crls=(list_of(branch.sub2),)).state is REVOKED
    assert state_of(branch, made, crls=(list_of(branch.sub2, delegate.serial),)).state is GOOD
    assert state_of(branch, made).state is NOTHING


def test_a_revoked_delegate_is_not_believed_even_with_nocheck(branch: Branch) -> None:
    delegate = delegate_of(branch.sub2)
    made = delegated(branch, delegate, status="revoked")
    found = state_of(branch, made, crls=(list_of(branch.sub2, delegate.serial),))
    assert (found.state, found.source) == (GOOD, Source.CRL)
    assert state_of(branch, made).state is REVOKED


def test_the_newest_answer_speaks(branch: Branch) -> None:
    """A replayed good answer does not free; a newer good one lifts a hold."""
    old = answer_of(branch, this_update=AT - 2 * DAY)
    revoked = answer_of(branch, status="revoked")
    newest = answer_of(branch, this_update=AT - HOUR)
    for answers in ((old, revoked), (revoked, old)):
        assert state_of(branch, *answers).state is REVOKED
    assert state_of(branch, old, revoked, newest).state is GOOD
    same = answer_of(branch)
    for answers in ((same, revoked), (revoked, same)):
        assert state_of(branch, *answers).state is REVOKED


def test_revoked_by_either_source_wins_and_the_freshest_good_is_reported(branch: Branch) -> None:
    fresh = answer_of(branch, this_update=AT - HOUR)
    found = state_of(branch, fresh, crls=(list_of(branch.sub2),))
    assert (found.state, found.at, found.source) == (GOOD, AT - HOUR, Source.OCSP)
    found = state_of(branch, fresh, crls=(list_of(branch.sub2, this_update=AT - SECOND),))
    assert (found.state, found.at, found.source) == (GOOD, AT - SECOND, Source.CRL)
    assert state_of(branch, fresh, crls=(list_of(branch.sub2, branch.leaf.serial),)).state is REVOKED
    revoked = answer_of(branch, status="revoked")
    assert state_of(branch, revoked, crls=(list_of(branch.sub2, this_update=AT - SECOND),)).state is REVOKED
    old = answer_of(branch, next_update=AT - SECOND, produced_at=AT - 2 * HOUR)
    assert state_of(branch, old, crls=(list_of(branch.sub2),)).state is GOOD


def test_a_silent_responder_does_not_hide_a_list(branch: Branch) -> None:
    made = answer_of(branch, status="unknown")
    assert state_of(branch, made, crls=(list_of(branch.sub2),)).state is GOOD


def several(made: Answer, *others: tuple[bytes, bytes]) -> Answer:
    """The answer with further entries before its own: serial number and status as DER."""

    def surgery(parts: list[bytes]) -> list[bytes]:
        own = content_of(parts[2])
        fields = split(content_of(own))
        hashed = split(content_of(fields[0]))[:3]
        ids = [tlv(0x30, b"".join([*hashed, serial])) for serial, _ in others]
        entries = [tlv(0x30, b"".join([id_, other[1], *fields[2:]])) for id_, other in zip(ids, others, strict=True)]
        return [*parts[:2], tlv(0x30, b"".join(entries) + own), *parts[3:]]

    return replace(made, surgery=surgery)


def test_of_several_entries_ours_counts(branch: Branch) -> None:
    revoked = tlv(0xA1, generalized(AT - DAY))
    made = several(answer_of(branch), (b"\x02\x01\x05", revoked), (b"\x02\x01\x06", b"\x82\x00"))
    assert state_of(branch, made).state is GOOD
    verified = verify_ocsp(parse_ocsp(made.make()), certificates(branch)[1])
    assert {serial: entry.status.value for serial, entry in verified.entries.items()} == {
        5: "revoked",
        6: "unknown",
        branch.leaf.serial: "good",
    }


def test_an_answer_that_speaks_of_us_and_of_our_serial_number_under_another_issuer(branch: Branch) -> None:
    """Two entries: another issuer's certificate with our serial number, and another of ours. Neither is ours."""

    def surgery(parts: list[bytes]) -> list[bytes]:
        fields = split(content_of(content_of(parts[2])))
        ids = split(content_of(fields[0]))
        foreign = tlv(0x30, b"".join([ids[0], tlv(4, bytes(32)), *ids[2:]]))
        other = tlv(0x30, b"".join([*ids[:3], b"\x02\x01\x05"]))
        entries = [tlv(0x30, b"".join([id_, *fields[1:]])) for id_ in (foreign, other)]
        return [*parts[:2], tlv(0x30, b"".join(entries)), *parts[3:]]

    found = state_of(branch, replace(answer_of(branch), surgery=surgery))
    assert (found.state, found.notes) == (NOTHING, ())


def test_of_several_entries_about_one_certificate_the_worst_counts(branch: Branch) -> None:
    own = b"\x02" + bytes([branch.leaf.serial.bit_length() // 8 + 1])
    own += branch.leaf.serial.to_bytes(branch.leaf.serial.bit_length() // 8 + 1, "big")
    revoked = tlv(0xA1, generalized(AT - DAY))
    assert state_of(branch, several(answer_of(branch), (own, revoked))).state is REVOKED
    assert state_of(branch, several(answer_of(branch), (own, b"\x82\x00"))).state is NOTHING


def test_the_nonce_is_compared_when_one_was_sent(branch: Branch) -> None:
    issuer = certificates(branch)[1]
    plain, echoed = (answer_of(branch, nonce=nonce).make() for nonce in (None, b"n" * 32))
    assert verify_ocsp(parse_ocsp(echoed), issuer, nonce=b"n" * 32).entries
    assert verify_ocsp(parse_ocsp(echoed), issuer).entries
    for der, nonce in ((echoed, b"m" * 32), (plain, b"n" * 32)):
        with pytest.raises(TrustError) as caught:
            verify_ocsp(parse_ocsp(der), issuer, nonce=nonce)
        assert caught.value.code == "ocsp-nonce"


@pytest.mark.parametrize(
    ("status", "name"),
    [(1, "malformedRequest"), (2, "internalError"), (3, "tryLater"), (5, "sigRequired"), (6, "unauthorized")],
)
def test_a_responder_that_declines_says_nothing(branch: Branch, status: int, name: str) -> None:
    declined = tlv(0x30, bytes([0x0A, 1, status]))
    found = state_of(branch, declined)
    assert found.state is NOTHING
    assert name in found.notes[0].text
    judged = branch.judge(revocation=RevocationEvidence(clean_lists(branch), [declined]))
    assert (judged.revocation, [finding.code for finding in judged.findings]) == (GOOD, ["ocsp-unusable"])


def malformed(branch: Branch) -> dict[str, bytes]:
    good = answer_of(branch).make()
    basic = content_of(split(content_of(split(content_of(split(content_of(good))[1]))[0]))[1])
    data, *rest = split(content_of(basic))
    fields = split(content_of(data))
    entry = split(content_of(content_of(fields[2])))

    def rebuilt(*parts: bytes) -> bytes:
        return wrapped(tlv(0x30, tlv(0x30, b"".join(parts)) + b"".join(rest)))

    def with_entry(*parts: bytes) -> bytes:
        return rebuilt(*fields[:2], tlv(0x30, tlv(0x30, b"".join(parts))))

    return {
        "empty": b"",
        "not DER": b"hello",
        "trailing byte": good + b"\0",
        "cut off": good[:-1],
        "indefinite length": b"\x30\x80" + good[4:] + b"\0\0",
        "status that does not exist": b"\x30\x03\x0a\x01\x04",
        "success without a body": b"\x30\x03\x0a\x01\x00",
        "refusal with a body": good.replace(b"\x0a\x01\x00", b"\x0a\x01\x03", 1),
        "trailing byte inside the basic response": wrapped(basic + b"\0"),
        "no signature": wrapped(tlv(0x30, data + rest[0])),
        "something other than certificates at the end": wrapped(tlv(0x30, data + rest[0] + rest[1] + b"\x05\x00")),
        "a body without its type": tlv(0x30, b"\x0a\x01\x00" + tlv(0xA0, tlv(0x30, tlv(0x04, basic)))),
        "version written out": rebuilt(tlv(0xA0, b"\x02\x01\x00"), *fields),
        "version 2": rebuilt(tlv(0xA0, b"\x02\x01\x01"), *fields),
        "no responder": rebuilt(*fields[1:]),
        "responder of both kinds": rebuilt(tlv(0xA2, tlv(4, bytes(20)) * 2), *fields[1:]),
        "time with a fraction": rebuilt(fields[0], tlv(0x18, b"20261123120000.5Z"), fields[2]),
        "UTCTime": rebuilt(fields[0], tlv(0x17, b"261123120000Z"), fields[2]),
        "thirteenth month": rebuilt(fields[0], tlv(0x18, b"20261323120000Z"), fields[2]),
        "no entries": rebuilt(*fields[:2]),
        "extensions that hold none": rebuilt(*fields, tlv(0xA1, tlv(0x30, b""))),
        "extension twice": rebuilt(*fields, tlv(0xA1, tlv(0x30, CRITICAL * 2))),
        "entry of two fields": with_entry(*entry[:2]),
        "status of no kind": with_entry(entry[0], b"\x83\x00", *entry[2:]),
        "good with content": with_entry(entry[0], b"\x80\x01\x00", *entry[2:]),
        "revoked without a time": with_entry(entry[0], b"\xa1\x00", *entry[2:]),
        "something behind the entry": with_entry(*entry, b"\x05\x00"),
        "certificate id without a serial number": with_entry(
            tlv(0x30, b"".join(split(content_of(entry[0]))[:3])), *entry[1:]
        ),
        "hash algorithm with odd parameters": with_entry(
            tlv(0x30, tlv(0x30, b"\x06\x03\x2a\x03\x04\x04\x00") + b"".join(split(content_of(entry[0]))[1:])),
            *entry[1:],
        ),
        "negative serial number": with_entry(
            tlv(0x30, b"".join(split(content_of(entry[0]))[:3]) + b"\x02\x01\xff"), *entry[1:]
        ),
        "unused bits in the signature": wrapped(tlv(0x30, data + rest[0] + b"\x03\x03\x01\x00\x00")),
    }


def test_what_is_no_answer_is_an_error_that_names_it(branch: Branch) -> None:
    for what, der in malformed(branch).items():
        with pytest.raises(TrustError) as caught:
            RevocationEvidence(ocsps=[answer_of(branch).make(), der])
        assert (caught.value.code, caught.value.index) == ("malformed-ocsp", None), what
        assert str(caught.value).startswith("OCSP answer 1: "), what


def test_size_is_asked_before_anything_is_read() -> None:
    with pytest.raises(TrustError) as caught:
        parse_ocsp(b"\x30" + bytes(OCSP_CAP))
    assert caught.value.code == "size-limit"
    with pytest.raises(TrustError) as caught:
        parse_ocsp(bytes(10_000_000))
    assert caught.value.code == "size-limit"


def test_an_answer_of_another_type_is_not_taken_for_the_basic_one(branch: Branch) -> None:
    good = answer_of(branch).make()
    basic = content_of(split(content_of(split(content_of(split(content_of(good))[1]))[0]))[1])
    assert parse_ocsp(wrapped(basic)).entries
    with pytest.raises(TrustError) as caught:
        parse_ocsp(wrapped(basic, "2b0601050507300102"))
    assert caught.value.code == "ocsp-status"


def test_of_many_certificates_sent_along_only_the_first_few_are_looked_at(branch: Branch) -> None:
    delegate = delegate_of(branch.sub2)
    made = delegated(branch, delegate)
    others = [delegate_of(branch.sub2, name=name_of(f"Other {at}")).mint(branch.sub2) for at in range(4)]
    der = made.make()
    basic = content_of(split(content_of(split(content_of(split(content_of(der))[1]))[0]))[1])
    *parts, _ = split(content_of(basic))
    for count, state in ((3, GOOD), (4, NOTHING)):
        sent = tlv(0xA0, tlv(0x30, b"".join([*others[:count], made.signer or b""])))
        assert state_of(branch, wrapped(tlv(0x30, b"".join(parts) + sent))).state is state


def test_an_index_takes_verified_answers_and_never_goes_back(branch: Branch) -> None:
    leaf, issuer = certificates(branch)
    revoked = answer_of(branch, status="revoked").make()
    index = RevocationIndex.empty().with_ocsp(revoked, issuer, AT)
    assert index.state(issuer, leaf, AT).state is REVOKED
    assert RevocationIndex.empty().state(issuer, leaf, AT).state is NOTHING
    old, future, forged = (
        answer_of(branch, this_update=AT - 2 * DAY).make(),
        answer_of(branch, this_update=AT + HOUR, produced_at=AT + HOUR).make(),
        stranger(answer_of(branch)).make(),
    )
    for der, code in ((old, "ocsp-dates"), (future, "ocsp-dates"), (forged, "ocsp-signature")):
        with pytest.raises(TrustError) as caught:
            index.with_ocsp(der, issuer, AT)
        assert caught.value.code == code
    lifted = index.with_ocsp(answer_of(branch, this_update=AT - HOUR).make(), issuer, AT)
    assert lifted.state(issuer, leaf, AT).state is GOOD
    assert (
        lifted.with_crl(list_of(branch.sub2, branch.leaf.serial), issuer, AT).state(issuer, leaf, AT).state is REVOKED
    )


def test_a_delegate_of_another_curve_is_told_apart_even_when_the_library_would_take_it(branch: Branch) -> None:
    odd = delegate_with(branch, key=ec.generate_private_key(ec.SECP384R1()))
    assert state_of(branch, odd).state is NOTHING

"""Laws of revocation: altered evidence says nothing, rightly signed nonsense raises our errors only, order does not
matter, nothing older takes back what is newer, and an answer holds for exactly the span it claims."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings, strategies as st

from pki import der as outline
from pki.errors import TrustError
from pki.verify import RevocationEvidence, RevocationIndex, RevocationState
from pki.verify.crl import Scope, VerifiedCRL
from pki.verify.revocation import IssuerLists, Subject
from pki.verify.serials import RevokedSerials, read_serials
from pki.verify.statements import History, Line, Source, Statement
from tests.pki.evidence_mint import (
    DAY,
    HOUR,
    answer_of,
    certificates,
    delegate_of,
    delegated,
    delta_of,
    list_of,
    operate,
    point,
    removal,
)
from tests.pki.mint import AT, content_of, sign, sound_branch, split, tlv

BRANCH = sound_branch()
LEAF, ISSUER = certificates(BRANCH)
UNKNOWN, REVOKED = RevocationState.UNKNOWN, RevocationState.REVOKED
DELEGATE = delegate_of(BRANCH.sub2)
MADE = {
    (signer, status): made.make()
    for status in ("good", "revoked")
    for signer, made in (
        ("issuer", answer_of(BRANCH, status=status)),
        ("delegate", delegated(BRANCH, DELEGATE, status=status)),
    )
}
BASIC_LISTS = {
    listed: list_of(BRANCH.sub2, 5, *([BRANCH.leaf.serial] if listed else []), number=3) for listed in (True, False)
}


@st.composite
def changed(draw: st.DrawFn, original: bytes) -> bytes:
    """`original` with one to three octets overwritten, inserted or taken out; never the original itself."""
    octets = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        if not octets:
            break
        at = draw(st.integers(0, len(octets) - 1))
        match draw(st.sampled_from(("overwrite", "flip", "insert", "remove", "cut"))):
            case "overwrite":
                octets[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "flip":
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                octets[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "remove":
                del octets[at : at + draw(st.integers(1, 4))]
            case _:
                del octets[max(1, at) :]
    found = bytes(octets)
    return found if found != original else found + b"\0"


@settings(max_examples=200, deadline=None)
@given(data=st.data(), status=st.sampled_from(("good", "revoked")), signer=st.sampled_from(("issuer", "delegate")))
def test_an_altered_answer_neither_frees_nor_revokes(data: st.DataObject, status: str, signer: str) -> None:
    try:
        evidence = RevocationEvidence(ocsps=[data.draw(changed(MADE[signer, status]))])
        found = evidence.state(ISSUER, LEAF, AT).state
    except TrustError:
        found = UNKNOWN
    assert found is UNKNOWN


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_bit_of_an_answer_counts(data: st.DataObject) -> None:
    der = MADE["issuer", "good"]
    bit = data.draw(st.integers(0, 8 * len(der) - 1))
    octets = bytearray(der)
    octets[bit // 8] ^= 1 << bit % 8
    try:
        found = RevocationEvidence(ocsps=[bytes(octets)]).state(ISSUER, LEAF, AT).state
    except TrustError:
        found = UNKNOWN
    assert found is UNKNOWN


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=200) | changed(MADE["issuer", "good"]))
def test_junk_raises_our_errors_only(junk: bytes) -> None:
    for crls, ocsps in (([junk], []), ([], [junk])):
        try:
            state = RevocationEvidence(crls, ocsps).state(ISSUER, LEAF, AT).state
        except TrustError:
            state = UNKNOWN
        assert state is UNKNOWN


@settings(max_examples=200, deadline=None)
@given(data=st.data(), at=st.datetimes(timezones=st.just(AT.tzinfo)))
def test_a_rightly_signed_odd_answer_raises_our_errors_only(data: st.DataObject, at: datetime) -> None:
    """What a careless or hostile responder could really send, asked at any instant of the calendar."""

    def spoil(parts: list[bytes]) -> list[bytes]:
        return [data.draw(changed(b"".join(parts)))]

    odd = operate(MADE["issuer", "revoked"], spoil, BRANCH.sub2.key)
    try:
        found = RevocationEvidence(ocsps=[odd]).state(ISSUER, LEAF, at)
    except TrustError:
        return
    assert found.since <= at <= found.until


@settings(max_examples=200, deadline=None)
@given(data=st.data(), at=st.datetimes(timezones=st.just(AT.tzinfo)))
def test_a_rightly_signed_odd_list_raises_our_errors_only(data: st.DataObject, at: datetime) -> None:
    tbs, algorithm, _ = split(content_of(BASIC_LISTS[True]))
    odd = tlv(0x30, data.draw(changed(content_of(tbs))))
    der = tlv(0x30, odd + algorithm + tlv(0x03, b"\0" + sign(BRANCH.sub2.key, hashes.SHA256(), odd)))
    try:
        found = RevocationEvidence([der]).state(ISSUER, LEAF, at)
    except TrustError:
        return
    assert found.since <= at <= found.until


def signed_anyhow(*_: object) -> bool:
    """A signature check that everything passes: as if whoever altered the octets had every key."""
    return True


SEEDS = [
    (list_of(BRANCH.sub2, 5, number=3, extra=(*point(only_contains_user_certs=True), *delta_of(1))), "crl"),
    (list_of(BRANCH.sub2, BRANCH.leaf.serial, number=3, extra=delta_of(1), entry_extra=removal()), "crl"),
    (answer_of(BRANCH, nonce=b"12345678").make(), "ocsp"),
    (delegated(BRANCH, DELEGATE, status="revoked", by_name=True).make(), "ocsp"),
]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), seed=st.sampled_from(SEEDS), at=st.datetimes(timezones=st.just(AT.tzinfo)))
def test_no_content_raises_anything_but_our_errors(data: st.DataObject, seed: tuple[bytes, str], at: datetime) -> None:
    der, kind = data.draw(changed(seed[0])), seed[1]
    crls, ocsps = ([der], []) if kind == "crl" else ([], [der])
    try:
        found = RevocationEvidence(crls, ocsps, signed_by=signed_anyhow).state(ISSUER, LEAF, at)
    except TrustError:
        return
    assert found.since <= at <= found.until


SHELF = [
    *((der, "crl") for der in BASIC_LISTS.values()),
    (list_of(BRANCH.sub2, BRANCH.leaf.serial, number=4, this_update=AT - HOUR), "crl"),
    (list_of(BRANCH.sub2, number=5, this_update=AT + HOUR, next_update=AT + 9 * DAY), "crl"),
    (list_of(BRANCH.sub2, key=BRANCH.sub1.key), "crl"),
    *((der, "ocsp") for der in MADE.values()),
    (answer_of(BRANCH, this_update=AT - 2 * DAY, next_update=AT - HOUR).make(), "ocsp"),
    (answer_of(BRANCH, status="unknown").make(), "ocsp"),
]


def told(pieces: list[tuple[bytes, str]], at: datetime) -> tuple[RevocationState, datetime | None]:
    """State and evidence time from these pieces."""
    crls, ocsps = ([der for der, kind in pieces if kind == wanted] for wanted in ("crl", "ocsp"))
    found = RevocationEvidence(crls, ocsps).state(ISSUER, LEAF, at)
    return found.state, found.at


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.sampled_from(SHELF), max_size=6), hours=st.integers(-72, 240), data=st.data())
def test_neither_order_nor_repetition_of_evidence_matters(
    pieces: list[tuple[bytes, str]], hours: int, data: st.DataObject
) -> None:
    at = AT + hours * HOUR
    shuffled = data.draw(st.permutations(pieces))
    assert told(shuffled, at) == told(pieces, at) == told(pieces + pieces, at)


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.sampled_from(SHELF), max_size=5), hours=st.integers(-72, 240))
def test_what_says_nothing_changes_nothing(pieces: list[tuple[bytes, str]], hours: int) -> None:
    at = AT + hours * HOUR
    forged = list_of(BRANCH.sub2, BRANCH.leaf.serial, number=99, key=BRANCH.root.key), "crl"
    other = answer_of(BRANCH, status="revoked", signing_key=BRANCH.root.key).make(), "ocsp"
    assert told([*pieces, forged, other], at) == told(pieces, at)


# From here on evidence is made as values: what is asked is how statements are weighed, and no signature is needed.
HOURS = st.integers(0, 12)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    begins = draw(HOURS)
    revoked_at = draw(st.none() | HOURS)
    ends = draw(st.integers(begins, 14))
    silent = revoked_at is None and draw(st.booleans())
    source = draw(st.sampled_from(Source))
    instants = [AT + hour * HOUR for hour in (begins, begins, ends)]
    return Statement(source, *instants, None if revoked_at is None else AT + revoked_at * HOUR, silent)


LINES = st.lists(
    st.lists(statements(), max_size=3).map(lambda line: tuple(sorted(line, key=lambda s: s.this_update, reverse=True))),
    max_size=3,
)


@given(lines=LINES, minutes=st.integers(-60, 960))
def test_an_answer_holds_for_the_span_it_claims(lines: list[Line], minutes: int) -> None:
    history = History(tuple(lines))
    at = AT + timedelta(minutes=minutes)
    found = history.at(at)
    assert found.since <= at <= found.until
    inside = [found.since, found.until, at + (found.until - at) / 2, found.since + (at - found.since) / 2]
    for instant in inside:
        assert history.at(instant) == found


@given(lines=LINES, line=st.lists(statements(), max_size=3), minutes=st.integers(-60, 960))
def test_more_evidence_never_frees_what_is_revoked(lines: list[Line], line: list[Statement], minutes: int) -> None:
    at = AT + timedelta(minutes=minutes)
    more = tuple(sorted(line, key=lambda said: said.this_update, reverse=True))
    before, after = History(tuple(lines)).at(at), History((*lines, more)).at(at)
    assert before.state is not REVOKED or after.state is REVOKED
    if after.state is RevocationState.GOOD:
        assert after.at is not None
        assert after.at <= at


@given(line=st.lists(statements(), min_size=1, max_size=4), older=statements(), minutes=st.integers(-60, 960))
def test_an_older_word_of_the_same_line_changes_nothing(line: list[Statement], older: Statement, minutes: int) -> None:
    """As long as a newer one has begun."""
    at = AT + timedelta(minutes=minutes)
    line = sorted(line, key=lambda said: said.this_update, reverse=True)
    if not any(said.has_begun(at) for said in line):
        return
    before, after = History((tuple(line),)).at(at), History(((*line, older),)).at(at)
    assert (before.state, before.at) == (after.state, after.at)


def serials(listed: dict[int, bool]) -> RevokedSerials:
    """The index of serial numbers; True: removed."""
    removal = bytes.fromhex("300c300a0603551d1504030a0108")
    entries = [
        tlv(0x30, tlv(2, bytes([serial])) + tlv(0x17, b"200101000000Z") + (removal if removed else b""))
        for serial, removed in listed.items()
    ]
    der = tlv(0x30, b"".join(entries))
    return read_serials(der, outline.read_element(der, 0, len(der)))


@st.composite
def issues(draw: st.DrawFn) -> tuple[list[VerifiedCRL], dict[int, bool]]:
    """What an authority publishes as time goes by, complete lists and deltas, some of them lost on the way; and which
    serial numbers are revoked by the newest that arrived and can be used."""
    truth: set[int] = set()
    arrived: list[VerifiedCRL] = []
    changed_since: dict[int, set[int]] = {}
    held: set[int] = set()
    newest: set[int] | None = None
    for number in range(1, draw(st.integers(2, 7))):
        toggled = draw(st.sets(st.integers(1, 9), max_size=4))
        truth = truth ^ toggled
        changed_since = {since: before | toggled for since, before in changed_since.items()}
        this_update = AT - (20 - number) * HOUR
        base = draw(st.sampled_from(sorted(changed_since))) if changed_since and draw(st.booleans()) else None
        if base is None:
            listed = dict.fromkeys(truth, False)
            changed_since[number] = set()
        else:
            listed = {serial: serial not in truth for serial in changed_since[base]}
        lost = draw(st.booleans())
        if lost:
            continue
        arrived.append(
            VerifiedCRL(
                sha256=str(number),
                this_update=this_update,
                next_update=AT + DAY,
                number=number,
                base=base,
                scope=Scope(),
                revoked=serials(listed),
            )
        )
        if base is None:
            held.add(number)
        if base is None or base in held:
            newest = set(truth)
    return arrived, {serial: newest is not None and serial in newest for serial in range(1, 10)}


@settings(max_examples=200, deadline=None)
@given(published=issues(), data=st.data())
def test_deltas_laid_upon_their_bases_tell_what_the_authority_means(
    published: tuple[list[VerifiedCRL], dict[int, bool]], data: st.DataObject
) -> None:
    """A delta holds all that changed since its base, so it may be laid upon every complete list from there on."""
    arrived, meant = published
    usable = [crl for crl in arrived if crl.base is None or any(other.number == crl.base for other in arrived)]
    lists = IssuerLists(tuple(data.draw(st.permutations(usable))))
    for serial, revoked in meant.items():
        state = History(lists.lines_about(Subject(serial, False, frozenset()))).at(AT).state
        if any(crl.base is None for crl in usable):
            assert (state is REVOKED) == revoked
        else:
            assert state is UNKNOWN


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(4)))
def test_an_index_ends_with_the_newest_whatever_is_offered_when(order: list[int]) -> None:
    made = [list_of(BRANCH.sub2, number=number, this_update=AT - (9 - number) * HOUR) for number in range(3)]
    made.append(list_of(BRANCH.sub2, BRANCH.leaf.serial, number=3, this_update=AT - HOUR))
    index = RevocationIndex.empty()
    highest = -1
    for number in order:
        if number < highest:
            with pytest.raises(TrustError):
                index.with_crl(made[number], ISSUER, AT)
        else:
            index, highest = index.with_crl(made[number], ISSUER, AT), number
    assert index.state(ISSUER, LEAF, AT).state is REVOKED

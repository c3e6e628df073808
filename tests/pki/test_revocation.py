"""Revocation: what a CRL may say, when it counts, and every way in which it does not (D49 and the CRL faults)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448

from pki.certificate import SignatureKind, parse_certificate
from pki.errors import ChainRejected, NoEvidence, Severity, TrustError
from pki.profiles import AnchorRole
from pki.verify import RevocationEvidence, RevocationIndex, RevocationState, TrustStore
from pki.verify.crl import CRL_CAP, parse_crl
from pki.verify.revocation import Evidence, Grace, worst
from tests.pki.evidence_mint import DAY, UNKNOWN, certificates, clean_lists, delta_of, list_of, point, removal
from tests.pki.mint import AT, CA_USAGE, Branch, Spec, name_of, new_key, new_p521, operate, sound_branch_20, tlv


def test_lists_of_the_whole_path_give_good(branch: Branch) -> None:
    evidence = RevocationEvidence(clean_lists(branch))
    found = branch.judge(revocation=evidence, require_revocation=True)
    assert (found.revocation, found.revocation_at, found.findings) == (RevocationState.GOOD, AT - DAY, ())


@pytest.mark.parametrize(("which", "issuer", "index"), [("leaf", "sub2", 0), ("sub2", "sub1", 1), ("sub1", "root", 2)])
@pytest.mark.parametrize("require", [True, False])
def test_d49_revoked_anywhere_on_the_path(branch: Branch, which: str, issuer: str, index: int, require: bool) -> None:
    listed = list_of(getattr(branch, issuer), 17, getattr(branch, which).serial)
    with pytest.raises(ChainRejected) as caught:
        branch.judge(revocation=RevocationEvidence([listed]), require_revocation=require)
    assert (caught.value.code, caught.value.index) == ("revoked", index)


def test_a_missing_list_is_unknown_and_refused_only_on_demand(branch: Branch) -> None:
    evidence = RevocationEvidence(clean_lists(branch)[:2])
    assert branch.judge(revocation=evidence).revocation is RevocationState.UNKNOWN
    assert branch.judge().revocation is RevocationState.UNKNOWN
    with pytest.raises(NoEvidence) as caught:
        branch.judge(revocation=evidence, require_revocation=True)
    assert (caught.value.code, caught.value.index, caught.value.revocation) == ("revocation-unknown", 2, "unknown")
    assert caught.value.emaid == "DEABC000000001"


def test_an_expired_list_is_stale_but_what_it_lists_stays_revoked(branch: Branch) -> None:
    old = {"this_update": AT - 9 * DAY, "next_update": AT - DAY, "revoked_at": AT - 9 * DAY}
    lists = clean_lists(branch)[1:]
    stale = RevocationEvidence([list_of(branch.sub2, **old), *lists])
    found = branch.judge(revocation=stale)
    assert (found.revocation, found.revocation_at) == (RevocationState.STALE, AT - 9 * DAY)
    with pytest.raises(NoEvidence) as no_evidence:
        branch.judge(revocation=stale, require_revocation=True)
    assert no_evidence.value.code == "revocation-stale"
    with pytest.raises(ChainRejected) as rejected:
        branch.judge(revocation=RevocationEvidence([list_of(branch.sub2, branch.leaf.serial, **old), *lists]))
    assert rejected.value.code == "revoked"


UNUSABLE: list[tuple[str, Callable[[Branch], bytes], str | None]] = [
    ("signed by a stranger", lambda b: list_of(b.sub2, b.leaf.serial, key=new_key()), "crl-signature"),
    ("signed with SHA-512", lambda b: list_of(b.sub2, b.leaf.serial, hash_=hashes.SHA512()), "crl-signature"),
    ("of another issuer", lambda b: list_of(b.sub1, b.leaf.serial), None),
    ("of another issuer's name, right key", lambda b: list_of(b.sub2, b.leaf.serial, name=name_of("Else")), None),
    ("unknown critical extension", lambda b: list_of(b.sub2, b.leaf.serial, extra=((UNKNOWN, True),)), "crl-extension"),
    (
        "unknown critical extension on an entry",
        lambda b: list_of(b.sub2, b.leaf.serial, entry_extra=((UNKNOWN, True),)),
        "crl-extension",
    ),
    (
        "delta below its own base",
        lambda b: list_of(b.sub2, b.leaf.serial, number=1, extra=delta_of(2)),
        "crl-number",
    ),
    (
        "removal in a complete list",
        lambda b: list_of(
            b.sub2, b.leaf.serial, entry_extra=((x509.CRLReason(x509.ReasonFlags.remove_from_crl), False),)
        ),
        "crl-extension",
    ),
    ("indirect", lambda b: list_of(b.sub2, b.leaf.serial, extra=point(indirect_crl=True)), "crl-scope"),
    (
        "some reasons only",
        lambda b: list_of(
            b.sub2, b.leaf.serial, extra=point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))
        ),
        "crl-scope",
    ),
    (
        "attribute certificates",
        lambda b: list_of(b.sub2, b.leaf.serial, extra=point(only_contains_attribute_certs=True)),
        "crl-scope",
    ),
    (
        "names another key of the issuer",
        lambda b: list_of(b.sub2, b.leaf.serial, extra=((x509.AuthorityKeyIdentifier(b"\1" * 20, None, None), False),)),
        "crl-issuer",
    ),
]


@pytest.mark.parametrize(("make", "note"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_a_list_that_does_not_verify_says_nothing(
    branch: Branch, make: Callable[[Branch], bytes], note: str | None
) -> None:
    others = clean_lists(branch)[1:]
    found = branch.judge(revocation=RevocationEvidence([make(branch), *others]))
    assert found.revocation is RevocationState.UNKNOWN
    notes = [finding for finding in found.findings if finding.code == "crl-unusable"]
    assert [note] == [finding.message.split("not used: ")[1].split(":")[0] for finding in notes] if note else not notes


def test_an_issuer_without_crl_sign_makes_no_list(branch: Branch) -> None:
    branch.root.usage = frozenset({"key_cert_sign"})
    found = branch.judge(revocation=RevocationEvidence(clean_lists(branch)))
    assert found.revocation is RevocationState.UNKNOWN
    assert "crl-key-usage" in found.findings[0].message


def test_the_highest_number_speaks_whatever_the_order(branch: Branch) -> None:
    old = list_of(branch.sub2, number=4)
    new = list_of(branch.sub2, branch.leaf.serial, number=5)
    for lists in ([old, new], [new, old]):
        with pytest.raises(ChainRejected) as caught:
            branch.judge(revocation=RevocationEvidence(lists))
        assert caught.value.code == "revoked"
    taken_back = [list_of(branch.sub2, branch.leaf.serial, number=5), list_of(branch.sub2, number=6)]
    lists = [*taken_back, *clean_lists(branch)[1:]]
    assert branch.judge(revocation=RevocationEvidence(lists)).revocation is RevocationState.GOOD


def test_a_list_from_the_future_counts_only_for_what_was_revoked_before(branch: Branch) -> None:
    future = {"this_update": AT + DAY, "next_update": AT + 2 * DAY}
    others = clean_lists(branch)[1:]
    early = RevocationEvidence([list_of(branch.sub2, **future), *others])
    assert branch.judge(revocation=early).revocation is RevocationState.UNKNOWN
    later = RevocationEvidence([list_of(branch.sub2, branch.leaf.serial, revoked_at=AT + DAY, **future), *others])
    assert branch.judge(revocation=later).revocation is RevocationState.UNKNOWN
    before = RevocationEvidence([list_of(branch.sub2, branch.leaf.serial, revoked_at=AT - DAY, **future), *others])
    with pytest.raises(ChainRejected) as caught:
        branch.judge(revocation=before)
    assert caught.value.code == "revoked"


@pytest.mark.parametrize(
    ("scope", "state"),
    [
        ({"only_contains_user_certs": True}, RevocationState.GOOD),
        ({"only_contains_ca_certs": True}, RevocationState.UNKNOWN),
        ({"full_name": [x509.UniformResourceIdentifier("http://crl.test/1")]}, RevocationState.GOOD),
        ({"full_name": [x509.UniformResourceIdentifier("http://crl.test/2")]}, RevocationState.UNKNOWN),
    ],
)
def test_absence_from_a_list_means_something_only_within_its_scope(
    branch: Branch, scope: dict[str, object], state: RevocationState
) -> None:
    uri = x509.UniformResourceIdentifier("http://crl.test/1")
    branch.leaf.extra.append((x509.CRLDistributionPoints([x509.DistributionPoint([uri], None, None, None)]), False))
    lists = [list_of(branch.sub2, extra=point(**scope)), *clean_lists(branch)[1:]]
    assert branch.judge(revocation=RevocationEvidence(lists)).revocation is state
    listed = list_of(branch.sub2, branch.leaf.serial, extra=point(**scope))
    with pytest.raises(ChainRejected):
        branch.judge(revocation=RevocationEvidence([listed]))


def test_lists_of_a_twin_with_the_same_name_do_not_count(branch: Branch) -> None:
    """Two CAs with one name and different keys: the twin's list neither frees nor revokes."""
    twin = Spec(branch.sub2.name, True, 0, CA_USAGE)
    others = clean_lists(branch)[1:]
    for listed in (list_of(twin), list_of(twin, branch.leaf.serial)):
        assert branch.judge(revocation=RevocationEvidence([listed, *others])).revocation is RevocationState.UNKNOWN


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"not a list", b"\x30\x80\0\0", b"\x30\x03\x02\x01\x01"])
def test_malformed_list_is_an_error_that_names_it(branch: Branch, junk: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        RevocationEvidence([clean_lists(branch)[0], junk])
    assert (caught.value.code, caught.value.index) == ("malformed-crl", None)
    assert str(caught.value).startswith("CRL 1: ")


def test_size_of_a_list_is_asked_before_it_is_read() -> None:
    with pytest.raises(TrustError) as caught:
        parse_crl(b"\x30" + bytes(CRL_CAP))
    assert caught.value.code == "size-limit"


def test_index_takes_verified_lists_and_never_goes_back(branch: Branch) -> None:
    leaf, issuer = certificates(branch)
    empty = RevocationIndex.empty()
    assert empty.state(issuer, leaf, AT).state is RevocationState.UNKNOWN
    five = empty.with_crl(list_of(branch.sub2, number=5), issuer, AT)
    assert five.state(issuer, leaf, AT).state is RevocationState.GOOD
    assert empty.state(issuer, leaf, AT).state is RevocationState.UNKNOWN
    six = five.with_crl(list_of(branch.sub2, leaf.serial, number=6), issuer, AT)
    assert six.state(issuer, leaf, AT).state is RevocationState.REVOKED
    for der, code in (
        (list_of(branch.sub2, number=4), "crl-number"),
        (list_of(branch.sub2, number=9, this_update=AT + DAY, next_update=AT + 2 * DAY), "crl-dates"),
        (list_of(branch.sub1, number=9), "crl-issuer"),
        (list_of(branch.sub2, number=9, key=new_key()), "crl-signature"),
    ):
        with pytest.raises(TrustError) as caught:
            six.with_crl(der, issuer, AT)
        assert caught.value.code == code


def test_one_evidence_serves_many_sessions(branch: Branch) -> None:
    """Verified once, asked often: the state of a second certificate comes from the same index."""
    evidence = RevocationEvidence([list_of(branch.sub2, branch.leaf.serial), *clean_lists(branch)[1:]])
    trust = TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})
    subs = branch.mint()[1:]
    second = Spec(name_of("DEABC000000002"), False, None, branch.leaf.usage)
    for _ in range(3):
        found = branch.judge([second.mint(branch.sub2), *subs], trust=trust, revocation=evidence)
        assert found.revocation is RevocationState.GOOD
        with pytest.raises(ChainRejected):
            branch.judge([branch.leaf.mint(branch.sub2), *subs], trust=trust, revocation=evidence)


def told(branch: Branch, *lists: bytes, at: datetime = AT) -> Evidence:
    """What these lists of Sub2 say of the leaf."""
    leaf, issuer = certificates(branch)
    return RevocationEvidence(lists).state(issuer, leaf, at)


@pytest.mark.parametrize("base_lists", [True, False])
@pytest.mark.parametrize("delta_says", ["revoked", "removed", "nothing"])
def test_a_delta_is_laid_upon_its_base(branch: Branch, base_lists: bool, delta_says: str) -> None:
    base = list_of(branch.sub2, *([branch.leaf.serial] if base_lists else []), number=4, this_update=AT - 3 * DAY)
    listed = () if delta_says == "nothing" else (branch.leaf.serial,)
    lifted = removal() if delta_says == "removed" else ()
    delta = list_of(branch.sub2, 99, *listed, number=6, extra=delta_of(4), entry_extra=lifted)
    revoked = delta_says == "revoked" or (base_lists and delta_says == "nothing")
    for lists in ((base, delta), (delta, base)):
        found = told(branch, *lists)
        assert (found.state, found.at) == (RevocationState.REVOKED if revoked else RevocationState.GOOD, AT - DAY)


def test_a_delta_upon_another_base_can_only_revoke(branch: Branch) -> None:
    base = list_of(branch.sub2, branch.leaf.serial, number=3)
    lifting = list_of(branch.sub2, branch.leaf.serial, number=6, extra=delta_of(4), entry_extra=removal())
    assert told(branch, base, lifting).state is RevocationState.REVOKED
    assert told(branch, lifting).state is RevocationState.UNKNOWN
    revoking = list_of(branch.sub2, branch.leaf.serial, number=6, extra=delta_of(4))
    assert told(branch, revoking).state is RevocationState.REVOKED
    assert told(branch, list_of(branch.sub2, number=3), revoking).state is RevocationState.REVOKED
    silent = list_of(branch.sub2, number=6, extra=delta_of(4), next_update=AT + 9 * DAY)
    assert told(branch, list_of(branch.sub2, number=3), silent, at=AT + 2 * DAY).state is RevocationState.STALE


def test_a_delta_upon_a_list_of_another_scope_is_not_laid_upon_it(branch: Branch) -> None:
    base = list_of(branch.sub2, branch.leaf.serial, number=4, extra=point(only_contains_user_certs=True))
    lifting = list_of(branch.sub2, branch.leaf.serial, number=6, extra=delta_of(4), entry_extra=removal())
    assert told(branch, base, lifting).state is RevocationState.REVOKED


def test_a_complete_list_that_is_newer_replaces_base_and_delta(branch: Branch) -> None:
    base = list_of(branch.sub2, number=4)
    revoking = list_of(branch.sub2, branch.leaf.serial, number=5, extra=delta_of(4))
    for number in (5, 6):
        newer = list_of(branch.sub2, number=number, this_update=AT - DAY / 2)
        assert told(branch, base, revoking, newer).state is RevocationState.GOOD
        assert told(branch, revoking, newer).state is RevocationState.GOOD


def test_what_a_delta_lifts_is_good_until_the_delta_runs_out(branch: Branch) -> None:
    base = list_of(branch.sub2, branch.leaf.serial, number=4, next_update=AT + 9 * DAY)
    delta = list_of(branch.sub2, branch.leaf.serial, number=5, extra=delta_of(4), entry_extra=removal())
    assert told(branch, base, delta).state is RevocationState.GOOD
    assert told(branch, base, delta, at=AT + 2 * DAY).state is RevocationState.STALE
    clean = list_of(branch.sub2, number=4, next_update=AT + 9 * DAY)
    silent = list_of(branch.sub2, number=5, extra=delta_of(4))
    assert told(branch, clean, silent, at=AT + 2 * DAY).state is RevocationState.GOOD
    assert told(branch, clean, silent, at=AT + 10 * DAY).state is RevocationState.STALE


def test_a_delta_is_taken_into_the_index_upon_its_base_only(branch: Branch) -> None:
    leaf, issuer = certificates(branch)
    delta = list_of(branch.sub2, leaf.serial, number=6, extra=delta_of(4))
    with pytest.raises(TrustError) as caught:
        RevocationIndex.empty().with_crl(delta, issuer, AT)
    assert caught.value.code == "crl-number"
    index = RevocationIndex.empty().with_crl(list_of(branch.sub2, number=4), issuer, AT).with_crl(delta, issuer, AT)
    assert index.state(issuer, leaf, AT).state is RevocationState.REVOKED
    with pytest.raises(TrustError) as caught:
        index.with_crl(list_of(branch.sub2, number=5), issuer, AT)
    assert caught.value.code == "crl-number"
    whole = index.with_crl(list_of(branch.sub2, number=7), issuer, AT)
    assert whole.state(issuer, leaf, AT).state is RevocationState.GOOD


def test_the_newest_list_of_a_scope_speaks_even_when_it_no_longer_covers(branch: Branch) -> None:
    cas = point(only_contains_ca_certs=True)
    held = list_of(branch.sub2, branch.leaf.serial, number=1, extra=cas)
    assert told(branch, held).state is RevocationState.REVOKED
    assert told(branch, held, list_of(branch.sub2, number=2, extra=cas)).state is RevocationState.UNKNOWN


def test_a_renewed_issuer_with_the_same_key_is_served_by_the_same_lists(branch: Branch) -> None:
    """The list's octets are let go after it was verified; the answers stay those of the arguments, in any order."""
    leaf, first = certificates(branch)
    renewed = parse_certificate(branch.sub2.mint(branch.sub1))
    twin = parse_certificate(Spec(branch.sub2.name, True, 0, CA_USAGE, ski=False).mint(branch.sub1))
    other = parse_certificate(Spec(branch.sub2.name, True, 0, CA_USAGE).mint(branch.sub1))
    no_lists = frozenset({"key_cert_sign"})
    mute = parse_certificate(Spec(branch.sub2.name, True, 0, no_lists, branch.sub2.key).mint(branch.sub1))
    key = x509.AuthorityKeyIdentifier.from_issuer_public_key(branch.sub2.key.public_key())
    der = list_of(branch.sub2, leaf.serial, extra=((key, False),))
    expected = {
        first: (RevocationState.REVOKED, ""),
        renewed: (RevocationState.REVOKED, ""),
        twin: (RevocationState.UNKNOWN, "crl-signature"),
        other: (RevocationState.UNKNOWN, "crl-issuer"),
        mute: (RevocationState.UNKNOWN, "crl-key-usage"),
    }
    assert first != renewed
    for order in (list(expected), list(reversed(expected))):
        evidence = RevocationEvidence([der])
        for issuer in (*order, *order):
            found = evidence.state(issuer, leaf, AT)
            assert (found.state, "".join(note.text for note in found.notes).partition(":")[0]) == expected[issuer]


def test_an_answer_holds_between_the_instants_it_names(branch: Branch) -> None:
    tick = timedelta(microseconds=1)
    lists = [
        list_of(branch.sub2, number=1, this_update=AT - 4 * DAY, next_update=AT - 2 * DAY),
        list_of(branch.sub2, number=2, this_update=AT - DAY, next_update=AT + DAY),
        list_of(
            branch.sub2,
            branch.leaf.serial,
            number=3,
            revoked_at=AT + 2 * DAY,
            this_update=AT + 3 * DAY,
            next_update=AT + 4 * DAY,
        ),
    ]
    spans = []
    at = AT - 9 * DAY
    while at < AT + 9 * DAY:
        found = told(branch, *lists, at=at)
        assert found.since <= at <= found.until
        for instant in (found.since, found.until):
            assert told(branch, *lists, at=instant) == found
        spans.append(found.state)
        at = min(found.until, AT + 9 * DAY) + tick
    good, stale, unknown, revoked = RevocationState.GOOD, RevocationState.STALE, RevocationState.UNKNOWN, "revoked"
    assert [state for state, before in zip(spans, [None, *spans[:-1]], strict=True) if state != before] == [
        unknown,
        good,
        stale,
        good,
        stale,
        revoked,
    ]


def test_grace_is_explicit_and_never_for_what_is_unknown(branch: Branch) -> None:
    der = list_of(branch.sub2)
    stale = told(branch, der, at=AT + 2 * DAY)
    assert (stale.state, stale.stale_since) == (RevocationState.STALE, AT + DAY)
    finding = Grace(DAY).finding(stale, AT + 2 * DAY)
    assert finding is not None
    assert (finding.code, finding.severity) == ("revocation-grace", Severity.TOLERATED)
    assert Grace(DAY - timedelta(seconds=1)).finding(stale, AT + 2 * DAY) is None
    assert Grace(timedelta(0)).finding(stale, AT + 2 * DAY) is None
    for at in (AT, AT - 9 * DAY):
        assert Grace(99 * DAY).finding(told(branch, der, at=at), at) is None


def test_a_path_is_as_good_as_its_worst_certificate(branch: Branch) -> None:
    path = [parse_certificate(der) for der in (*branch.mint(), branch.anchor())]
    old = list_of(branch.sub1, this_update=AT - 9 * DAY, next_update=AT - DAY)
    evidence = RevocationEvidence([list_of(branch.sub2), old, list_of(branch.root)])
    found = evidence.along(path, AT)
    assert [entry.state.value for entry in found] == ["good", "stale", "good"]
    whole = worst(found)
    assert (whole.state, whole.at, whole.stale_since) == (RevocationState.STALE, AT - 9 * DAY, AT - DAY)
    assert (whole.since, whole.until) == (AT - DAY + timedelta(microseconds=1), AT + DAY)
    assert worst([]).state is RevocationState.UNKNOWN


def extension(oid: str, content: bytes, *, critical: bytes = b"") -> bytes:
    """One extension of a list, as DER."""
    return tlv(0x30, tlv(6, bytes.fromhex(oid)) + critical + tlv(4, content))


def with_extensions(*extensions: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """Surgery that replaces the extensions of a list."""
    return lambda parts: [*parts[:-1], tlv(0xA0, tlv(0x30, b"".join(extensions)))]


NUMBER, IDP, KEY_ID, DELTA = "551d14", "551d1c", "551d23", "551d1b"
ODD_POINT = tlv(0x30, tlv(0xA0, tlv(0xA0, tlv(0x82, b"crl.test"))))
HIGH_POINT = tlv(0x30, tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://\xff"))))
ODD_FORMS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "version 1": (lambda parts: parts[1:], ""),
    "version 3": (lambda parts: [b"\x02\x01\x02", *parts[1:]], ""),
    "inner algorithm another": (lambda parts: [parts[0], tlv(0x30, b"\x06\x03\x2a\x03\x04"), *parts[2:]], ""),
    "no thisUpdate": (lambda parts: [*parts[:3], *parts[5:]], ""),
    "thisUpdate of no month": (lambda parts: [*parts[:3], tlv(0x17, b"261323120000Z"), *parts[4:]], ""),
    "something behind the extensions": (lambda parts: [*parts, b"\x05\x00"], ""),
    "two sets of entries": (lambda parts: [*parts[:5], parts[5], *parts[5:]], ""),
    "extensions empty": (with_extensions(), ""),
    "extension twice": (with_extensions(*[extension(NUMBER, b"\x02\x01\x05")] * 2), ""),
    "criticality false written out": (with_extensions(extension(NUMBER, b"\x02\x01\x05", critical=b"\1\1\0")), ""),
    "no octets in an extension": (with_extensions(tlv(0x30, tlv(6, bytes.fromhex(NUMBER)))), ""),
    "number negative": (with_extensions(extension(NUMBER, b"\x02\x01\xff")), ""),
    "number over 20 octets": (with_extensions(extension(NUMBER, tlv(2, b"\x01" * 21))), ""),
    "number with something behind it": (with_extensions(extension(NUMBER, b"\x02\x01\x05\x00")), ""),
    "object identifier cut off": (with_extensions(extension("551d94", b"\x05\x00")), ""),
    "object identifier over 32 octets": (with_extensions(extension("2a" * 33, b"\x05\x00")), ""),
    "object identifier padded": (with_extensions(extension("2a8001", b"\x05\x00")), ""),
    "nextUpdate missing": (lambda parts: [*parts[:4], *parts[5:]], "crl-dates"),
    "nextUpdate before thisUpdate": (lambda parts: [*parts[:3], parts[4], parts[3], *parts[5:]], "crl-dates"),
    "delta without a number": (with_extensions(extension(DELTA, b"\x02\x01\x05")), "crl-number"),
    "delta's base no number": (with_extensions(extension(DELTA, b"\x05\x00")), "malformed-crl"),
    "point no SEQUENCE": (with_extensions(extension(IDP, b"\x05\x00")), "malformed-crl"),
    "point with FALSE written out": (with_extensions(extension(IDP, tlv(0x30, tlv(0x81, b"\0")))), "malformed-crl"),
    "point's fields in another order": (
        with_extensions(extension(IDP, tlv(0x30, tlv(0x82, b"\xff") + tlv(0x81, b"\xff")))),
        "malformed-crl",
    ),
    "point's field twice": (with_extensions(extension(IDP, tlv(0x30, tlv(0x82, b"\xff") * 2))), "malformed-crl"),
    "point with an unknown field": (with_extensions(extension(IDP, tlv(0x30, tlv(0x86, b"\xff")))), "crl-scope"),
    "point named relatively": (
        with_extensions(extension(IDP, tlv(0x30, tlv(0xA0, tlv(0xA1, tlv(0x30, b"")))))),
        "crl-scope",
    ),
    "point without a URI": (with_extensions(extension(IDP, ODD_POINT)), "crl-scope"),
    "point whose URI is no ASCII": (with_extensions(extension(IDP, HIGH_POINT)), "crl-scope"),
    "key identifier no SEQUENCE": (with_extensions(extension(KEY_ID, b"\x05\x00")), "malformed-crl"),
    "key identifier by another serial number": (
        with_extensions(extension(KEY_ID, tlv(0x30, tlv(0x82, b"\x05")))),
        "crl-issuer",
    ),
}


@pytest.mark.parametrize(("surgery", "reason"), ODD_FORMS.values(), ids=ODD_FORMS)
def test_a_rightly_signed_list_of_another_form_is_refused(
    branch: Branch, surgery: Callable[[list[bytes]], list[bytes]], reason: str
) -> None:
    """Without a reason the list cannot even be read, which is an error; otherwise it says nothing, and why is told."""
    der = operate(list_of(branch.sub2, branch.leaf.serial), surgery, branch.sub2.key, hashes.SHA256())
    if not reason:
        with pytest.raises(TrustError) as caught:
            RevocationEvidence([der])
        assert caught.value.code == "malformed-crl"
        return
    found = told(branch, der)
    assert (found.state, [note.text.split(":")[0] for note in found.notes]) == (RevocationState.UNKNOWN, [reason])


def test_a_list_without_extensions_is_read(branch: Branch) -> None:
    der = operate(list_of(branch.sub2, branch.leaf.serial), lambda parts: parts[:-1], branch.sub2.key, hashes.SHA256())
    assert told(branch, der).state is RevocationState.REVOKED
    assert parse_crl(der).signature_kind is SignatureKind.ECDSA_SHA256
    assert parse_crl(der).parsed.next_update_utc == AT + DAY


@pytest.mark.parametrize("make_key", [new_p521, ed448.Ed448PrivateKey.generate])
def test_lists_of_generation_20_are_verified(make_key: Callable) -> None:
    branch = sound_branch_20(make_key)
    assert told(branch, list_of(branch.sub2)).state is RevocationState.GOOD
    assert told(branch, list_of(branch.sub2, branch.leaf.serial)).state is RevocationState.REVOKED
    assert told(branch, list_of(branch.sub2, key=make_key())).state is RevocationState.UNKNOWN

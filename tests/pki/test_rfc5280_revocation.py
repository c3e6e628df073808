"""Lists in the generic engine: who may sign them, what they cover, and what is said when they cannot be used.

Most of RFC 5280 6.3 is shown by PKITS (tests/crossed/test_pkits.py); here are the cases that it does not have.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponderEncoding, OCSPResponseBuilder
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.certificate import parse_certificate
from pki.errors import ChainRejected, NoEvidence, TrustError
from pki.verify.revocation import RevocationState
from pki.verify.rfc5280.answers import is_signed
from pki.verify.rfc5280.budget import ANSWERS, Budget
from pki.verify.rfc5280.lists import ALL_REASONS, LIST_CAP, points_of, read_list
from pki.verify.rfc5280.reading import read_certificate
from tests.pki.mint import content_of, split, tlv
from tests.pki.papers import AT, Graph, Paper, graph, judge, paper, revocation_list, sequence

MADE = graph()
SERIAL = MADE.leaf.parsed.serial_number
ROOT_LIST = revocation_list(MADE.root)


def point(**given: Any) -> x509.IssuingDistributionPoint:
    """An issuing distribution point that says nothing but what is given."""
    nothing: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(nothing | given))


def state(made: Graph, *lists: bytes, **changed: Any) -> RevocationState:
    return made.judge(crls=lists, **changed).revocation


def code(made: Graph, *lists: bytes, **changed: Any) -> str:
    with pytest.raises((ChainRejected, NoEvidence, TrustError)) as caught:
        made.judge(crls=lists, **changed)
    return caught.value.code


def test_states() -> None:
    clean, listing = revocation_list(MADE.sub), revocation_list(MADE.sub, [SERIAL])
    assert state(MADE) is RevocationState.UNKNOWN
    assert state(MADE, clean) is RevocationState.UNKNOWN, "nobody speaks of the intermediate"
    assert state(MADE, clean, ROOT_LIST) is RevocationState.GOOD
    assert state(MADE, revocation_list(MADE.sub, days=(-20, -10)), ROOT_LIST) is RevocationState.STALE
    assert code(MADE, listing, ROOT_LIST) == "revoked"
    assert code(MADE, clean, revocation_list(MADE.root, [MADE.sub.parsed.serial_number])) == "revoked"


def test_evidence_that_is_demanded() -> None:
    clean, stale = revocation_list(MADE.sub), revocation_list(MADE.sub, days=(-20, -10))
    assert code(MADE, clean, require_revocation=True) == "revocation-unknown"
    assert code(MADE, stale, ROOT_LIST, require_revocation=True) == "revocation-stale"
    MADE.judge(crls=[clean, ROOT_LIST], require_revocation=True)


def test_a_list_that_is_out_of_date_still_revokes() -> None:
    assert code(MADE, revocation_list(MADE.sub, [SERIAL], days=(-20, -10))) == "revoked"


def test_a_list_that_has_not_begun_says_nothing() -> None:
    assert state(MADE, revocation_list(MADE.sub, [SERIAL], days=(1, 2))) is RevocationState.UNKNOWN


def test_the_newest_number_speaks() -> None:
    older, newer = revocation_list(MADE.sub, [SERIAL], number=1), revocation_list(MADE.sub, number=2)
    assert state(MADE, older, newer, ROOT_LIST) is RevocationState.GOOD
    assert code(MADE, revocation_list(MADE.sub, number=1), revocation_list(MADE.sub, [SERIAL], number=2)) == "revoked"


def test_a_list_of_a_stranger_with_the_same_name_says_nothing() -> None:
    stranger = paper("Sub", MADE.root, ca=True)
    assert state(MADE, revocation_list(stranger, [SERIAL]), ROOT_LIST) is RevocationState.UNKNOWN
    assert state(MADE, revocation_list(paper("Nobody", ca=True), [SERIAL])) is RevocationState.UNKNOWN


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.3"), b"\x05\x00")
STRANGE_ENTRY = (
    x509.RevokedCertificateBuilder()
    .serial_number(5)
    .revocation_date(MADE.leaf.parsed.not_valid_before_utc)
    .add_extension(UNKNOWN, True)
    .build()
)
FAULTS = {
    "another key signed": revocation_list(MADE.sub, key=ec.generate_private_key(ec.SECP256R1())),
    "no number": revocation_list(MADE.sub, number=None),
    "critical number": revocation_list(MADE.sub, number=None, extra=[(x509.CRLNumber(1), True)]),
    "unknown critical extension": revocation_list(MADE.sub, extra=[(UNKNOWN, True)]),
    "unknown critical entry extension": revocation_list(MADE.sub, [STRANGE_ENTRY]),
    "point not critical": revocation_list(MADE.sub, extra=[(point(only_contains_user_certs=True), False)]),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_faulty_list_of_the_issuer_refuses_unless_better_is_there(fault: bytes) -> None:
    with pytest.raises(ChainRejected) as caught:
        MADE.judge(crls=[fault, ROOT_LIST])
    assert (caught.value.code, caught.value.index) == ("crl-invalid", 0)
    assert state(MADE, fault, revocation_list(MADE.sub, number=9), ROOT_LIST) is RevocationState.GOOD


def edited(der: bytes, position: int, *elements: bytes) -> bytes:
    """A list with one TBS field replaced; it is not signed again."""
    tbs, algorithm, signature = split(content_of(der))
    parts = split(content_of(tbs))
    return sequence(sequence(*parts[:position], *elements, *parts[position + 1 :]), algorithm, signature)


def test_lists_without_end_or_with_the_end_before_the_beginning() -> None:
    for spoiled in (edited(ROOT_LIST, 4), edited(ROOT_LIST, 4, tlv(0x17, b"200101000000Z"))):
        assert code(MADE, spoiled) == "crl-invalid"


def test_an_issuer_that_may_not_sign_lists() -> None:
    made = graph(sub={"usage": frozenset({"key_cert_sign"})})
    assert code(made, revocation_list(made.sub)) == "crl-invalid"
    free = graph(sub={"without": [x509.KeyUsage]})
    assert state(free, revocation_list(free.sub), revocation_list(free.root)) is RevocationState.GOOD


@pytest.mark.parametrize(
    "der",
    [
        b"",
        ROOT_LIST[:-1],
        edited(ROOT_LIST, 0, tlv(2, b"\x00")),
        edited(ROOT_LIST, 0),
        edited(ROOT_LIST, 1, bytes.fromhex("300506032b6570")),
        ROOT_LIST + b"\0",
    ],
)
def test_bytes_that_are_no_list(der: bytes) -> None:
    assert code(MADE, der) == "malformed-crl"


def test_a_list_too_large() -> None:
    assert code(MADE, b"\x30" * (LIST_CAP + 1)) == "size-limit"


def test_names_in_a_list_that_are_not_processed() -> None:
    odd = tlv(0x30, tlv(0xA0, tlv(0xA0, tlv(0xA3, b""))))
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), odd)
    assert code(MADE, revocation_list(MADE.sub, extra=[(extension, True)])) == "unsupported"


def test_a_list_signed_in_a_way_that_is_not_accepted() -> None:
    tbs, _, signature = split(content_of(revocation_list(MADE.sub)))
    parts = split(content_of(tbs))
    md5 = bytes.fromhex("300d06092a864886f70d0101040500")
    assert code(MADE, sequence(sequence(parts[0], md5, *parts[2:]), md5, signature)) == "crl-invalid"


def test_a_list_of_another_issuer_speaks_of_nothing() -> None:
    certificate = read_certificate(MADE.leaf.der, 0)
    (own,) = points_of(certificate)
    assert read_list(ROOT_LIST).reasons_for(certificate, own) == frozenset()
    assert read_list(revocation_list(MADE.sub)).reasons_for(certificate, own) == ALL_REASONS


def test_kinds_of_certificates() -> None:
    users = revocation_list(MADE.sub, extra=[(point(only_contains_user_certs=True), True)])
    authorities = revocation_list(MADE.root, extra=[(point(only_contains_ca_certs=True), True)])
    assert state(MADE, users, authorities) is RevocationState.GOOD
    swapped = revocation_list(MADE.sub, extra=[(point(only_contains_ca_certs=True), True)])
    assert state(MADE, swapped, ROOT_LIST) is RevocationState.UNKNOWN


URI = x509.UniformResourceIdentifier("http://lists.test/1")


def test_distribution_points_with_names_of_every_kind() -> None:
    relative = x509.RelativeDistinguishedName(next(iter(MADE.sub.subject.rdns)))
    for full, rdn in (([URI], None), ([x509.DNSName("lists.test")], None), (None, relative)):
        given = x509.DistributionPoint(full, rdn, None, None)
        made = graph(leaf={"extra": [(x509.CRLDistributionPoints([given]), False)]})
        root_list = revocation_list(made.root)
        fitting = point(full_name=full, relative_name=rdn)
        other = point(full_name=[x509.UniformResourceIdentifier("http://lists.test/2")])
        assert state(made, revocation_list(made.sub, extra=[(fitting, True)]), root_list) is RevocationState.GOOD
        assert state(made, revocation_list(made.sub, extra=[(other, True)]), root_list) is RevocationState.UNKNOWN
        assert state(made, revocation_list(made.sub), root_list) is RevocationState.GOOD


def test_an_indirect_list() -> None:
    """One issuer of lists speaks for the intermediate's certificates; its entries name whose they are."""
    top = paper("Root", ca=True)
    lister = paper("Lister", top, usage=frozenset({"crl_sign"}))
    sub = paper("Sub", top, ca=True)
    given = x509.DistributionPoint([URI], None, None, [x509.DirectoryName(lister.subject)])
    leaf = paper("Leaf", sub, extra=[(x509.CRLDistributionPoints([given]), False)])
    made = Graph(top, sub, leaf)
    indirect = (point(full_name=[URI], indirect_crl=True), True)

    def entry(issuer: x509.Name) -> x509.RevokedCertificate:
        named = x509.CertificateIssuer([x509.DirectoryName(issuer)])
        builder = x509.RevokedCertificateBuilder().serial_number(leaf.parsed.serial_number)
        return builder.revocation_date(leaf.parsed.not_valid_before_utc).add_extension(named, True).build()

    def verdict(*lists: bytes) -> str:
        chain = [*made.chain, lister.der]

        try:
            return judge(chain, top, crls=[revocation_list(top), *lists]).revocation.value
        except ChainRejected as error:
            return error.code

    assert verdict(revocation_list(lister, extra=[indirect])) == "good"
    assert verdict(revocation_list(lister, [entry(sub.subject)], extra=[indirect])) == "revoked"
    assert verdict(revocation_list(lister, [entry(top.subject)], extra=[indirect])) == "good"
    assert verdict(revocation_list(lister, [leaf.parsed.serial_number], extra=[indirect])) == "good"
    assert verdict(revocation_list(lister)) == "unknown", "it does not say that it is indirect"
    nameless = (point(indirect_crl=True), True)
    assert verdict(revocation_list(lister, extra=[nameless])) == "good"


def test_a_signer_of_lists_needs_a_path_of_its_own() -> None:
    """Lists signed by a second certificate of the CA: trusted under the same anchor, in time and not revoked."""
    top, other = paper("Root", ca=True), paper("Other root", ca=True)
    sub = paper("Sub", top, ca=True, usage=frozenset({"key_cert_sign"}))
    leaf = paper("Leaf", sub)
    usage = frozenset({"crl_sign"})
    limits = x509.NameConstraints(None, [x509.DirectoryName(sub.subject)])
    deep = paper("Deep", top, ca=True, extra=[(limits, True)])
    signers = {
        "good": paper("Sub", top, usage=usage),
        "expired": paper("Sub", top, usage=usage, days=(-9, -1)),
        "another anchor": paper("Sub", other, usage=usage),
        "no path": paper("Sub", paper("Nobody", ca=True), usage=usage),
        "constrained away": paper("Sub", deep, usage=usage),
        "revoked": paper("Sub", top, usage=usage),
    }
    top_list = revocation_list(top, [signers["revoked"].parsed.serial_number])
    for what, signer in signers.items():
        chain = [leaf.der, sub.der, signer.der, deep.der]
        found = judge(chain, top, other, crls=[top_list, revocation_list(signer)])
        assert (found.revocation is RevocationState.GOOD) == (what == "good"), what


def test_the_path_of_a_signer_spends_the_same_budget() -> None:
    top = paper("Root", ca=True)
    sub = paper("Sub", top, ca=True)
    limits = x509.NameConstraints(None, [x509.DNSName("a.test")])
    deep = paper("Deep", top, ca=True, extra=[(limits, True)])
    signer = paper("Sub", deep, usage=frozenset({"crl_sign"}))
    chain = [paper("Leaf", sub).der, sub.der, signer.der, deep.der]
    judge(chain, top, budget=Budget(comparisons=0))
    with pytest.raises(ChainRejected) as caught:
        judge(chain, top, crls=[revocation_list(signer)], budget=Budget(comparisons=0))
    assert caught.value.code == "budget"


def test_a_list_cannot_vouch_for_its_own_signer() -> None:

    top = paper("Root", ca=True, usage=frozenset({"key_cert_sign"}))
    signer = paper("Root", top, usage=frozenset({"crl_sign"}))
    leaf = paper("Leaf", top)
    found = judge([leaf.der, signer.der], top, crls=[revocation_list(signer)])
    assert found.revocation is RevocationState.GOOD


def delta(issuer: Paper, revoked: list[Any], number: int, base: int, **given: Any) -> bytes:
    return revocation_list(issuer, revoked, number=number, extra=[(x509.DeltaCRLIndicator(base), True)], **given)


def test_deltas() -> None:
    remove = (SERIAL, x509.ReasonFlags.remove_from_crl)
    clean, listing = revocation_list(MADE.sub, number=5), revocation_list(MADE.sub, [SERIAL], number=5)
    assert code(MADE, clean, delta(MADE.sub, [SERIAL], 6, 5)) == "revoked"
    assert code(MADE, clean, delta(MADE.sub, [SERIAL], 6, 3)) == "revoked"
    assert state(MADE, clean, delta(MADE.sub, [SERIAL], 7, 6), ROOT_LIST) is RevocationState.GOOD, "another base"
    assert state(MADE, clean, delta(MADE.sub, [SERIAL], 4, 3), ROOT_LIST) is RevocationState.GOOD, "older than the list"
    assert state(MADE, listing, delta(MADE.sub, [remove], 6, 5), ROOT_LIST) is RevocationState.GOOD
    assert state(MADE, delta(MADE.sub, [], 6, 5), ROOT_LIST) is RevocationState.UNKNOWN, "no delta by itself"
    forged = delta(MADE.sub, [remove], 6, 5, key=ec.generate_private_key(ec.SECP256R1()))
    assert code(MADE, listing, forged) == "revoked"
    expired = delta(MADE.sub, [remove], 6, 5, days=(-9, -1))
    assert code(MADE, listing, expired) == "revoked"


def test_a_delta_carries_its_list_over_the_end() -> None:
    ended = revocation_list(MADE.sub, number=5, days=(-20, -1))
    assert state(MADE, ended, ROOT_LIST) is RevocationState.STALE
    assert state(MADE, ended, delta(MADE.sub, [], 6, 5), ROOT_LIST) is RevocationState.GOOD


def test_reasons_add_up() -> None:
    some = frozenset({x509.ReasonFlags.key_compromise, x509.ReasonFlags.ca_compromise})
    rest = frozenset(x509.ReasonFlags) - some - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
    one = revocation_list(MADE.sub, extra=[(point(only_some_reasons=some), True)])
    two = revocation_list(MADE.sub, extra=[(point(only_some_reasons=rest), True)])
    assert state(MADE, one, ROOT_LIST) is RevocationState.UNKNOWN
    assert state(MADE, one, two, ROOT_LIST) is RevocationState.GOOD


def test_a_revoked_path_is_walked_around() -> None:

    top, other = paper("Root", ca=True), paper("Other root", ca=True)
    sub = paper("Sub", top, ca=True)
    again = paper("Sub", other, ca=True, key=sub.key)
    leaf = paper("Leaf", sub)
    revoked = revocation_list(top, [sub.parsed.serial_number])
    found = judge([leaf.der, sub.der, again.der], top, other, crls=[revoked])
    assert found.path == (leaf.der, again.der, other.der)


def test_lists_spend_the_same_budget() -> None:
    lists = [revocation_list(MADE.sub, number=number, key=MADE.root.key) for number in range(20)]
    assert code(MADE, *lists, budget=Budget(signatures=10)) == "budget"
    with pytest.raises(ChainRejected) as caught:
        Graph(MADE.root, MADE.sub, MADE.leaf).judge(crls=[revocation_list(MADE.sub)], budget=Budget(signatures=2))
    assert caught.value.code == "budget"


# --- OCSP: the steps of an answer are shown in test_ocsp.py; here, that this engine asks them with any algorithm


def answer(
    certificate: Paper,
    issuer: Paper,
    status: OCSPCertStatus = OCSPCertStatus.GOOD,
    *,
    responder: Paper | None = None,
    key: Any = None,
    days: tuple[int, int] = (-1, 1),
) -> bytes:
    """What a responder says of a certificate."""
    from_, until = (AT + timedelta(days=day) for day in days)
    revoked = status is OCSPCertStatus.REVOKED
    builder = OCSPResponseBuilder().add_response(
        certificate.parsed,
        issuer.parsed,
        hashes.SHA256(),
        status,
        from_,
        until,
        AT - timedelta(days=9) if revoked else None,
        None,
    )
    signer = responder or issuer
    builder = builder.responder_id(OCSPResponderEncoding.HASH, signer.parsed)
    if responder is not None:
        builder = builder.certificates([responder.parsed])
    hash_ = None if isinstance(signer.key, ed25519.Ed25519PrivateKey) else hashes.SHA384()
    made = builder.sign(signer.key, hash_).public_bytes(serialization.Encoding.DER)
    return produced(made, from_, key or signer.key)


def produced(made: bytes, at: datetime, key: Any) -> bytes:
    """The answer with another producedAt (the maker takes the clock's), signed again."""
    status, content = split(content_of(made))
    kind, wrapped = split(content_of(content_of(content)))
    tbs, algorithm, _, *rest = split(content_of(content_of(wrapped)))
    responder, _, *said = split(content_of(tbs))
    tbs = sequence(responder, tlv(0x18, f"{at:%Y%m%d%H%M%SZ}".encode()), *said)
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA384())
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(tbs)
    else:
        signature = key.sign(tbs, ec.ECDSA(hashes.SHA384()))
    basic = sequence(tbs, algorithm, tlv(3, b"\0" + signature), *rest)
    return sequence(status, tlv(0xA0, sequence(kind, tlv(4, basic))))


def answered(made: Graph, *statuses: OCSPCertStatus, **given: Any) -> list[bytes]:
    """Answers about the leaf and about the intermediate."""
    leaf, sub = statuses or (OCSPCertStatus.GOOD, OCSPCertStatus.GOOD)
    return [answer(made.leaf, made.sub, leaf, **given), answer(made.sub, made.root, sub, **given)]


RSA, EDWARDS = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize("key", [RSA, EDWARDS, ec.generate_private_key(ec.SECP384R1())], ids=["rsa", "ed", "p384"])
def test_answers_signed_with_any_key(key: Any) -> None:
    made = graph(root={"key": key}, sub={"key": key})
    good, revoked = OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED
    assert made.judge(ocsps=answered(made), require_revocation=True).revocation is RevocationState.GOOD
    for statuses, index in (((revoked, good), 0), ((good, revoked), 1)):
        with pytest.raises(ChainRejected) as caught:
            made.judge(ocsps=answered(made, *statuses))
        assert (caught.value.code, caught.value.index) == ("revoked", index)


def test_a_delegate_answers() -> None:
    made = graph(root={"key": RSA}, sub={"key": RSA})
    purpose = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    delegate = paper("Responder", made.sub, key=EDWARDS, extra=[purpose, (x509.OCSPNoCheck(), False)])
    said = [answer(made.leaf, made.sub, responder=delegate), answer(made.sub, made.root)]
    assert made.judge(ocsps=said).revocation is RevocationState.GOOD
    stranger = paper("Responder", made.root, key=EDWARDS, extra=[purpose])
    found = made.judge(ocsps=[answer(made.leaf, made.sub, responder=stranger)])
    assert found.revocation is RevocationState.UNKNOWN
    assert [finding.code for finding in found.findings] == ["ocsp-unusable"]


def test_lists_and_answers_together() -> None:
    revoked = OCSPCertStatus.REVOKED
    lists = [revocation_list(MADE.sub), ROOT_LIST]
    faulty = [FAULTS["no number"], ROOT_LIST]
    old = [revocation_list(MADE.sub, days=(-20, -10)), ROOT_LIST]
    assert code(MADE, *lists, ocsps=[answer(MADE.leaf, MADE.sub, revoked)]) == "revoked"
    assert code(MADE, revocation_list(MADE.sub, [SERIAL]), ocsps=answered(MADE)) == "revoked"
    for some in (faulty, old, ()):
        assert state(MADE, *some, ocsps=answered(MADE)) is RevocationState.GOOD
    assert state(MADE, ROOT_LIST, ocsps=[answer(MADE.leaf, MADE.sub, days=(-9, -8))]) is RevocationState.STALE


def test_answers_that_say_nothing() -> None:
    forged = answer(MADE.leaf, MADE.sub, key=MADE.root.key)
    mislabelled = answered(graph(root={"key": EDWARDS}, sub={"key": EDWARDS}))[0]
    for said in ([forged], [mislabelled], []):
        assert state(MADE, ROOT_LIST, ocsps=said) is RevocationState.UNKNOWN
    assert code(MADE, ocsps=[b"\x30\x00"]) == "malformed-ocsp"
    assert code(MADE, ocsps=[b""] * (ANSWERS + 1)) == "size-limit"


def test_an_answer_in_an_algorithm_that_is_not_accepted() -> None:
    certificate = parse_certificate(MADE.sub.der)
    for algorithm in (b"\x30\x00", b"\x30\x05", bytes.fromhex("300d06092a864886f70d0101040500")):
        assert not is_signed(certificate, algorithm, b"said", b"signature")
    signature = MADE.sub.key.sign(b"said", ec.ECDSA(hashes.SHA256()))
    assert is_signed(certificate, bytes.fromhex("300a06082a8648ce3d040302"), b"said", signature)


def test_a_certificate_that_the_reader_of_the_profiles_does_not_take() -> None:
    """Answers are matched by that reader: without it they say nothing, and nothing is assumed."""
    early = tlv(0x18, b"20250101000000Z")
    made = graph(
        leaf={"surgery": lambda parts: [*parts[:4], sequence(early, split(content_of(parts[4]))[1]), *parts[5:]]}
    )
    found = made.judge(ocsps=answered(made))
    assert found.revocation is RevocationState.UNKNOWN
    assert "time-encoding" in found.findings[-1].message

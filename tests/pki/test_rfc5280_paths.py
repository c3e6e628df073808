"""Finding the path: order, needless certificates, alternatives, depth; name constraints on the way; limits of work."""

from __future__ import annotations

import io
import json
import time
from datetime import timedelta
from ipaddress import ip_address, ip_network
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pki.errors import ChainRejected, MalformedCertificate, PKIError, TrustError
from pki.pem import encode_pem
from pki.service.batch import Demands, run_batch
from pki.service.paths import judge_path_files
from pki.verify.rfc5280 import VerifiedPath
from pki.verify.rfc5280.budget import ANCHORS, CERTIFICATES, LISTS, Budget
from tests.pki.mint import tlv
from tests.pki.papers import AT, KEYS, Paper, graph, judge, name, paper, raw, revocation_list, sequence


def refusal(chain: list[bytes], *roots: Paper, **changed: Any) -> PKIError:
    with pytest.raises(PKIError) as caught:
        judge(chain, *roots, **changed)
    return caught.value


# --- finding it


def test_order_and_needless_certificates_do_not_matter() -> None:
    root = paper("Root", ca=True)
    first = paper("First", root, ca=True)
    second = paper("Second", first, ca=True)
    leaf = paper("Leaf", second)
    stranger = paper("Stranger", ca=True)
    broken = b"\x30\x03\x02\x01\x05"
    for order in permutations([first.der, second.der, stranger.der, root.der, broken]):
        found = judge([leaf.der, *order], stranger, root)
        assert found.path == (leaf.der, second.der, first.der, root.der)
        assert [finding.code for finding in found.findings] == ["unusable-certificate"]


def test_an_unreadable_certificate_that_is_needed_is_the_reason() -> None:
    made = graph()
    error = refusal([made.leaf.der, made.sub.der[:-1]], made.root)
    assert (error.code, error.index) == ("malformed-certificate", 1)
    error = refusal([made.leaf.der, made.sub.der], Paper(made.root.der[:-1], made.root.subject, made.root.key))
    assert (error.code, error.index) == ("malformed-certificate", None)
    assert str(error).startswith("anchor 0: ")


def test_one_that_is_not_needed_is_left_out() -> None:
    made = graph()
    cut = Paper(made.root.der[:-1], made.root.subject, made.root.key)
    found = judge(made.chain, cut, made.root)
    assert [(finding.code, finding.index) for finding in found.findings] == [("unusable-certificate", None)]


def test_an_expired_alternative_is_walked_around() -> None:
    """The old cross-signed path has ended, the new root is held."""
    old = paper("Old root", ca=True, days=(-200, -1))
    new = paper("New root", ca=True)
    crossed = paper("New root", old, ca=True, key=new.key)
    leaf = paper("Leaf", new)
    assert judge([leaf.der, crossed.der], old, new).path == (leaf.der, new.der)
    assert refusal([leaf.der, crossed.der], old).code == "expired"


@pytest.mark.parametrize("swap", [False, True])
def test_a_path_that_breaks_a_constraint_is_walked_around(swap: bool) -> None:
    """Two certificates for one CA: one leads to a root that forbids the leaf's name, the other does not."""
    forbids = x509.NameConstraints(None, [x509.DNSName("example.com")])
    narrow = paper("Narrow", ca=True, extra=[(forbids, True)])
    wide = paper("Wide", ca=True)
    sub = paper("Sub", narrow, ca=True)
    again = paper("Sub", wide, ca=True, key=sub.key)
    san = x509.SubjectAlternativeName([x509.DNSName("www.example.com")])
    leaf = paper("Leaf", sub, extra=[(san, False)])
    others = [again.der, sub.der] if swap else [sub.der, again.der]
    assert judge([leaf.der, *others], narrow, wide).path == (leaf.der, again.der, wide.der)
    assert refusal([leaf.der, *others], narrow).code == "name-constraints"


def test_same_name_other_key() -> None:
    twins = [paper("Root", ca=True) for _ in range(10)]
    leaf = paper("Leaf", twins[7])
    assert judge([leaf.der], *twins).path == (leaf.der, twins[7].der)
    assert refusal([leaf.der], *twins[:7]).code == "key-identifier"


def test_a_root_that_arrives_is_not_trusted() -> None:
    made = graph()
    error = refusal([*made.chain, made.root.der], paper("Another root", ca=True))
    assert error.code == "anchor-unknown"


def test_leaf_and_intermediate_swapped() -> None:
    made = graph(sub={"path_length": 0})
    found = judge([made.sub.der, made.leaf.der], made.root)
    assert found.path == (made.sub.der, made.root.der), "the first certificate is the one that is judged"


def test_names_compare_as_rfc_5280_says() -> None:
    """Case, white space and composition make no difference; letters and order do."""
    root = paper(name("R\u00f6t  CA"), ca=True)
    judge([paper("Leaf", root, issuer_name=name(" RO\u0308T ca ")).der], root)
    for other in (name("Rot CA"), name("R\u00f6tCA"), name("R\u00f6t CA", *name("R\u00f6t CA"))):
        assert refusal([paper("Leaf", root, issuer_name=other).der], root).code == "anchor-unknown"


def test_a_leaf_that_is_an_anchor() -> None:
    root = paper("Root", ca=True)
    assert judge([root.der], root).path == (root.der, root.der)


# --- depth


def ladder(length: int, *, same_name: bool = False) -> tuple[list[bytes], Paper]:
    """A leaf under `length` intermediates, and their root."""
    root = above = paper("Root", ca=True)
    chain: list[bytes] = []
    for step in range(length):
        above = paper("Sub" if same_name else f"Sub {step}", above, ca=True, key=None if same_name else KEYS[step % 8])
        chain.insert(0, above.der)
    return [paper("Leaf", above).der, *chain], root


def test_depth_counts_intermediates() -> None:
    chain, root = ladder(3)
    judge(chain, root, max_intermediates=3)
    error = refusal(chain, root, max_intermediates=2)
    assert error.code == "depth"
    chain, root = ladder(0)
    judge(chain, root, max_intermediates=0)


def test_depth_does_not_count_self_issued_ones() -> None:
    chain, root = ladder(3, same_name=True)
    judge(chain, root, max_intermediates=1)
    assert refusal(chain, root, max_intermediates=0).code == "depth"


def test_depth_has_an_end_of_its_own() -> None:
    chain, root = ladder(40)
    judge(chain, root)
    chain, root = ladder(41)
    assert refusal(chain, root).code == "depth"
    chain, root = ladder(45, same_name=True)
    assert refusal(chain, root).code == "depth"


def test_a_root_deeper_than_its_path_length() -> None:
    chain, root = ladder(2)
    limited = paper("Root", ca=True, key=root.key, path_length=1)
    assert refusal(chain, limited).code == "path-length"
    judge(chain, paper("Root", ca=True, key=root.key, path_length=2))


# --- name constraints


def constrained(
    permitted: list[x509.GeneralName] | None,
    excluded: list[x509.GeneralName] | None,
    *names: x509.GeneralName,
    subject: str | x509.Name = "Leaf",
) -> VerifiedPath:
    """The leaf with these names below a CA with these constraints."""
    limits = x509.NameConstraints(permitted, excluded)
    san = [(x509.SubjectAlternativeName(names), False)] if names else []
    return graph(sub={"extra": [(limits, True)]}, leaf={"subject": subject, "extra": san}).judge()


def dns(value: str) -> x509.DNSName:
    return x509.DNSName(value)


def mail(value: str) -> x509.RFC822Name:
    return x509.RFC822Name._init_without_validation(value)


def uri(value: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)


def directory(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(oid, value) for oid, value in parts]))


def address(value: str) -> x509.IPAddress:
    return x509.IPAddress(ip_network(value) if "/" in value else ip_address(value))


OTHER = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.55555.2"), b"\x05\x00")
ORGANIZATION, COMMON = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME
WITHIN: list[tuple[x509.GeneralName, x509.GeneralName, bool]] = [
    (dns("example.com"), dns("example.com"), True),
    (dns("example.com"), dns("WWW.Example.COM"), True),
    (dns("example.com"), dns("notexample.com"), False),
    (dns("www.example.com"), dns("example.com"), False),
    (dns(""), dns("anything.test"), True),
    (mail("me@example.com"), mail("me@EXAMPLE.com"), True),
    (mail("me@example.com"), mail("Me@example.com"), False),
    (mail("example.com"), mail("me@example.com"), True),
    (mail("example.com"), mail("me@mail.example.com"), False),
    (mail(".example.com"), mail("me@mail.example.com"), True),
    (mail(".example.com"), mail("me@example.com"), False),
    (mail("example.com"), mail('"odd @ name"@example.com'), True),
    (uri("example.com"), uri("https://user@example.com:8443/path"), True),
    (uri("example.com"), uri("https://www.example.com/"), False),
    (uri(".example.com"), uri("ldap://www.example.com?x"), True),
    (address("192.0.2.0/24"), address("192.0.2.77"), True),
    (address("192.0.2.0/24"), address("192.0.3.77"), False),
    (address("2001:db8::/32"), address("2001:db8:1::1"), True),
    (address("0.0.0.0/0"), address("203.0.113.9"), True),
    (directory((ORGANIZATION, "Acme")), directory((ORGANIZATION, "ACME "), (COMMON, "x")), True),
    (directory((ORGANIZATION, "Acme")), directory((COMMON, "x"), (ORGANIZATION, "Acme")), False),
]


@pytest.mark.parametrize(("base", "given", "inside"), WITHIN)
def test_a_name_is_within_or_not(base: x509.GeneralName, given: x509.GeneralName, inside: bool) -> None:
    subject = given.value if isinstance(given, x509.DirectoryName) else "Leaf"
    for permitted, excluded, accepted in (([base], None, inside), (None, [base], not inside)):
        if accepted:
            constrained(permitted, excluded, given, subject=subject)
            continue
        with pytest.raises(ChainRejected) as caught:
            constrained(permitted, excluded, given, subject=subject)
        assert (caught.value.code, caught.value.index) == ("name-constraints", 0)


def test_only_the_form_that_is_constrained_counts() -> None:
    constrained([dns("example.com")], [mail("example.com")], address("192.0.2.1"), uri("urn:x"))
    constrained([address("2001:db8::/32")], None, dns("example.com"))
    with pytest.raises(ChainRejected):
        constrained([address("2001:db8::/32")], None, address("192.0.2.1"))


def test_subtrees_of_one_certificate_are_alternatives_and_of_two_add_up() -> None:
    constrained([dns("a.test"), dns("b.test")], None, dns("x.a.test"), dns("x.b.test"))
    root = paper("Root", ca=True, extra=[(x509.NameConstraints([dns("test")], None), True)])
    sub = paper("Sub", root, ca=True, extra=[(x509.NameConstraints([dns("a.test"), dns("example.com")], None), True)])
    for given, accepted in (("x.a.test", True), ("b.test", False), ("example.com", False)):
        leaf = paper("Leaf", sub, extra=[(x509.SubjectAlternativeName([dns(given)]), False)])
        if accepted:
            judge([leaf.der, sub.der], root)
        else:
            assert refusal([leaf.der, sub.der], root).code == "name-constraints"


@pytest.mark.parametrize(
    ("permitted", "excluded", "accepted"),
    [
        ([dns("example.com")], None, True),
        ([dns("foo.example.com")], None, False),
        (None, [dns("bar.example.com")], False),
        (None, [dns("example.com")], False),
        (None, [dns("example.org")], True),
    ],
)
def test_a_wildcard_stands_for_every_name(
    permitted: list[x509.GeneralName] | None, excluded: list[x509.GeneralName] | None, accepted: bool
) -> None:
    if accepted:
        constrained(permitted, excluded, dns("*.example.com"))
        return
    with pytest.raises(ChainRejected):
        constrained(permitted, excluded, dns("*.example.com"))


def test_self_issued_certificates_are_exempt_unless_last() -> None:
    limits = (x509.NameConstraints([dns("example.com")], None), True)
    other = (x509.SubjectAlternativeName([dns("other.test")]), False)
    root = paper("Root", ca=True, extra=[limits])
    sub = paper("Root", root, ca=True, extra=[other])
    judge([paper("Leaf", sub).der, sub.der], root)
    assert refusal([sub.der], root).code == "name-constraints"


def test_mailboxes_of_the_subject_count_without_san() -> None:
    subject = name("Leaf", x509.NameAttribute(NameOID.EMAIL_ADDRESS, "me@example.org"))
    with pytest.raises(ChainRejected) as caught:
        constrained([mail("example.com")], None, subject=subject)
    assert caught.value.code == "name-constraints"
    constrained([mail("example.com")], None, dns("a.test"), subject=subject)


def test_what_only_looks_like_a_mailbox_is_refused_where_mailboxes_are_limited() -> None:
    subject = name("Leaf", x509.NameAttribute(NameOID.EMAIL_ADDRESS, "me@example.com "))
    constrained([dns("a.test")], None, subject=subject)
    for limits in (([mail("example.org")], None), (None, [mail("example.com")])):
        with pytest.raises(ChainRejected) as caught:
            constrained(*limits, subject=subject)
        assert caught.value.code == "name-constraints"


def test_forms_that_are_not_processed() -> None:
    constrained(None, [OTHER], dns("a.test"))
    with pytest.raises(ChainRejected) as caught:
        constrained(None, [OTHER], OTHER)
    assert caught.value.code == "unsupported"
    constrained([dns("example.com")], None, OTHER)


@pytest.mark.parametrize("given", ["urn:x", "https://192.0.2.1/", "https:///path"])
def test_a_constrained_uri_needs_a_host(given: str) -> None:
    with pytest.raises(ChainRejected) as caught:
        constrained(None, [uri("example.com")], uri(given))
    assert caught.value.code == "name-constraints"


@pytest.mark.parametrize("base", [dns(".example.com"), mail("a@b@example.com"), uri("https://example.com"), mail("*")])
def test_a_base_that_is_not_well_formed(base: x509.GeneralName) -> None:
    form = {x509.DNSName: 0x82, x509.RFC822Name: 0x81, x509.UniformResourceIdentifier: 0x86}[type(base)]
    limits = sequence(tlv(0xA0, sequence(tlv(form, str(base.value).encode()))))
    with pytest.raises(ChainRejected) as caught:
        graph(sub={"extra": [raw("2.5.29.30", limits, True)]}).judge()
    assert (caught.value.code, caught.value.index) == ("name-constraints", 1)


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (0x82, b""),
        (0x82, b"8.8.8.8"),
        (0x82, b"under_score.test"),
        (0x82, b"-a.test"),
        (0x82, b"a..test"),
        (0x82, b".test"),
        (0x82, b"x*.test"),
        (0x82, b"*"),
        (0x82, b"a" * 64 + b".test"),
        (0x82, b".".join([b"a" * 63] * 4) + b".test"),
        (0x82, "\N{LATIN SMALL LETTER U WITH DIAERESIS}.test".encode()),
        (0x81, b"nobody"),
        (0x81, b"a@b@c.test"),
        (0x81, b"Me <me@c.test>"),
        (0x86, b"relative/path"),
        (0x87, bytes.fromhex("c0000200ffffff00")),
    ],
)
def test_names_that_are_not_well_formed(form: int, content: bytes) -> None:
    with pytest.raises(ChainRejected) as caught:
        graph(leaf={"extra": [raw("2.5.29.17", sequence(tlv(form, content)))]}).judge()
    assert (caught.value.code, caught.value.index) == ("subject", 0)


# --- limits of work


def within(seconds: float, chain: list[bytes], *roots: Paper, **changed: Any) -> PKIError:
    """The refusal, which must come within this time (measured several times smaller)."""
    begun = time.process_time()
    error = refusal(chain, *roots, **changed)
    assert time.process_time() - begun < seconds
    return error


def test_too_many_certificates_are_not_even_read() -> None:
    made = graph()
    assert within(0.1, [made.leaf.der] * 10_000, made.root).code == "size"
    assert refusal([made.leaf.der] * (CERTIFICATES + 1), made.root).code == "size"
    with pytest.raises(TrustError):
        judge(made.chain, *[made.root] * (ANCHORS + 1))
    with pytest.raises(TrustError):
        made.judge(crls=[b""] * (LISTS + 1))
    with pytest.raises(MalformedCertificate):
        judge([], made.root)


def test_large_things_are_not_parsed() -> None:
    root = paper("Root", ca=True)
    for leaf in (
        paper("Leaf", root, extra=[raw("1.3.6.1.4.1.55555.1", b"\0" * 1_000_000)]).der,
        tlv(0x30, tlv(0x06, b"\x81" * 1_000_000)),
    ):
        assert within(0.1, [leaf], root).code == "size-limit"


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        tlv(0x30, b"\x30\x00" * 3),
        tlv(0x30, tlv(0x06, b"\x81" * 60_000)),
        b"\x30\x82\xff\xf0" * 10_000,
        tlv(0x30, tlv(0x30, b"") + tlv(0x30, b"") + b"\x03\x02\x00\x00"),
    ],
)
def test_bytes_that_are_no_certificate(der: bytes) -> None:
    assert within(0.2, [der], paper("Root", ca=True)).code in {"malformed-certificate", "version"}


def test_deep_nesting() -> None:
    nested = b""
    for _ in range(10_000):
        nested = tlv(0x30, nested)
    root = paper("Root", ca=True)
    for oid in ("2.5.29.17", "2.5.29.32", "2.5.29.33", "2.5.29.30"):
        leaf = paper("Leaf", root, extra=[raw(oid, nested, oid == "2.5.29.30")])
        assert within(0.3, [leaf.der], root).code in {"malformed-certificate", "policy"}


def test_an_object_identifier_as_long_as_a_certificate() -> None:
    mapping = sequence(sequence(tlv(6, b"\xff" * 50_000 + b"\1"), tlv(6, b"\x2a\3")))
    root = paper("Root", ca=True)
    sub = paper("Sub", root, ca=True, extra=[raw("2.5.29.33", mapping, True)])
    assert within(0.2, [paper("Leaf", sub).der, sub.der], root).code == "policy"


def test_cas_that_sign_each_other_in_circles() -> None:
    """Six CAs, every pair cross-signed both ways, and no way to the root that is held."""
    keys = KEYS[:6]
    rings = [
        paper(f"CA {one}", Paper(b"", name(f"CA {two}"), keys[two]), ca=True, key=keys[one])
        for one in range(6)
        for two in range(6)
        if one != two
    ]
    leaf = paper("Leaf", rings[0])
    assert within(2, [leaf.der, *[ring.der for ring in rings]], paper("Root", ca=True)).code == "anchor-unknown"
    root = paper("CA 3", ca=True, key=keys[3])
    assert judge([leaf.der, *[ring.der for ring in rings]], root).path[-1] == root.der


def test_a_hundred_cas_of_one_name() -> None:
    """Each with its own key, all claiming the same key identifier: only signatures can tell them apart."""
    claimed = raw("2.5.29.14", b"\4\4SAME")
    naming = (x509.AuthorityKeyIdentifier(b"SAME", None, None), False)
    shape: dict[str, Any] = {
        "ca": True,
        "without": [x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier],
        "extra": [claimed, naming],
    }
    root = paper("CA", **shape)
    twins = [paper("CA", root, key=ec.generate_private_key(ec.SECP256R1()), **shape) for _ in range(100)]
    leaf = paper("Leaf", twins[50], without=[x509.AuthorityKeyIdentifier], extra=[naming])
    stranger = paper("Stranger", ca=True)
    assert within(3, [leaf.der, *[twin.der for twin in twins]], stranger).code == "budget"
    few = [leaf.der, *[twin.der for twin in twins[40:60]]]
    assert judge(few, root).path == (leaf.der, twins[50].der, root.der)


def test_layers_that_multiply() -> None:
    """Ten layers of six CAs with the same key each: sixty million paths, none to an anchor."""
    layers = [KEYS[layer % 8] for layer in range(10)]
    made = [
        paper(
            name(f"Layer {layer}"),
            Paper(b"", name(f"Layer {layer + 1}"), layers[(layer + 1) % 10]),
            ca=True,
            key=layers[layer],
            serial=1 + twin,
        )
        for layer in range(10)
        for twin in range(6)
    ]
    leaf = paper("Leaf", made[0])
    assert within(3, [leaf.der, *[one.der for one in made]], paper("Root", ca=True)).code == "budget"


def test_many_names_under_many_constraints() -> None:
    names = [dns(f"n{number}.test") for number in range(1000)]
    limits = x509.NameConstraints([dns("test")], [dns(f"x{number}.test") for number in range(1000)])
    root = paper("Root", ca=True, extra=[(limits, True)])
    leaf = paper("Leaf", root, extra=[(x509.SubjectAlternativeName(names), False)])
    assert within(1, [leaf.der], root).code == "budget"
    judge([leaf.der], root, budget=Budget(comparisons=2_000_000))


def test_policies_that_multiply() -> None:
    """Every policy of every layer is mapped onto every policy of the next one."""
    policies = [x509.ObjectIdentifier(f"1.2.3.{number}") for number in range(60)]
    given = x509.CertificatePolicies([x509.PolicyInformation(policy, None) for policy in policies])
    octets = [tlv(6, b"\x2a\3" + bytes([number])) for number in range(60)]
    mappings = raw("2.5.29.33", sequence(*[sequence(one, two) for one in octets for two in octets]), True)
    root = above = paper("Root", ca=True)
    chain: list[bytes] = []
    for layer in range(8):
        above = paper(f"Sub {layer}", above, ca=True, extra=[(given, False), mappings])
        chain.insert(0, above.der)
    leaf = paper("Leaf", above, extra=[(given, False)])
    assert within(2, [leaf.der, *chain], root).code == "budget"


def test_policies_that_are_demanded() -> None:
    """What PKITS does not have: a leaf that itself demands an explicit policy, and a level without policies."""
    given = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])
    demands = (x509.PolicyConstraints(0, None), True)
    graph(root={"extra": [demands]}, sub={"extra": [(given, False)]}, leaf={"extra": [(given, False)]}).judge()
    for leaf in ([demands], [demands, (given, False)]):
        with pytest.raises(ChainRejected) as caught:
            graph(leaf={"extra": leaf}).judge()
        assert (caught.value.code, caught.value.index) == ("policy", 0)


def test_a_budget_of_signatures() -> None:
    chain, root = ladder(6)
    judge(chain, root, budget=Budget(signatures=7))
    assert refusal(chain, root, budget=Budget(signatures=6)).code == "budget"
    assert refusal(chain, root, budget=Budget(steps=3)).code == "budget"


def test_a_verified_path_comes_from_the_verifier_only() -> None:
    found = graph().judge()
    with pytest.raises(TypeError):
        VerifiedPath(
            path=found.path,
            revocation=found.revocation,
            revocation_at=None,
            findings=(),
            verified_at=AT,
            not_after=AT + timedelta(days=1),
            token=object(),
        )


# --- as commands and batches bring them


def line_of(chain: list[bytes], roots: list[Paper], /, **fields: object) -> bytes:
    """One line of a batch."""
    request: dict[str, object] = {
        "id": "x",
        "chain": [encode_pem(der) for der in chain],
        "trust": [encode_pem(root.der) for root in roots],
        "at": AT.isoformat(),
        "profile": "rfc5280",
    }
    return json.dumps(request | fields).encode() + b"\n"


def batch(*lines: bytes) -> list[tuple[str, str, str]]:
    """Verdict, code and revocation of each line."""
    answers = [json.loads(answer) for answer in run_batch(io.BytesIO(b"".join(lines)), Demands())]
    return [(answer["verdict"], answer["code"], answer["revocation"]) for answer in answers]


def test_a_batch_honours_depth_lists_and_order() -> None:
    chain, root = ladder(3)
    swapped = [chain[0], *reversed(chain[1:])]
    listed = [encode_pem(revocation_list(root), "X509 CRL")]
    as_one = {"chain": ["".join(encode_pem(der) for der in chain)]}
    assert batch(
        line_of(swapped, [root], max_chain_depth=3, emaid="ignored"),
        line_of(chain, [root], max_chain_depth=2),
        line_of(chain, [root], crls=listed),
        line_of(chain, [root], **as_one),
        line_of(chain, [root], crls=["no PEM"]),
        line_of(chain, [root], ocsps=["MAA="]),
        line_of(chain * 40, [root]),
    ) == [
        ("accept", "accepted", "unknown"),
        ("reject", "depth", "unknown"),
        ("accept", "accepted", "unknown"),
        ("accept", "accepted", "unknown"),
        ("malformed", "malformed-pem", "unknown"),
        ("malformed", "malformed-ocsp", "unknown"),
        ("malformed", "size-limit", "unknown"),
    ]


def test_files_of_trust(tmp_path: Path) -> None:
    made = graph()
    chain = "".join(encode_pem(der) for der in made.chain).encode()
    folder = tmp_path / "trust"
    (folder / "deeper").mkdir(parents=True)
    with pytest.raises(TrustError):
        judge_path_files(chain, trust=folder, at=AT)
    (folder / "deeper" / "root.der").write_bytes(made.root.der)
    (folder / "other.pem").write_text(encode_pem(paper("Other", ca=True).der))
    (tmp_path / "sub.crl").write_bytes(revocation_list(made.sub, [made.leaf.parsed.serial_number]))
    assert judge_path_files(chain, trust=folder, at=AT).code == "accepted"
    assert judge_path_files(chain, trust=folder / "deeper" / "root.der", at=AT).code == "accepted"
    assert judge_path_files(chain, trust=folder / "other.pem", at=AT).code == "anchor-unknown"
    assert judge_path_files(chain, trust=folder, at=AT, crls=[tmp_path / "sub.crl"]).code == "revoked"

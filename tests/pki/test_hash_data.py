"""Contracts that are named by hashes only: how chargers write them, and when a name is enough."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected, MalformedCertificate
from pki.profiles import AnchorRole, profile_named
from pki.verify import RevocationEvidence, RevocationState, TrustStore, VerifiedChain, verify
from pki.verify.bindings import Bindings
from pki.verify.certificate_id import key_bits
from pki.verify.hash_data import HashData, HashVerdict, check_names_path, judge_hash_data
from pki.verify.hash_text import read_hash, read_hash_data, read_serial
from pki.verify.revocation import Grace
from tests.pki.evidence_mint import DAY, answer_of, clean_lists, list_of
from tests.pki.mint import AT, Branch, Spec, name_of, sound_branch, sound_branch_20

Spell = Callable[[bytes], str]
plain_hex: Spell = bytes.hex


def upper_hex(octets: bytes) -> str:
    return octets.hex().upper()


def padded_base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def padded_base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode()


def prefixed_hex(octets: bytes) -> str:
    return "0x" + octets.hex()


def named(certificate: Certificate, issuer: Certificate, *, spell: Spell = plain_hex, name: str = "sha256") -> HashData:
    """The entry for a certificate, its serial number in hexadecimal."""
    return HashData(
        hash_algorithm=name.upper(),
        issuer_name_hash=spell(hashlib.new(name, issuer.subject_der).digest()),
        issuer_key_hash=spell(hashlib.new(name, key_bits(issuer.spki_der)).digest()),
        serial_number=f"{certificate.serial:x}",
    )


class Site:
    """A chain that was verified, the memory of it, and today's evidence."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.trust = TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})
        self.chain: VerifiedChain = branch.judge(trust=self.trust)
        self.bindings = Bindings().learn(self.chain)
        self.evidence = RevocationEvidence(clean_lists(branch))

    def entries(self, count: int = 3, **spelling) -> list[HashData]:
        """The entries of the first certificates of the path; the fourth is the root's own."""
        path = (*self.chain.path, self.chain.path[-1])
        return [named(path[at], path[at + 1], **spelling) for at in range(count)]

    def judge(self, entries: list[HashData] | None = None, emaid: str = "DEABC000000001G", **changed) -> HashVerdict:
        given = {"at": AT, "evidence": self.evidence, "bindings": self.bindings, "trust": self.trust} | changed
        bindings, evidence, at = given.pop("bindings"), given.pop("evidence"), given.pop("at")
        return judge_hash_data(self.entries() if entries is None else entries, emaid, bindings, evidence, at, **given)

    def refusal(self, *entries: HashData, **changed) -> str:
        with pytest.raises(ChainRejected) as caught:
            self.judge([*entries] or None, **changed)
        assert caught.value.findings[-1].code == caught.value.code
        return caught.value.code


@pytest.fixture
def site(branch: Branch) -> Site:
    return Site(branch)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("spell", [plain_hex, upper_hex, padded_base64, base64url, prefixed_hex])
def test_a_leaf_that_was_seen_is_accepted_however_it_is_written(
    site: Site, count: int, name: str, spell: Spell
) -> None:
    found = site.judge(site.entries(count, name=name, spell=spell))
    assert (found.emaid.normal, found.leaf_sha256) == ("DEABC000000001", site.chain.leaf.sha256)
    assert (found.revocation, found.revocation_at, found.findings) == (RevocationState.GOOD, AT - DAY, ())
    assert (found.learned_at, found.not_after, found.path) == (AT, site.chain.not_after, site.chain.path)


@pytest.mark.parametrize("write", [lambda s: f"{s:X}", lambda s: f"0x{s:x}", lambda s: f"{s:040x}", str])
def test_serial_numbers_are_read_in_every_writing_of_the_field(site: Site, write: Callable[[int], str]) -> None:
    entries = [
        replace(entry, serial_number=write(certificate.serial))
        for entry, certificate in zip(site.entries(4), (*site.chain.path, site.chain.path[-1]), strict=False)
    ]
    assert site.judge(entries).emaid.normal == "DEABC000000001"


def test_the_order_of_the_entries_does_not_matter(site: Site) -> None:
    assert site.judge(site.entries(4)[::-1]).leaf_sha256 == site.chain.leaf.sha256


@pytest.mark.parametrize("emaid", ["DEABC000000001", "de-abc-000000001-g", "DEABC000000001G"])
def test_every_writing_of_the_emaid_is_the_leafs(site: Site, emaid: str) -> None:
    assert site.judge(emaid=emaid).emaid.normal == "DEABC000000001"


@pytest.mark.parametrize("emaid", ["DEABC000000002", "", "nonsense", "DEABC0000000012345"])
def test_another_emaid_is_refused(site: Site, emaid: str) -> None:
    assert site.refusal(emaid=emaid) == "emaid-mismatch"


def test_generation_20_is_named_alike() -> None:
    site = Site(sound_branch_20())
    assert site.judge(site.entries(3, name="sha512")).emaid.normal == "DEABC000000001"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("hash_algorithm", "SHA1"),
        ("hash_algorithm", "sha256"),
        ("hash_algorithm", "MD5"),
        ("issuer_name_hash", ""),
        ("issuer_name_hash", "ab" * 31),
        ("issuer_name_hash", "ab" * 33),
        ("issuer_name_hash", "zz" * 32),
        ("issuer_name_hash", "\uff11" * 64),
        ("issuer_key_hash", "A" * 42 + "B"),
        ("issuer_key_hash", "A" * 42),
        ("issuer_key_hash", "A" * 41 + "+_"),
        ("issuer_key_hash", "=" * 44),
        ("issuer_key_hash", "A" * 41 + "="),
        ("issuer_key_hash", "A" * 43 + "=="),
        ("issuer_key_hash", "A" * 10_000),
        ("serial_number", ""),
        ("serial_number", "0"),
        ("serial_number", "0x"),
        ("serial_number", "-5"),
        ("serial_number", " 5"),
        ("serial_number", "5g"),
        ("serial_number", "1_0"),
        ("serial_number", "\u0665"),
        ("serial_number", "ff" * 20),
        ("serial_number", "9" * 51),
        ("serial_number", "9" * 5000),
    ],
)
def test_a_field_that_cannot_be_read_is_named(site: Site, field: str, text: str) -> None:
    bad = replace(site.entries(2)[1], **{field: text})
    with pytest.raises(MalformedCertificate) as caught:
        site.judge([site.entries(1)[0], bad])
    assert (caught.value.code, caught.value.index) == ("malformed-hash-data", 1)
    camel = field.split("_")
    assert camel[0] + "".join(part.title() for part in camel[1:]) in str(caught.value)


@pytest.mark.parametrize("count", [0, 5])
def test_one_to_four_entries_are_judged(site: Site, count: int) -> None:
    with pytest.raises(ChainRejected) as caught:
        site.judge(site.entries(1) * count)
    assert caught.value.code == "hash-data-count"


def test_a_leaf_that_was_never_seen_is_unknown(site: Site) -> None:
    assert site.refusal(bindings=Bindings()) == "binding-unknown"
    leaf, sub2 = site.entries(2)
    assert site.refusal(sub2) == "binding-unknown"
    assert site.refusal(replace(leaf, serial_number="abcdef")) == "binding-unknown"
    assert site.refusal(replace(leaf, issuer_name_hash=sub2.issuer_name_hash)) == "binding-unknown"
    assert site.refusal(replace(leaf, issuer_key_hash=sub2.issuer_key_hash)) == "binding-unknown"


def test_the_same_serial_number_under_a_twin_of_the_issuer_is_not_the_leaf(site: Site) -> None:
    """Same names and serials, other keys: what a test PKI makes anew for each run."""
    twin = sound_branch()
    twin.leaf.serial, twin.sub2.serial = site.branch.leaf.serial, site.branch.sub2.serial
    leaf, *_ = twin_chain = [parse_certificate(der) for der in twin.mint()]
    assert leaf.subject_der == site.chain.leaf.subject_der
    assert site.refusal(named(leaf, twin_chain[1])) == "binding-unknown"


def test_an_entry_of_another_path_is_refused(site: Site) -> None:
    other = sound_branch()
    stranger = [parse_certificate(der) for der in other.mint()]
    assert site.refusal(*site.entries(1), named(stranger[1], stranger[2])) == "hash-data-foreign"
    sub2 = replace(site.entries(2)[1], serial_number="77aa")
    assert site.refusal(*site.entries(1), sub2) == "hash-data-foreign"


def second_leaf(site: Site, serial: int, emaid: str = "DEABC000000002D") -> Bindings:
    """The memory with another contract of the same sub-CA."""
    spec = Spec(name_of(emaid, dc="MO"), False, None, site.branch.leaf.usage, serial=serial)
    subs = [certificate.der for certificate in site.chain.path[1:3]]
    chain = site.branch.judge([spec.mint(site.branch.sub2), *subs], trust=site.trust)
    return site.bindings.learn(chain)


def test_digits_that_two_known_leafs_could_mean_are_ambiguous(branch: Branch) -> None:
    branch.leaf.serial = 0x1234
    site = Site(branch)
    digits = replace(site.entries(1)[0], serial_number="1234")
    assert site.judge([digits]).leaf_sha256 == site.chain.leaf.sha256
    both = second_leaf(site, 1234)
    assert site.refusal(digits, bindings=both) == "hash-data-ambiguous"
    told = replace(digits, serial_number="0x1234")
    assert site.judge([told], bindings=both).leaf_sha256 == site.chain.leaf.sha256


def test_two_leafs_at_once_are_ambiguous(site: Site) -> None:
    both = second_leaf(site, 0xABCDEF)
    entry = replace(site.entries(1)[0], serial_number="abcdef")
    assert site.refusal(*site.entries(1), entry, bindings=both) == "hash-data-ambiguous"
    assert site.judge([entry], "DEABC000000002", bindings=both).emaid.normal == "DEABC000000002"


@pytest.mark.parametrize(("which", "issuer", "index"), [("leaf", "sub2", 0), ("sub2", "sub1", 1), ("sub1", "root", 2)])
def test_a_certificate_of_the_path_that_was_revoked_since_refuses(
    site: Site, which: str, issuer: str, index: int
) -> None:
    b = site.branch
    listed = list_of(getattr(b, issuer), getattr(b, which).serial, number=9)
    with pytest.raises(ChainRejected) as caught:
        site.judge(site.entries(1), evidence=RevocationEvidence([*clean_lists(b), listed]))
    assert (caught.value.code, caught.value.index) == ("revoked", index)


def test_answers_are_evidence_as_lists_are(site: Site) -> None:
    lists = clean_lists(site.branch)[1:]
    good, revoked = (answer_of(site.branch, status=status) for status in ("good", "revoked"))
    leaf, issuer = site.chain.leaf.der, site.chain.path[1].der
    made = [replace(answer, leaf=leaf, issuer=issuer).make() for answer in (good, revoked)]
    assert site.judge(evidence=RevocationEvidence(lists, made[:1])).revocation is RevocationState.GOOD
    assert site.refusal(evidence=RevocationEvidence(lists, made[1:])) == "revoked"


def test_without_evidence_there_is_no_acceptance(site: Site) -> None:
    assert site.refusal(evidence=RevocationEvidence()) == "revocation-unknown"
    partly = RevocationEvidence(clean_lists(site.branch)[:2])
    with pytest.raises(ChainRejected) as caught:
        site.judge(evidence=partly)
    assert (caught.value.code, caught.value.index) == ("revocation-unknown", 2)
    forged = RevocationEvidence([list_of(site.branch.sub2, key=sound_branch().sub2.key)])
    with pytest.raises(ChainRejected) as caught:
        site.judge(evidence=forged)
    assert [finding.code for finding in caught.value.findings] == ["crl-unusable", "revocation-unknown"]


def test_stale_evidence_needs_an_explicit_grace(site: Site) -> None:
    at = AT + 3 * DAY
    assert site.refusal(at=at) == "revocation-stale"
    assert site.refusal(at=at, grace=Grace(DAY)) == "revocation-stale"
    found = site.judge(at=at, grace=Grace(2 * DAY))
    assert found.revocation is RevocationState.STALE
    assert [finding.code for finding in found.findings] == ["revocation-grace"]
    assert site.refusal(evidence=RevocationEvidence(), grace=Grace(99 * DAY)) == "revocation-unknown"


def test_a_revoked_leaf_is_told_as_revoked_even_when_it_was_never_seen(site: Site) -> None:
    listed = RevocationEvidence([list_of(site.branch.sub2, site.branch.leaf.serial)])
    issuers = site.chain.path[1:3]
    assert site.refusal(evidence=listed, bindings=Bindings()) == "binding-unknown"
    assert site.refusal(evidence=listed, bindings=Bindings(), issuers=issuers) == "revoked"
    entry = replace(site.entries(1)[0], serial_number="1234")
    one_reading = RevocationEvidence([list_of(site.branch.sub2, 1234)])
    both_readings = RevocationEvidence([list_of(site.branch.sub2, 1234, 0x1234)])
    assert site.refusal(entry, evidence=one_reading) == "binding-unknown"
    assert site.refusal(entry, evidence=both_readings) == "revoked"


def test_time_and_trust_are_those_of_today(site: Site) -> None:
    assert site.refusal(at=site.chain.leaf.not_after + timedelta(seconds=1)) == "expired"
    assert site.refusal(at=site.chain.leaf.not_before - timedelta(seconds=1)) == "not-yet-valid"
    assert site.refusal(trust=TrustStore.from_der({})) == "anchor-unknown"
    assert site.refusal(trust=TrustStore.from_der({AnchorRole.OEM: [site.chain.path[-1].der]})) == "anchor-unknown"
    with pytest.raises(ValueError, match="aware"):
        site.judge(at=AT.replace(tzinfo=None))


def test_a_verdict_is_built_by_judging_only(site: Site) -> None:
    found = site.judge()
    fields = {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "token"}
    with pytest.raises(TypeError):
        HashVerdict(**fields, token=None)


def test_the_memory_is_bounded_and_forgets_the_oldest(site: Site) -> None:
    memory, chains = Bindings(limit=3), []
    subs = [certificate.der for certificate in site.chain.path[1:3]]
    for serial in (7, 7, 8, 9):
        spec = Spec(name_of("DEABC000000002D", dc="MO"), False, None, site.branch.leaf.usage, serial=serial)
        chains.append(site.branch.judge([spec.mint(site.branch.sub2), *subs], trust=site.trust))
        before, memory = memory, memory.learn(chains[-1])
        assert len(memory) == min(len(before) + 1, 3)
    assert [binding.leaf_sha256 for binding in memory.with_serial(7)] == [chains[1].leaf.sha256]
    assert memory.learn(chains[3]) is memory
    assert len(memory.learn(chains[0])) == 3
    assert memory.learn(chains[0]).with_serial(7)[0].leaf_sha256 == chains[0].leaf.sha256
    assert memory.issuers() == frozenset(chains[0].path[1:])
    assert memory.ends() == {"DEABC000000002": max(chain.not_after for chain in chains[1:])}
    assert Bindings().ends() == {}
    assert len(Bindings(limit=0).learn(chains[0])) == 0
    assert len(Bindings()) == 0


def test_the_issuers_in_memory_are_bounded_too(branch: Branch) -> None:
    memory = Bindings(limit=2)
    for _ in range(4):
        branch.sub2.serial += 1
        branch.leaf.serial += 1
        memory = memory.learn(branch.judge())
    assert len(memory) == 2
    assert len(memory.issuers()) == 6


def test_a_leaf_that_comes_again_with_another_path_replaces_its_binding(site: Site) -> None:
    subs = [site.branch.sub2.mint(site.branch.sub1), site.branch.sub1.mint(site.branch.root)]
    again = site.branch.judge([site.chain.leaf.der, *subs], trust=site.trust)
    renewed = site.bindings.learn(again)
    assert renewed is not site.bindings
    assert len(renewed) == 1
    assert renewed.with_serial(site.chain.leaf.serial)[0].issuers == again.path[1:]
    assert len(renewed.issuers()) == 5


def test_a_chain_without_an_emaid_is_not_remembered(lab_chain, lab_trust) -> None:
    secc = verify(lab_chain("secc/secc-1.pem"), profile=profile_named("iso15118-2-secc"), trust=lab_trust, at=AT)
    assert len(Bindings().learn(secc)) == 0


@given(octets=st.binary(min_size=32, max_size=32))
def test_every_spelling_of_a_hash_is_that_hash(octets: bytes) -> None:
    for spell in (
        plain_hex,
        upper_hex,
        padded_base64,
        base64url,
        prefixed_hex,
        lambda raw: base64.urlsafe_b64encode(raw).decode(),
    ):
        assert read_hash(spell(octets), 32) == octets


@given(text=st.text(max_size=90) | st.text("0123456789abcdefABCDEFx+/-_=", max_size=90))
def test_any_text_is_read_or_refused_and_never_in_two_ways(text: str) -> None:
    found = read_hash(text, 32)
    if found is not None:
        assert (
            text
            in {
                spelling
                for spell in (
                    plain_hex,
                    upper_hex,
                    padded_base64,
                    base64url,
                    prefixed_hex,
                    lambda raw: base64.urlsafe_b64encode(raw).decode(),
                )
                for spelling in (spell(found), spell(found).rstrip("="))
            }
            or text.lower().removeprefix("0x") == found.hex()
        )
    for serial in read_serial(text):
        assert 0 < serial < 2**159
        assert text.lower().removeprefix("0x").lstrip("0") in (f"{serial:x}", str(serial))


@given(data=st.data())
def test_any_entry_is_read_or_our_error(data: st.DataObject) -> None:
    entry = HashData(
        hash_algorithm=data.draw(st.sampled_from(("SHA256", "SHA384", "SHA512")) | st.text(max_size=8)),
        issuer_name_hash=data.draw(st.text(max_size=130)),
        issuer_key_hash=data.draw(st.text("0123456789abcdef", max_size=130)),
        serial_number=data.draw(st.text(max_size=60)),
    )
    try:
        found = read_hash_data(entry, 0)
    except MalformedCertificate as error:
        code = error.code
    else:
        code = "read" if found.serials else "no serial number"
    assert code in ("read", "malformed-hash-data")


# --- hashes beside a chain


def test_hashes_beside_a_chain_name_it_in_any_order_and_number(site: Site) -> None:
    path = site.chain.path
    for count in (1, 2, 3, 4):
        check_names_path(site.entries(count), path)
        check_names_path(site.entries(count, name="sha512", spell=base64url)[::-1], path)


@pytest.mark.parametrize(
    ("pick", "code", "index"),
    [
        (lambda mine, other: [], "hash-data-count", None),
        (lambda mine, other: [*mine, mine[0]], "hash-data-count", None),
        (lambda mine, other: [mine[0], other[0]], "hash-data-foreign", 1),
        (lambda mine, other: other[:1], "hash-data-foreign", 0),
        (lambda mine, other: mine[1:], "hash-data-foreign", 0),
    ],
)
def test_hashes_beside_a_chain_that_name_another_are_refused(
    site: Site, pick: Callable[..., list[HashData]], code: str, index: int | None
) -> None:
    other = replace(site.entries(1)[0], serial_number="77")
    with pytest.raises(ChainRejected) as caught:
        check_names_path(pick(site.entries(4), [other]), site.chain.path)
    assert (caught.value.code, caught.value.index) == (code, index)


def test_hashes_beside_a_chain_that_cannot_be_read_are_refused(site: Site) -> None:
    with pytest.raises(MalformedCertificate):
        check_names_path([replace(site.entries(1)[0], issuer_name_hash="zz")], site.chain.path)

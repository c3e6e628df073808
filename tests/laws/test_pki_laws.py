"""Laws of trust: changed bytes are never accepted, junk raises nothing but our errors, check characters catch slips."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings, strategies as st

from pki.certificate import parse_certificate
from pki.errors import IdentifierError, MalformedCertificate, PKIError, TrustError
from pki.identifiers import emaid_check_character, parse_emaid, parse_evseid
from pki.issue.keys import parse_key_pem
from pki.issue.lab import build_lab, parse_declaration
from pki.pem import encode_pem, parse_chain_pem
from pki.profiles import AnchorRole, profile_named
from pki.service.show import chain_tree, crl_tree
from pki.verify import RevocationEvidence, RevocationState, TrustStore, VerifiedChain, verify
from pki.verify.crl import parse_crl
from tests.pki.mint import Key, content_of, sign, sound_branch, split, tlv

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LAB = build_lab(parse_declaration((Path(__file__).parents[2] / "certs" / "lab.toml").read_bytes()), AT)
CONTRACT = profile_named("iso15118-2-contract")
TRUST = TrustStore.from_der({AnchorRole.MO: parse_chain_pem(LAB.files["trust/mo/mo.pem"].content)})
CHAIN = parse_chain_pem(LAB.files["contracts/alice.pem"].content)
CRL = LAB.files["crls/mo-sub2.crl"].content
EVIDENCE = RevocationEvidence([file.content for path, file in LAB.files.items() if path.startswith("crls/")])
LEAF, REVOKED = (parse_chain_pem(LAB.files[f"contracts/{name}.pem"].content)[0] for name in ("alice", "revoked"))
BRANCH = sound_branch()
NORMAL = st.from_regex(r"\A[A-Z]{2}[0-9A-Z]{12}\Z")


def judged(chain: tuple[bytes, ...], evidence: RevocationEvidence | None = None) -> VerifiedChain:
    return verify(chain, profile=CONTRACT, trust=TRUST, at=AT, revocation=evidence)


@st.composite
def changed(draw: st.DrawFn, original: bytes) -> bytes:
    """`original` with some octets overwritten, inserted or taken out; never the original itself."""
    octets = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(octets) - 1)))
        match draw(st.sampled_from(("overwrite", "insert", "remove", "cut"))):
            case "overwrite":
                octets[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "insert":
                octets[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "remove":
                del octets[at : at + draw(st.integers(1, 4))]
            case _:
                del octets[max(1, at) :]
    found = bytes(octets)
    return found if found != original else found + b"\0"


def test_the_unchanged_chain_is_accepted() -> None:
    assert judged(CHAIN, EVIDENCE).revocation is RevocationState.GOOD


@pytest.mark.parametrize("index", [0, 1, 2])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_certificate_is_refused_with_our_error(index: int, data: st.DataObject) -> None:
    der = data.draw(changed(CHAIN[index]))
    with pytest.raises(PKIError) as caught:
        judged((*CHAIN[:index], der, *CHAIN[index + 1 :]), EVIDENCE)
    assert caught.value.code
    assert str(caught.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_single_bit_counts(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, 2))
    bit = data.draw(st.integers(0, len(CHAIN[index]) * 8 - 1))
    octets = bytearray(CHAIN[index])
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PKIError):
        judged((*CHAIN[:index], bytes(octets), *CHAIN[index + 1 :]))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_list_neither_frees_nor_revokes(data: st.DataObject) -> None:
    der = data.draw(changed(CRL))
    try:
        evidence = RevocationEvidence([der])
    except TrustError:
        return
    issuer = parse_certificate(CHAIN[1])
    for certificate in (LEAF, REVOKED):
        assert evidence.state(issuer, parse_certificate(certificate), AT).state is RevocationState.UNKNOWN


@settings(max_examples=200, deadline=None)
@given(junk=st.one_of(st.binary(max_size=300), changed(b"\x30\x82\x01\x00" + bytes(256))))
def test_junk_raises_our_errors_only(junk: bytes) -> None:
    with pytest.raises(MalformedCertificate):
        parse_certificate(junk)
    with pytest.raises(TrustError):
        parse_crl(junk)
    with pytest.raises(PKIError):
        judged((junk, *CHAIN[1:]))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_pem_gives_the_same_chain_or_is_refused(data: st.DataObject) -> None:
    """White space may change; anything else must not pass as another chain."""
    text = "".join(encode_pem(der) for der in CHAIN).encode()
    try:
        found = judged(parse_chain_pem(data.draw(changed(text))))
    except PKIError:
        return
    assert tuple(certificate.der for certificate in found.path[:3]) == CHAIN


@given(order=st.permutations(range(3)))
def test_only_leaf_first_is_accepted(order: list[int]) -> None:
    chain = tuple(CHAIN[index] for index in order)
    if order[0] == 0:
        assert judged(chain).leaf.der == CHAIN[0]
        return
    with pytest.raises(PKIError):
        judged(chain)


@settings(max_examples=200)
@given(normal=NORMAL, position=st.integers(0, 13), other=st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_a_check_character_catches_a_wrong_character_and_a_swap(normal: str, position: int, other: str) -> None:
    check = emaid_check_character(normal)
    if normal[position] != other:
        assert emaid_check_character(normal[:position] + other + normal[position + 1 :]) != check
    swapped = [*normal]
    swapped[position - 1 : position + 1] = reversed(swapped[position - 1 : position + 1])
    if position and "".join(swapped) != normal:
        assert emaid_check_character("".join(swapped)) != check


@settings(max_examples=200)
@given(normal=NORMAL, hyphens=st.booleans(), lower=st.booleans(), with_check=st.booleans())
def test_every_spelling_of_an_emaid_is_the_same_emaid(
    normal: str, hyphens: bool, lower: bool, with_check: bool
) -> None:
    parts = [normal[:2], normal[2:5], normal[5:]] + ([emaid_check_character(normal)] if with_check else [])
    text = ("-" if hyphens else "").join(parts)
    found = parse_emaid(text.lower() if lower else text, strict=True)
    assert (found.normal, found.check_valid) == (normal, True)


@settings(max_examples=200)
@given(text=st.text(max_size=40))
def test_any_text_is_an_identifier_or_our_error(text: str) -> None:
    for parse in (parse_emaid, parse_evseid):
        try:
            found = parse(text)
        except IdentifierError:
            continue
        assert parse(str(found)).normal == found.normal


def signed_again(signed: bytes, key: Key) -> bytes:
    """The content as it is, rightly signed: what a careless or hostile CA could really send."""
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return tlv(0x30, signed + algorithm + tlv(0x03, b"\0" + sign(key, hashes.SHA256(), signed)))


def spoilt(data: st.DataObject, der: bytes) -> bytes:
    """The signed part of `der` with octets changed and its own length right again."""
    content = content_of(split(content_of(der))[0])
    return tlv(0x30, data.draw(changed(content)))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_rightly_signed_odd_certificate_raises_our_errors_only(data: st.DataObject) -> None:
    leaf, *subs = BRANCH.mint()
    odd = signed_again(spoilt(data, leaf), BRANCH.sub2.key)
    try:
        found = BRANCH.judge([odd, *subs])
        assert str(chain_tree(found.path).label)
    except PKIError:
        return
    assert found.emaid is not None


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_rightly_signed_odd_list_raises_our_errors_only(data: st.DataObject) -> None:
    issuer = parse_certificate(CHAIN[1])
    key = parse_key_pem(LAB.files["ca/mo-sub2.key.pem"].content)
    odd = signed_again(spoilt(data, CRL), key)
    try:
        state = RevocationEvidence([odd]).state(issuer, parse_certificate(REVOKED), AT).state
        assert str(crl_tree(parse_crl(odd)).label)
    except TrustError:
        return
    assert state in RevocationState

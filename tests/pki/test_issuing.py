"""The authority, the declaration and the lab: what they refuse, and that what they make is what was declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pki.certificate import parse_certificate
from pki.errors import ChainRejected, DeclarationError, IssueError, UnknownProfile
from pki.issue.authority import Authority, LeafOrder, Subject, Validity, authority_for, create_root
from pki.issue.declaration import parse_declaration
from pki.issue.keys import encode_key_pem, fresh_serial, generate_key, parse_key_pem
from pki.issue.lab import Lab, LeafEntry, build_lab
from pki.profiles import PROFILE_NAMES, profile_named
from pki.verify import RevocationEvidence, TrustStore, VerifiedChain, verify
from tests.pki.conftest import LAB_TOML
from tests.pki.mint import AT

CONTRACT = profile_named("iso15118-2-contract")
DECADE = Validity(AT - timedelta(days=10), AT + timedelta(days=3650))
YEAR = Validity(AT, AT + timedelta(days=365))


@pytest.fixture(scope="module")
def sub2() -> Authority:
    """An MO Sub2 with Sub1 and root above it."""
    root = create_root(Subject(common_name="Root"), generate_key(), DECADE, fresh_serial(), CONTRACT)
    sub1 = root.sub_authority(Subject(common_name="Sub1"), generate_key(), DECADE, fresh_serial())
    return sub1.sub_authority(Subject(common_name="Sub2"), generate_key(), DECADE, fresh_serial())


def order(common_name: str = "DEABC000000001", validity: Validity = YEAR, **subject: str) -> LeafOrder:
    return LeafOrder(
        subject=Subject(common_name=common_name, **subject),
        public_key=generate_key().public_key(),
        validity=validity,
        serial=fresh_serial(),
    )


def test_every_leaf_of_the_lab_is_judged_as_declared(
    made_lab: Lab,
    lab_chain: Callable[[str], tuple[bytes, ...]],
    lab_trust: TrustStore,
    lab_evidence: RevocationEvidence,
) -> None:
    seen = set()
    for folder, profile in (
        ("contracts", "iso15118-2-contract"),
        ("secc", "iso15118-2-secc"),
        ("oem", "iso15118-2-oem"),
        ("cps", "iso15118-2-cps"),
        ("contracts-20", "iso15118-20-contract"),
        ("contracts-448", "iso15118-20-contract"),
        ("secc-20", "iso15118-20-secc"),
        ("oem-20", "iso15118-20-oem"),
        ("vehicle-20", "iso15118-20-vehicle"),
        ("cps-20", "iso15118-20-cps"),
    ):
        entries = msgspec.json.decode(made_lab.files[f"{folder}/{folder}.json"].content, type=list[LeafEntry])
        for entry in entries:
            said = verdict_of(lab_chain(entry.chain), profile, lab_trust, lab_evidence, entry.emaid)
            expected = {"good": {"accepted"}, "revoked": {"revoked"}, "expired": {"expired"}, "forged": {"signature"}}
            assert said in expected[entry.state], entry.name
            assert made_lab.files[entry.key].mode == 0o600
            seen.add((folder, entry.state.value))
    assert {state for folder, state in seen if folder == "contracts"} == {"good", "revoked", "expired", "forged"}


def verdict_of(
    chain: tuple[bytes, ...], profile: str, trust: TrustStore, evidence: RevocationEvidence, emaid: str | None
) -> str:
    try:
        verify(
            chain,
            profile=profile_named(profile),
            trust=trust,
            at=AT,
            revocation=evidence,
            emaid=emaid,
            require_revocation=True,
        )
    except ChainRejected as error:
        return error.code
    return "accepted"


def test_forged_chains_differ_from_the_real_ones_by_signatures_only(
    made_lab: Lab, lab_chain: Callable[[str], tuple[bytes, ...]]
) -> None:
    real, forged, half = (
        [parse_certificate(der) for der in lab_chain(f"contracts/{name}.pem")]
        for name in ("alice", "forged", "forged-sub2")
    )
    assert [c.subject_der for c in forged] == [c.subject_der for c in real]
    assert [c.issuer_der for c in forged] == [c.issuer_der for c in real]
    assert forged[2].authority_key_identifier == real[2].authority_key_identifier
    assert {c.spki_der for c in forged}.isdisjoint(c.spki_der for c in real)
    assert half[2] == real[2]
    assert half[1] != real[1]


def test_backend_certificates_carry_names_and_usages(
    made_lab: Lab, lab_chain: Callable[[str], tuple[bytes, ...]], lab_trust: TrustStore
) -> None:
    (hub,) = lab_chain("backend/hub.pem")
    names = x509.load_der_x509_certificate(hub).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert "127.0.0.1" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    server, client = profile_named("backend-server"), profile_named("backend-client")
    assert isinstance(verify((hub,), profile=server, trust=lab_trust, at=AT), VerifiedChain)
    assert not verify(lab_chain("backend/site-1.pem"), profile=client, trust=lab_trust, at=AT).findings
    with pytest.raises(ChainRejected):
        verify((hub,), profile=CONTRACT, trust=lab_trust, at=AT)


def test_private_keys_of_the_lab_are_for_their_owner_only(made_lab: Lab) -> None:
    for path, file in made_lab.files.items():
        assert (file.mode == 0o600) == (b"PRIVATE KEY" in file.content) == path.endswith(".key.pem")


def test_every_ca_has_a_list(made_lab: Lab) -> None:
    cas = {
        path[3:-4] for path in made_lab.files if path.startswith("ca/") and path.endswith(".pem") and ".key" not in path
    }
    assert cas == {path[5:-4] for path in made_lab.files if path.startswith("crls/")}
    assert len(cas) == 28


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("crl_days = 30", "crl_dayz = 30"), "crl_dayz"),
        (("crl_days = 30", 'crl_days = "30"'), "crl_days"),
        (("crl_days = 30", "crl_days = 0"), "crl_days"),
        (('publication = "http://pki.lab.invalid"', ""), "publication"),
        (('publication = "http://pki.lab.invalid"', 'publication = "ftp://lab"'), "publication"),
        (('key = "ed448"', 'key = "secp384r1"'), "secp384r1"),
        (('key = "ed448"', 'key = "secp256r1"'), "refuses"),
        (('root = "mo"', 'root = "nowhere"'), "nowhere"),
        (('root = "mo"', 'root = "oem"'), "refuses"),
        (('profile = "iso15118-2-cps"', 'profile = "iso15118-3-cps"'), "iso15118-2-contract"),
        (('name = "bob"', 'name = "alice"'), "'alice' is declared twice"),
        (('name = "bob"', 'name = "../bob"'), "leaf"),
        (('folder = "cps"', 'folder = "ca"'), "taken"),
        (('forgery = "sub2"', ""), "forged-sub2"),
        (('"127.0.0.1"', '"127.0.0.256"'), "127.0.0.256"),
        (("[backend]", "[backend"), "line"),
        (('role = "mo"', 'role = "mo2"'), "mo2"),
        (('role = "v2g"', 'role = "pe"'), "refuses above sub-CAs"),
    ],
)
def test_a_declaration_with_a_mistake_names_it(change: tuple[str, str], told: str) -> None:
    text = LAB_TOML.read_text()
    assert change[0] in text
    with pytest.raises(DeclarationError) as caught:
        parse_declaration(text.replace(change[0], change[1], 1))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('common_name = "DEABC000000001G"', 'common_name = "DEABC000000001A"'), "alice"),
        (('common_name = "WVWABCDEFGH1234567"', 'common_name = "WVW"'), "car-1"),
        (("ca_age_days = 800", "ca_age_days = 8"), "expired"),
        (('country = "DE"', 'country = "Germany"'), "root"),
    ],
)
def test_a_declaration_that_cannot_be_made_names_the_certificate(change: tuple[str, str], told: str) -> None:
    text = LAB_TOML.read_text()
    assert change[0] in text
    with pytest.raises(DeclarationError) as caught:
        build_lab(parse_declaration(text.replace(change[0], change[1], 1)), AT)
    assert told in str(caught.value)


def test_the_authority_refuses_a_wrong_check_character(sub2: Authority) -> None:
    with pytest.raises(IssueError) as caught:
        sub2.issue(order("UKSWI123456791A"))
    assert caught.value.code == "emaid-check-character"
    with pytest.raises(IssueError) as caught:
        sub2.issue(order("Alice"))
    assert caught.value.code == "emaid-format"


def test_a_child_lives_inside_its_issuers_life(sub2: Authority) -> None:
    for validity in (Validity(AT - timedelta(days=11), AT), Validity(AT, AT + timedelta(days=3651))):
        with pytest.raises(IssueError) as caught:
            sub2.issue(order(validity=validity))
        assert caught.value.code == "validity"


def test_only_sub2_signs_leafs_and_only_two_sub_cas_stand_below_a_root(sub2: Authority) -> None:
    root = create_root(Subject(common_name="Root"), generate_key(), DECADE, fresh_serial(), CONTRACT)
    sub1 = root.sub_authority(Subject(common_name="Sub1"), generate_key(), DECADE, fresh_serial())
    for wrong in (root, sub1):
        with pytest.raises(IssueError) as caught:
            wrong.issue(order())
        assert caught.value.code == "depth"
    with pytest.raises(IssueError) as caught:
        sub2.sub_authority(Subject(common_name="Sub3"), generate_key(), DECADE, fresh_serial())
    assert caught.value.code == "depth"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"domain_component": "CPO"}, "profile"),
        ({"organization": "x" * 400}, "profile"),
        ({"country": "DEU"}, "subject"),
    ],
)
def test_what_the_profile_does_not_allow_never_leaves(sub2: Authority, wrong: dict[str, str], code: str) -> None:
    with pytest.raises(IssueError) as caught:
        sub2.issue(order(**wrong))
    assert caught.value.code == code


def test_a_leaf_over_800_bytes_never_leaves(sub2: Authority) -> None:
    long = replace(order(), dns_names=tuple(f"name-{number}.example.test" for number in range(20)))
    with pytest.raises(IssueError) as caught:
        sub2.issue(long)
    assert (caught.value.code, caught.value.clause) == ("profile", "ISO 15118-2 V2G2-010")


def test_impossible_dates_and_serials_are_refused(sub2: Authority) -> None:
    for wrong in (replace(order(), validity=Validity(AT, AT - timedelta(days=1))), replace(order(), serial=0)):
        with pytest.raises(IssueError) as caught:
            sub2.issue(wrong)
        assert caught.value.code == "request"


def test_keys_round_trip_and_foreign_keys_are_refused(sub2: Authority) -> None:
    key = generate_key()
    text = encode_key_pem(key)
    assert parse_key_pem(text).private_numbers() == key.private_numbers()
    foreign = ec.generate_private_key(ec.SECP384R1())
    encoded = [serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8]
    for wrong in (
        b"",
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        foreign.private_bytes(*encoded, serialization.NoEncryption()),
        key.private_bytes(*encoded, serialization.BestAvailableEncryption(b"secret")),
    ):
        with pytest.raises(IssueError) as caught:
            parse_key_pem(wrong)
        assert caught.value.code == "malformed-key"
    with pytest.raises(IssueError):
        authority_for(sub2.certificate, key, CONTRACT, sub2.above)


def test_profile_names_are_listed_for_a_wrong_one() -> None:
    with pytest.raises(UnknownProfile) as caught:
        profile_named("iso15118-2")
    assert all(name in str(caught.value) for name in PROFILE_NAMES)


def test_only_verify_builds_a_verified_chain(
    lab_chain: Callable[[str], tuple[bytes, ...]], lab_trust: TrustStore
) -> None:
    found = verify(lab_chain("contracts/alice.pem"), profile=CONTRACT, trust=lab_trust, at=AT)
    values = {name: getattr(found, name) for name in found.__struct_fields__ if name != "token"}
    with pytest.raises(TypeError):
        VerifiedChain(**values, token=object())
    with pytest.raises((TypeError, ValueError)):
        msgspec.structs.replace(found, profile="iso15118-20-contract")

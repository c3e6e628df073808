"""Defects that a reader of the verifier thought of, each refused now."""

from __future__ import annotations

import pytest
from cryptography import x509

from pki.certificate import parse_certificate
from pki.errors import ChainRejected, MalformedCertificate
from pki.profile import AnchorRole, Place
from pki.profiles import profile_named
from pki.verify import TrustStore, lint_certificate
from tests.pki.mint import Branch, sound_branch, sound_branch_20
from tests.pki.spoil import adding, common_names, only, set_on

STRANGER = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Stranger")])


def code_of(branch: Branch) -> str:
    chain = branch.mint()
    trust = TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})
    try:
        branch.judge(chain, trust=trust)
    except (ChainRejected, MalformedCertificate) as error:
        return error.code
    return "accepted"


@pytest.mark.parametrize("make", [sound_branch, sound_branch_20])
@pytest.mark.parametrize(
    "extension",
    [
        (x509.NameConstraints(None, [x509.DNSName("example.com")]), True),
        (x509.NameConstraints(None, [x509.DNSName("example.com")]), False),
        (x509.PolicyConstraints(0, None), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
    ],
)
def test_root_that_limits_what_stands_below_it_ends_no_path(make, extension) -> None:  # type: ignore[no-untyped-def]
    branch = make()
    assert code_of(branch) == "accepted"
    adding("root", extension)(branch)
    assert code_of(branch) == "extension"


def test_issuer_name_in_the_key_identifier_is_compared() -> None:
    branch = sound_branch()
    set_on("leaf", aki=False)(branch)
    named = [x509.DirectoryName(STRANGER)]
    adding("leaf", (x509.AuthorityKeyIdentifier(None, named, branch.sub2.serial), False))(branch)
    assert code_of(branch) == "name-chain"


@pytest.mark.parametrize("tag", [0x04, 0x12, 0x1A])
def test_common_name_of_a_type_that_is_no_usual_text_is_refused(tag: int) -> None:
    branch = sound_branch()
    branch.leaf.surgery = common_names(b"DEABC000000001", tag=tag)
    assert code_of(branch) in ("subject", "malformed-certificate")


def test_certificate_reads_alike_whatever_the_type() -> None:
    certificate = parse_certificate(sound_branch().mint()[0])
    assert all(attribute.text for attribute in certificate.subject)


@pytest.mark.parametrize("component", [" CPO", "CPO ", "cpo"])
def test_domain_component_of_another_role_is_refused_however_it_is_spaced(component: str) -> None:
    branch = sound_branch()
    named = x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, component)
    branch.leaf.name = x509.Name([*branch.leaf.name, named])
    assert code_of(branch) == "subject"


def test_empty_pointer_is_no_pointer() -> None:
    branch = sound_branch_20()
    empty = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.1"), b"\x30\x00")
    only("leaf", (empty, False))(branch)
    assert code_of(branch) in ("revocation-pointer", "malformed-certificate")


@pytest.mark.parametrize("make", [sound_branch, sound_branch_20])
@pytest.mark.parametrize("component", ["CPO\0", "\u200bCPO", "\uff23\uff30\uff2f", "C\tPO", "\u00a0MO", "MO\n"])
def test_domain_component_that_hides_what_it_names_is_refused(make, component: str) -> None:  # type: ignore[no-untyped-def]
    branch = make()
    named = x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, component)
    branch.leaf.name = x509.Name([*branch.leaf.name, named])
    assert code_of(branch) == "subject"


def test_lint_tells_such_a_domain_component_and_goes_on() -> None:
    branch = sound_branch()
    branch.leaf.name = x509.Name([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "CPO\0")])
    found = lint_certificate(parse_certificate(branch.mint()[0]), profile_named(branch.profile), Place.LEAF)
    assert [(finding.code, finding.found) for finding in found] == [("subject", r"'CPO\x00'"), ("subject", "0")]


@pytest.mark.parametrize("make", [sound_branch, sound_branch_20])
@pytest.mark.parametrize("place", ["root", "sub1", "sub2"])
def test_issuer_without_a_name_is_refused(make, place: str) -> None:  # type: ignore[no-untyped-def]
    branch = make()
    set_on(place, name=x509.Name([]))(branch)
    assert code_of(branch) == "name-chain"

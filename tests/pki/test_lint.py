"""Lint: every deviation of one certificate, by the row that was named or that it tells itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from pki.__main__ import main
from pki.certificate import Certificate, parse_certificate
from pki.errors import Severity, UnknownProfile
from pki.issue.lab import Lab
from pki.pem import encode_pem, parse_chain_pem
from pki.profile import Place
from pki.profiles import PROFILE_NAMES
from pki.verify.lint import choose_row, lint_chain
from pki.verify.policy import parse_policy
from pki.verify.remedies import REMEDIES
from tests.pki.mint import CA_USAGE, Branch, Spec, name_of, sound_branch
from tests.pki.spoil import UNKNOWN

LAB_LEAFS = {
    "contracts/alice.pem": "iso15118-2-contract",
    "secc/secc-1.pem": "iso15118-2-secc",
    "oem/car-1.pem": "iso15118-2-oem",
    "cps/cps-1.pem": "iso15118-2-cps",
    "contracts-20/dora.pem": "iso15118-20-contract",
    "contracts-448/emil.pem": "iso15118-20-contract",
    "secc-20/secc-20.pem": "iso15118-20-secc",
    "oem-20/car-20.pem": "iso15118-20-oem",
    "vehicle-20/vehicle-20.pem": "iso15118-20-vehicle",
    "cps-20/cps-20.pem": "iso15118-20-cps",
}


def run(*arguments: str | Path) -> Result:
    found = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def minted(spec: Spec, branch: Branch) -> Certificate:
    return parse_certificate(spec.mint(branch.sub2))


@pytest.mark.parametrize(("path", "profile"), LAB_LEAFS.items())
def test_the_labs_chains_tell_their_rows_and_keep_them(made_lab: Lab, path: str, profile: str) -> None:
    chain = [parse_certificate(der) for der in parse_chain_pem(made_lab.files[path].content)]
    reports = lint_chain(chain)
    assert [report.row.profile.name for report in reports] == [profile] * len(chain)
    assert [report.row.place for report in reports] == [Place.LEAF, Place.SUB2, Place.SUB1][: len(chain)]
    assert [report.findings for report in reports] == [()] * len(chain)
    assert all(report.row.guessed for report in reports)


@pytest.mark.parametrize("role", ["mo", "v2g", "oem"])
def test_a_root_keeps_its_row(made_lab: Lab, role: str) -> None:
    (root,) = parse_chain_pem(made_lab.files[f"trust/{role}/{role}.pem"].content)
    (report,) = lint_chain([parse_certificate(root)])
    assert (report.row.place, report.findings) == (Place.ROOT, ())


def test_every_deviation_is_listed_not_only_the_first(branch: Branch) -> None:
    leaf = Spec(
        name_of("Alice", dc="MO"),
        True,
        3,
        CA_USAGE,
        usage_critical=False,
        basic_critical=False,
        extra=[(UNKNOWN, True)],
    )
    (report,) = lint_chain([minted(leaf, branch)], role="contract")
    codes = [finding.code for finding in report.findings]
    assert codes == [
        "ca-flag",
        "path-length",
        "basic-constraints",
        "key-usage",
        "key-usage",
        "extension",
        "emaid-format",
    ]
    assert report.refused == 7
    assert all(finding.index == 0 and finding.step is None for finding in report.findings)


def test_severity_is_the_profiles_and_the_policys(branch: Branch) -> None:
    branch.leaf.aki = False
    certificate = minted(branch.leaf, branch)
    for switches, severity in ((["aki-missing"], Severity.TOLERATED), (["no-aki-missing"], Severity.REFUSED)):
        (report,) = lint_chain([certificate], policy=parse_policy(switches))
        assert [(finding.code, finding.severity) for finding in report.findings] == [("aki-missing", severity)]
    assert lint_chain([certificate])[0].refused == 0
    assert lint_chain([certificate], profile="iso15118-20-contract")[0].refused > 3


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda leaf: None, "contract"),
        (lambda leaf: setattr(leaf, "name", name_of("DEABC000000001")), "contract"),
        (lambda leaf: setattr(leaf, "name", name_of("DE*ABC*E1")), "secc"),
        (lambda leaf: setattr(leaf, "name", name_of("WVWABCDEFGH123456")), "oem"),
        (lambda leaf: setattr(leaf, "name", name_of("anything", dc="cps")), "cps"),
        (lambda leaf: setattr(leaf, "name", name_of("anything", dc="example")), "contract"),
        (lambda leaf: setattr(leaf, "name", name_of("", dc="OEM")), "oem"),
        (
            lambda leaf: (
                setattr(leaf, "name", name_of("x")),
                leaf.extra.append((x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")]), False)),
            ),
            "secc",
        ),
    ],
)
def test_a_leaf_tells_its_role(branch: Branch, change: Callable[[Spec], object], row: str) -> None:
    change(branch.leaf)
    found = choose_row(minted(branch.leaf, branch))
    assert (found.profile.role, found.place) == (row, Place.LEAF)
    assert found.guessed


def test_a_named_row_is_not_guessed(branch: Branch) -> None:
    leaf, sub2, sub1 = (parse_certificate(der) for der in branch.mint())
    assert choose_row(leaf, role="secc").profile.name == "iso15118-2-secc"
    assert choose_row(leaf, role="vehicle").profile.name == "iso15118-20-vehicle"
    assert choose_row(sub2, profile="iso15118-2-oem", role="sub2").guessed is None
    assert choose_row(sub1, role="sub1").place is Place.SUB1
    assert choose_row(leaf, profile="iso15118-2-cps").profile.name == "iso15118-2-cps"
    first, second, _ = lint_chain([leaf, sub2, sub1], role="secc")
    assert (first.row.guessed, second.row.profile.name, second.row.place) == (None, "iso15118-2-secc", Place.SUB2)
    assert first.refused
    assert not second.refused


@pytest.mark.parametrize(
    ("profile", "role"),
    [
        ("web", None),
        ("rfc5280", None),
        ("iso15118-2-secc", "contract"),
        ("iso15118-2-contract", "link"),
        ("auto", "no"),
    ],
)
def test_a_row_that_is_not_there_is_refused(branch: Branch, profile: str, role: str | None) -> None:
    with pytest.raises(UnknownProfile) as caught:
        choose_row(minted(branch.leaf, branch), profile=profile, role=role)
    assert caught.value.code == "unknown-profile"


def test_lint_never_fails_whatever_the_row(made_lab: Lab) -> None:
    """Every certificate of the lab against every row: findings, or none, never another end."""
    files = [file.content for path, file in made_lab.files.items() if path in LAB_LEAFS]
    certificates = [parse_certificate(parse_chain_pem(content)[index]) for content in files for index in (0, 1)]
    for profile in PROFILE_NAMES:
        for place in ("leaf", "sub2", "sub1", "root"):
            for certificate in certificates:
                (report,) = lint_chain([certificate], profile=profile, role=place)
                assert all(finding.code in REMEDIES for finding in report.findings)


@pytest.fixture
def wrong_leaf(tmp_path: Path) -> Path:
    branch = sound_branch()
    branch.leaf.usage, branch.leaf.aki = frozenset({"digital_signature", "crl_sign"}), False
    path = tmp_path / "leaf.pem"
    path.write_text(encode_pem(branch.leaf.mint(branch.sub2)))
    return path


def test_the_command_lists_all_and_ends_with_1(wrong_leaf: Path) -> None:
    found = run("lint", wrong_leaf)
    assert found.exit_code == 1
    assert "1 refused, 1 tolerated" in found.stdout
    assert "contract leaf without nonRepudiation, with cRLSign" in found.stdout
    assert "expected    digitalSignature, nonRepudiation; allowed too: keyEncipherment, keyAgreement" in found.stdout
    assert "switch      aki-missing" in found.stdout
    assert "guessed" in found.stdout
    assert not any(line.endswith(" ") for line in found.stdout.splitlines())


def test_the_command_as_json(wrong_leaf: Path) -> None:
    found = run("lint", wrong_leaf, "--json", "--role", "contract")
    (said,) = json.loads(found.stdout)["certificates"]
    assert (said["profile"], said["place"], said["guessed"], said["refused"], said["tolerated"]) == (
        "iso15118-2-contract",
        "leaf",
        None,
        1,
        1,
    )
    assert [entry["severity"] for entry in said["findings"]] == ["refused", "tolerated"]
    assert all(entry["remedy"] for entry in said["findings"])
    assert "DEABC000000001G" in said["subject"]


def test_the_command_ends_with_0_or_2(made_lab: Lab, tmp_path: Path) -> None:
    good = tmp_path / "alice.pem"
    good.write_bytes(made_lab.files["contracts/alice.pem"].content)
    assert run("lint", good).exit_code == 0
    der = tmp_path / "alice.der"
    der.write_bytes(parse_chain_pem(good.read_bytes())[0])
    assert run("lint", der).exit_code == 0
    der.write_bytes(der.read_bytes()[:-1])
    for arguments in (
        [der],
        [tmp_path / "none"],
        [good, "--profile", "web"],
        [good, "--policy", "everything"],
        [good, "--role", "mayor"],
        [good, "--role", "link"],
    ):
        found = run("lint", *arguments)
        assert found.exit_code == 2
        assert found.stdout == ""
        assert found.stderr

"""Whose word counts in a line of a batch: anchors by role or as a plain list; and an index that means a certificate."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pki.__main__ import main
from pki.pem import encode_pem
from pki.profile import AnchorRole
from pki.profiles import PROFILE_NAMES, profile_named
from tests.pki.mint import AT, Branch, name_of, sound_branch

WHEN = AT.isoformat().replace("+00:00", "Z")
SIGN = frozenset({"digital_signature"})
CONTRACT, SECC = "iso15118-2-contract", "iso15118-2-secc"
JUNK = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


def answer(chain: Sequence[str], trust: Any, profile: str, **more: Any) -> dict[str, Any]:
    line = {"id": 1, "chain": chain, "trust": trust, "at": WHEN, "profile": profile} | more
    done = CliRunner().invoke(main, ["verify", "--batch"], input=json.dumps(line) + "\n", catch_exceptions=False)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def texts(chain: Sequence[bytes]) -> list[str]:
    return [encode_pem(der) for der in chain]


@pytest.fixture
def charger(branch: Branch) -> Branch:
    """A sound charger's branch."""
    branch.leaf.name, branch.leaf.usage = name_of("DE*PNC*E1", dc="CPO"), SIGN
    return branch


@pytest.mark.parametrize("role", AnchorRole)
def test_anchor_counts_for_the_role_it_is_given_for_and_for_no_other(charger: Branch, role: AnchorRole) -> None:
    root, whole = encode_pem(charger.anchor()), texts(charger.mint())
    direct = texts([charger.leaf.mint(charger.root)])
    for chain, right in ((whole, "v2g"), (direct, "pe")):
        said = answer(chain, {role.value: [root]}, SECC)
        assert said["code"] == ("accepted" if role.value == right else "anchor-role")
    contract = sound_branch()
    said = answer(texts(contract.mint()), {role.value: [encode_pem(contract.anchor())]}, CONTRACT)
    assert said["code"] == ("accepted" if role in (AnchorRole.MO, AnchorRole.V2G) else "anchor-role")


def test_plain_list_never_holds_private_roots(charger: Branch) -> None:
    root = encode_pem(charger.anchor())
    assert answer(texts(charger.mint()), [root], SECC)["code"] == "accepted"
    said = answer(texts([charger.leaf.mint(charger.root)]), [root], SECC)
    assert (said["verdict"], said["code"], said["index"]) == ("reject", "anchor-role", 0)


def test_folder_of_anchors_without_roles_holds_no_private_roots(charger: Branch, tmp_path: Path) -> None:
    trust, chain = tmp_path / "trust", tmp_path / "chain.pem"
    trust.mkdir()
    (trust / "root.pem").write_text(encode_pem(charger.anchor()))
    chain.write_text(encode_pem(charger.leaf.mint(charger.root)))
    command = ["verify", str(chain), "--trust", str(trust), "--at", WHEN, "--profile", SECC, "--json"]
    assert json.loads(CliRunner().invoke(main, command).stdout)["code"] == "anchor-role"
    (trust / "pe").mkdir()
    (trust / "root.pem").rename(trust / "pe" / "root.pem")
    assert json.loads(CliRunner().invoke(main, command).stdout)["code"] == "accepted"


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_roles_of_a_plain_list(name: str) -> None:
    profile = profile_named(name)
    assert profile.unnamed_roles
    assert set(profile.unnamed_roles) <= set(profile.anchor_roles)
    assert AnchorRole.PE not in profile.unnamed_roles
    if AnchorRole.BACKEND not in profile.anchor_roles:
        assert set(profile.anchor_roles) - set(profile.unnamed_roles) <= {AnchorRole.PE}


def test_generic_profile_takes_anchors_in_both_forms(charger: Branch) -> None:
    root, chain = encode_pem(charger.anchor()), texts(charger.mint())
    for trust in ([root], {"pe": [root]}, {"mo": [], "oem": [root]}):
        assert answer(chain, trust, "rfc5280")["code"] == "accepted"
    assert answer(chain, {"mo": []}, "rfc5280")["verdict"] == "reject"


@pytest.mark.parametrize("trust", [{}, {"v2g": []}, []])
@pytest.mark.parametrize("profile", [CONTRACT, "rfc5280"])
def test_no_anchors_no_acceptance(branch: Branch, trust: object, profile: str) -> None:
    said = answer(texts(branch.mint()), trust, profile)
    assert (said["verdict"], said["code"]) == ("reject", "anchor-unknown")


@pytest.mark.parametrize("trust", [{"MO": []}, {"root": []}, {"mo": "text"}, {"mo": [1]}, "text", None, {"mo": {}}])
def test_trust_in_another_form_is_malformed(branch: Branch, trust: object) -> None:
    said = answer(texts(branch.mint()), trust, CONTRACT)
    assert (said["verdict"], said["code"], said["id"]) == ("malformed", "malformed-request", 1)


@pytest.mark.parametrize("profile", [CONTRACT, "rfc5280"])
def test_role_that_nobody_knows_is_named_with_the_known_ones(branch: Branch, profile: str) -> None:
    said = answer(texts(branch.mint()), {"v2g": [], "MO": []}, profile)
    assert (said["verdict"], said["code"], said["id"]) == ("malformed", "malformed-request", 1)
    assert "no role 'MO'; expected v2g, mo, oem, pe, backend" in said["message"]


def test_anchors_are_bounded_over_all_roles(branch: Branch) -> None:
    root = encode_pem(branch.anchor())
    for trust in ({"mo": [root] * 200, "v2g": [root] * 100}, {"mo": [root * 60] * 5}, [root * 60] * 5):
        assert answer(texts(branch.mint()), trust, CONTRACT)["code"] == "size-limit"
    assert answer(texts(branch.mint()), [root] * 200, CONTRACT)["code"] == "accepted"


@pytest.mark.parametrize("profile", [CONTRACT, "iso15118-20-secc", "auto", "rfc5280"])
def test_no_chain_has_one_code_in_both_engines(branch: Branch, profile: str) -> None:
    for chain in ([], [""], ["\n", " "]):
        said = answer(chain, [encode_pem(branch.anchor())], profile)
        assert (said["verdict"], said["code"], said["index"]) == ("malformed", "empty-chain", None)


@pytest.mark.parametrize("profile", [CONTRACT, "rfc5280"])
@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"trust": ["", "junk"]}, "trust"),
        ({"crls": ["junk"]}, "crls 0"),
        ({"crls": ["-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----"]}, "CRL 0"),
        ({"ocsps": ["!"]}, "ocsps 0"),
        ({"ocsps": [base64.b64encode(bytes(20_000)).decode()]}, "ocsps 0"),
        ({"ocsps": [base64.b64encode(b"\x30\x00").decode()]}, "OCSP answer 0"),
    ],
)
def test_index_is_a_certificate_and_never_a_place_among_other_input(
    branch: Branch, profile: str, more: dict[str, Any], told: str
) -> None:
    given = {"trust": [encode_pem(branch.anchor())]} | more
    said = answer(texts(branch.mint()), profile=profile, **given)
    assert (said["verdict"], said["index"]) == ("malformed", None)
    assert told in said["message"]


def test_malformed_anchor_is_named_by_role_and_place(branch: Branch) -> None:
    root = encode_pem(branch.anchor())
    said = answer(texts(branch.mint()), {"mo": [root], "v2g": [root, "junk"]}, CONTRACT)
    assert (said["code"], said["index"]) == ("anchor-malformed", None)
    assert "trust.v2g 1" in said["message"]
    said = answer(texts(branch.mint()), {"v2g": [root, JUNK]}, CONTRACT)
    assert (said["code"], said["index"]) == ("anchor-malformed", None)
    assert "v2g anchor 1" in said["message"]


@pytest.mark.parametrize("profile", [CONTRACT, "rfc5280"])
def test_index_of_a_certificate_counts_over_all_texts_of_the_chain(branch: Branch, profile: str) -> None:
    leaf, sub2, sub1 = texts(branch.mint())
    for chain in ([leaf + sub2, sub1 + "junk"], [leaf, sub2, sub1 + "junk"], [leaf + sub2 + sub1 + "junk"]):
        said = answer(chain, [encode_pem(branch.anchor())], profile)
        assert (said["code"], said["index"]) == ("malformed-pem", 3)

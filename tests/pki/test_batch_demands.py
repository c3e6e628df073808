"""What a line of a batch demands is asked: no demand is passed over in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from pki.__main__ import main
from pki.pem import encode_pem
from tests.pki.evidence_mint import clean_lists
from tests.pki.mint import AT, Branch

CONTRACT = "iso15118-2-contract"
BOTH = pytest.mark.parametrize("profile", [CONTRACT, "rfc5280"])


def answer(branch: Branch, *options: str, **fields: Any) -> dict[str, Any]:
    line = {
        "id": 1,
        "chain": [encode_pem(der) for der in branch.mint()],
        "trust": [encode_pem(branch.anchor())],
        "at": AT.isoformat(),
    }
    text = json.dumps(line | fields) + "\n"
    done = CliRunner().invoke(main, ["verify", "--batch", *options], input=text, catch_exceptions=False)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@BOTH
@pytest.mark.parametrize(("depth", "code"), [(None, "accepted"), (3, "accepted"), (2, "accepted"), (1, "depth")])
def test_max_chain_depth_counts_intermediates_under_every_profile(
    branch: Branch, profile: str, depth: int | None, code: str
) -> None:
    said = answer(branch, profile=profile, max_chain_depth=depth)
    assert said["code"] == code
    assert said["verdict"] == ("accept" if code == "accepted" else "reject")


@BOTH
@pytest.mark.parametrize("depth", [0, -1])
def test_max_chain_depth_of_nothing_accepts_no_sub_ca(branch: Branch, profile: str, depth: int) -> None:
    assert answer(branch, profile=profile, max_chain_depth=depth)["code"] == "depth"


@BOTH
def test_line_may_demand_evidence_by_itself(branch: Branch, profile: str) -> None:
    assert answer(branch, profile=profile, require_revocation=True)["code"] == "revocation-unknown"
    crls = [encode_pem(der, "X509 CRL") for der in clean_lists(branch)]
    demanded = answer(branch, profile=CONTRACT, require_revocation=True, crls=crls)
    assert (demanded["code"], demanded["revocation"]) == ("accepted", "good")
    said = answer(branch, "--require-revocation", profile=profile, require_revocation=False)
    assert said["code"] == "revocation-unknown"


def test_line_may_ask_for_a_policy_of_its_own(branch: Branch) -> None:
    branch.leaf.aki = False
    assert answer(branch)["code"] == "accepted"
    assert answer(branch, policy=["no-aki-missing"])["code"] == "aki-missing"
    assert answer(branch, "--policy", "no-aki-missing", policy=["aki-missing"])["code"] == "aki-missing"
    said = answer(branch, policy=["anything"])
    assert (said["verdict"], said["code"]) == ("malformed", "unknown-switch")


@pytest.mark.parametrize("policy", [None, {}, "ed448", [1], {"ed448": True}])
def test_policy_in_another_form_is_refused_and_is_nothing_to_the_generic_profile(
    branch: Branch, policy: object
) -> None:
    said = answer(branch, policy=policy)
    assert (said["verdict"], said["code"]) == ("malformed", "malformed-request")
    assert answer(branch, policy=policy, profile="rfc5280")["code"] == "accepted"


def test_profile_without_a_name_is_unknown(branch: Branch) -> None:
    assert answer(branch, profile="")["code"] == "unknown-profile"
    assert answer(branch, profile=None)["code"] == "accepted"

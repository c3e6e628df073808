"""Explanations: each code has a remedy, and the steps tell exactly where the judging ended and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pki.errors import ChainRejected, NoEvidence, PKIError, Severity, TrustError
from pki.issue.lab import Lab
from pki.pem import parse_chain_pem
from pki.profiles import AnchorRole, profile_named
from pki.service.naming import subjects
from pki.service.verdicts import Outcome, Question, judge_explained
from pki.verify import ChainVerifier, RevocationEvidence, TrustStore, VerifiedChain, verify
from pki.verify.explain import STEPS, StepOutcome, StepReport, explain
from pki.verify.remedies import REMEDIES, remedy
from tests.pki.mint import AT, Branch, name_of, new_key
from tests.pki.spoil import Spoil, chain_of, every, flip_signature, p384, set_on, twice_key_usage

README = (Path(__file__).parents[2] / "certs" / "README.md").read_text(encoding="utf-8")
_CODE = re.compile(r"`([a-z]+(?:-[a-z0-9]+)*)`")
_BEFORE = {StepOutcome.PASSED, StepOutcome.TOLERATED, StepOutcome.NOT_ASKED}


def told_codes() -> set[str]:
    """Every code that certs/README.md has a row or a place in a list for."""
    codes = README.split("## Codes", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in codes.splitlines() if line.startswith("| `")]
    lists = [part for part in codes.split("\n\n") if not part.startswith("|") and "`" in part][1:]
    return {code for text in (*rows, *lists) for code in _CODE.findall(text)} - {"malformed", "rfc5280"}


def steps_of_codes() -> dict[str, set[int]]:
    """Code to the steps that its row names."""
    found: dict[str, set[int]] = {}
    for line in README.splitlines():
        cells = line.split("|")
        if line.startswith("| `") and re.fullmatch(r" [\d, ]+ ", cells[2]):
            for code in _CODE.findall(cells[1]):
                found[code] = {int(number) for number in cells[2].split(",")}
    return found


def result_of(branch: Branch, chain: list[bytes] | None, **changed: object) -> VerifiedChain | PKIError:
    try:
        return branch.judge(chain, **changed)
    except PKIError as error:
        return error


def test_every_code_has_a_remedy() -> None:
    codes = told_codes()
    assert len(codes) > 60
    assert {"signature", "trust-empty", "chain-order", "crl-scope", "ocsp-nonce"} <= codes
    assert sorted(codes - set(REMEDIES)) == []


def test_a_remedy_is_a_short_sentence_that_switches_nothing_off() -> None:
    for code, text in REMEDIES.items():
        assert text[0].isupper(), code
        assert text.endswith("."), code
        assert 20 < len(text) < 240, code
        assert "disable" not in text, code
    assert remedy("accepted") == "Nothing must be done."
    assert "no-such-code" in remedy("no-such-code")


DEFECTS: list[tuple[str, Spoil, int, int | None]] = [
    ("size", chain_of(lambda _, chain: chain * 2), 1, None),
    ("duplicate-extension", set_on("leaf", surgery=twice_key_usage), 2, 0),
    ("algorithm", set_on("sub1", key=p384()), 3, 2),
    ("path-length", set_on("sub2", path_length=1), 4, 1),
    ("key-usage", set_on("leaf", usage_critical=False), 5, 0),
    ("name-chain", set_on("leaf", issuer=name_of("Elsewhere")), 6, 0),
    ("anchor-unknown", chain_of(lambda _, chain: chain[:2]), 7, 1),
    ("key-usage", set_on("root", usage=frozenset({"crl_sign"})), 7, 3),
    ("expired", set_on("root", days=(-10, -1)), 7, 3),
    ("signature", flip_signature, 8, 0),
    ("not-yet-valid", set_on("sub1", days=(1, 10)), 9, 2),
    ("emaid-format", set_on("leaf", name=name_of("Alice")), 10, 0),
]


@pytest.mark.parametrize(("code", "spoil", "step", "index"), DEFECTS, ids=[f"{row[2]}-{row[0]}" for row in DEFECTS])
def test_a_refusal_stops_at_its_step(branch: Branch, code: str, spoil: Spoil, step: int, index: int | None) -> None:
    chain = spoil(branch) or branch.mint()
    error = result_of(branch, chain)
    assert isinstance(error, PKIError)
    assert error.code == code
    names = subjects(chain)
    found = explain(error, names=names, claimed=False)
    assert [report.step for report in found] == list(range(1, 13))
    assert {report.outcome for report in found[: step - 1]} <= _BEFORE
    assert found[step - 1].outcome is StepOutcome.REFUSED
    assert {report.outcome for report in found[step:]} <= {StepOutcome.NOT_REACHED}
    (cause,) = (entry for entry in found[step - 1].findings if entry.severity is Severity.REFUSED)
    assert (cause.code, cause.index, cause.remedy) == (code, index, REMEDIES[code])
    expected_name = None if index is None else names[index] if index < len(names) else "the trusted root"
    assert cause.certificate == expected_name
    assert step in steps_of_codes()[code]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (0, 3, 1, 2), (0, 1, 2, 3), (0, 1, 2, 4), (0, 3, 2, 1, 4)])
def test_root_is_named_whatever_else_was_presented(branch20: Branch, order: tuple[int, ...]) -> None:
    """In any order, with a certificate that is not needed (3), and with a copy of the root itself (4)."""
    branch20.root.days = (-10, -1)
    root = branch20.anchor()
    spare = replace(branch20.sub2, name=name_of("Spare"), serial=7).mint(branch20.sub1)
    sent = [*branch20.mint(), spare, root]
    chain = [sent[place] for place in order]
    trust = TrustStore.from_der({AnchorRole.MO: [root]})
    with pytest.raises(ChainRejected) as caught:
        branch20.judge(chain, trust=trust)
    names = subjects(chain)
    (cause,) = (
        entry
        for entry in explain(caught.value, names=names, claimed=False)[6].findings
        if entry.severity is Severity.REFUSED
    )
    assert (cause.code, cause.index) == ("expired", order.index(4) if 4 in order else len(order))
    assert cause.certificate == (subjects([root])[0] if 4 in order else "the trusted root")


def test_expected_and_found_are_told(branch: Branch) -> None:
    branch.sub2.path_length = 1
    found = explain(result_of(branch, None), names=("leaf", "Sub2", "Sub1"), claimed=False)
    (cause,) = found[3].findings
    assert (cause.expected, cause.found, cause.certificate) == ("0", "1", "Sub2")
    assert cause.clause == "ISO 15118-2 Annex F"


def outcomes(found: tuple[StepReport, ...]) -> list[StepOutcome]:
    return [report.outcome for report in found]


def test_an_accepted_chain_passes_every_step_it_is_asked(branch: Branch) -> None:
    chain = branch.mint()
    accepted = branch.judge(chain)
    found = explain(accepted, names=subjects(chain), claimed=False)
    assert outcomes(found)[:10] == [StepOutcome.PASSED] * 10
    assert outcomes(found)[10:] == [StepOutcome.NOT_ASKED, StepOutcome.NO_EVIDENCE]
    assert found[9].said == "DEABC000000001"
    assert found[11].said == "unknown"
    assert not any(report.findings for report in found)
    claimed = explain(branch.judge(chain, emaid="DEABC000000001"), names=(), claimed=True)
    assert claimed[10].outcome is StepOutcome.PASSED


def test_good_evidence_passes_the_last_step(
    made_lab: Lab, lab_trust: TrustStore, lab_evidence: RevocationEvidence
) -> None:
    found = explain(
        verify(
            parse_chain_pem(made_lab.files["contracts/alice.pem"].content),
            profile=profile_named("iso15118-2-contract"),
            trust=lab_trust,
            at=AT,
            revocation=lab_evidence,
        ),
        names=(),
        claimed=False,
    )
    assert found[11].outcome is StepOutcome.PASSED
    assert (found[11].said or "").startswith("good, by evidence of 20")


def test_what_was_tolerated_is_told_where_it_was_met(branch: Branch) -> None:
    branch.sub1.aki = False
    leaf, sub2, sub1 = branch.mint()
    found = explain(branch.judge([leaf, sub1, sub2]), names=(), claimed=False)
    told = {report.step: [entry.code for entry in report.findings] for report in found if report.findings}
    assert told == {4: ["chain-order"], 5: ["aki-missing"]}
    assert [found[3].outcome, found[4].outcome] == [StepOutcome.TOLERATED] * 2
    assert found[4].findings[0].switch == "aki-missing"


def test_tolerated_findings_stay_beside_a_later_refusal(branch: Branch) -> None:
    every(set_on("sub1", aki=False), set_on("leaf", signer=new_key()))(branch)
    found = explain(result_of(branch, None), names=(), claimed=False)
    assert outcomes(found)[4] is StepOutcome.TOLERATED
    assert outcomes(found)[7] is StepOutcome.REFUSED


def test_a_claim_and_demanded_evidence_refuse_at_their_own_steps(branch: Branch) -> None:
    other = explain(result_of(branch, None, emaid="DEABC000000002"), names=("leaf",), claimed=True)
    assert outcomes(other)[10:] == [StepOutcome.REFUSED, StepOutcome.NOT_REACHED]
    error = result_of(branch, None, require_revocation=True)
    assert isinstance(error, NoEvidence)
    found = explain(error, names=("leaf",), claimed=False)
    assert outcomes(found)[11] is StepOutcome.NO_EVIDENCE
    assert found[11].findings[0].code == "revocation-unknown"


def test_wrong_input_around_the_chain_reaches_no_step() -> None:
    found = explain(TrustError("trust-empty", "no anchor"), names=(), claimed=False)
    assert set(outcomes(found)) == {StepOutcome.NOT_REACHED}


def test_an_error_without_findings_and_step_is_not_placed_by_guess() -> None:
    found = explain(ChainRejected("unsupported", "not processed"), names=(), claimed=False)
    assert set(outcomes(found)) == {StepOutcome.NOT_REACHED}


def test_twelve_steps_as_in_the_verifiers_own_list() -> None:
    source = (Path(__file__).parents[2] / "pki" / "verify" / "chain.py").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^ ?(\d+)\. ", source, re.MULTILINE)] == list(range(1, 13))
    assert len(STEPS) == 12


def test_a_second_opinion_refuses_after_all_that_is_judged_by_itself(branch: Branch) -> None:
    trust = TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})
    verifier = ChainVerifier(trust, second_opinion=lambda *_: "engine: no")
    chain = branch.mint()
    question = Question(chain=tuple(chain), profile=profile_named("iso15118-2-contract"), verifier=verifier, at=AT)
    said = judge_explained(question)
    assert (said.verdict, said.code, said.remedy) == (Outcome.REJECT, "second-opinion", REMEDIES["second-opinion"])
    assert "engine: no" in said.message
    assert outcomes(said.steps) == [StepOutcome.PASSED] * 10 + [StepOutcome.NOT_REACHED] * 2

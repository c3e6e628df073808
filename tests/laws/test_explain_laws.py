"""Laws of what people are told: whatever arrives, twelve steps come back, and they end where the verdict does."""

from __future__ import annotations

from hypothesis import event, given, settings, strategies as st

from pki.certificate import parse_certificate
from pki.errors import MalformedCertificate, PKIError, UnknownProfile
from pki.profiles import AnchorRole, profile_named
from pki.service.naming import subjects
from pki.service.show import chain_bars, chain_tree, read_shown
from pki.verify import TrustStore, VerifiedChain, verify
from pki.verify.explain import StepOutcome, explain
from pki.verify.lint import ROWS, lint_chain
from pki.verify.remedies import REMEDIES
from tests.pki.mint import AT, sound_branch

BRANCH = sound_branch()
CHAIN = BRANCH.mint()
TRUST = TrustStore.from_der({AnchorRole.MO: [BRANCH.anchor()]})
CONTRACT = profile_named("iso15118-2-contract")
ENDS = {StepOutcome.REFUSED, StepOutcome.NO_EVIDENCE}
PLACES = st.lists(st.integers(0, 2), min_size=0, max_size=5)


@st.composite
def chains(draw: st.DrawFn) -> list[bytes]:
    """Certificates of a sound branch: left out, doubled, in any order, some with an octet changed or cut off."""
    found = []
    for place in draw(PLACES):
        der = CHAIN[place]
        if draw(st.integers(0, 3)) == 0:
            at = draw(st.integers(0, len(der) - 1))
            der = der[:at] + bytes([draw(st.integers(0, 255))]) + der[at + draw(st.integers(0, 1)) :]
        found.append(der)
    return found


def judged(chain: list[bytes], claimed: str | None, require: bool) -> VerifiedChain | PKIError:
    try:
        return verify(chain, profile=CONTRACT, trust=TRUST, at=AT, emaid=claimed, require_revocation=require)
    except PKIError as error:
        return error


@settings(max_examples=200, deadline=None)
@given(
    chain=st.one_of(chains(), st.just(CHAIN)),
    claimed=st.sampled_from([None, "DEABC000000001", "DEABC000000002"]),
    require=st.booleans(),
)
def test_the_steps_end_where_the_verdict_does(chain: list[bytes], claimed: str | None, require: bool) -> None:
    result = judged(chain, claimed, require)
    steps = explain(result, names=subjects(chain), claimed=claimed is not None)
    assert [step.step for step in steps] == list(range(1, 13))
    ended = [step for step in steps if step.outcome in ENDS]
    if isinstance(result, VerifiedChain):
        event("accepted")
        assert [step.step for step in ended] == [12]
        return
    event(result.code)
    (end,) = ended
    assert end.findings[-1].code == result.code
    assert end.findings[-1].remedy == REMEDIES[result.code]
    assert all((step.outcome is StepOutcome.NOT_REACHED) == (step.step > end.step) for step in steps)


@settings(max_examples=100, deadline=None)
@given(chain=chains(), role=st.sampled_from([None, *ROWS]), profile=st.sampled_from(["auto", CONTRACT.name]))
def test_whatever_is_shown_or_linted_ends_well(chain: list[bytes], role: str | None, profile: str) -> None:
    shown = read_shown(chain)
    try:
        assert str(chain_tree(shown).label)
        assert chain_bars(shown, AT)
        reports = lint_chain([parse_certificate(der) for der in chain], profile=profile, role=role)
    except (MalformedCertificate, UnknownProfile) as error:
        event(error.code)
        return
    assert all(finding.code in REMEDIES for report in reports for finding in report.findings)

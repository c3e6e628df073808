"""The signed values of a CDR: verified as the hub verifies those of its own sites. Pure.

Rules
1. For a CDR of ours what its records came to (wire.settling.signed) counts; it was judged with more than the CDR holds.
2. For another's CDR the values in it are verified with the registry's key for their meter; the key that came along
   proves only that whoever sent it has signed it.
3. Nothing of the record's identification is told.

Source: OCMF 1.4.1; OCPI 2.3.0 mod_cdrs (SignedData).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hub.reconcile.facts import Facts, Limits
from hub.reconcile.findings import Finding, found
from wire.meter.carrier import unwrap
from wire.meter.judge import judge_record
from wire.meter.session import judge_session
from wire.meter.verdict import Expected, KeySource, RecordVerdict, Severity, SignatureVerdict
from wire.ocpi.sessions import Cdr, SignedData

MOST_VALUES = 50
_WH = Decimal(1000)
_UNVERIFIABLE = (SignatureVerdict.UNSUPPORTED, SignatureVerdict.NO_KEY)


def signature_findings(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """What is wrong with the signed values of a CDR."""
    if facts.outcome is not None:
        if not facts.outcome.billable:
            codes = ", ".join(sorted(facts.outcome.codes)) or facts.outcome.refusal or "no signed begin and end"
            yield found("ledger-verdict", "/signed_data", f"the site's records are not billable as they are: {codes}")
        return
    if cdr.signed_data is None or not cdr.signed_data.signed_values:
        if limits.needs_signature:
            yield found("signature-missing", "/signed_data", "signed values are agreed, and none came")
        return
    yield from _of_values(cdr, cdr.signed_data, facts, limits)


def _of_values(cdr: Cdr, data: SignedData, facts: Facts, limits: Limits) -> Iterator[Finding]:
    values = data.signed_values[:MOST_VALUES]
    verdicts = [judge_record(unwrap(one.signed_data), facts.key_for, data.public_key) for one in values]
    for number, verdict in enumerate(verdicts):
        yield from _of_record(verdict, f"/signed_data/signed_values/{number}/signed_data")
    if any(verdict.record is None for verdict in verdicts):
        return
    token = cdr.cdr_token
    expected = Expected(identifications=frozenset({token.uid, token.contract_id}) - {"#NA"})
    session = judge_session(verdicts, expected)
    for finding in session.findings:
        if finding.severity is not Severity.NOTE and not finding.code.startswith(("signature", "key")):
            yield found("signature-session", "/signed_data", f"{finding.code}: {finding.message}")
    energy = session.energy_wh
    if energy is not None and abs(energy / _WH - cdr.total_energy) > limits.resolution_kwh:
        message = f"the signed registers make {energy / _WH:f} kWh, total_energy is {cdr.total_energy:f}"
        yield found("signature-energy", "/total_energy", message)


def _of_record(verdict: RecordVerdict, where: str) -> Iterator[Finding]:
    if verdict.signature is SignatureVerdict.VALID:
        if verdict.key_source is KeySource.CLAIMED:
            yield found("signature-key", where, "it verifies only with the key that came along")
        return
    word = "cannot be verified" if verdict.signature in _UNVERIFIABLE else "does not verify"
    yield found("signature-invalid", where, f"it {word}: {verdict.signature.value}")

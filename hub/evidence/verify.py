"""Does an evidence file hold? Only the file is asked, and the keys that somebody has from elsewhere. Pure.

 1. Container: exactly these members, nothing else in the file, and the hub's seal over them.
 2. Members: page, values.xml and signed texts say what evidence.json says.
 3. Records, 4. log, 5. meter, 6. session, 7. decision, 8. bill: see `hub.evidence.checks`.
 9. Keys: which of the keys that all of this rests on were compared with something outside of the file.

Every step is done, whatever the others gave; none raises. Without given keys a file that whoever made it made whole is
consistent, and no more: whose words they are is what step 9 says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from hub.clock import utc
from hub.errors import EvidenceUnusable
from hub.evidence.checks import content_checks, log_keys
from hub.evidence.container import CONTENT, PAGE, SEAL, VALUES, pack, read_seal, unpack, verify_seal
from hub.evidence.content import VERSION, Check, Evidence, Step, StepOutcome
from hub.evidence.derive import Derived, Stated, derive
from hub.evidence.notes import Notes
from hub.evidence.page import EDITION, render_page
from wire.errors import WireError
from wire.meter.keys import PublicKey, parse_public_key
from wire.ocpp.transaction import MAX_DIGITS
from wire.records import Value, decode, encode

ROLES = ("hub", "log", "meter")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenKeys:
    """Keys that somebody has from elsewhere than the file; hub and log keys in hex. Empty: not given."""

    hub: frozenset[str] = frozenset()
    log: frozenset[str] = frozenset()
    meter: tuple[PublicKey, ...] = ()

    def fingerprints(self) -> frozenset[str]:
        """The names of the meter keys, as verdicts give them."""
        return frozenset(key.fingerprint for key in self.meter)


class KeyCompared(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A key that the file rests on, and whether a given key is the same; None when none of its role was given."""

    role: str
    key: str
    same: bool | None


class Report(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What verification of one file gave. `verdict` is a sentence; `holds` is false when any step is broken.

    `records` are the numbers of the records in the file, by epoch: all of them are in the log if step 4 holds.
    """

    session_id: str
    verdict: str
    holds: bool
    steps: tuple[Check, ...]
    keys: tuple[KeyCompared, ...]
    records: Mapping[str, tuple[int, ...]]


def verify_evidence(data: bytes, given: GivenKeys | None = None) -> Report:
    """What the file `data` proves. About 8 ms for an ordinary session.

    Raises:
        EvidenceUnusable: it is no evidence file, or none of a version that this program reads.
    """
    members = unpack(data)
    evidence = read_content(members[CONTENT])
    try:
        return _verified(data, members, evidence, given or GivenKeys())
    except (ArithmeticError, ValueError) as error:
        # A date at the end of the calendar, a hash that is none: no hub writes such a file.
        raise EvidenceUnusable(f"{CONTENT}: holds a value out of all bounds: {error}") from error


def _verified(data: bytes, members: Mapping[str, bytes], evidence: Evidence, given: GivenKeys) -> Report:
    derived = derive(evidence.chains, stated_in(evidence))
    found = content_checks(evidence, derived)
    keys = tuple(_compared(evidence, derived, given))
    steps = (
        _container(data, members, evidence),
        _members(members, evidence, derived, found),
        *(content_checks(evidence, derived, given.fingerprints()) if given.meter else found),
        _keys(keys),
    )
    return Report(
        session_id=evidence.session.id,
        verdict=_verdict(steps, keys),
        holds=all(check.outcome is not StepOutcome.BROKEN for check in steps),
        steps=steps,
        keys=keys,
        records={excerpt.epoch: tuple(one.record.seq for one in excerpt.records) for excerpt in evidence.chains},
    )


def read_content(data: bytes) -> Evidence:
    """The content of an `evidence.json`.

    Raises:
        EvidenceUnusable: it cannot be read, is of another version, or holds a key that is none, an instant without an
            offset or a number of more than MAX_DIGITS digits.
    """
    try:
        evidence = decode(Evidence, data, CONTENT)
        for key in evidence.keys:
            parse_public_key(key.public_key)
    except WireError as error:
        raise EvidenceUnusable(str(error)) from error
    if evidence.version != VERSION:
        raise EvidenceUnusable(f"{CONTENT}: version {evidence.version}, this program reads {VERSION}")
    instants = (evidence.session.start_date_time, evidence.cdr.start_date_time, evidence.cdr.end_date_time)
    if any(at.tzinfo is None for at in instants):
        raise EvidenceUnusable(f"{CONTENT}: an instant without an offset from UTC")
    if not all(map(_is_bounded, _numbers(evidence))):
        raise EvidenceUnusable(f"{CONTENT}: a number of more than {MAX_DIGITS} digits, or none")
    return evidence


def _numbers(evidence: Evidence) -> Iterator[Decimal | None]:
    yield from (evidence.session.kwh, evidence.outcome.energy_wh, evidence.outcome.duration_s)
    yield from _decimals(evidence.cdr)


def _decimals(value: object) -> Iterator[Decimal]:
    """Every number in a bill: its amounts, its tariff, its periods."""
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from _decimals(inner)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _decimals(getattr(value, name))


def _is_bounded(number: Decimal | None) -> bool:
    """Whether it is a number that can be written out, and is as long as a meter's or a bill's."""
    if number is None:
        return True
    return number.is_finite() and len(number.as_tuple().digits) <= MAX_DIGITS and abs(number.adjusted()) <= MAX_DIGITS


def stated_in(evidence: Evidence) -> Stated:
    """What the hub says of its own accord in the evidence."""
    return Stated(
        gateway_id=evidence.gateway_id,
        cdr=evidence.cdr,
        keys=evidence.keys,
        against=evidence.against,
        max_power_w=evidence.max_power_w,
    )


def texts_named(evidence: Evidence, members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members that are signed texts, as the evidence names them; those that are not there are left out."""
    return {text.member: members[text.member] for text in evidence.texts if text.member in members}


def _container(data: bytes, members: Mapping[str, bytes], evidence: Evidence) -> Check:
    notes = Notes()
    if pack(members) != data:
        notes.broken.append("bytes of the file belong to none of its members")
    newest = {excerpt.newest.countersignature.public_key for excerpt in evidence.chains}
    with notes.required("the seal"):
        seal = read_seal(members)
        verify_seal(members, seal, seal.public_key)
        notes.held.append(f"{len(members)} members, sealed by the hub at {utc(seal.at)}")
        if newest != {seal.public_key}:
            notes.broken.append("the seal is another hub's than the countersignature under the newest head")
    return notes.check(Step.CONTAINER)


def _members(members: Mapping[str, bytes], evidence: Evidence, derived: Derived, found: Sequence[Check]) -> Check:
    notes = Notes()
    content = members[CONTENT]
    if encode(evidence) != content:
        notes.broken.append(f"{CONTENT} is not the one text of what it says")
    exact = dict(derived.contents)
    if derived.values_xml is not None and evidence.edition == EDITION:
        exact[VALUES] = derived.values_xml
    expected = [CONTENT, PAGE, *([VALUES] if evidence.has_values else []), *derived.contents, SEAL]
    if list(members) != expected:
        strange = sorted(set(members) ^ set(expected))
        notes.broken.append(f"members missing, not known or in another order: {', '.join(strange[:5]) or 'order'}")
    others = [name for name, bytes_ in exact.items() if name in members and members[name] != bytes_]
    notes.broken += [f"{name} is not what the charger's frames carry" for name in others]
    if evidence.edition != EDITION:
        made = f"are of edition {evidence.edition}, this program makes {EDITION}"
        notes.open.append(f"{PAGE} and {VALUES} {made}: not compared")
    else:
        if evidence.has_values != (derived.values_xml is not None):
            notes.broken.append(f"{VALUES} is there and should not be, or the other way round")
        texts = texts_named(evidence, members)
        if members[PAGE] != render_page(evidence, texts, hashlib.sha256(content).hexdigest()):
            notes.broken.append(f"{PAGE} does not say what {CONTENT} says")
        else:
            notes.held.append(f"{PAGE} says what {CONTENT} says")
    if not others:
        notes.held.append(f"{len(exact)} members are what the charger's frames carry")
    _compare_steps(evidence, found, notes)
    return notes.check(Step.MEMBERS)


def _compare_steps(evidence: Evidence, found: Sequence[Check], notes: Notes) -> None:
    """What the file says of its own steps, which its page prints, beside what is found."""
    notes.broken += _overstated(evidence.checks, found)
    if [check.step for check in evidence.checks] != [check.step for check in found]:
        notes.broken.append("the file tells of other steps than there are")
    told = {check.step: check.details for check in evidence.checks}
    words = [check.step for check in found if told.get(check.step) != check.details]
    if words and evidence.edition == EDITION:
        notes.open.append(f"the file says in other words than this program what was found: {_named(words)}")


def _overstated(stated: Iterable[Check], found: Iterable[Check]) -> list[str]:
    """Where the file claims more than is found."""
    worst = list(StepOutcome)
    said = {check.step: check.outcome for check in stated}
    return [
        f"the file says {said.get(check.step, StepOutcome.HOLDS).value} of step {check.step.number}, "
        f"found {check.outcome.value}"
        for check in found
        if worst.index(said.get(check.step, StepOutcome.HOLDS)) < worst.index(check.outcome)
    ]


def _compared(evidence: Evidence, derived: Derived, given: GivenKeys) -> Iterable[KeyCompared]:
    keys = dict.fromkeys(log_keys(evidence.chains))
    known: Mapping[str, frozenset[str]] = {"hub": given.hub, "log": given.log, "meter": given.fingerprints()}
    prints = (text.verdict.key_fingerprint for text in derived.texts if text.part.is_end)
    used = dict.fromkeys(name for name in prints if name is not None)
    for role, key in (*keys, *(("meter", fingerprint) for fingerprint in used)):
        yield KeyCompared(role=role, key=key, same=key in known[role] if known[role] else None)


def _keys(keys: Sequence[KeyCompared]) -> Check:
    notes = Notes()
    for key in keys:
        if key.same is None:
            notes.open.append(f"{key.role} key {key.key[:16]}: as the file names it")
        elif key.same:
            notes.held.append(f"{key.role} key {key.key[:16]}: the same as given")
        else:
            notes.broken.append(f"{key.role} key {key.key[:16]}: not the one that was given")
    return notes.check(Step.KEYS)


def _verdict(steps: Sequence[Check], keys: Sequence[KeyCompared]) -> str:
    broken = [check.step for check in steps if check.outcome is StepOutcome.BROKEN]
    if broken:
        return f"does not hold: {_named(broken)}"
    open_ = [check.step for check in steps if check.outcome is StepOutcome.OPEN and check.step is not Step.KEYS]
    first = f"consistent, not proven: {_named(open_)}" if open_ else "consistent"
    compared = [role for role in ROLES if any(key.role == role and key.same for key in keys)]
    named = [role for role in ROLES if role not in compared]
    if not compared:
        return f"{first}; keys as the file names them"
    if named:
        return f"{first}; compared with given keys: {', '.join(compared)}; as the file names them: {', '.join(named)}"
    return f"{first}; all keys as given" if open_ else "holds, with the keys that were given"


def _named(steps: Iterable[Step]) -> str:
    return ", ".join(f"step {step.number} ({step.value})" for step in steps)

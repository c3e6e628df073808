"""What `pnc-hub meters` shows: tables, in which nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from hub.clock import utc
from hub.store.meter_acts import Imported, Reverified
from hub.store.meter_keys import KeptKey
from hub.store.meter_pages import GapTicket
from hub.store.meters import Attention, HeldSession, MeterSummary
from pki.service.screen import listing, print_listing
from wire.meter.registry import KeyState, RegisteredKey

SHORT = 16
"""Characters of a fingerprint that are shown; 8 are enough to name a key."""
_STATE_STYLES = {
    KeyState.PINNED: "green",
    KeyState.LEARNED: "yellow",
    KeyState.QUARANTINED: "bold red",
    KeyState.RETIRED: "dim",
}
_GOOD = "valid"
_ORDINARY = 80
"""Columns in which a session's id has a line of its own, to be copied."""


def print_meters(console: Console, meters: Sequence[MeterSummary]) -> None:
    """Each meter in a row: where it is, its keys, its pages and how its values verified."""
    if not meters:
        console.print("No signed value has come yet.")
        return
    table = listing("METER", "PLACE", "KEYS", "PAGES", "MISSING", "VALUES", "LAST SEEN", KEYS=11, MISSING=7)
    for one in meters:
        pages = [f"{span.context.value}{span.first} to {span.context.value}{span.last}" for span in one.pages]
        missing = sum(ticket.last - ticket.first + 1 for ticket in one.gaps)
        table.add_row(
            Text(one.meter),
            Text("\n".join(one.places) or "unknown"),
            _states(kept.key.state for kept in one.keys),
            Text("\n".join(pages) or "none"),
            Text(str(missing), style="bold red" if missing else ""),
            _counts(one),
            utc(one.last_seen),
        )
    print_listing(console, table)


def _states(states: Iterable[KeyState]) -> Text:
    found = list(states)
    counts = [(state, found.count(state)) for state in KeyState if state in found]
    if not counts:
        return Text("none", style="yellow")
    parts = [
        Text(f"{state.value}" if count == 1 else f"{count} {state.value}", _STATE_STYLES[state])
        for state, count in counts
    ]
    return Text("\n").join(parts)


def _counts(meter: MeterSummary) -> Text:
    parts = []
    for signature, count in sorted(meter.verdicts.items(), key=lambda item: item[0] != _GOOD):
        by = ", ".join(f"{number} {source}" for source, number in meter.sources.items()) if signature == _GOOD else ""
        parts.append(
            Text(f"{count} {signature}" + (f" ({by})" if by else ""), "" if signature == _GOOD else "bold red")
        )
    return Text("\n").join(parts)


def print_keys(console: Console, keys: Sequence[KeptKey]) -> None:
    """The rows of the registry."""
    if not keys:
        console.print("No key is in the registry.")
        return
    table = listing("KEY", "STATE", "OF", "FINGERPRINT", "CURVE", "FROM", "COUNTS", "BY", STATE=11, FINGERPRINT=SHORT)
    for kept in keys:
        by = Text(kept.by_whom + (f": {kept.why}" if kept.why else ""))
        table.add_row(
            str(kept.number),
            Text(kept.key.state.value, _STATE_STYLES[kept.key.state]),
            Text(owner(kept.key)),
            kept.fingerprint[:SHORT],
            kept.key.curve,
            kept.key.source.value,
            _interval(kept.key),
            by,
        )
    print_listing(console, table)


def owner(key: RegisteredKey) -> str:
    """Whose key it is, a name a line."""
    named = (
        ("meter", key.meter_serial),
        ("gateway", key.gateway_serial),
        ("point", key.charge_point_id),
        ("at", key.place),
    )
    return "\n".join(f"{what} {value}" for what, value in named if value is not None)


def _interval(key: RegisteredKey) -> str:
    first = "" if key.not_before is None else f"from {utc(key.not_before)}"
    last = "" if key.not_after is None else f"until {utc(key.not_after)}"
    return " ".join(part for part in (first, last) if part) or "always"


def _room(console: Console) -> dict[str, int]:
    return {"SESSION": 36} if console.width >= _ORDINARY else {}


def print_gaps(console: Console, gaps: Sequence[GapTicket]) -> None:
    """Tickets, each with what is missing and where that was noticed."""
    if not gaps:
        console.print("No signed record is missing.")
        return
    table = listing("TICKET", "METER", "MISSING", "NOTICED", "SESSION", "CLOSED", **_room(console))
    for ticket in gaps:
        closed = "" if ticket.closed_at is None else f"{utc(ticket.closed_at)} {ticket.closed_by}: {ticket.why}"
        table.add_row(
            str(ticket.number),
            Text(ticket.meter),
            str(ticket.gap),
            utc(ticket.noticed_at),
            ticket.session_id or "none",
            Text(closed),
        )
    print_listing(console, table)


def print_held(console: Console, sessions: Sequence[HeldSession]) -> None:
    """Sessions that may not be billed yet, and why."""
    if not sessions:
        console.print("No session is held.")
        return
    table = listing("SESSION", "SINCE", "ENERGY", "WHY", **_room(console))
    for held in sessions:
        energy = held.outcome.energy_wh
        reasons = [*([held.outcome.refusal] if held.outcome.refusal else []), *sorted(held.outcome.codes)]
        table.add_row(
            held.session_id,
            utc(held.since),
            "none signed" if energy is None else f"{energy:f} Wh",
            Text("\n".join(reasons)),
        )
    print_listing(console, table)


def print_imported(console: Console, done: Imported) -> None:
    """What an import changed."""
    console.print(f"{done.pinned} pinned, {done.known} known already")
    if done.displaced:
        console.print("These keys gave way:")
        print_keys(console, done.displaced)


def print_reverified(console: Console, total: Reverified) -> None:
    """What judging again changed."""
    console.print(
        f"{total.judged} signed value{_s(total.judged)} judged again, {total.changed} came out otherwise; settled "
        f"sessions that come to something else: {total.reviewed}"
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def told_attention(waiting: Attention) -> Iterator[str]:
    """What waits for a person, a line each; nothing where nothing does."""
    lines = (
        (waiting.quarantined_keys, "key", "came in place of a known one, in quarantine", "keys --state quarantined"),
        (waiting.bad_values, "signed value", "of the last 30 days that did not verify", "list"),
        (waiting.missing_pages, "signed record", "missing", "gaps"),
        (waiting.learned_keys, "key", "learned of a station, to be confirmed", "keys --state learned"),
        (waiting.held_sessions, "session", "not to be billed yet", "held"),
    )
    for count, what, how, command in lines:
        if count:
            yield f"attention: {count} {what}{_s(count)} {how}; see `pnc-hub meters {command}`"

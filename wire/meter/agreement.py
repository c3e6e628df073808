"""Do the signed records agree with what is known from elsewhere: the token, OCPP's values, what a cable can carry?

A disagreement holds the session: one side is wrong, and nobody can tell from here which. Another user is fatal. What
the meter's clock cannot answer for (state other than S) is a note.

Source: OCA "Signed Meter Values in OCPP" 2.3.2, 5.2: the registers of OCPP and of the signed values may be different
ones, so differences are compared; cost and duration come from the signed values.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Context, Decimal
from itertools import islice, pairwise

from wire.meter.coherence import MOST_OF_A_KIND, short
from wire.meter.identification import Naming, compare_identification
from wire.meter.record import CurrentType, MeterClock, Reading
from wire.meter.signed_session import SignedSession, difference_wh, resolution_wh
from wire.meter.verdict import Expected, RegisterPair, SessionFinding, fatal, hold, note

CLOCK_SKEW = timedelta(minutes=5)
"""How far a synchronised meter and our clock, or an OCPP message's, may be apart."""

MOST_POWER_W = 4_000_000
"""No connector delivers more: megawatt charging ends at 1250 V and 3000 A. For a meter that says AC: 500 kW, for it may
stand before the rectifier of a fast charger."""

_MOST_AC_POWER_W = 500_000
_PLAIN_TOLERANCE_WH = Decimal(2)
"""A plain register in whole Wh may differ by 1 Wh at either end."""

_TIME_STEP_S = Decimal(1)
"""Times are often cut to seconds."""

_ROUNDING = Context(prec=60, traps=[])
"""For numbers that no meter signed and nobody bounded: what is too large becomes infinite, and nothing raises."""


def authorised(session: SignedSession, expected: Expected) -> Iterator[SessionFinding]:
    """ID is the token or the contract that was authorised."""
    if not expected.identifications:
        return
    user = session.begin.user
    naming = compare_identification(user.type, user.data, expected.identifications)
    kind = f"IT {short(user.type)}"
    if naming is Naming.ANOTHER:
        yield fatal("identification-authorised", f"the meter names another than the one authorised; {kind}")
    elif naming is Naming.OTHER_KIND:
        yield hold("identification-authorised", f"the meter names somebody by other means; {kind}")
    elif naming is Naming.ABSENT:
        yield note("identification-absent", f"the meter names nobody; {kind}")
    elif naming is Naming.HASHED:
        yield note("identification-hashed", f"the meter names a hash, which cannot be compared; {kind}")


def power(session: SignedSession, expected: Expected) -> Iterator[SessionFinding]:
    """The energy between any two readings could have flowed in the time between them."""
    found = (
        hold("power-implausible", f"{short(name)}: {message}")
        for name, run in session.runs.items()
        for (before, _), (after, _) in pairwise(run)
        if (message := _too_much(before, after, expected.max_power_w))
    )
    yield from islice(found, MOST_OF_A_KIND)


def _too_much(before: Reading, after: Reading, max_power_w: int | None) -> str | None:
    energy = difference_wh(RegisterPair(begin=before, end=after))
    if energy is None or before.at is None or after.at is None or after.at < before.at:
        return None
    bound_w = max_power_w or (_MOST_AC_POWER_W if after.current is CurrentType.AC else MOST_POWER_W)
    seconds = Decimal((after.at - before.at) // timedelta(microseconds=1)).scaleb(-6) + _TIME_STEP_S
    most = bound_w * seconds * Decimal("1.1") / 3600 + resolution_wh(RegisterPair(begin=before, end=after))
    if energy <= most:
        return None
    return f"{energy} Wh in {after.at - before.at}; {bound_w} W give {most:.0f} Wh"


def plain_register(session: SignedSession, expected: Expected) -> Iterator[SessionFinding]:
    """The plain registers of OCPP say the energy that some signed register says."""
    if expected.begin_wh is None or expected.end_wh is None or not session.pairs:
        return
    if not (expected.begin_wh.is_finite() and expected.end_wh.is_finite()):
        return  # a station's NaN says nothing that could be compared
    plain = _ROUNDING.subtract(expected.end_wh, expected.begin_wh)
    signed = [(difference_wh(pair), resolution_wh(pair)) for pair in session.pairs.values()]
    known = [(energy, resolution) for energy, resolution in signed if energy is not None]
    if not known or any(
        abs(_ROUNDING.subtract(energy, plain)) <= slack + _PLAIN_TOLERANCE_WH for energy, slack in known
    ):
        return
    billed = None if session.billed is None else difference_wh(session.billed)
    energy = known[0][0] if billed is None else billed
    yield hold("register-differs", f"{energy} Wh are signed, the plain register says {plain} Wh")


def times(session: SignedSession, expected: Expected) -> Iterator[SessionFinding]:
    """The signed times lie within what OCPP says of the session, and not ahead of our clock; where the meter's clock is
    not synchronised, its durations do."""
    if not session.begins or not session.ends:
        return
    first, last = session.begins[0], session.ends[-1]
    if first.at is None or last.at is None:
        return
    sure = first.clock is last.clock is MeterClock.SYNCHRONISED
    finding = hold if sure else note
    began, ended = expected.began_at, expected.ended_at
    if began is not None and began - first.at > CLOCK_SKEW:
        yield finding("time-differs", f"signed begin {first.at.isoformat()}, OCPP begin {began.isoformat()}")
    if ended is not None and last.at - ended > CLOCK_SKEW:
        yield finding("time-differs", f"signed end {last.at.isoformat()}, OCPP end {ended.isoformat()}")
    if began is not None and ended is not None and not sure and last.at - first.at > ended - began + CLOCK_SKEW:
        yield hold("duration-differs", f"signed {last.at - first.at}, OCPP {ended - began}")
    if expected.received_at is not None and last.at - expected.received_at > CLOCK_SKEW:
        message = f"signed end {last.at.isoformat()}, received {expected.received_at.isoformat()}"
        yield finding("time-ahead", message)

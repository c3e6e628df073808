"""A week without a hub: `python -m bench.week [DAYS]`, 7 without a number. Prints Markdown and leaves nothing behind; a
week takes some fifteen minutes and 25 GB in the temporary folder.

Twenty chargers send a TransactionEvent each second, in sessions of an hour, and all of it is stored as a station's
message is: recognised, given to its session, chained, committed before the answer. Time is compressed: what
ten seconds bring is handed in at once, and the next ten follow when it is durable. Sockets are not in it, which
`bench.chargers` has; the store, its indexes and what remembers resends are.

*computed* is what the file should hold, from the octets of one message alone: `computed_octets` below says how. The
resident memory is that of this process, which holds nothing but the writer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import msgspec

from gateway.clock import Clock, Moment
from gateway.store.arrivals import Arrival
from gateway.store.ledger import Identity, open_ledger, open_ledger_reader
from gateway.store.transactions import store_message
from gateway.store.writer import Writer
from wire.chain import instant_text
from wire.ocpp.content import message_keys
from wire.ocpp.transaction import read_transaction
from wire.records import encode

OWNER = Identity("site-1", "epoch-1")
CHARGERS, SESSION_S, DAY_S = 20, 3600, 86_400
AT_ONCE_S = 10
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
FLAT_MB = 8.0
_BOOT = "11111111-2222-3333-4444-555555555555"
_PAGE, _PAGE_HEAD, _CELL = 4096, 8, 12
"""SQLite's page, its head, and what a row costs beside its octets: a pointer, its length, its number."""
_ROW_FIELDS = 260
"""Octets of a record's row beside its body: kind, both clocks, boot, hash, salt."""
_SEEN_ROW, _SEEN_FILL = 45, 0.69
"""Octets of a row by which a resend is known; its keys are hashes, so its pages are as full as random order leaves
them."""


def main() -> None:
    """Print the table."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory(prefix="bench-week-") as folder:
        asyncio.run(_week(Path(folder) / "ledger.db", days))


async def _week(path: Path, days: int) -> None:
    writer = Writer(lambda: open_ledger(path, OWNER.gateway_id, OWNER.epoch, BEGIN))
    clock, begun, spent = Clock(_BOOT), perf_counter(), process_time()
    print("| after | records | file, MB | computed, MB | ratio | log, MB | resident, MB | us a record, of CPU |")
    print("|---|---|---|---|---|---|---|---|")
    residents = []
    for begin in range(0, days * DAY_S, AT_ONCE_S):
        await asyncio.gather(*(writer.run(partial(_store, arrival)) for arrival in _arrivals(clock, begin)))
        end = begin + AT_ONCE_S
        if end % SESSION_S == 0:
            residents.append(_resident_mb())
        if end % DAY_S == 0:
            cpu = (process_time() - spent) / (end * CHARGERS)
            print(_row(path, end // DAY_S, residents[-1], cpu), flush=True)
    await writer.close()
    growth = residents[-1] - residents[len(residents) // 10]
    print(
        f"\nresident memory grew by {growth:.1f} MB from a tenth of the way to its end (must: flat, {FLAT_MB:.0f} MB)"
    )
    print(f"{perf_counter() - begun:.0f} s on the wall")


def _arrivals(clock: Clock, begin: int) -> Iterator[Arrival]:
    """What the chargers say from a second on, second by second."""
    for second in range(begin, begin + AT_ONCE_S):
        now = msgspec.structs.replace(clock.now(), at=BEGIN + timedelta(seconds=second))
        yield from (_arrival(number, second, now) for number in range(CHARGERS))


def _store(arrival: Arrival, connection: sqlite3.Connection) -> str:
    return store_message(connection, OWNER, arrival, lambda transaction_id: b"{}")


def _arrival(number: int, second: int, now: Moment) -> Arrival:
    """What a charger says in a second: the begin and the end of a session signed, what is between them not."""
    session, seq = divmod(second, SESSION_S)
    event = {0: "Started", SESSION_S - 1: "Ended"}.get(seq, "Updated")
    trigger = {"Started": "Authorized", "Ended": "EVDeparted"}.get(event, "MeterValuePeriodic")
    register: dict[str, object] = {
        "value": session * 11_000.0 + seq * 3.05,
        "measurand": "Energy.Active.Import.Register",
    }
    if event != "Updated":
        signed = {"signedMeterData": "f" * 900, "encodingMethod": "OCMF", "signingMethod": "", "publicKey": ""}
        register["signedMeterValue"] = signed
    others = [{"value": 230.1 + each, "measurand": "Voltage", "phase": f"L{each}"} for each in (1, 2, 3)]
    at = instant_text(now.at).replace("+00:00", "Z")
    payload = {
        "eventType": event,
        "timestamp": at,
        "triggerReason": trigger,
        "seqNo": seq,
        "transactionInfo": {"transactionId": f"{number:02}-{session:06}", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": at, "sampledValue": [register, *others]}],
    }
    data, message_id = encode(payload), f"{second:08}-{number:02}"
    return Arrival(
        charger_id=f"CP-{number:04}",
        ocpp="2.0.1",
        action="TransactionEvent",
        message_id=message_id,
        payload=data,
        keys=message_keys("TransactionEvent", data),
        frame=f'[2,"{message_id}","TransactionEvent",{data.decode()}]',
        now=now,
        message=read_transaction("2.0.1", "TransactionEvent", data),
    )


def computed_octets(records: int, body: int) -> int:
    """Octets of the file for so many records with a body of so many octets.

    A row stands in one page, so a page holds as many whole rows as fit. By each message it is known again: one row of
    an index whose pages random order leaves as full as it does.
    """
    in_page = (_PAGE - _PAGE_HEAD) // (body + _ROW_FIELDS + _CELL)
    rows = records / in_page if in_page else records * (1 + body // _PAGE)
    seen = records * (_SEEN_ROW + _CELL) / (_PAGE * _SEEN_FILL)
    return int((rows + seen) * _PAGE)


def _row(path: Path, days: int, resident: float, cpu: float) -> str:
    records = days * DAY_S * CHARGERS
    with closing(open_ledger_reader(path)) as reader:
        (body,) = reader.execute("SELECT length(body) FROM records WHERE seq = ?", (records - 2 * CHARGERS,)).fetchone()
    size, log = path.stat().st_size, path.with_name(path.name + "-wal").stat().st_size
    computed = computed_octets(records, body)
    numbers = f"{size / 1e6:,.0f} | {computed / 1e6:,.0f} | {size / computed:.2f} | {log / 1e6:.1f}"
    return f"| {days} d, bodies of {body} | {records:,} | {numbers} | {resident:.1f} | {cpu * 1e6:.0f} |"


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


if __name__ == "__main__":
    main()

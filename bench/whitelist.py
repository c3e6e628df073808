"""What the token list costs on the gateway: `python -m bench.whitelist`. Prints Markdown and leaves nothing behind; a
million tokens, about a minute and 0.5 GB in the temporary folder. `python -m bench.whitelist 10000000` is the list that
the targets are for: ten minutes and 3 GB.

The parts are made by another process with `wire.whitelist.encode_part`, as a hub makes them: nine cards to one contract
that is found by its uid and its contract id, three parties, one in fifty blocked. This process does what the gateway
does with them, one after the other.

1. *import*: `Whitelist.build`, from the parts in their folder to the list in force. Beside it a *sorted build*: as many
   rows of the same length, in order already, into a table by their number, never synced. Memory is the highest resident
   set during the build (VmHWM) above the one before it, and all that of the process that builds.
2. *lookup*: `decide_authorize` on what `Whitelist.find` gives, of random listed and of unknown tokens. Beside it *one
   probe*: the row by its place, on the same file, in turns with it. CPU of the thread, because others use the machine
   too; the wall's figures beside it.
3. *delta*: `Whitelist.apply` of 1,000 random tokens, nine changed to one new, synced.
4. *start*: `Whitelist` on the list, with the look at its top; *the rest*: `Whitelist.examine`.
"""

from __future__ import annotations

import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns, process_time, thread_time_ns

import msgspec

from gateway.decide.authorize import Question, decide_authorize
from gateway.decide.policy import SitePolicy
from gateway.store.database import open_reader
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist
from gateway.store.whitelist_files import file_in_force
from wire.records import Token, TokenRef, TokenType, WhitelistType
from wire.whitelist import (
    PART_TOKENS,
    DeltaContent,
    ListHead,
    Manifest,
    encode_part,
    make_delta,
    next_chain,
)

MILLION = 1_000_000
LOOKUPS, DELTAS, DELTA_TOKENS = 20_000, 5, 1000
IMPORT_MUST_S, IMPORT_AIM_S, RSS_MUST_MB, RSS_AIM_MB = 90, 60, 96, 64
LOOKUP_MUST_US, LOOKUP_AIM_US, DELTA_MUST_S, DELTA_AIM_S = 100, 30, 0.5, 0.2
_CHAIN = "ab" * 32
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_PARTIES = ("ABC", "QRS", "XYZ")
_ROW = bytes(46)
"""As long as a row of the list is on average."""


def main() -> None:
    """Print the table, for a million tokens or as many as are asked for."""
    if sys.argv[1:2] == ["make"]:
        _make(Path(sys.argv[2]), int(sys.argv[3]))
        return
    tokens = int(sys.argv[1]) if sys.argv[1:] else MILLION
    with tempfile.TemporaryDirectory(prefix="bench-whitelist-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "bench.whitelist", "make", name, str(tokens)], check=True)
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        print(f"# {platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
        print(
            f"\n| {tokens:,} tokens, {manifest.octets / 1e6:.0f} MB of parts | found | must | aim |\n|---|---|---|---|"
        )
        with closing(Whitelist(folder / "whitelist.db")) as whitelist:
            _import(whitelist, manifest, folder)
            _lookups(whitelist, folder, tokens)
            _deltas(whitelist, tokens)
        _start(folder)


# --- the tokens


def _uid(number: int) -> tuple[str, TokenType]:
    spread = number * 2_654_435_761 % 2**32
    if number % 10 == 0:
        return f"DE{_PARTIES[number % 3]}C{number:08}", TokenType.EMAID
    return f"04{spread:08X}{number % 4096:04X}", TokenType.RFID


def _token(number: int) -> Token:
    uid, type_ = _uid(number)
    party = _PARTIES[number % 3]
    return Token(
        country_code="DE",
        party_id=party,
        uid=f"key-{number}" if type_ is TokenType.EMAID else uid,
        type=type_,
        contract_id=uid if type_ is TokenType.EMAID else f"DE{party}C{number:08}",
        issuer=f"{party} Mobility",
        valid=number % 50 != 1,
        whitelist=WhitelistType.ALLOWED,
        last_updated=_BEGUN + timedelta(seconds=number * 7919 % 20_000_000),
    )


def _make(folder: Path, tokens: int) -> None:
    parts, refs = PartFolder(folder / "parts"), []
    rest = iter(range(tokens))
    while some := [_token(number) for number in islice(rest, PART_TOKENS)]:
        ref, octets = encode_part(some)
        parts.put(ref, octets)
        refs.append(ref)
    manifest = Manifest(version=1, chain=_CHAIN, parts=tuple(refs))
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))


# --- what is measured


def _row(job: str, found: str, must: str = "", aim: str = "") -> None:
    print(f"| {job} | {found} | {must} | {aim} |", flush=True)


def _head(version: int, chain: str, tokens: int) -> ListHead:
    until = _BEGUN + timedelta(days=7)
    return ListHead(gateway_id="site-1", version=version, chain=chain, tokens=tokens, issued_at=_BEGUN, not_after=until)


def _resident_mb(name: str, process: str = "self") -> float:
    """0 for a process that has just ended."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0) * 1024 / 1e6


def _cpu_s() -> float:
    """Of this process, and of those that it has started and that are done."""
    return sum(os.times()[:4])


def _import(whitelist: Whitelist, manifest: Manifest, folder: Path) -> None:
    parts, head = PartFolder(folder / "parts"), _head(1, _CHAIN, manifest.tokens)
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # The highest resident set begins anew (proc(5)).
    other = [0.0]

    def progress(done: int, of: int) -> None:
        for child in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text("ascii").split():
            other[0] = max(other[0], _resident_mb("VmHWM", child))

    before, begun, cpu = _resident_mb("VmRSS"), perf_counter(), _cpu_s()
    working = threading.Thread(target=whitelist.build, args=(manifest, parts, head, progress))
    working.start()
    working.join()
    took, cpu, added = perf_counter() - begun, _cpu_s() - cpu, _resident_mb("VmHWM") - before + other[0]
    assert (whitelist.version, len(whitelist)) == (1, manifest.tokens)
    file = file_in_force(folder / "whitelist.db")
    assert file is not None
    bare = _sorted_build(folder / "bare.db", manifest.tokens + manifest.tokens // 10)
    targets = (f"{IMPORT_MUST_S} s", f"{IMPORT_AIM_S} s") if manifest.tokens == 10 * MILLION else ("", "")
    _row("import", f"{took:.1f} s, {cpu:.1f} s of CPU", *targets)
    _row("*sorted build of as many rows*", f"{bare[0]:.1f} s, {bare[1]:.1f} s of CPU")
    _row("import over sorted build, CPU", f"{cpu / bare[1]:.1f}")
    _row("memory that the import adds", f"{added:.0f} MB", f"{RSS_MUST_MB} MB", f"{RSS_AIM_MB} MB")
    size = file.stat().st_size
    _row("the list", f"{size / 1e6:.0f} MB, {size / manifest.tokens:.0f} bytes a token")


def _sorted_build(path: Path, rows: int) -> tuple[float, float]:
    """Seconds and CPU seconds."""
    step = 2**63 // rows
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-8000"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("CREATE TABLE tokens (place INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        begun, cpu = perf_counter(), process_time()
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO tokens VALUES (?, ?)", ((place * step, _ROW) for place in range(rows)))
        connection.execute("COMMIT")
        took = perf_counter() - begun, process_time() - cpu
    path.unlink()
    return took


@dataclass(slots=True)
class _Timed:
    """Microseconds of many calls, of the thread and on the wall."""

    cpu: list[float]
    wall: list[float]

    def add(self, work: Callable[[], object]) -> None:
        """Do it once, and note what it took."""
        wall, cpu = perf_counter_ns(), thread_time_ns()
        work()
        cpu_end, wall_end = thread_time_ns(), perf_counter_ns()
        self.cpu.append((cpu_end - cpu) / 1e3)
        self.wall.append((wall_end - wall) / 1e3)

    def said(self) -> str:
        """Median and 99th percentile."""
        figures = [(median(each), quantiles(each, n=100)[98]) for each in (self.cpu, self.wall)]
        cpu, wall = (f"{middle:.1f} / {high:.1f}" for middle, high in figures)
        return f"{cpu} us (wall {wall})"


def _lookups(whitelist: Whitelist, folder: Path, tokens: int) -> None:
    chosen, policy = random.Random(7), SitePolicy()
    file = file_in_force(folder / "whitelist.db")
    assert file is not None
    listed, unknown, probes = _Timed([], []), _Timed([], []), _Timed([], [])
    with closing(open_reader(file)) as connection:
        places = list(_places(connection, chosen))

        def decide(presented: TokenRef) -> None:
            decide_authorize(Question(token=presented, listed=whitelist.find(presented)), policy)

        def probe(place: int) -> None:
            connection.execute(_PROBE, (place,)).fetchone()

        for turn in range(LOOKUPS):
            uid, type_ = _uid(chosen.randrange(tokens))
            presented = TokenRef(uid=uid, type=type_)
            assert turn % 1000 or whitelist.find(presented) is not None
            listed.add(partial(decide, presented))
            stranger = TokenRef(uid=f"05{chosen.getrandbits(40):010X}", type=TokenType.RFID)
            unknown.add(partial(decide, stranger))
            probes.add(partial(probe, places[turn % len(places)]))
    _row("lookup in the decision, listed: median / p99", listed.said(), f"{LOOKUP_MUST_US} us", f"{LOOKUP_AIM_US} us")
    _row("lookup in the decision, unknown: median / p99", unknown.said(), f"{LOOKUP_MUST_US} us", f"{LOOKUP_AIM_US} us")
    _row("*one probe: median / p99*", probes.said())


_PROBE = "SELECT body FROM tokens WHERE place = ?"


def _places(connection: sqlite3.Connection, chosen: random.Random) -> Iterator[int]:
    """Places that are taken, anywhere in the list."""
    query = "SELECT place FROM tokens WHERE place >= ? LIMIT 1"
    for _ in range(LOOKUPS // 2):
        row = connection.execute(query, (chosen.getrandbits(63),)).fetchone()
        if row is not None:
            yield row[0]


def _deltas(whitelist: Whitelist, tokens: int) -> None:
    chosen, took, chain = random.Random(8), [], _CHAIN
    for version in range(1, DELTAS + 1):
        changed = [_changed(chosen.randrange(tokens)) for _ in range(DELTA_TOKENS * 9 // 10)]
        fresh = [_token(tokens + version * DELTA_TOKENS + number) for number in range(DELTA_TOKENS - len(changed))]
        delta = make_delta(version, version + 1, DeltaContent(tokens=(*changed, *fresh)))
        chain = next_chain(chain, delta)
        head, begun = _head(version + 1, chain, 0), perf_counter()
        whitelist.apply([delta], head)
        took.append(perf_counter() - begun)
    _row(
        f"delta of {DELTA_TOKENS:,}: median of {DELTAS}, worst", _seconds(took), f"{DELTA_MUST_S} s", f"{DELTA_AIM_S} s"
    )


def _seconds(took: Sequence[float]) -> str:
    return f"{median(took):.3f} s, {max(took):.3f} s"


def _changed(number: int) -> Token:
    token = _token(number)
    return msgspec.structs.replace(token, valid=not token.valid, last_updated=token.last_updated + timedelta(days=365))


def _start(folder: Path) -> None:
    begun = perf_counter()
    with closing(Whitelist(folder / "whitelist.db")) as whitelist:
        _row("start, with the look at its top", f"{perf_counter() - begun:.3f} s")
        begun = perf_counter()
        assert whitelist.examine() is None
        _row("the rest of it, in the background", f"{perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()

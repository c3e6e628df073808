"""The table of what the service's registry costs with a million certificates in it: `python -m bench.registry`. Prints
Markdown and writes nothing that stays; about two minutes and 2 GB in the temporary folder.

The million rows are put into the store by SQL, each with random serial number, hashes and a name of its own, and the
octets of one real certificate; issuing them would take most of an hour. A tenth is revoked. Everything else is what the
service itself does: look-ups are mean seconds of a thousand random ones; a list is made, signed, written and committed;
issuing is signing, checking by our own rules, writing and waiting for the disk, one after the other, beside the raw
signature of the same octets by the same key. Seconds here are those of the clock on the wall, because waiting for the
disk is part of the work.
"""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from time import perf_counter, process_time

import cryptography
import msgspec

from pki.issue.declaration import parse_declaration
from pki.issue.keys import generate_key, sign
from pki.issue.lists import Reason
from pki.profiles import profile_named
from pki.service.acts.founding import Foundation, found
from pki.service.acts.issuing import Issued, Wanted, issue
from pki.service.acts.publishing import publish, refresh
from pki.service.acts.responding import standing
from pki.service.acts.revoking import revoke
from pki.service.registry import REGISTRY_FILE, Actor, Registry
from pki.service.settings import PKISettings
from pki.service.state_folder import open_registry
from pki.service.store.audit import append_entry
from pki.service.store.certificates import count_certificates, find_by_hash, find_by_identity, find_certificate

ROWS, REVOKED = 1_000_000, 100_000
_LOOKUPS, _ISSUED = 1000, {"P-256": ("iso15118-2-contract", 300), "P-521": ("iso15118-20-contract", 150)}
_LOOKUP_LIMIT_S, _LIST_LIMIT_S = 0.001, 2.0
_NAME = "mo-sub2"
_BY = Actor(who="operator:bench", why="measured")
_CHUNK = 50_000
_COMMITS = 300
_SETTINGS = """\
[pki]
organization = "bench"
country = "DE"
[keys]
passphrase_file = "passphrase"
"""


def main() -> None:
    """Print the tables."""
    print(f"# {platform.machine()}, Python {platform.python_version()}, cryptography {cryptography.__version__}")
    with tempfile.TemporaryDirectory(prefix="bench-registry-") as held:
        folder = Path(held) / "state"
        _found(folder)
        with open_registry(folder) as registry:
            _print("issuing, nothing in the store", _issuing_rows(registry))
        serials = _fill(folder)
        size = (folder / REGISTRY_FILE).stat().st_size
        with open_registry(folder) as registry:
            print(f"\n| {ROWS:,} certificates, {size / 1e9:.1f} GB | measured | at most |\n|---|---|---|")
            for row in (*_lookup_rows(registry, serials), *_list_rows(registry)):
                print(row, flush=True)
            _print(f"issuing, {ROWS:,} in the store", _issuing_rows(registry))


def _print(title: str, rows: Iterator[str]) -> None:
    print(f"\n| {title} | milliseconds | raw signature | ratio | a second |\n|---|---|---|---|---|")
    for row in rows:
        print(row, flush=True)


def _found(folder: Path) -> None:
    declared = (resources.files("pki.service") / "templates" / "lab.toml").read_bytes()
    foundation = Foundation(
        declaration=parse_declaration(declared),
        settings=msgspec.toml.decode(_SETTINGS, type=PKISettings),
        settings_text=_SETTINGS,
        make_passphrase=True,
    )
    found(folder, foundation, _BY, lambda: datetime.now(UTC))


def _fill(folder: Path) -> list[tuple[bytes, bytes, str]]:
    """Put the rows in, by SQL; some of their serial numbers, hashes and names."""
    kept: list[tuple[bytes, bytes, str]] = []
    with open_registry(folder) as registry:
        der = _issue(registry, "iso15118-2-contract", 1).certificate.der
        now = int(registry.now().timestamp() * 1e6)
        ends = now + int(timedelta(days=700).total_seconds() * 1e6)
        for first in range(0, ROWS, _CHUNK):
            with registry.writing() as connection:
                rows = []
                for number in range(first, first + _CHUNK):
                    random = os.urandom(71)
                    serial = bytes([random[0] & 0x7F]) + random[1:20]
                    name, sha256 = f"DEBCH{number:09}", random[20:52]
                    at, reason = (now, "superseded") if number % (ROWS // REVOKED) == 0 else (None, None)
                    # 52 random octets, made as long as a hash.
                    rows.append((_NAME, serial, sha256, name, random[39:71], now, ends, der, now, at, reason))
                    if number % (ROWS // _LOOKUPS) == 0:
                        kept.append((serial, sha256, name))
                connection.executemany(
                    "INSERT INTO certificate VALUES "
                    "(?, ?, ?, 'iso15118-2-contract', 'leaf', ?, ?, ?, ?, ?, ?, 'bench', ?, ?)",
                    rows,
                )
    return kept


def _lookup_rows(registry: Registry, known: list[tuple[bytes, bytes, str]]) -> Iterator[str]:
    picks = [secrets.choice(known) for _ in range(_LOOKUPS)]
    with registry.reading() as connection:
        jobs: dict[str, Callable[[bytes, bytes, str], object]] = {
            "by authority and serial number": lambda serial, _sha, _name: find_certificate(
                connection, _NAME, int.from_bytes(serial)
            ),
            "by SHA-256": lambda _serial, sha256, _name: find_by_hash(connection, sha256),
            "by identity": lambda _serial, _sha, name: find_by_identity(connection, name),
            "standing, for an OCSP answer": lambda serial, _sha, _name: standing(
                registry, _NAME, int.from_bytes(serial)
            ),
            "of a serial number that was never issued": lambda serial, _sha, _name: standing(
                registry, _NAME, int.from_bytes(serial) ^ 1
            ),
        }
        for what, job in jobs.items():
            begun = perf_counter()
            answers = [job(*pick) for pick in picks]
            spent = (perf_counter() - begun) / _LOOKUPS
            assert all(answers)
            yield f"| look-up {what} | {spent * 1e6:.0f} us | {_LOOKUP_LIMIT_S * 1e6:.0f} us |"
        begun = perf_counter()
        issued, revoked = count_certificates(connection, _NAME)
        assert issued >= ROWS
        assert revoked >= REVOKED
        yield f"| counting issued and revoked, for `pnc-pki status` | {perf_counter() - begun:.2f} s | |"


def _list_rows(registry: Registry) -> Iterator[str]:
    for what in ("first", "again, with its delta"):
        begun, busy = perf_counter(), process_time()
        assert publish(registry, _BY, [_NAME]).made == (_NAME,)
        spent, busy = perf_counter() - begun, process_time() - busy
        told = f"list of {REVOKED:,} entries, {what}: from the store to the disk"
        yield f"| {told} | {spent:.2f} s, of the processor {busy:.2f} s | {_LIST_LIMIT_S:.2f} s |"
    made = _issue(registry, "iso15118-2-contract", 2)
    with registry.reading() as connection:
        held = find_certificate(connection, made.authority, made.certificate.serial)
    assert held is not None
    begun = perf_counter()
    revoke(registry, held, Reason.SUPERSEDED, _BY)
    assert refresh(registry, _BY).made == (_NAME,)
    yield f"| one revocation and the delta that says so | {perf_counter() - begun:.2f} s | |"


def _issuing_rows(registry: Registry) -> Iterator[str]:
    begun = perf_counter()
    for _ in range(_COMMITS):
        with registry.writing() as connection:
            append_entry(connection, registry.now(), "measured", _BY, "an entry alone")
    alone = (perf_counter() - begun) / _COMMITS
    yield f"| *an audit entry alone, with the commit* | {alone * 1e3:.2f} | | | {1 / alone:.0f} |"
    for name, (profile, times) in _ISSUED.items():
        held = registry.issuing_authority(profile_named(profile))
        keys = [generate_key(held.certificate.key_kind).public_key() for _ in range(times)]
        key, signed = registry.key(held.row.key_name), held.certificate.tbs
        begun = perf_counter()
        for _ in range(times):
            sign(key, signed)
        raw = (perf_counter() - begun) / times
        begun = perf_counter()
        for number, public_key in enumerate(keys):
            wanted = Wanted(profile=profile_named(profile), common_name=f"DEISS{number:09}", public_key=public_key)
            issue(registry, wanted, _BY)
        spent = (perf_counter() - begun) / times
        yield f"| {name}, with the commit | {spent * 1e3:.2f} | {raw * 1e3:.2f} | {spent / raw:.1f} | {1 / spent:.0f} |"


def _issue(registry: Registry, profile: str, number: int) -> Issued:
    branch = profile_named(profile)
    kind = registry.issuing_authority(branch).certificate.key_kind
    wanted = Wanted(profile=branch, common_name=f"DEONE{number:09}", public_key=generate_key(kind).public_key())
    return issue(registry, wanted, _BY)


if __name__ == "__main__":
    main()

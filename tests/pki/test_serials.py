"""The packed index of a list's entries: the same answers as the library's, in little time and memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings, strategies as st

from pki import der as outline
from pki.errors import TrustError
from pki.verify import RevocationEvidence, RevocationState
from pki.verify.crl import parse_crl, verify_crl
from pki.verify.serials import RevokedSerials, read_serials
from tests.pki.evidence_mint import certificates, entries_of, list_of, long_list
from tests.pki.mint import AT, Branch, content_of, operate, sound_branch, split, tlv

REASON = bytes.fromhex("300c300a0603551d1504030a0101")
REMOVAL = bytes.fromhex("300c300a0603551d1504030a0108")
INVALIDITY = tlv(0x30, tlv(0x30, bytes.fromhex("0603551d18") + tlv(4, tlv(0x18, b"20200101000000Z"))))
LONG = tlv(0x30, tlv(0x30, b"\x06\x03\x2a\x03\x04" + tlv(4, bytes(300))))
TIME = tlv(0x17, b"200101000000Z")
SERIALS = st.lists(st.integers(0, 2**159 - 1) | st.integers(0, 600), max_size=400)


def index_of(entries: bytes) -> RevokedSerials:
    """The index of a revokedCertificates element."""
    return read_serials(entries, outline.read_element(entries, 0, len(entries)))


def entry(serial: bytes, *rest: bytes) -> bytes:
    return tlv(0x30, serial + b"".join(rest))


@settings(max_examples=100, deadline=None)
@given(serials=SERIALS, others=SERIALS)
def test_exactly_what_is_listed_is_found(serials: list[int], others: list[int]) -> None:
    index = index_of(entries_of(serials))
    assert len(index) == len(set(serials))
    for serial in (*serials, *others, *(serial + 1 for serial in serials)):
        assert (index.listing(serial) is not None) == (serial in set(serials))


def test_the_index_says_what_the_library_says() -> None:
    branch, draw = sound_branch(), random.Random(20261123)
    serials = [draw.getrandbits(draw.choice((8, 64, 128, 159))) | 1 for _ in range(3000)]
    der = long_list(branch.sub2, serials, REASON)
    index = verify_crl(parse_crl(der), certificates(branch)[1]).revoked
    first: dict[int, datetime] = {}
    for revoked in x509.load_der_x509_crl(der):
        serial, at = revoked.serial_number, revoked.revocation_date_utc
        first[serial] = min(at, first.get(serial, at))
    assert set(first) == set(serials)
    assert {serial: index.listing(serial) for serial in first} == {serial: (at, False) for serial, at in first.items()}


def test_more_kinds_of_endings_than_are_kept_are_still_read() -> None:
    """Each entry with its own invalidity date; the last is a removal."""
    oid = bytes.fromhex("0603551d18")
    endings = [tlv(0x30, tlv(0x30, oid + tlv(4, tlv(0x18, b"2020010100%04dZ" % at)))) for at in range(300)]
    entries = [entry(tlv(2, bytes([1, at // 256, at % 256])), TIME, ending) for at, ending in enumerate(endings)]
    index = index_of(tlv(0x30, b"".join([*entries, entry(b"\x02\x01\x05", TIME, REMOVAL)])))
    assert (len(index), index.removals) == (301, True)
    assert index.listing(5) is not None


def test_long_runs_are_merged_without_loss() -> None:
    """More entries than one sorted run holds, in falling order, every third twice."""
    serials = [serial for serial in range(50_000, 0, -1) for _ in range(2 if serial % 3 == 0 else 1)]
    index = index_of(entries_of(serials))
    assert len(index) == 50_000
    assert all(index.listing(serial) for serial in range(1, 50_001))
    assert index.listing(0) is None
    assert index.listing(50_001) is None


def test_serials_whose_octets_overlap_are_told_apart() -> None:
    """A key may also stand across the border of two records; that is no entry."""
    listed = [int.from_bytes(bytes([octet]) * 19, "big") for octet in range(1, 128)]
    index = index_of(entries_of(listed))
    assert all(index.listing(serial) for serial in listed)
    assert not any(index.listing(serial << 8) or index.listing(serial >> 8) for serial in listed)
    for out in (-1, 2**160, 2**4000):
        assert index.listing(out) is None


@pytest.mark.parametrize(
    ("entries", "removed"),
    [
        (entry(b"\x02\x01\x05", TIME, REMOVAL), True),
        (entry(b"\x02\x01\x05", TIME, REASON), False),
        (entry(b"\x02\x01\x05", TIME, INVALIDITY), False),
        (entry(b"\x02\x01\x05", TIME), False),
        (entry(b"\x02\x01\x05", TIME, LONG), False),
        (entry(b"\x02\x01\x05", TIME, REMOVAL) + entry(b"\x02\x01\x05", tlv(0x17, b"260101000000Z"), REASON), False),
    ],
)
def test_a_removal_is_told_from_a_revocation(entries: bytes, removed: bool) -> None:
    listing = index_of(tlv(0x30, entries)).listing(5)
    assert listing is not None
    assert listing.removed is removed


@pytest.mark.parametrize(
    ("time", "seen"),
    [
        (tlv(0x17, b"491231235959Z"), "2049-12-31T23:59:59+00:00"),
        (tlv(0x17, b"500101000000Z"), "1970-01-01T00:00:00+00:00"),
        (tlv(0x17, b"240229010203Z"), "2024-02-29T01:02:03+00:00"),
        (tlv(0x18, b"20500101000000Z"), "2050-01-01T00:00:00+00:00"),
        (tlv(0x18, b"99991231235959Z"), "9999-12-31T23:59:59+00:00"),
        (tlv(0x18, b"00010101000000Z"), "1970-01-01T00:00:00+00:00"),
    ],
)
def test_times_of_both_types_are_read(time: bytes, seen: str) -> None:
    """Before 1970 counts as 1970: revoked before anything that is asked."""
    for before in (b"", entry(b"\x02\x01\x04", time)):
        listing = index_of(tlv(0x30, before + entry(b"\x02\x01\x05", time))).listing(5)
        assert listing is not None
        assert listing.at.isoformat() == seen


MALFORMED = {
    "not a SEQUENCE": tlv(0x31, b"\x02\x01\x05" + TIME),
    "empty": b"\x30\x00",
    "cut off": entry(b"\x02\x01\x05", TIME)[:-1],
    "one octet": b"\x30",
    "no serial": entry(TIME),
    "serial only": entry(b"\x02\x01\x05"),
    "empty serial": entry(b"\x02\x00", TIME),
    "negative serial": entry(b"\x02\x01\x80", TIME),
    "padded serial": entry(b"\x02\x02\x00\x05", TIME),
    "serial of 21 octets": entry(tlv(2, b"\x01" * 21), TIME),
    "serial longer than its entry": b"\x30\x05\x02\x14\x01\x17\x0d" + TIME,
    "time without Z": entry(b"\x02\x01\x05", tlv(0x17, b"2001010000000")),
    "time with an offset": entry(b"\x02\x01\x05", tlv(0x17, b"2001010000+01")),
    "time with an underscore": entry(b"\x02\x01\x05", tlv(0x17, b"2001010_0000Z")),
    "hour 24": entry(b"\x02\x01\x05", tlv(0x17, b"200101240000Z")),
    "second 60": entry(b"\x02\x01\x05", tlv(0x17, b"200101000060Z")),
    "30 February": entry(b"\x02\x01\x05", tlv(0x17, b"200230000000Z")),
    "time of another type": entry(b"\x02\x01\x05", tlv(0x16, b"200101000000Z")),
    "extensions empty": entry(b"\x02\x01\x05", TIME, b"\x30\x00"),
    "extensions no SEQUENCE": entry(b"\x02\x01\x05", TIME, b"\x05\x00"),
    "two sets of extensions": entry(b"\x02\x01\x05", TIME, REASON, REASON),
    "reason that does not exist": entry(b"\x02\x01\x05", TIME, REASON[:-1] + b"\x07"),
    "reason of another type": entry(b"\x02\x01\x05", TIME, REASON[:-3] + b"\x02\x01\x01"),
    "padded object identifier": entry(b"\x02\x01\x05", TIME, bytes.fromhex("300c300a0603558015040a0a0101")),
}


@pytest.mark.parametrize("first", [b"", entry(b"\x02\x01\x04", TIME)], ids=["alone", "after a sound entry"])
@pytest.mark.parametrize("entries", MALFORMED.values(), ids=MALFORMED)
def test_an_entry_that_is_not_der_refuses_the_list(entries: bytes, first: bytes) -> None:
    with pytest.raises(outline.MalformedDER):
        index_of(tlv(0x30, first + entries))


def test_a_critical_reason_is_processed_and_an_unknown_critical_extension_is_not() -> None:
    critical = bytes.fromhex("300f300d0603551d150101ff04030a0101")
    assert index_of(tlv(0x30, entry(b"\x02\x01\x05", TIME, critical))).listing(5)
    issuer = bytes.fromhex("300f300d0603551d1d0101ff04030a0101")
    with pytest.raises(TrustError) as caught:
        index_of(tlv(0x30, entry(b"\x02\x01\x05", TIME, issuer)))
    assert caught.value.code == "crl-extension"


@pytest.mark.parametrize("spoil", [lambda der: der[:-1], lambda der: b"\x31" + der[1:]])
def test_a_signed_list_with_odd_entries_says_nothing(branch: Branch, spoil: Callable[[bytes], bytes]) -> None:
    leaf, issuer = certificates(branch)
    good = tlv(0x30, b"\x02\x01\x05" + TIME)
    assert RevocationEvidence([_with_entries(branch, good)]).state(issuer, leaf, AT).state is RevocationState.GOOD
    found = RevocationEvidence([_with_entries(branch, spoil(good))]).state(issuer, leaf, AT)
    assert found.state is RevocationState.UNKNOWN
    assert found.notes[0].text.startswith("malformed-crl")


def _with_entries(branch: Branch, entries: bytes) -> bytes:
    assert len(split(content_of(split(content_of(list_of(branch.sub2, 1)))[0]))) == 7
    return operate(
        list_of(branch.sub2, 1),
        lambda parts: [*parts[:5], tlv(0x30, entries), *parts[6:]],
        branch.sub2.key,
        hashes.SHA256(),
    )


MEASURE = """
import json, random, sys, time
from datetime import datetime
from pathlib import Path
from pki.certificate import parse_certificate
from pki.verify.revocation import RevocationEvidence, Subject

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

folder, at = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
issuer = parse_certificate((folder / "issuer.der").read_bytes())
RevocationEvidence([(folder / "short.crl").read_bytes()]).prepare(issuer)
before = resident()
evidence = RevocationEvidence([(folder / "long.crl").read_bytes()])
begun = time.process_time()
lists, notes = evidence.prepare(issuer)
imported = time.process_time() - begun
kept = resident() - before
serials = lists.lists[0].revoked
listed = json.loads((folder / "listed.json").read_text())
draw = random.Random(5)
absent = [draw.getrandbits(157) for _ in listed]
begun = time.process_time()
hits, misses = sum(bool(serials.listing(s)) for s in listed), sum(bool(serials.listing(s)) for s in absent)
looked_up = (time.process_time() - begun) / 2 / len(listed)
state = evidence.history(issuer, Subject(listed[0], False, frozenset())).at(at).state
print(json.dumps([len(serials), imported, kept, looked_up, hits, misses, state, len(notes)]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_a_million_serials_are_taken_in_within_the_limits(branch: Branch, tmp_path: Path) -> None:
    draw = random.Random(1)
    serials = [draw.getrandbits(158) | 1 << 157 for _ in range(1_000_000)]
    (tmp_path / "long.crl").write_bytes(long_list(branch.sub2, serials))
    (tmp_path / "short.crl").write_bytes(list_of(branch.sub2, 5))
    (tmp_path / "issuer.der").write_bytes(certificates(branch)[1].der)
    (tmp_path / "listed.json").write_text(json.dumps(serials[:20_000]))
    del serials
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), AT.isoformat()],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    count, imported_s, kept_bytes, lookup_s, hits, misses, state, notes = json.loads(ran.stdout)
    assert (count, hits, misses, state, notes) == (1_000_000, 20_000, 0, "revoked", 0)
    assert imported_s < 30
    assert kept_bytes < 64 * 1024 * 1024
    assert lookup_s < 10e-6
    print(f"import {imported_s:.1f} s, kept {kept_bytes / 1e6:.1f} MB, look-up {lookup_s * 1e6:.2f} us")

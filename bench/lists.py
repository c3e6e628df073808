"""A CRL of a million entries in a process of its own: import, look-up, memory.

`make` writes the list and its issuer into a folder; `python -m bench.lists FOLDER` prints what they cost as JSON.
There are two processes, because making the list takes memory that must not be counted.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from random import Random
from time import process_time
from typing import TypedDict

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.material import AT
from pki.certificate import Certificate, parse_certificate
from pki.der import BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, UTC_TIME
from pki.issue.keys import parse_key_pem
from pki.verify import RevocationEvidence

ENTRIES = 1_000_000
_LOOK_UPS = 20_000
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


class Cost(TypedDict):
    """Seconds of CPU for the import, seconds for one look-up, bytes kept, bytes at the highest."""

    entries: int
    octets: int
    import_s: float
    lookup_s: float
    kept: int
    peak: int


def make(folder: Path, issuer: Certificate, key_pem: bytes, leaf: Certificate) -> None:
    """Write a list of `ENTRIES` random serial numbers, and who issued it."""
    draw = Random(1)
    time = b"260501000000Z"
    ending = _tlv(UTC_TIME, time)
    serials = (draw.getrandbits(158) | 1 << 157 for _ in range(ENTRIES))
    entries = b"".join([_tlv(SEQUENCE, _tlv(INTEGER, serial.to_bytes(20, "big")) + ending) for serial in serials])
    number = _tlv(SEQUENCE, bytes.fromhex("0603551d14") + _tlv(OCTET_STRING, _tlv(INTEGER, b"\x01")))
    instants = [(AT + timedelta(days=days)).strftime("%y%m%d%H%M%SZ").encode() for days in (-1, 7)]
    signed = _tlv(
        SEQUENCE,
        _tlv(INTEGER, b"\x01")
        + _ECDSA_SHA256
        + issuer.subject_der
        + b"".join(_tlv(UTC_TIME, text) for text in instants)
        + _tlv(SEQUENCE, entries)
        + _tlv(0xA0, _tlv(SEQUENCE, number)),
    )
    key = parse_key_pem(key_pem)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    (folder / "list.crl").write_bytes(_tlv(SEQUENCE, signed + _ECDSA_SHA256 + _tlv(BIT_STRING, b"\0" + signature)))
    (folder / "issuer.der").write_bytes(issuer.der)
    (folder / "leaf.der").write_bytes(leaf.der)


def measure(folder: Path) -> Cost:
    """The cost of the list in `folder`, in this process."""
    issuer, leaf = (parse_certificate((folder / name).read_bytes()) for name in ("issuer.der", "leaf.der"))
    # What any list takes, whatever its length, is loaded before.
    RevocationEvidence([]).state(issuer, leaf, AT)
    before = _memory("VmRSS")
    begun = process_time()
    octets = (folder / "list.crl").stat().st_size
    evidence = RevocationEvidence([(folder / "list.crl").read_bytes()])
    lists, notes = evidence.prepare(issuer)
    spent = process_time() - begun
    assert not notes
    revoked = lists.lists[0].revoked
    draw = Random(1)
    held = [draw.getrandbits(158) | 1 << 157 for _ in range(_LOOK_UPS // 2)]
    asked = held + [draw.getrandbits(158) for _ in range(_LOOK_UPS // 2)]
    best = min(_look_up(revoked.listing, asked) for _ in range(5))
    assert all(revoked.listing(serial) is not None for serial in held)
    return Cost(
        entries=len(revoked),
        octets=octets,
        import_s=spent,
        lookup_s=best,
        kept=_memory("VmRSS") - before,
        peak=_memory("VmHWM") - before,
    )


def _look_up(listing: object, asked: list[int]) -> float:
    assert callable(listing)
    begun = process_time()
    for serial in asked:
        listing(serial)
    return (process_time() - begun) / len(asked)


def _memory(row: str) -> int:
    """Bytes of this process, from the kernel's account (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{row}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the kernel tells no {row}")


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))

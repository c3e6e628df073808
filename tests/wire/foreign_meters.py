"""Meters of other formats, for tests: each writes and signs its records by the layout as published.

This is a second writing of the layouts, from their offsets and field lists; it shares no code with the readers.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AT = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)


def meter_key(seed: int, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """A key for tests alone, the same for one seed."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(bytes([seed])).digest()[:20]), curve)


def point_of(key: ec.EllipticCurvePrivateKey, *, compressed: bool = False) -> bytes:
    form = PublicFormat.CompressedPoint if compressed else PublicFormat.UncompressedPoint
    return key.public_key().public_bytes(Encoding.X962, form)


def der_signature(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return key.sign(hashlib.sha256(content).digest(), ec.ECDSA(Prehashed(hashes.SHA256())))


def bare_signature(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    r, s = decode_dss_signature(der_signature(key, content))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)


class Buffer:
    """A buffer that is zero wherever nothing was put."""

    def __init__(self, size: int) -> None:
        self.content = bytearray(size)

    def put(self, offset: int, data: bytes) -> None:
        self.content[offset : offset + len(data)] = data

    def little(self, offset: int, size: int, number: int) -> None:
        self.put(offset, number.to_bytes(size, "little", signed=number < 0))


# --- SML --------------------------------------------------------------------------------------------------------------


def octets(data: bytes) -> bytes:
    """An octet string: one length byte up to 15, two beyond."""
    if len(data) <= 14:
        return bytes([len(data) + 1]) + data
    length = len(data) + 2
    return bytes([0x80 | length >> 4, length & 0x0F]) + data


def unsigned(number: int, size: int) -> bytes:
    return bytes([0x60 | size + 1]) + number.to_bytes(size)


def signed(number: int, size: int) -> bytes:
    return bytes([0x50 | size + 1]) + number.to_bytes(size, signed=True)


def several(*fields: bytes) -> bytes:
    head = bytes([0x70 | len(fields)]) if len(fields) < 16 else bytes([0xF0 | len(fields) >> 4, len(fields) & 0x0F])
    return head + b"".join(fields)


ABSENT = b"\x01"


def local_time(seconds: int, offset: int, season: int) -> bytes:
    return several(unsigned(3, 1), several(unsigned(seconds, 4), signed(offset, 2), signed(season, 2)))


def plain_time(seconds: int) -> bytes:
    return several(unsigned(2, 1), unsigned(seconds, 4))


def entry(name: str, value: bytes, **more: bytes) -> bytes:
    given = {"status": ABSENT, "time": ABSENT, "unit": ABSENT, "scaler": ABSENT, "signature": ABSENT, **more}
    return several(
        octets(bytes.fromhex(name)),
        given["status"],
        given["time"],
        given["unit"],
        given["scaler"],
        value,
        given["signature"],
    )


def x25(data: bytes) -> bytes:
    """The CRC bit by bit, low byte first."""
    register = 0xFFFF
    for byte in data:
        for bit in range(8):
            mix = (register ^ byte >> bit) & 1
            register >>= 1
            if mix:
                register ^= 0x8408
    return (register ^ 0xFFFF).to_bytes(2, "little")


def message(number: int, tag: int, body: bytes) -> bytes:
    inner = octets(bytes([number])) + unsigned(0, 1) + unsigned(0, 1) + several(unsigned(tag, 4), body)
    checked = b"\x76" + inner
    return checked + b"\x63" + x25(checked) + b"\x00"


def sml_file(*messages: bytes) -> bytes:
    content = b"".join(messages)
    padding = -len(content) % 4
    content = content.replace(b"\x1b" * 4, b"\x1b" * 8) + bytes(padding)
    framed = b"\x1b" * 4 + b"\x01" * 4 + content + b"\x1b" * 4 + bytes([0x1A, padding])
    return framed + x25(framed)


def list_answer(server_id: bytes, entries: list[bytes], signature: bytes, name: bytes = ABSENT) -> bytes:
    body = several(
        ABSENT, octets(server_id), name, ABSENT, several(*entries), octets(signature) if signature else ABSENT, ABSENT
    )
    opened = message(1, 0x0101, several(ABSENT, ABSENT, octets(b"file"), octets(server_id), ABSENT, ABSENT))
    return sml_file(opened, message(2, 0x0701, body), message(3, 0x0201, several(ABSENT)))


# --- EDL40 ------------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class EDL40Meter:
    """An eHZ; `wide` is the newer one, on secp256r1 and with compensation."""

    wide: bool = False
    key: ec.EllipticCurvePrivateKey = field(init=False)
    server_id: bytes = bytes.fromhex("0901454D480000123456")
    seconds: int = int(AT.timestamp())
    offset: int = 60
    season: int = 60
    status: int = 0
    second_index: int = 700_001
    page: int = 40
    unit: int = 30
    scaler: int = -1
    value: int = 29_356_001
    log_book: bytes = b"\x00\x07"
    contract: bytes = b"DEABC000000001"
    contract_seconds: int = int(AT.timestamp()) - 60
    before: int = 0
    compensated: int = 0
    resistance: int = 0
    stopwatch: int = 0
    price: int = 0

    def __post_init__(self) -> None:
        self.key = meter_key(1, ec.SECP256R1() if self.wide else ec.SECP192R1())

    def buffer(self) -> bytes:
        """What is signed, by the published offsets."""
        shift = (self.offset + self.season) * 60
        buffer = Buffer(320)
        buffer.put(0, self.server_id)
        buffer.little(10, 4, self.seconds + shift)
        buffer.little(14, 1, self.signed_status())
        buffer.little(15, 4, self.second_index)
        buffer.little(19, 4, self.page)
        buffer.put(23, bytes([1, 0, 1, 17, 0, 255]))
        buffer.little(29, 1, self.unit)
        buffer.little(30, 1, self.scaler)
        buffer.little(31, 8, self.value)
        buffer.put(39, self.log_book)
        buffer.put(41, self.contract)
        buffer.little(169, 4, self.contract_seconds + shift)
        buffer.little(173, 8, self.before)
        buffer.little(181, 8, self.compensated)
        buffer.little(189, 2, self.resistance)
        buffer.little(191, 4, self.stopwatch)
        buffer.put(195, self.price.to_bytes(2, "big"))
        return bytes(buffer.content)

    def signed_status(self) -> int:
        if not self.wide:
            return self.status & 0xFF
        moved = {17: 0, 31: 3, 16: 4, 11: 5, 9: 6, 8: 7}
        return sum(1 << to for from_, to in moved.items() if self.status & 1 << from_)

    def entries(self) -> list[bytes]:
        more = [
            entry("010001110064", unsigned(self.before, 8)),
            entry("0100011100C8", unsigned(self.compensated, 8)),
            entry("00AF6C6C72FF", unsigned(self.resistance, 2)),
            entry("00AF647572FF", unsigned(self.stopwatch, 4)),
            entry("00AF707263FF", unsigned(self.price, 2)),
        ]
        index = several(unsigned(1, 1), several(unsigned(1, 1), unsigned(self.second_index, 4)))
        return [
            entry(
                "0100011100FF",
                unsigned(self.value, 8),
                status=unsigned(self.status, 4),
                time=local_time(self.seconds, self.offset, self.season),
                unit=unsigned(self.unit, 1),
                scaler=signed(self.scaler, 1),
            ),
            entry("810060080001", index),
            entry("8180817101FF", unsigned(self.page, 4)),
            entry(
                "8182815401FF",
                octets(self.contract) if self.contract else ABSENT,
                time=local_time(self.contract_seconds, self.offset, self.season),
            ),
            *(more if self.wide else []),
        ]

    def signature(self) -> bytes:
        return bare_signature(self.key, self.buffer()) + self.log_book

    def record(self) -> bytes:
        return list_answer(self.server_id, self.entries(), self.signature())

    def document(self, encoding: str = "base64") -> bytes:
        """The same as a signedMeterValue."""
        write = bytes.hex if encoding == "hex" else lambda data: base64.b64encode(data).decode()
        parts = {
            "publicKey": point_of(self.key)[1:],
            "encodedMeterValue": self.buffer(),
            "meterValueSignature": self.signature(),
        }
        inner = "".join(f'<{name} encoding="{encoding}">{write(data)}</{name}>\n' for name, data in parts.items())
        return f"<signedMeterValue><signatureMethod>ECDSA</signatureMethod>{inner}</signedMeterValue>".encode()


# --- ISA-EDL-40P ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class ISAMeter:
    """A meter whose record holds both ends."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: meter_key(2, ec.SECP256R1()))
    server_id: bytes = bytes.fromhex("09014953410000000009")
    list_name: bytes = bytes.fromhex("8180816202FF")
    page: int = 24
    value: int = 256_959_500
    begin_value: int = 256_959_316
    log_book: bytes = b"\x00\x02"
    contract: bytes = b"04AABBCCDD1122"
    station: bytes = b"STATION-000000000009"

    def buffer(self) -> bytes:
        began, now = int(AT.timestamp()), int(AT.timestamp()) + 1800
        buffer = Buffer(320)
        buffer.put(0, self.server_id)
        buffer.little(10, 4, now)
        buffer.little(14, 1, 0x08)
        buffer.put(15, bytes([1, 0, 1, 8, 0, 255]))
        buffer.little(21, 1, 30)
        buffer.little(22, 1, -1)
        buffer.little(23, 8, self.value)
        buffer.put(31, self.log_book)
        buffer.put(33, bytes(range(66)))
        buffer.put(99, self.contract)
        buffer.little(227, 4, began)
        buffer.put(231, self.station)
        buffer.little(251, 1, 0x04)
        buffer.put(252, bytes([1, 0, 1, 8, 0, 128]))
        buffer.little(258, 1, 30)
        buffer.little(259, 1, -1)
        buffer.little(260, 8, self.begin_value)
        buffer.put(268, self.list_name)
        buffer.little(274, 4, self.page)
        return bytes(buffer.content)

    def record(self) -> bytes:
        began, now = int(AT.timestamp()), int(AT.timestamp()) + 1800
        unit, scaler = unsigned(30, 1), signed(-1, 1)
        entries = [
            entry("8182815401FF", octets(self.contract)),
            entry(
                "010001080080",
                signed(self.begin_value, 8),
                status=unsigned(0x0804, 8),
                time=plain_time(began),
                unit=unit,
                scaler=scaler,
            ),
            entry(
                "0100010800FF",
                signed(self.value, 8),
                status=unsigned(0x0108, 8),
                time=plain_time(now),
                unit=unit,
                scaler=scaler,
                signature=octets(bytes(range(66))),
            ),
            entry("8180C7F040FF", unsigned(self.page, 4)),
            entry("8180816101FF", octets(self.station)),
        ]
        signature = bare_signature(self.key, self.buffer()) + self.log_book
        return list_answer(self.server_id, entries, signature, octets(self.list_name))


# --- ALFEN ------------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class AlfenMeter:
    """An adapter with its meter."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: meter_key(3, ec.SECP192R1()))
    kind: str = "0"
    status: int = 1
    unit: int = 30
    scaler: int = 0
    value: int = 22_423
    user: bytes = b"04AABBCC"
    page: int = 13
    session: int = 7
    seconds: int = int(AT.timestamp())

    def dataset(self) -> bytes:
        buffer = Buffer(82)
        buffer.put(0, bytes.fromhex("0A54414C460000A1B2C3"))
        buffer.put(10, b"v010")
        buffer.put(14, b"\x12\x34")
        buffer.put(16, bytes.fromhex("0A01445A47003300ABCD"))
        buffer.little(26, 4, self.status)
        buffer.little(30, 4, 42_000)
        buffer.little(34, 4, self.seconds)
        buffer.put(38, bytes([1, 0, 1, 8, 0, 255]))
        buffer.little(44, 1, self.unit)
        buffer.little(45, 1, self.scaler)
        buffer.little(46, 8, self.value)
        buffer.put(54, self.user)
        buffer.little(74, 4, self.session)
        buffer.little(78, 4, self.page)
        return bytes(buffer.content)

    def record(self) -> bytes:
        dataset = self.dataset()
        parts = (point_of(self.key, compressed=True), dataset, bare_signature(self.key, dataset))
        return ";".join(["AP", self.kind, "3", *(base64.b32encode(part).decode() for part in parts)]).encode() + b";"


# --- PCDF -------------------------------------------------------------------------------------------------------------


def pcdf_record(**changed: str) -> bytes:
    """A session's text; `changed` are fields that say something else, "" for one that is left out."""
    key = meter_key(4, ec.SECP256R1())
    fields = {
        "ST": "260701120000",
        "CT": "260701123000",
        "CD": "003000",
        "TV": "1",
        "BV": "1",
        "CSC": "18",
        "SP": "1",
        "RV": "0003.276*kWh",
        "SI": "DEABC000000001*2*a1b2",
        "CS": "513f627b",
        "HW": "39202000189",
        "DT": "0",
        "PK": point_of(key).hex(),
        **changed,
    }
    text = "128.8.0" + "".join(f"({name}:{value})" for name, value in fields.items() if value)
    return f"{text}(SG:{der_signature(key, text.encode()).hex()})".encode()

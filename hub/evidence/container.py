"""The evidence file as a container: a ZIP without compression whose every byte follows from its members. Pure.

    evidence.json      what the file says (hub.evidence.content)
    index.html         the same for a driver
    values.xml         the signed meter values, as the transparency software imports them; where it takes their format
    records/...        each signed meter value, byte for byte
    seal.json          the hub's signature over the names and SHA-256 of all the others

Rules
1. One list of members has one container: fixed times and rights, this order, nothing before, between or behind. What is
   read is packed again and compared, so no byte of the container is free to differ.
2. Members are stored, not compressed: nothing grows while it is read. Sizes and names are bounded before anything is
   read, and nothing is ever written to a disk.
3. The seal is made with the key that countersigns tree heads. It says that this hub said so, not that it is true.

Source: APPNOTE.TXT 6.3 (ZIP); RFC 8032.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from hub.errors import EvidenceUnusable
from wire.chain import Hex32
from wire.errors import MalformedValue
from wire.records import Value, decode, encode
from wire.tree_head import Hex64, SigningKey, require_signed

CONTENT, PAGE, VALUES, SEAL = "evidence.json", "index.html", "values.xml", "seal.json"
FOLDER = "records/"
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_MEMBERS = 50_000
_TEXT = re.compile(r"records/[0-9]{4,5}\.(?:ocmf|txt|bin)")
_BEGINNING = (1980, 1, 1, 0, 0, 0)
_UNIX, _RIGHTS = 3, 0o100644 << 16


class Seal(Value, frozen=True, kw_only=True):
    """The hub's signature over all other members; `public_key` is a claim until compared."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    public_key: Hex32
    signature: Hex64


def pack(members: Mapping[str, bytes]) -> bytes:
    """The container of these members, in their order."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, _BEGINNING)
            member.create_system, member.external_attr = _UNIX, _RIGHTS
            file.writestr(member, content)
    return packed.getvalue()


_UNREADABLE = (
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    OverflowError,
    struct.error,
    NotImplementedError,  # a version or compression that zipfile lacks
    RuntimeError,  # a member that is encrypted
)
"""All that zipfile raises for octets that are no ZIP file, or not one it reads."""


def unpack(data: bytes) -> dict[str, bytes]:
    """The members of a container, by name, in their order.

    Raises:
        EvidenceUnusable: not such a container, or not whole: too large, compressed, encrypted, a member that is
            missing, not known or there twice.
    """
    if len(data) > MAX_FILE_BYTES:
        raise EvidenceUnusable(f"{len(data)} bytes, an evidence file has {MAX_FILE_BYTES} at most")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            listed = file.infolist()
            _require_known(listed, len(data))
            return {member.filename: file.read(member) for member in listed}
    except _UNREADABLE as error:
        raise EvidenceUnusable(f"no whole ZIP file: {error}") from error


def _require_known(listed: list[zipfile.ZipInfo], size: int) -> None:
    names = [member.filename for member in listed]
    if len(names) > MAX_MEMBERS or len(names) != len(set(names)):
        raise EvidenceUnusable(f"{len(names)} members, {len(set(names))} names; {MAX_MEMBERS} at most, each once")
    for member in listed:
        if member.filename not in (CONTENT, PAGE, VALUES, SEAL) and _TEXT.fullmatch(member.filename) is None:
            raise EvidenceUnusable(f"the member {member.filename[:64]!a} belongs to no evidence file")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise EvidenceUnusable(f"the member {member.filename} is compressed or encrypted")
        if member.file_size != member.compress_size:
            raise EvidenceUnusable(f"the member {member.filename} has two lengths")
    if sum(member.file_size for member in listed) > size:
        # Members that lie in one another are many times the file.
        raise EvidenceUnusable("the members are larger than the file")
    missing = [name for name in (CONTENT, PAGE, SEAL) if name not in names]
    if missing:
        raise EvidenceUnusable(f"no evidence file: {', '.join(missing)} missing")


def sealed(members: Mapping[str, bytes], key: SigningKey, at: datetime) -> dict[str, bytes]:
    """The members, then the seal of the hub with this `key` over them."""
    seal = Seal(at=at, public_key=key.public_key, signature=key.sign(_statement(members, at)))
    return {**members, SEAL: encode(seal)}


def read_seal(members: Mapping[str, bytes]) -> Seal:
    """The seal, not verified.

    Raises:
        MalformedValue: it cannot be read, or has another text than `sealed` gives it.
    """
    seal = decode(Seal, members[SEAL], SEAL)
    if encode(seal) != members[SEAL]:
        raise MalformedValue(SEAL, "$", "not the one text of this value")
    return seal


def verify_seal(members: Mapping[str, bytes], seal: Seal, hub_key: str) -> None:
    """Return if the hub with the key `hub_key` (hex) sealed exactly these members.

    Raises:
        TreeHeadError: `tree-head-key`, `tree-head-signature`.
    """
    others = {name: content for name, content in members.items() if name != SEAL}
    require_signed(seal.public_key, hub_key, seal.signature, _statement(others, seal.at), "seal")


def _statement(members: Mapping[str, bytes], at: datetime) -> bytes:
    lines = ["pncgate sealed evidence 1", at.astimezone(UTC).isoformat(timespec="microseconds")]
    lines += [f"{hashlib.sha256(content).hexdigest()} {name}" for name, content in members.items()]
    return "\n".join(lines).encode() + b"\n"

"""What stations answered, as tables: variables read and set, certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from rich.table import Table
from rich.text import Text

from pki.service.screen import listing
from wire.commands import CertificateHash, StationAnswer

Fields = dict[str, object]
_HASH_SHOWN = 12
_NAMES_IN_16 = {"CentralSystemRootCertificate": "CSMSRootCertificate"}


@dataclass(frozen=True, slots=True)
class ListedCertificate:
    """A certificate that a station holds. `use` is by the names of 2.1."""

    use: str
    named: CertificateHash


def listed_certificates(answers: Sequence[StationAnswer]) -> tuple[ListedCertificate, ...]:
    """The certificates of all answers, each once, in an order that does not depend on the station's."""
    found = {each for answer in answers for each in _certificates(answer)}
    return tuple(sorted(found, key=lambda each: (each.use, each.named.issuer_key_hash, each.named.serial_number)))


def is_listing(answers: Sequence[StationAnswer]) -> bool:
    """Whether certificates were asked for."""
    return any(_action(answer) == "GetInstalledCertificateIds" and bytes(answer.answer) for answer in answers)


def certificates_table(found: Sequence[ListedCertificate]) -> Table:
    """A row for each, numbered as `certificates delete` takes them."""
    table = listing("NO", "TYPE", "SERIAL", "ISSUER KEY HASH")
    for number, one in enumerate(found, 1):
        digest = one.named.issuer_key_hash
        short = digest if len(digest) <= _HASH_SHOWN else f"{digest[:_HASH_SHOWN]}\u2026"
        table.add_row(str(number), one.use, one.named.serial_number, f"{one.named.hash_algorithm} {short}")
    return table


def _certificates(answer: StationAnswer) -> Iterator[ListedCertificate]:
    if _action(answer) != "GetInstalledCertificateIds":
        return
    request, fields = _unwrapped(answer)
    for chain in _objects(fields.get("certificateHashDataChain")):
        yield from _named(str(chain.get("certificateType", "?")), chain.get("certificateHashData"))
        for child in _objects(chain.get("childCertificateHashData")):
            yield from _named(str(chain.get("certificateType", "?")), child)
    use = str(request.get("certificateType", "?"))
    for plain in _objects(fields.get("certificateHashData")):
        yield from _named(_NAMES_IN_16.get(use, use), plain)


def _named(use: str, fields: object) -> Iterator[ListedCertificate]:
    if isinstance(fields, dict):
        keys = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
        algorithm, name, key, serial = (str(fields.get(each, "")) for each in keys)
        named = CertificateHash(
            hash_algorithm=algorithm, issuer_name_hash=name, issuer_key_hash=key, serial_number=serial
        )
        yield ListedCertificate(use, named)


def variables_table(fields: Fields) -> Table | None:
    """The answers of GetConfiguration and GetVariables; None for others."""
    if isinstance(fields.get("getVariableResult"), list):
        table = listing("VARIABLE", "VALUE", "STATUS")
        for one in _objects(fields["getVariableResult"]):
            table.add_row(_variable(one), str(one.get("attributeValue", "")), str(one.get("attributeStatus", "")))
        return table
    keys, unknown = fields.get("configurationKey"), fields.get("unknownKey")
    if not isinstance(keys, list) and not isinstance(unknown, list):
        return None
    table = listing("KEY", "VALUE", "ACCESS")
    for one in _objects(keys):
        table.add_row(str(one.get("key")), str(one.get("value", "")), "read only" if one.get("readonly") else "")
    for name in unknown if isinstance(unknown, list) else ():
        table.add_row(str(name), "", Text("unknown", "yellow"))
    return table


def settings_table(answers: Sequence[StationAnswer]) -> Table | None:
    """What was to be set, and what the station said to each; None when nothing was."""
    table = listing("VARIABLE", "VALUE", "STATUS")
    for answer in answers:
        request, fields = _fields(bytes(answer.request)), _fields(bytes(answer.answer))
        if answer.action == "ChangeConfiguration":
            table.add_row(str(request.get("key")), str(request.get("value")), str(fields.get("status", "no answer")))
        elif answer.action == "SetVariables":
            told = [str(each.get("attributeStatus")) for each in _objects(fields.get("setVariableResult"))]
            asked = _objects(request.get("setVariableData"))
            for one, status in zip(asked, [*told, *["no answer"] * len(asked)], strict=False):
                table.add_row(_variable(one), str(one.get("attributeValue")), status)
    return table if table.row_count else None


def _variable(fields: Fields) -> str:
    attribute = fields.get("attributeType")
    mark = f"#{attribute}" if attribute not in (None, "Actual") else ""
    return f"{_part(fields.get('component'))}.{_part(fields.get('variable'))}{mark}"


def _part(part: object) -> str:
    if not isinstance(part, dict):
        return "?"
    instance, evse = part.get("instance"), part.get("evse")
    place = f"@{evse['id']}" if isinstance(evse, dict) and "id" in evse else ""
    return f"{part.get('name', '?')}{f'[{instance}]' if instance else ''}{place}"


def _action(answer: StationAnswer) -> str:
    """The action, the inner one where it is wrapped."""
    name = _fields(bytes(answer.request)).get("messageId") if answer.action == "DataTransfer" else None
    return name if isinstance(name, str) else answer.action


def _unwrapped(answer: StationAnswer) -> tuple[Fields, Fields]:
    """Request and answer, the inner ones where they are wrapped."""
    request, fields = _fields(bytes(answer.request)), _fields(bytes(answer.answer))
    if answer.action != "DataTransfer":
        return request, fields
    return _fields(str(request.get("data", "")).encode()), _fields(str(fields.get("data", "")).encode())


def _fields(text: bytes) -> Fields:
    """The object that the text holds; an empty one when it holds none."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _objects(value: object) -> list[Fields]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

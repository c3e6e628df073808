"""Writes the pages that are made from the code: `make docs`. tests/test_docs.py holds them to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from wire.ocpp.catalogue import CATALOGUE, VERSIONS, WRAPPED, Entry, Sender
from wire.ocpp.pnc16 import VENDOR_ID
from wire.ocpp.quirks import QUIRKS, Kind, Quirk, Tolerance

HERE = Path(__file__).parent
_MADE = "<!-- Made by `make docs` from the code; do not edit. -->\n"
_HEADS = {
    Kind.SHAPE: "In every message",
    Kind.KEPT: "In transaction messages only",
    Kind.FRAME: "In frames",
    Kind.CONDUCT: "In what a station does",
}


def quirks_page() -> str:
    """docs/quirks.md."""
    lines = [
        "# What is accepted beyond the standard",
        "",
        _MADE,
        "Every row is counted, per charger, whenever it is met: `pnc-gateway status` shows the counts and where each",
        "was met last (action and JSON path), and the log says when a charger does it for the first time. What no row",
        "allows is refused with a CALLERROR that names the field; a transaction message is never refused, but stored,",
        "acknowledged and shown as quarantined.",
    ]
    for kind, head in _HEADS.items():
        rows = [(quirk, row) for quirk, row in QUIRKS.items() if row.kind is kind]
        if rows:
            lines += [
                "",
                f"## {head}",
                "",
                "| code | versions | what is accepted | where it was seen | how it is treated |",
            ]
            lines += ["|---|---|---|---|---|", *(_row(quirk, row) for quirk, row in rows)]
    return "\n".join(lines) + "\n"


def _row(quirk: Quirk, row: Tolerance) -> str:
    treated = row.treated
    if row.fields:
        named = (f"`{name}`" + (f" (`{instead}`)" if instead else "") for name, instead in row.fields.items())
        treated += f". Fields: {', '.join(named)}"
    return f"| `{quirk}` | {', '.join(row.versions)} | {row.accepted} | {row.seen} | {treated} |"


_FROM = {Sender.STATION: "station", Sender.GATEWAY: "gateway", Sender.BOTH: "both"}
_OCPP_HEAD = f"""\
# OCPP: every message, and what the gateway does with it

{_MADE}
Versions are negotiated by subprotocol (`ocpp1.6`, `ocpp2.0.1`, `ocpp2.1`), the station's first choice wins. Of 1.6 the
table has the security white paper (edition 3) too. What stations do beyond the schemas and is accepted all the same
stands in [quirks.md](quirks.md).

- **acted on**: the gateway does what the message is for. Transaction messages are stored and synced to disk before they
  are answered, and never refused.
- **entered into the audit log**: it stands in the chain of evidence, and goes to the hub.
- **kept and shown**: the newest of its kind, by `pnc-gateway charger ID`. **acknowledged**: answered, and no more.
- **sent by itself**: the gateway sends it when it is due. **sent on demand**: when an operator or hub wants it, by a
  `pnc-gateway command` of its own or by `pnc-gateway command call`, checked against the schema first.
- **no**: from a station, the answer is CALLERROR NotSupported; to a station, it is never sent. `-`: the version has no
  such message; a station that sends it hears NotImplemented.

| action | from | 1.6 | 2.0.1 | 2.1 | note |
|---|---|---|---|---|---|
"""
_WRAPPED_HEAD = f"""
## Plug & Charge over 1.6

Wrapped in DataTransfer with vendorId `{VENDOR_ID}`, `data` being JSON as text; the older
vendorId `iso15118` is taken as a quirk. A messageId that is not here is answered UnknownMessageId, another vendorId
UnknownVendorId.

| messageId | from | support | note |
|---|---|---|---|
"""


def ocpp_page() -> str:
    """docs/ocpp.md."""
    lines, block = [], ""
    for row in CATALOGUE:
        if row.block != block:
            block = row.block
            lines.append(f"| **{block}** | | | | | |")
        lines.append(_message(row))
    wrapped = (
        f"| `{name}` | {_FROM[sender]} | {support.value} | {note} |"
        for name, (sender, support, note) in WRAPPED.items()
    )
    return _OCPP_HEAD + "\n".join(lines) + "\n" + _WRAPPED_HEAD + "\n".join(wrapped) + "\n"


def _message(row: Entry) -> str:
    cells = (row.support[version].value if version in row.support else "-" for version in VERSIONS)
    return f"| `{row.action}` | {_FROM[row.sender]} | {' | '.join(cells)} | {row.note} |"


PAGES: Mapping[str, Callable[[], str]] = {"ocpp.md": ocpp_page, "quirks.md": quirks_page}
"""What each page holds, by its name in this folder."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

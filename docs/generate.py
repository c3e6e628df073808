"""Writes the pages that are made from the code: `make docs`. tests/test_docs.py holds them to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

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


PAGES: Mapping[str, Callable[[], str]] = {"quirks.md": quirks_page}
"""What each page holds, by its name in this folder."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Keys of meters: the registry, and confirming one that was learned or came in place of a known one."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from hub.clock import now
from hub.roles import Permission
from hub.store import audit, meter_acts, meter_keys
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.meter_keys import Act, KeptKey
from hub.web.pages.guard import form_of, see_other, visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, by_cells
from hub.web.pages.ways import Lists, Route, deed
from hub.web.problems import Problem
from wire.meter.registry import KeyState, RegisteredKey

WAITING = (KeyState.LEARNED, KeyState.QUARANTINED)
MOST_LISTED = 100_000
MAX_WHY = 300
_TONES = {KeyState.PINNED: "good", KeyState.LEARNED: "wait", KeyState.QUARANTINED: "bad", KeyState.RETIRED: "soft"}


class MeterKeyPages:
    """Whose signatures count."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/meter-keys",
            title="Meter keys",
            columns=(
                Column("key", "Key", "here", number=True),
                Column("state", "State", "here"),
                Column("of", "Of", "here"),
                Column("fingerprint", "Fingerprint", "here"),
                Column("from", "Came from", "here"),
                Column("changed", "Changed", "here"),
                Column("by", "By", "here"),
            ),
            filters=(
                Filter("id", "Meter, place or fingerprint contains"),
                Filter("state", "State", tuple(state.value for state in KeyState)),
            ),
            rows=self._rows,
            empty="No key fits. Keys come from hub.toml, from `pnc-hub meters import`, or with the first signed value.",
        )

    def routes(self) -> list[Route]:
        """The list, one key, and its confirmation."""
        return [
            self._lists.route(self.listing),
            Route("GET", "/meter-keys/{number}", Permission.VIEW, self.one),
            Route("POST", "/meter-keys/{number}/confirm", Permission.METERS, self.confirm),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        state, wanted = wish.given.get("state"), wish.given.get("id", "").lower()
        found = meter_keys.all_keys(connection, None if state is None else KeyState(state), 0, MOST_LISTED)
        rows = [
            self._row(kept)
            for kept in found
            if wanted in kept.fingerprint or any(wanted in name.lower() for _, name in names_of(kept.key))
        ]
        return by_cells(rows, self.listing.columns, wish)

    def _row(self, kept: KeptKey) -> Row:
        return (
            Cell(str(kept.number), f"/meter-keys/{kept.number}", order=kept.number),
            Cell(kept.key.state.value, tone=_TONES[kept.key.state]),
            Cell(", ".join(f"{what} {name}" for what, name in names_of(kept.key))),
            Cell(kept.fingerprint[:16]),
            Cell(kept.key.source.value),
            Cell(self._renderer.instant(kept.changed_at), order=kept.changed_at.isoformat()),
            Cell(kept.by_whom),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One key, with the form that confirms it."""
        name = _number(request)
        kept = await self._database.read(lambda connection: meter_keys.named_key(connection, name))
        facts = {
            "title": f"Meter key {kept.number}",
            "path": "/meter-keys",
            "kept": kept,
            "names": list(names_of(kept.key)),
            "waits": kept.key.state in WAITING,
            "tone": _TONES[kept.key.state],
            "max_why": MAX_WHY,
        }
        return self._renderer.page(visitor_of(request), "meter_key.html.j2", facts)

    async def confirm(self, request: web.Request) -> web.Response:
        """303 to the key, which counts from now on."""
        name, why, at = _number(request), form_of(request).get("why", "").strip()[:MAX_WHY], now()
        act = Act(name="confirmed", at=at, by_whom=visitor_of(request).name, why=why)

        def work(connection: Connection) -> None:
            before = meter_keys.named_key(connection, name)
            changed = meter_acts.confirm_key(connection, name, act, None)
            after = next(one.key.state.value for one in changed if one.number == before.number)
            what = f"key {name}, {before.fingerprint[:16]}"
            audit.note(connection, deed(request, "confirm-meter-key", what, before.key.state.value, after), at)

        await self._database.write(work)
        return see_other(f"/meter-keys/{name}")


def names_of(key: RegisteredKey) -> list[tuple[str, str]]:
    """Whose key it is: what is named, and its name."""
    named = (
        ("meter", key.meter_serial),
        ("gateway", key.gateway_serial),
        ("point", key.charge_point_id),
        ("at", None if key.place is None else str(key.place)),
    )
    return [(what, name) for what, name in named if name is not None]


def _number(request: web.Request) -> str:
    text = request.match_info["number"]
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise Problem(404, "unknown-key", f"A key has a number; {text[:40]!a} is none.")
    return str(int(text))

"""Pages made of templates: every text escaped, every instant in one zone that is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hub.roles import Permission

if TYPE_CHECKING:
    from hub.web.pages.guard import Visitor

_FOLDER = Path(__file__).parent / "templates"
STYLE = (_FOLDER / "style.css").read_bytes()
NAVIGATION = (
    ("/", "Overview", Permission.VIEW),
    ("/gateways", "Gateways", Permission.VIEW),
    ("/sessions", "Sessions", Permission.VIEW),
    ("/cdrs", "CDRs", Permission.VIEW),
    ("/judged", "Judged", Permission.VIEW),
    ("/disputes", "Disputes", Permission.VIEW),
    ("/settlements", "Settlement", Permission.VIEW),
    ("/meter-keys", "Meter keys", Permission.VIEW),
    ("/commands", "Commands", Permission.VIEW),
    ("/partners", "Partners", Permission.VIEW),
    ("/tariffs", "Tariffs", Permission.VIEW),
    ("/audit", "Audit log", Permission.AUDIT),
    ("/users", "Users", Permission.USERS),
)
"""The parts of the site, and what each asks for."""


class Renderer:
    """One for the pages, with the zone of their instants."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["instant"] = self.instant

    def instant(self, at: datetime | None) -> str:
        """`2026-11-23 11:00:00 CET`; "" for None."""
        return "" if at is None else f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S %Z}"

    def moment(self, text: str) -> str:
        """An instant as the database has it, as `instant` says it."""
        return self.instant(datetime.fromisoformat(text))

    def page(self, visitor: Visitor, template: str, facts: Mapping[str, object], status: int = 200) -> web.Response:
        """The page of a template, for whoever asks."""
        parts = [(path, word) for path, word, permission in NAVIGATION if visitor.may(permission)]
        text = self._environment.get_template(template).render(
            **{"path": "", "done": "", **facts},
            visitor=visitor,
            parts=parts,
            zone=str(self.zone),
            permissions=Permission,
        )
        return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")

"""What is served is what the table of OCPI's sides says, and which of it a role needs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hub.config_source import Address, TLSFiles
from hub.desk import CommandDesk
from hub.roaming.client import partner_context, partner_session
from hub.roaming.commanding import Commanding
from hub.roaming.own import OwnParty, RoamingConfig
from hub.roaming.results import Results
from hub.store.connection import FILE_NAME, SQLite
from hub.store.database import Database
from hub.web.ocpi.sides import Parts, all_sides, served_sides
from wire.ocpi.census import TABLE
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role
from wire.settling.terms import Terms

APART = {"versions", Module.CREDENTIALS}
"""Answered by the endpoint itself."""


def roaming(*roles: Role, hub: bool = False) -> RoamingConfig:
    own = OwnParty(PartyKey.of("DE", "ABC"), roles, "Example")
    return RoamingConfig(
        listen=Address("127.0.0.1", 0),
        tls=TLSFiles(Path("c"), Path("k")),
        url="https://localhost/ocpi",
        parties=(own,) if roles else (),
        hub_party=PartyKey.of("DE", "HUB") if hub else None,
    )


def served(
    folder: Path, terms: Terms, config: RoamingConfig, *, every: bool = False
) -> dict[tuple[Module, InterfaceRole], set[str]]:
    async def made() -> dict[tuple[Module, InterfaceRole], set[str]]:
        database = Database(folder, terms, SQLite(folder / FILE_NAME))
        desk, session = CommandDesk(database, ()), partner_session(partner_context(None))
        try:
            parts = Parts(database, config, Commanding(database, config, desk, session), Results(database))
            sides = all_sides(parts) if every else served_sides(parts)
            return {side: set(methods) for side, methods in sides.items()}
        finally:
            await session.close()
            await database.close()

    return asyncio.run(made())


def test_the_table_of_sides_says_what_is_served(tmp_path, terms):
    told = {(row.module, row.side): set(row.served) for row in TABLE if row.served and row.module not in APART}
    assert served(tmp_path, terms, roaming(Role.CPO), every=True) == told
    for row in TABLE:
        assert set(row.served) <= set(row.methods)
        assert set(row.called) <= set(row.methods)


def test_each_role_has_the_sides_that_it_needs(tmp_path, terms):
    told = Module.HUB_CLIENT_INFO, InterfaceRole.RECEIVER
    for role in (Role.CPO, Role.EMSP, Role.NSP, Role.SCSP):
        needed = {(row.module, row.side) for row in TABLE if role in row.roles and row.served} - {
            (name, InterfaceRole.SENDER) for name in APART
        }
        found = served(tmp_path, terms, roaming(role))
        assert needed <= set(found), role
        assert told in found
        assert (Module.HUB_CLIENT_INFO, InterfaceRole.SENDER) not in found
    assert served(tmp_path, terms, roaming(hub=True)) == served(tmp_path, terms, roaming(Role.CPO), every=True)

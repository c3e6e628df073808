"""Looks whether gateway.toml says something else than what runs: a reload takes none of it up, and has to say so."""

from __future__ import annotations

from gateway.config import Settings, load_settings
from gateway.errors import ConfigurationError
from gateway.log import say
from gateway.tables import GatewayConfig


def check_configuration(running: Settings) -> str:
    """ "unchanged", "changed" or "unreadable"; what is not as it runs is said in the log."""
    if running.path is None:
        return "unchanged"
    try:
        found = load_settings(running.path)
    except ConfigurationError as error:
        remedy = "the gateway runs on with what it had, and would not start with this"
        say("config-unreadable", level="error", reason=str(error), remedy=remedy)
        return "unreadable"
    tables = changed_tables(running.table, found.table)
    if not tables:
        return "unchanged"
    say("config-changed", level="warning", tables=tables, remedy="restart the gateway: only a restart takes this up")
    return "changed"


def changed_tables(running: GatewayConfig, found: GatewayConfig) -> list[str]:
    """The tables that differ, as they are headed in the file."""
    lists = [name for name in GatewayConfig.__struct_fields__ if isinstance(getattr(found, name), tuple)]
    names = [name for name in GatewayConfig.__struct_fields__ if getattr(running, name) != getattr(found, name)]
    return [f"[[{name}]]" if name in lists else f"[{name}]" for name in names]

"""Who may do what at the operator pages: one literal table, asked at every request.

Rules
1. A person has one role. What a role may do stands in `PERMISSIONS`, and nowhere else.
2. Every page and every act names the one permission that it asks for (hub.web.pages.site).
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person is here for."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    SETTLEMENT = "settlement"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a page or an act asks for."""

    VIEW = "view"
    """See gateways, sessions, bills, meters, partners, tariffs and commands, and take files of them."""
    COMMAND = "command"
    """Give commands to stations."""
    METERS = "meters"
    """Say that a meter's key is the right one."""
    SETTLE = "settle"
    """Accept and refuse CDRs, open and answer disputes, close periods."""
    AUDIT = "audit"
    """See who did what."""
    USERS = "users"
    """Add and remove people, and say what they may do."""


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.OPERATOR: frozenset({Permission.VIEW, Permission.COMMAND, Permission.METERS, Permission.AUDIT}),
    Role.SETTLEMENT: frozenset({Permission.VIEW, Permission.SETTLE, Permission.AUDIT}),
    Role.ADMIN: frozenset(Permission),
}

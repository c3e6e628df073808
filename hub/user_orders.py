"""What may be done to a person who signs in, wherever it is asked for: done and noted in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hub.passwords import require_hash
from hub.roles import Role
from hub.store import audit, users
from hub.store.audit import Deed
from hub.store.engine import Connection
from hub.store.users import BadUser, User
from wire.records import Value


class UserAct(StrEnum):
    """The acts, by their names in the audit log."""

    ADD = "add-user"
    ROLE = "set-role"
    PASSWORD = "set-password"
    REMOVE = "remove-user"


class UserOrder(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One act on one person. `password` is the hash of it (hub.passwords), never the password."""

    act: UserAct
    name: str
    role: Role | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by which way and from where, as the audit log has it."""

    who: str
    way: str
    address: str


def carry_out(connection: Connection, order: UserOrder, asker: Asker, at: datetime) -> User:
    """The person as it is then, or was, when it is removed. For the writer.

    Raises:
        BadUser, BadPassword: nothing was done.
    """
    name = users.name_of(order.name)
    before = "" if order.act is UserAct.ADD else users.user(connection, name).role.value
    done = _done(connection, order, name, at)
    after = "" if order.act is UserAct.REMOVE else done.role.value
    deed = Deed(
        who=asker.who,
        way=asker.way,
        address=asker.address,
        act=order.act.value,
        object=name,
        before=before,
        after=after,
    )
    audit.note(connection, deed, at)
    return done


def _done(connection: Connection, order: UserOrder, name: str, at: datetime) -> User:
    if order.act is UserAct.REMOVE:
        return users.remove_user(connection, name)
    if order.act is UserAct.ROLE:
        return users.set_role(connection, name, _role(order), at)
    hashed = require_hash(order.password)
    if order.act is UserAct.ADD:
        return users.add_user(connection, name, _role(order), hashed, at)
    return users.set_password(connection, name, hashed, at)


def _role(order: UserOrder) -> Role:
    if order.role is None:
        raise BadUser("no-role", f"say which role: one of {', '.join(Role)}")
    return order.role

"""People who may sign in, and the sessions they have.

Rules
1. A name is compared without case, and kept in lower case. There is always an admin: the last one stays.
2. Of a session only the hash of its id is kept. It ends `IDLE` after it was seen last and `ABSOLUTE` after it began;
   with a new password, another role or the removal of its owner it ends at once.
3. A session is noted as seen at most every `SEEN_EVERY`: whoever reads a page does not write each time.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.errors import HubError
from hub.roles import Role
from hub.store.engine import Connection
from wire.records import Value

IDLE, ABSOLUTE, SEEN_EVERY = timedelta(minutes=30), timedelta(hours=12), timedelta(minutes=1)
MAX_SESSIONS = 20
"""Of one person; the oldest ends when another begins."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class User(Value, frozen=True, kw_only=True):
    """A person who may sign in; never the password."""

    name: str
    role: Role
    added_at: datetime
    changed_at: datetime
    signed_in_at: datetime | None = None


class BadUser(HubError):
    """Raised when a user cannot be added, changed or removed: `bad-name`, `known-user`, `no-such-user`,
    `last-admin`."""


def name_of(text: str) -> str:
    """The name as it is kept. Raises BadUser."""
    name = text.strip().casefold()
    if _NAME.fullmatch(name) is None:
        wanted = "1 to 64 of a-z, 0-9, '.', '_', '@', '-', a letter or digit first"
        raise BadUser("bad-name", f"a user's name has {wanted}; found {text[:80]!a}")
    return name


def users(connection: Connection) -> tuple[User, ...]:
    """All of them by name."""
    return tuple(_user(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM users ORDER BY name").fetchall())


def user(connection: Connection, name: str) -> User:
    """The one with this name. Raises BadUser."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM users WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise BadUser("no-such-user", f"no user {name[:64]!a} here; `pnc-hub users list` names them")
    return _user(row)


def password_of(connection: Connection, name: str) -> str | None:
    """The hash of a person's password, None for nobody."""
    row = connection.execute("SELECT password FROM users WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def add_user(connection: Connection, name: str, role: Role, password: str, at: datetime) -> User:
    """Add a person, by the hash of the password. Raises BadUser."""
    if password_of(connection, name) is not None:
        raise BadUser("known-user", f"user {name} is there already")
    connection.execute(
        "INSERT INTO users (name, role, password, added_at, changed_at) VALUES (?, ?, ?, ?, ?)",
        (name, role.value, password, _text(at), _text(at)),
    )
    return user(connection, name)


def set_role(connection: Connection, name: str, role: Role, at: datetime) -> User:
    """Give a person another role. Raises BadUser."""
    if role is not Role.ADMIN:
        _require_another_admin(connection, name)
    user(connection, name)
    connection.execute("UPDATE users SET role = ?, changed_at = ? WHERE name = ?", (role.value, _text(at), name))
    end_sessions(connection, name)
    return user(connection, name)


def set_password(connection: Connection, name: str, password: str, at: datetime) -> User:
    """Give a person another password, by its hash. Raises BadUser."""
    user(connection, name)
    connection.execute("UPDATE users SET password = ?, changed_at = ? WHERE name = ?", (password, _text(at), name))
    end_sessions(connection, name)
    return user(connection, name)


def remove_user(connection: Connection, name: str) -> User:
    """Forget a person, who is still named in the audit log. Raises BadUser."""
    _require_another_admin(connection, name)
    gone = user(connection, name)
    end_sessions(connection, name)
    connection.execute("DELETE FROM users WHERE name = ?", (name,))
    return gone


def _require_another_admin(connection: Connection, name: str) -> None:
    admins = connection.execute("SELECT name FROM users WHERE role = ?", (Role.ADMIN.value,)).fetchall()
    if [one for (one,) in admins] == [name]:
        raise BadUser("last-admin", f"{name} is the only admin; add another one first")


# --- sessions


def begin_session(connection: Connection, name: str, id_: str, at: datetime) -> None:
    """Begin a session with this id; those that are over go, and of one person's the oldest that are too many."""
    connection.execute(
        "DELETE FROM user_sessions WHERE begun_at < ? OR seen_at < ?", (_text(at - ABSOLUTE), _text(at - IDLE))
    )
    held = connection.execute(
        "SELECT hash FROM user_sessions WHERE name = ? ORDER BY begun_at DESC", (name,)
    ).fetchall()
    connection.executemany("DELETE FROM user_sessions WHERE hash = ?", held[MAX_SESSIONS - 1 :])
    connection.execute("INSERT INTO user_sessions VALUES (?, ?, ?, ?)", (_hash(id_), name, _text(at), _text(at)))
    connection.execute("UPDATE users SET signed_in_at = ? WHERE name = ?", (_text(at), name))


def session_user(connection: Connection, id_: str, at: datetime) -> tuple[User, bool] | None:
    """Whose session this is, and whether it is time to note that it was seen; None where it is nobody's, or over."""
    row = connection.execute(
        "SELECT name, seen_at FROM user_sessions WHERE hash = ? AND begun_at >= ? AND seen_at >= ?",
        (_hash(id_), _text(at - ABSOLUTE), _text(at - IDLE)),
    ).fetchone()
    if row is None:
        return None
    return user(connection, row[0]), at - datetime.fromisoformat(row[1]) >= SEEN_EVERY


def note_seen(connection: Connection, id_: str, at: datetime) -> None:
    """Note that a session was seen."""
    connection.execute("UPDATE user_sessions SET seen_at = ? WHERE hash = ?", (_text(at), _hash(id_)))


def end_session(connection: Connection, id_: str) -> None:
    """End one session."""
    connection.execute("DELETE FROM user_sessions WHERE hash = ?", (_hash(id_),))


def end_sessions(connection: Connection, name: str) -> None:
    """End all sessions of a person."""
    connection.execute("DELETE FROM user_sessions WHERE name = ?", (name,))


_COLUMNS = "name, role, added_at, changed_at, signed_in_at"


def _user(row: Any) -> User:
    return User(
        name=row[0],
        role=Role(row[1]),
        added_at=datetime.fromisoformat(row[2]),
        changed_at=datetime.fromisoformat(row[3]),
        signed_in_at=None if row[4] is None else datetime.fromisoformat(row[4]),
    )


def _hash(id_: str) -> str:
    return hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")

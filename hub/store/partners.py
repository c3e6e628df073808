"""Partners in the database: who they are, the tokens that were issued to them, the parties behind them.

Rules
1. A token that we issued is found by its hash; it stands there until it is replaced or its partner goes.
2. A party that a partner no longer names stays known, as SUSPENDED: HubClientInfo deletes nobody.
3. A party may be behind several partners. It is reached by the one that is itself no hub, then by the one registered
   last; by a hub's HubClientInfo only when no credentials name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.errors import HubError
from hub.roaming.partners import Partner, Registration, TokenKind
from hub.store.engine import Connection
from wire.ocpi.document import encode_document, parse_document, view
from wire.ocpi.partners import ClientInfo, ConnectionStatus, CredentialsRole, Endpoint
from wire.ocpi.quirks import Quirks
from wire.ocpi.types import Module, PartyKey, Role, Version

_COLUMNS = (
    "id, name, url, hosts, token_out, version, endpoints, hub_party, quirks, status, added_at, registered_at, last_seen"
)


class KnownPartner(HubError):
    """Raised when a partner is added whose id is taken."""

    def __init__(self, id_: str) -> None:
        super().__init__("known-partner", f"partner {id_!r} is there already; remove it first, or choose another id")


class NoSuchPartner(HubError):
    """Raised when a partner is named that is not there."""

    def __init__(self, id_: str) -> None:
        super().__init__("no-such-partner", f"no partner {id_[:64]!r} here; `pnc-hub partners list` names them")


@dataclass(frozen=True, slots=True)
class Presented:
    """Whom a token belongs to, what it opens, and its hash."""

    partner: Partner
    kind: TokenKind
    hash: str


def add_partner(connection: Connection, partner: Partner, at: datetime) -> None:
    """Enter a partner that is not registered yet. Raises KnownPartner."""
    row = connection.execute("SELECT 1 FROM partners WHERE id = ?", (partner.id,)).fetchone()
    if row is not None:
        raise KnownPartner(partner.id)
    connection.execute(
        "INSERT INTO partners (id, name, url, hosts, token_out, endpoints, quirks, status, added_at, changed_at) "
        "VALUES (?, ?, ?, ?, ?, '[]', ?, ?, ?, ?)",
        (
            partner.id,
            partner.name,
            partner.url,
            _json(partner.hosts),
            partner.token_out,
            _json(partner.quirks),
            partner.status.value,
            _text(at),
            _text(at),
        ),
    )


def partner_named(connection: Connection, id_: str) -> Partner:
    """The partner with this id. Raises NoSuchPartner."""
    found = _found(connection, "WHERE id = ?", (id_,))
    if not found:
        raise NoSuchPartner(id_)
    return found[0]


def partners(connection: Connection) -> tuple[Partner, ...]:
    """All partners, in the order in which they were added."""
    return _found(connection, "", ())


def partner_of_token(connection: Connection, hashes: Sequence[str]) -> Presented | None:
    """Whose token has one of these hashes, the first that is known."""
    for hash_ in hashes:
        row = connection.execute("SELECT partner, kind FROM partner_tokens WHERE hash = ?", (hash_,)).fetchone()
        if row is not None:
            return Presented(partner_named(connection, row[0]), TokenKind(row[1]), hash_)
    return None


def partner_of_party(connection: Connection, party: PartyKey, role: Role | None = None) -> Partner | None:
    """The registered partner that a party is reached by, None for nobody. Rule 3."""
    rows = connection.execute(
        "SELECT DISTINCT partner FROM partner_roles WHERE country_code = ? AND party_id = ? AND status <> ?"
        " AND (role = ? OR ? = '')",
        (party.country_code, party.party_id, ConnectionStatus.SUSPENDED.value, role or "", role or ""),
    ).fetchall()
    told = connection.execute(
        "SELECT DISTINCT from_partner FROM ocpi_objects WHERE module = ? AND country_code = ? AND party_id = ?"
        " AND from_partner IS NOT NULL",
        (Module.HUB_CLIENT_INFO.value, party.country_code, party.party_id),
    ).fetchall()
    for names in (rows, told):
        found = [one for one in (partner_named(connection, name) for (name,) in names) if one.registered]
        if found:
            return max(found, key=lambda one: (one.hub_party is None, one.registered_at or one.added_at))
    return None


def speaks_for(connection: Connection, partner: Partner, party: PartyKey, from_: PartyKey | None = None) -> bool:
    """Whether what a partner sends may be in the name of a party. Rules 3 and 4 of hub.roaming.partners. `from_`: who
    sends it, as far as the partner says."""
    if partner.hub_party is None:
        return partner.has(party)
    if from_ not in (None, partner.hub_party, party):
        return False
    if party == partner.hub_party:
        return True
    if is_elsewhere(connection, party, partner.id):
        return False
    if partner.has(party):
        return True
    row = connection.execute(
        "SELECT 1 FROM ocpi_objects WHERE module = ? AND country_code = ? AND party_id = ? AND from_partner = ?",
        (Module.HUB_CLIENT_INFO.value, party.country_code, party.party_id, partner.id),
    ).fetchone()
    return row is not None


def is_elsewhere(connection: Connection, party: PartyKey, but: str) -> bool:
    """Whether the party is the hub of another partner than `but`, or one of its own where that is no hub."""
    row = connection.execute(
        "SELECT 1 FROM partner_roles r JOIN partners p ON p.id = r.partner WHERE r.country_code = ? AND r.party_id = ?"
        " AND r.partner <> ? AND r.status <> ? AND p.hub_party IS NULL AND p.registered_at IS NOT NULL"
        " UNION ALL SELECT 1 FROM partners WHERE hub_party = ? AND id <> ? AND registered_at IS NOT NULL",
        (party.country_code, party.party_id, but, ConnectionStatus.SUSPENDED.value, str(party), but),
    ).fetchone()
    return row is not None


def issue_token(connection: Connection, id_: str, kind: TokenKind, hash_: str, at: datetime) -> None:
    """Let a token with this hash open what `kind` says."""
    connection.execute("INSERT INTO partner_tokens VALUES (?, ?, ?, ?)", (hash_, id_, kind.value, _text(at)))


def end_tokens(connection: Connection, id_: str, kept: str = "") -> None:
    """End all tokens of a partner but the one with the hash `kept`."""
    connection.execute("DELETE FROM partner_tokens WHERE partner = ? AND hash <> ?", (id_, kept))


def end_token(connection: Connection, hash_: str) -> None:
    """End one token."""
    connection.execute("DELETE FROM partner_tokens WHERE hash = ?", (hash_,))


def register(connection: Connection, id_: str, done: Registration, at: datetime) -> None:
    """Keep what an exchange of credentials came to; the partner is CONNECTED."""
    connection.execute(
        "UPDATE partners SET url = ?, token_out = ?, version = ?, endpoints = ?, hub_party = ?, status = ?,"
        " registered_at = ?, changed_at = ? WHERE id = ?",
        (
            done.url,
            done.token_out,
            done.version.value,
            _json(done.endpoints),
            None if done.hub_party is None else str(done.hub_party),
            ConnectionStatus.CONNECTED.value,
            _text(at),
            _text(at),
            id_,
        ),
    )
    _keep_roles(connection, id_, done.roles, at)


def unregister(connection: Connection, id_: str, at: datetime) -> None:
    """Forget the credentials on both sides; who the partner is stays."""
    connection.execute(
        "UPDATE partners SET token_out = NULL, version = NULL, endpoints = '[]', registered_at = NULL, status = ?,"
        " changed_at = ? WHERE id = ?",
        (ConnectionStatus.SUSPENDED.value, _text(at), id_),
    )
    end_tokens(connection, id_)
    _set_role_status(connection, id_, ConnectionStatus.SUSPENDED, at)


def _keep_roles(connection: Connection, id_: str, roles: Sequence[CredentialsRole], at: datetime) -> None:
    _set_role_status(connection, id_, ConnectionStatus.SUSPENDED, at)
    connection.executemany(
        "INSERT INTO partner_roles (partner, country_code, party_id, role, body, status, last_updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (partner, country_code, party_id, role) DO UPDATE SET"
        " body = excluded.body, status = excluded.status, last_updated = excluded.last_updated",
        [(id_, *_party(one.party), one.role, _json(one), ConnectionStatus.CONNECTED.value, _text(at)) for one in roles],
    )


def _set_role_status(connection: Connection, id_: str, status: ConnectionStatus, at: datetime) -> None:
    connection.execute(
        "UPDATE partner_roles SET status = ?, last_updated = ? WHERE partner = ? AND status <> ?",
        (status.value, _text(at), id_, status.value),
    )


def set_status(connection: Connection, id_: str, status: ConnectionStatus, at: datetime) -> bool:
    """Whether a partner's state is news; its parties that are not SUSPENDED have the same one."""
    changed = connection.execute(
        "UPDATE partners SET status = ?, changed_at = ? WHERE id = ? AND status <> ?",
        (status.value, _text(at), id_, status.value),
    ).rowcount
    connection.execute(
        "UPDATE partner_roles SET status = ?, last_updated = ? WHERE partner = ? AND status NOT IN (?, ?)",
        (status.value, _text(at), id_, status.value, ConnectionStatus.SUSPENDED.value),
    )
    return changed > 0


def set_quirks(connection: Connection, id_: str, quirks: Quirks, at: datetime) -> None:
    """Keep a partner's quirks."""
    connection.execute("UPDATE partners SET quirks = ?, changed_at = ? WHERE id = ?", (_json(quirks), _text(at), id_))


def note_seen(connection: Connection, id_: str, at: datetime) -> None:
    """Note that a partner spoke."""
    connection.execute("UPDATE partners SET last_seen = ? WHERE id = ?", (_text(at), id_))


def remove_partner(connection: Connection, id_: str) -> None:
    """Forget a partner, its tokens and its parties; its objects stay, for they were billed."""
    end_tokens(connection, id_)
    connection.execute("DELETE FROM partner_roles WHERE partner = ?", (id_,))
    connection.execute("DELETE FROM partners WHERE id = ?", (id_,))


@dataclass(frozen=True, slots=True)
class KnownParty:
    """A party behind a partner, as a hub tells of it; `number` is its place in the order in which they came."""

    number: int
    partner: str
    info: ClientInfo


def known_parties(connection: Connection, without: str = "") -> tuple[KnownParty, ...]:
    """Every party that partners' credentials ever named, but those of the partner `without`, oldest first."""
    rows = connection.execute(
        "SELECT number, partner, country_code, party_id, role, status, last_updated FROM partner_roles"
        " WHERE partner <> ? ORDER BY number",
        (without,),
    ).fetchall()
    return tuple(
        KnownParty(
            row[0],
            row[1],
            ClientInfo(
                country_code=row[2],
                party_id=row[3],
                role=row[4],
                status=ConnectionStatus(row[5]),
                last_updated=datetime.fromisoformat(row[6]),
            ),
        )
        for row in rows
    )


def _found(connection: Connection, where: str, values: Sequence[str]) -> tuple[Partner, ...]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM partners {where} ORDER BY number", tuple(values)).fetchall()
    return tuple(_partner(connection, row) for row in rows)


def _partner(connection: Connection, row: Any) -> Partner:
    id_, name, url, hosts, token_out, version, endpoints, hub_party, quirks, status, added, registered, seen = row
    roles = connection.execute(
        "SELECT body FROM partner_roles WHERE partner = ? AND status <> ? ORDER BY number",
        (id_, ConnectionStatus.SUSPENDED.value),
    ).fetchall()
    return Partner(
        id=id_,
        name=name,
        url=url,
        hosts=_read(hosts, tuple[str, ...]),
        token_out=token_out,
        version=None if version is None else Version(version),
        endpoints=_read(endpoints, tuple[Endpoint, ...]),
        roles=tuple(_read(body, CredentialsRole) for (body,) in roles),
        quirks=_read(quirks, Quirks),
        status=ConnectionStatus(status),
        hub_party=None if hub_party is None else PartyKey.of(*hub_party.split("*")),
        added_at=datetime.fromisoformat(added),
        registered_at=None if registered is None else datetime.fromisoformat(registered),
        last_seen=None if seen is None else datetime.fromisoformat(seen),
    )


def _party(party: PartyKey) -> tuple[str, str]:
    return party.country_code, party.party_id


def _json(value: object) -> str:
    return encode_document(value).decode()


def _read(text: str, type_: type[Any]) -> Any:
    return view(parse_document(text, "stored partner"), type_, "stored partner")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")

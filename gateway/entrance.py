"""What [chargers] and [[charger]] say, checked: ports, accounts, bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.chargers.credentials import PasswordHash
from gateway.chargers.port import Account, Bounds, Entrance, KeyPair, Port, SecurityProfile
from gateway.errors import ConfigurationError
from gateway.tables import ChargersTable, ChargerTable, GatewayConfig, LimitsTable, PortTable
from gateway.wording import counted
from wire.ids import is_charger_id

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DEFAULT_LISTEN = "127.0.0.1:8180"
FileNamed = Callable[[str, str], Path]
"""The file that a setting names, by the name and the key. Raises ConfigurationError when there is none."""


def read_entrance(config: GatewayConfig, file: FileNamed) -> Entrance:
    """Everything about the sockets of the stations. Raises ConfigurationError, naming the key and what to do."""
    table = config.chargers
    ports = _ports(table, file)
    return Entrance(
        ports=ports,
        accounts=_accounts(config.charger, ports),
        organization=table.organization,
        revocation_unknown=table.revocation_unknown,
        revocation_stale_grace_h=config.policy.revocation_stale_grace_h,
        bounds=_bounds(table.limits),
    )


def parse_listen(text: str, key: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` (IPv6 in brackets). Raises ConfigurationError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigurationError(f"{key} {text!r}: must be HOST:PORT")
    return host.strip("[]"), int(port)


def _ports(table: ChargersTable, file: FileNamed) -> tuple[Port, ...]:
    found: list[Port] = []
    if table.listen is not None or not table.port:
        listen, key = table.listen or _DEFAULT_LISTEN, "[chargers]"
        host, port = parse_listen(listen, f"{key} listen")
        _require_trusted_network(key, listen, host, SecurityProfile.BASIC, table.allow_unencrypted_network)
        found.append(Port(key, host, port, SecurityProfile.BASIC))
    found += [_port(number, each, file) for number, each in enumerate(table.port, 1)]
    taken: dict[tuple[str, int], str] = {}
    for each in found:
        before = taken.setdefault((each.host, each.port), each.key)
        if before != each.key and each.port:
            message = f"{each.key} listen {each.host}:{each.port}: is that of {before} too; a port has one profile"
            raise ConfigurationError(message)
    return tuple(found)


def _port(number: int, table: PortTable, file: FileNamed) -> Port:
    key, profile = f"[[chargers.port]] number {number}", SecurityProfile(table.profile)
    host, port = parse_listen(table.listen, f"{key} listen")
    if profile is SecurityProfile.UNAUTHENTICATED and not table.allow_unauthenticated:
        raise ConfigurationError(
            f"{key}: with profile 0 anybody who knows a station's id is that station; for a laboratory set "
            "allow_unauthenticated = true, else take profile 2 or 3"
        )
    if not profile.encrypted:
        _require_trusted_network(key, table.listen, host, profile, table.allow_unencrypted_network)
        if table.certificates or table.keys:
            raise ConfigurationError(f"{key}: profile {profile} has no TLS; certificates and keys are for 2 and 3")
        return Port(key, host, port, profile)
    if not table.certificates:
        raise ConfigurationError(f"{key}: profile {profile} needs certificates and keys, for example one pair of EC")
    if len(table.certificates) != len(table.keys) or len(table.certificates) > 2:
        given = f"{counted(len(table.certificates), 'certificate')} and {counted(len(table.keys), 'key')}"
        raise ConfigurationError(f"{key}: {given}; give one or two pairs, in one order")
    pairs = [
        KeyPair(file(certificate, f"{key} certificates"), file(secret, f"{key} keys"))
        for certificate, secret in zip(table.certificates, table.keys, strict=True)
    ]
    return Port(key, host, port, profile, tuple(pairs))


def _require_trusted_network(key: str, listen: str, host: str, profile: SecurityProfile, allowed: bool) -> None:
    if host not in LOOPBACK and not allowed:
        raise ConfigurationError(
            f"{key} listen {listen!r} is not loopback and chargers connect without TLS (OCPP security profile "
            f"{profile}); on a trusted network set allow_unencrypted_network = true, else take profile 2 or 3"
        )


def _accounts(chargers: Sequence[ChargerTable], ports: tuple[Port, ...]) -> dict[str, Account]:
    """The stations by case-folded id."""
    found: dict[str, Account] = {}
    for number, charger in enumerate(chargers, 1):
        where = f"[[charger]] number {number}"
        if not is_charger_id(charger.id):
            raise ConfigurationError(f"{where}: id {charger.id!r} cannot be a charging station's identity")
        if charger.id.casefold() in found:
            raise ConfigurationError(f"{where}: id {charger.id!r} stands twice (identities ignore case)")
        if charger.password_hash is None and all(port.profile.by_password for port in ports):
            message = (
                f"{where} ({charger.id}): password_hash is missing, and no port takes a station without a password"
            )
            raise ConfigurationError(f"{message}; make one with `pnc-gateway password`")
        if charger.allow_unauthenticated and charger.password_hash is not None:
            message = (
                f"{where} ({charger.id}): allow_unauthenticated and password_hash exclude each other; leave one out"
            )
            raise ConfigurationError(message)
        found[charger.id.casefold()] = Account(
            charger_id=charger.id,
            password=_password(where, charger),
            client_name=charger.serial_number or charger.id,
            serial_number=charger.serial_number,
            may_step_down=charger.allow_profile_downgrade,
            may_prove_nothing=charger.allow_unauthenticated,
        )
    _require_own_names(found)
    return found


def _password(where: str, charger: ChargerTable) -> PasswordHash | None:
    if charger.password_hash is None:
        return None
    try:
        return PasswordHash.parse(charger.password_hash)
    except ValueError as error:
        message = f"{where} ({charger.id}): password_hash {error}; make one with `pnc-gateway password`"
        raise ConfigurationError(message) from error


def _require_own_names(accounts: dict[str, Account]) -> None:
    """Two stations of one name in certificates would be one station. Raises ConfigurationError."""
    owners: dict[str, str] = {}
    for account in accounts.values():
        other = owners.setdefault(account.client_name, account.charger_id)
        if other != account.charger_id:
            message = f"{account.client_name!r} is the serial_number of {other} too; certificates name one station each"
            raise ConfigurationError(f"[[charger]] {account.charger_id}: {message}")


def _bounds(table: LimitsTable) -> Bounds:
    for one, in_all in (("connections_per_address", "connections"), ("handshakes_per_address", "handshakes")):
        if getattr(table, one) > getattr(table, in_all):
            message = f"[chargers.limits] {one} {getattr(table, one)} is more than {in_all} {getattr(table, in_all)}"
            raise ConfigurationError(message)
    return Bounds(
        messages_per_s=table.messages_per_s,
        burst=table.message_burst,
        messages_per_s_in_all=table.messages_per_s_in_all,
        burst_in_all=table.message_burst_in_all,
        connections=table.connections,
        connections_each=table.connections_per_address,
        handshakes=table.handshakes,
        handshakes_each=table.handshakes_per_address,
        failures_per_s=table.refused_per_s_per_address,
        failures_burst=table.refused_burst_per_address,
        handshake_timeout_s=table.handshake_timeout_s,
        write_timeout_s=table.write_timeout_s,
        ping_interval_s=table.ping_interval_s,
    )

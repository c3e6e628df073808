"""`pnc-pki pool`: what is in the pools, and who may use them. The service may be running meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pki.certificate import parse_certificate
from pki.errors import PoolRefused
from pki.profile import AnchorRole, Generation
from pki.service.commands.context import (
    actor,
    add_row,
    as_json_option,
    by_person,
    echo_json,
    ends_clearly,
    in_folder,
    with_reason,
)
from pki.service.commands.reading import naming_file, read_certificates
from pki.service.files import read_file
from pki.service.naming import printable
from pki.service.pool.clients import Client, Role, add_client, delete_client, list_clients, renew_secret
from pki.service.pool.contracts import PoolContract, delete_contract, find_contracts, prefer_contract
from pki.service.pool.identities import account, common_name
from pki.service.pool.own_pki import open_pools
from pki.service.pool.pools import Pools
from pki.service.pool.purging import purge
from pki.service.pool.roots import PoolRoot, list_roots, put_root, remove_root
from pki.service.pool.vehicles import VehicleChain, delete_vehicle, list_vehicles, put_vehicle
from pki.service.screen import listing, print_listing, screen
from pki.service.state_folder import open_registry
from pki.verify.crl import CRL_CAP, parse_crl

_FILE = click.Path(path_type=Path, dir_okay=False)
_ROLES = [role.value for role in Role]
_ROOT_TYPES = ["v2g", "mo", "oem", "pe"]


@contextmanager
def _open(folder: Path) -> Iterator[Pools]:
    with open_registry(folder) as registry, open_pools(registry) as pools:
        yield pools


@click.group()
def pool() -> None:
    """Roots, cars, contracts, and the clients that may use them."""


@pool.command("list")
@click.argument("what", type=click.Choice(["contracts", "vehicles", "roots"]), default="contracts")
@click.option("--pcid", help="only contracts of this car")
@click.option("--emaid", help="only contracts of this account")
@in_folder
@as_json_option
@ends_clearly
def list_command(what: str, pcid: str | None, emaid: str | None, folder: Path, as_json: bool) -> None:
    """Show what is in the pools: contracts (default), vehicles or roots."""
    with _open(folder) as pools:
        if what == "roots":
            _show_roots(list_roots(pools), as_json)
        elif what == "vehicles":
            _show_vehicles(list_vehicles(pools), as_json)
        else:
            wanted = None if emaid is None else account(emaid).normal
            _show_contracts(find_contracts(pools, emaid=wanted, pcid=pcid), as_json)


@pool.group("add")
def add() -> None:
    """Add a root, a car, or a foreign revocation list."""


@add.command("root")
@click.argument("file", type=_FILE)
@click.option("--type", "root_type", required=True, type=click.Choice(_ROOT_TYPES), help="what it is trusted for")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def add_root(file: Path, root_type: str, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """List the root in FILE. Compare the fingerprint that is printed with its owner's, by another way."""
    with _open(folder) as pools:
        found, added = read_certificates(file), list[PoolRoot]()
        for der in found:
            stored = put_root(pools, der, AnchorRole(root_type), actor(who, why))
            added += [] if stored is None else [stored]
            if not as_json:
                _tell_root(stored)
    if as_json:
        echo_json({"roots": [_root_object(root) for root in added], "waiting": len(found) - len(added)})


@add.command("vehicle")
@click.argument("chain", type=_FILE)
@click.option("--iso", type=click.Choice(["2", "20"]), default="2", show_default=True, help="the generation")
@by_person
@in_folder
@as_json_option
@ends_clearly
def add_vehicle(chain: Path, iso: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Publish the provisioning certificate in CHAIN: PEM, the leaf, then its sub-CAs upwards."""
    leaf, *subs = read_certificates(chain)
    if not 1 <= len(subs) <= 2:
        raise PoolRefused("chain", f"{chain}: {len(subs)} sub-CAs behind the leaf, one or two are needed")
    published = VehicleChain(
        generation=Generation.ISO_2 if iso == "2" else Generation.ISO_20,
        leaf=leaf,
        sub2=subs[0] if len(subs) > 1 else None,
        sub1=subs[-1],
    )
    with _open(folder) as pools:
        operator = _operator(actor(who, "published").who, pools, published)
        stored = put_vehicle(pools, published, operator)
    root = common_name(stored.root)
    _say({"pcid": stored.pcid, "root": root}, f"{stored.pcid} below {root}", as_json)


@add.command("crl")
@click.argument("file", type=_FILE)
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def add_crl(file: Path, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Add a foreign authority's revocation list (DER), as evidence for cars and contracts below it. An older list of
    the same issuer is taken out."""
    der = read_file(file, CRL_CAP)
    with naming_file(file):
        parsed = parse_crl(der)
    with _open(folder) as pools:
        pools.add_list(parsed, actor(who, why))
    told = f"list of {parsed.this_update:%Y-%m-%d %H:%M} UTC, SHA-256 {parsed.sha256}"
    _say({"this_update": parsed.this_update, "sha256": parsed.sha256}, told, as_json)


@pool.group("delete")
def delete() -> None:
    """Delete a root, a car with its contracts, or a contract."""


@delete.command("root")
@click.argument("root_id", metavar="ID")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def delete_root(root_id: str, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Take the root with this ID out of the pool; cars and contracts below it stay."""
    with _open(folder) as pools:
        remove_root(pools, root_id, actor(who, why))
    _say({"deleted": root_id}, f"deleted {root_id}", as_json)


@delete.command("vehicle")
@click.argument("pcid")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def delete_vehicle_command(pcid: str, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Delete the car with this PCID and all its contracts; those issued here are revoked."""
    with _open(folder) as pools:
        count = delete_vehicle(pools, pcid, actor(who, why))
    _say({"deleted": pcid, "contracts": count}, f"deleted; contracts deleted with it: {count}", as_json)


@delete.command("contract")
@click.argument("emaid")
@click.option("--skip-revocation", is_flag=True, help="leave its certificate valid")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def delete_contract_command(
    emaid: str, skip_revocation: bool, why: str, who: str | None, folder: Path, as_json: bool
) -> None:
    """Delete the contracts of this account; those issued here are revoked."""
    with _open(folder) as pools:
        count = delete_contract(pools, emaid, actor(who, why), skip_revocation=skip_revocation)
    _say({"deleted": emaid, "contracts": count}, f"deleted {count}", as_json)


@pool.command("default")
@click.argument("pcid")
@click.argument("emaid")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def default_command(pcid: str, emaid: str, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Make the contract EMAID the one that the car PCID gets when it does not choose."""
    with _open(folder) as pools:
        prefer_contract(pools, pcid, emaid, actor(who, why))
    _say({"pcid": pcid, "default": emaid}, f"{pcid} gets {emaid} when it does not choose", as_json)


@pool.command("purge")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def purge_command(why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Delete what has expired or is revoked."""
    with _open(folder) as pools:
        purged = purge(pools, actor(who, why))
    if as_json:
        echo_json(purged)
    else:
        click.echo(f"deleted {purged.contracts} contracts, {purged.vehicles} cars, {purged.roots} roots")


@pool.group("clients")
def clients() -> None:
    """Who may call the pools."""


@clients.command("add")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(_ROLES), help="repeatable")
@click.option(
    "--provider", "providers", multiple=True, help="country and provider of its EMAIDs, like DEABC; repeatable"
)
@click.option("--wmi", "wmis", multiple=True, help="a maker's identifier in its PCIDs, like WVW; repeatable")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def add_client_command(
    name: str,
    roles: tuple[str, ...],
    providers: tuple[str, ...],
    wmis: tuple[str, ...],
    why: str,
    who: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Register the client NAME and print its secret, which is not shown again."""
    with _open(folder) as pools:
        secret = add_client(pools, name, [Role(role) for role in roles], providers, wmis, actor(who, why))
    _show_secret(name, secret, as_json)


@clients.command("secret")
@click.argument("name")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def secret_command(name: str, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Give the client NAME a new secret; the old one counts no longer."""
    with _open(folder) as pools:
        secret = renew_secret(pools, name, actor(who, why))
    _show_secret(name, secret, as_json)


@clients.command("delete")
@click.argument("name")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def delete_client_command(name: str, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Delete the client NAME; its tokens count no longer."""
    with _open(folder) as pools:
        delete_client(pools, name, actor(who, why))
    _say({"deleted": name}, f"deleted {name}", as_json)


@clients.command("list")
@in_folder
@as_json_option
@ends_clearly
def list_clients_command(folder: Path, as_json: bool) -> None:
    """Show the clients."""
    with _open(folder) as pools:
        found = list_clients(pools)
    if as_json:
        echo_json([_client_object(client) for client in found])
        return
    table = listing("client", "roles", "providers", "WMIs", "since (UTC)")
    for client in found:
        roles = ", ".join(sorted(role.value for role in client.roles))
        since = f"{client.made_at:%Y-%m-%d %H:%M}"
        add_row(table, client.id, roles, ", ".join(client.providers), ", ".join(client.wmis), since)
    print_listing(screen(), table)


def _operator(name: str, pools: Pools, published: VehicleChain) -> Client:
    """The operator of this service, who publishes for the maker of that very car."""
    pcid = common_name(parse_certificate(published.leaf)).upper()
    return Client(id=name, roles=frozenset({Role.OEM}), providers=(), wmis=(pcid[:3],), made_at=pools.now())


def _show_secret(name: str, secret: str, as_json: bool) -> None:
    if as_json:
        echo_json({"client_id": name, "client_secret": secret})
    else:
        click.echo(f"client id      {name}\nclient secret  {secret}   (not shown again)")


def _say(said: dict[str, object], told: str, as_json: bool) -> None:
    if as_json:
        echo_json(said)
    else:
        click.echo(printable(told))


def _tell_root(stored: PoolRoot | None) -> None:
    if stored is None:
        click.echo("waits for another administrator to add the same root")
    else:
        click.echo(printable(f"{stored.id}  {stored.role.value}  {common_name(stored.certificate)}"))
        click.echo(f"SHA-256 {stored.certificate.sha256}")


def _root_object(root: PoolRoot) -> dict[str, object]:
    return {"id": root.id, "role": root.role, "sha256": root.certificate.sha256}


def _show_roots(roots: list[PoolRoot], as_json: bool) -> None:
    if as_json:
        echo_json([_root_object(root) for root in roots])
        return
    table = listing("id", "root", "until", "SHA-256", id=36, until=10, **{"SHA-256": 16})
    for root in roots:
        held = root.certificate
        add_row(table, root.id, f"{root.role.value}: {common_name(held)}", f"{held.not_after:%Y-%m-%d}", held.sha256)
    print_listing(screen(), table)


def _show_vehicles(vehicles: list[tuple[str, str, int]], as_json: bool) -> None:
    if as_json:
        echo_json([{"pcid": pcid, "generation": kind, "contracts": count} for pcid, kind, count in vehicles])
        return
    table = listing("PCID", "generation", "contracts")
    for pcid, kind, count in vehicles:
        add_row(table, pcid, kind, str(count))
    print_listing(screen(), table)


def _show_contracts(contracts: list[PoolContract], as_json: bool) -> None:
    if as_json:
        echo_json([_contract_object(contract) for contract in contracts])
        return
    table = listing("EMAID", "PCID", "generation", "default", "until (UTC)", "stored by")
    for contract in contracts:
        end = f"{contract.expires_at:%Y-%m-%d}" if contract.expires_at else "unknown"
        preferred = "yes" if contract.preferred else "-"
        add_row(table, contract.emaid, contract.written, contract.generation.value, preferred, end, contract.owner)
    print_listing(screen(), table)


def _contract_object(contract: PoolContract) -> dict[str, object]:
    return {
        "emaid": contract.emaid,
        "pcid": contract.written,
        "generation": contract.generation,
        "default": contract.preferred,
        "expires_at": contract.expires_at,
        "stored_by": contract.owner,
    }


def _client_object(client: Client) -> dict[str, object]:
    return {
        "client_id": client.id,
        "roles": sorted(client.roles),
        "providers": client.providers,
        "wmis": client.wmis,
        "made_at": client.made_at,
    }

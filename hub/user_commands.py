"""`pnc-hub users`: people who may sign in at the pages. While a hub runs it is asked, with an API token; while none
runs, the database is opened under its lock."""

from __future__ import annotations

import asyncio
import getpass
import sys
from contextlib import closing
from pathlib import Path

import click
from rich.text import Text

from hub.asking import running_hub
from hub.clock import now, utc
from hub.config import HubConfig, load_config
from hub.errors import StoreError
from hub.options import config_option, json_option, or_exit, token_option
from hub.passwords import LEAST, hash_password
from hub.roles import Role
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.users import User, users as all_users
from hub.user_orders import Asker, UserAct, UserOrder, carry_out
from pki.service.screen import listing, print_listing, screen
from wire.records import decode, encode

COMMAND_LINE = "command-line"
_role_option = click.option(
    "--role", type=click.Choice([role.value for role in Role]), required=True, help="What the person is here for."
)
_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line, and do not ask."
)


@click.group()
def users() -> None:
    """Look after people who sign in at the pages."""


@users.command("list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """Show everybody; works while the hub runs."""
    found = or_exit(lambda: _all(load_config(config_path)))
    if as_json:
        click.echo(encode({"users": found}))
        return
    console = screen()
    if not found:
        console.print("Nobody may sign in yet: `pnc-hub users add NAME --role admin` adds somebody.")
        return
    table = listing("NAME", "ROLE", "ADDED", "SIGNED IN LAST")
    for one in found:
        last = "never" if one.signed_in_at is None else utc(one.signed_in_at)
        table.add_row(Text(one.name), one.role.value, utc(one.added_at), last)
    print_listing(console, table)


@users.command()
@click.argument("name")
@_role_option
@_stdin_option
@token_option
@config_option
def add(name: str, role: str, password_stdin: bool, token_file: Path | None, config_path: Path) -> None:
    """Add somebody, with a first password that is asked for."""

    def work() -> User:
        hashed = _asked_password(password_stdin)
        order = UserOrder(act=UserAct.ADD, name=name, role=Role(role), password=hashed)
        return _carried_out(config_path, token_file, order)

    done = or_exit(work)
    click.echo(f"{done.name} may sign in as {done.role.value}")


@users.command("role")
@click.argument("name")
@_role_option
@token_option
@config_option
def set_role(name: str, role: str, token_file: Path | None, config_path: Path) -> None:
    """Give somebody another role; their sessions end."""
    order = UserOrder(act=UserAct.ROLE, name=name, role=Role(role))
    done = or_exit(lambda: _carried_out(config_path, token_file, order))
    click.echo(f"{done.name} is {done.role.value} now")


@users.command()
@click.argument("name")
@_stdin_option
@token_option
@config_option
def password(name: str, password_stdin: bool, token_file: Path | None, config_path: Path) -> None:
    """Give somebody another password; their sessions end."""

    def work() -> User:
        order = UserOrder(act=UserAct.PASSWORD, name=name, password=_asked_password(password_stdin))
        return _carried_out(config_path, token_file, order)

    done = or_exit(work)
    click.echo(f"{done.name} has another password now")


@users.command()
@click.argument("name")
@token_option
@config_option
def remove(name: str, token_file: Path | None, config_path: Path) -> None:
    """Remove somebody, who stays named in the audit log."""
    order = UserOrder(act=UserAct.REMOVE, name=name)
    done = or_exit(lambda: _carried_out(config_path, token_file, order))
    click.echo(f"{done.name} may not sign in any more")


def _asked_password(from_stdin: bool) -> str:
    """The hash of the password that is given. Raises BadPassword."""
    if from_stdin:
        return hash_password(sys.stdin.readline().rstrip("\n"))
    prompt = f"Password ({LEAST} characters at least)"
    return hash_password(click.prompt(prompt, hide_input=True, confirmation_prompt=True))


def _carried_out(config_path: Path, token_file: Path | None, order: UserOrder) -> User:
    """The person as it is then: done by the running hub or, while none runs, here. Raises HubError."""
    config = load_config(config_path)
    try:
        return asyncio.run(_here(config, order))
    except StoreError as error:
        if error.code != "already-running":
            raise
    return decode(
        User, running_hub(config, token_file).ask("POST", "/api/v1/users", encode(order)), "answer of the hub"
    )


async def _here(config: HubConfig, order: UserOrder) -> User:
    database = Database(config.state_dir, config.terms, config.engine())
    asker, at = Asker(getpass.getuser(), COMMAND_LINE, ""), now()

    def work(connection: Connection) -> User:
        return carry_out(connection, order, asker, at)

    try:
        return await database.write(work)
    finally:
        await database.close()


def _all(config: HubConfig) -> tuple[User, ...]:
    with closing(config.engine().open_reader()) as connection:
        return all_users(connection)

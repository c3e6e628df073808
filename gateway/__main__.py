"""pnc-gateway: the edge gateway beside the chargers.

Each command is imported when it is called, so that a gateway that runs holds no more than it runs on.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from gateway.errors import GatewayError
from gateway.given import config_option, fail, settings_of

_COMMANDS = {
    "buffer": "gateway.buffer",
    "charger": "gateway.control.stations",
    "chargers": "gateway.control.stations",
    "command": "gateway.control.display",
    "doctor": "gateway.doctor.command",
    "enrol": "gateway.founding",
    "export": "gateway.outlook",
    "init": "gateway.founding",
    "ledger": "gateway.ledger.command",
    "meter": "gateway.metering.command",
    "ocpi": "gateway.uplink.ocpi.command",
    "password": "gateway.founding",
    "status": "gateway.outlook",
    "whitelist": "gateway.listed",
}
"""Where each command is that is not in this file, under its own name."""


class _Commands(click.Group):
    """The commands of this file, and those above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(import_module(module), cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pncgate", prog_name="pnc-gateway")
def main() -> None:
    """Edge gateway for Plug & Charge sites: authorizes drivers and keeps every signed meter value, uplink or not."""


@main.command()
@config_option
def run(config: Path) -> None:
    """Serve the site until SIGTERM.

    It says what it does on standard output, one JSON object per line; the event `ready` when all listens. SIGHUP reads
    trust, revocation lists and certificates again.
    """
    import asyncio

    from gateway.serving import keep_serving
    from gateway.site import Gateway

    settings = settings_of(config)

    async def serve(stop: asyncio.Event) -> bool:
        gateway = Gateway(settings)
        try:
            return await gateway.run(stop)
        finally:
            await gateway.close()

    try:
        keep_serving(serve)
    except GatewayError as error:
        fail(str(error))


if __name__ == "__main__":
    main()

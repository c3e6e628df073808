"""`pnc-pki trust`: the anchors of this PKI, to hand out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import msgspec

from pki.service.acts.anchoring import write_anchors
from pki.service.commands.context import add_row, as_json_option, echo_json, ends_clearly, in_folder
from pki.service.screen import listing, print_listing, screen
from pki.service.state_folder import TRUST_FOLDER, open_registry


class AnchorObject(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `trust --json`."""

    authority: str
    role: str
    sha256: str
    not_after: datetime
    former: bool


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="the folder to write them to, new or with trust in it (default: trust/ of the state folder)",
)
@in_folder
@as_json_option
@ends_clearly
def trust(out: Path | None, folder: Path, as_json: bool) -> None:
    """Write the anchors of this PKI by role: every root that has not ended, former copies of renewed ones included.

    The folder is what `pnc-pki verify --trust` and a gateway read. Anchors of other PKIs in it stay.
    """
    with open_registry(folder) as registry:
        found = write_anchors(registry, out or folder / TRUST_FOLDER)
    if as_json:
        echo_json(
            [
                AnchorObject(
                    authority=anchor.authority,
                    role=anchor.role.value,
                    sha256=anchor.certificate.sha256,
                    not_after=anchor.certificate.not_after,
                    former=anchor.former,
                )
                for anchor in found
            ]
        )
        return
    table = listing("role", "root", "valid until", "SHA-256")
    for anchor in found:
        name = f"{anchor.authority} (former)" if anchor.former else anchor.authority
        until = f"{anchor.certificate.not_after:%Y-%m-%d}"
        add_row(table, anchor.role.value, name, until, anchor.certificate.sha256)
    print_listing(screen(), table)

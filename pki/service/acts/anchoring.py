"""The anchors of this PKI in a folder, to be handed out and given to `pnc-pki verify --trust`.

All roots that have not ended count, by role: those that were succeeded too, because what they signed is still good, and
former certificates of a renewed one. Each root has one file, ROLE/NAME.pem, which is replaced whole. Files of other
PKIs in the same folder are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pki.certificate import Certificate
from pki.errors import TrustError
from pki.profile import AnchorRole
from pki.service.files import load_trust, replace_file
from pki.service.registry import HeldAuthority, Registry


@dataclass(frozen=True, slots=True)
class Anchor:
    """A root's certificate that counts, and what it is trusted for; `former` tells an earlier copy of a renewed one."""

    authority: str
    role: AnchorRole
    certificate: Certificate
    former: bool


def anchors(registry: Registry) -> tuple[Anchor, ...]:
    """The certificates of all roots that have not ended, for each root its newest first."""
    now = registry.now()
    return tuple(
        Anchor(held.name, held.row.role, certificate, certificate is not held.certificate)
        for held in registry.authorities().values()
        if held.row.role is not None
        for certificate in _copies(held)
        if now < certificate.not_after
    )


def write_anchors(registry: Registry, folder: Path) -> tuple[Anchor, ...]:
    """Bring the folder up to date, file by file, new ones before ended ones go: at every instant it can be read, and
    holds all roots that counted before and after. What was written is the answer.

    Raises:
        TrustError: "unwritable"; "trust-folder", "trust-file", "trust-empty": the folder is there and holds no trust;
            nothing is written.
    """
    found = anchors(registry)
    if folder.exists():
        load_trust(folder)
    texts: dict[Path, str] = {}
    for anchor in found:
        path = _file(folder, anchor.authority, anchor.role)
        texts[path] = texts.get(path, "") + anchor.certificate.pem()
    for path, text in texts.items():
        # Beside the folder: a stray file in it is an error to whoever reads it.
        replace_file(path, text.encode(), folder.absolute().parent)
    try:
        for held in registry.authorities().values():
            if held.row.role is not None and (path := _file(folder, held.name, held.row.role)) not in texts:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise TrustError("unwritable", f"{folder}: {error.strerror or error}") from error
    load_trust(folder)
    return found


def _copies(held: HeldAuthority) -> Iterator[Certificate]:
    yield held.certificate
    yield from reversed(held.former)


def _file(folder: Path, authority: str, role: AnchorRole) -> Path:
    return folder / role.value / f"{authority.removesuffix('-root')}.pem"

"""Trust, CRLs and labs on disk. Everything read is checked at once, and whatever is not understood is an error:
a folder of trust with a stray file in it is a mistake that must be seen."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pki.certificate import Certificate, parse_certificate
from pki.errors import MalformedCertificate, TrustError
from pki.issue.lab import PUBLIC, Lab, LabFile
from pki.pem import parse_pem
from pki.profiles import AnchorRole
from pki.verify.crl import CRL_CAP
from pki.verify.trust import TrustStore

_CERTIFICATE_SUFFIXES = frozenset({".pem", ".crt", ".cer", ".der"})
_CRL_SUFFIXES = frozenset({".crl", ".pem", ".der"})
_ANCHOR_FILE_CAP = 256 * 1024
_ANCHORS_PER_FILE = 64


def load_trust(folder: Path, unnamed_roles: Iterable[AnchorRole] = ()) -> TrustStore:
    """The anchors of a trust folder: sub-folders v2g, mo, oem, pe, backend with PEM (one or more) or DER files.

    `unnamed_roles`: the roles of certificates that lie in `folder` itself; without any, such files are an error.

    Raises:
        TrustError: "trust-folder", "trust-file" or "trust-empty"; names the path. What is not a self-issued CA
            is refused: an intermediate must never become an anchor.
    """
    roles = tuple(unnamed_roles)
    found: dict[AnchorRole, list[Certificate]] = {role: [] for role in AnchorRole}
    for entry in _listed(folder):
        if entry.is_dir():
            found[_role_of(entry)] += [anchor for file in _listed(entry) for anchor in _anchors(file)]
        elif roles:
            anchors = _anchors(entry)
            for role in roles:
                found[role] += anchors
        else:
            raise TrustError("trust-file", f"{entry}: expected sub-folders {_role_names()} only")
    if not any(found.values()):
        raise TrustError("trust-empty", f"{folder}: holds no anchor")
    return TrustStore(found)


def load_crls(paths: Iterable[Path]) -> list[bytes]:
    """The DER of every CRL in these files and folders (PEM or DER; folders: *.crl, *.pem, *.der, not deeper).

    Raises:
        TrustError: "crl-file": unreadable or not a CRL file; names the path.
    """
    return [der for _, der in crls_by_file(paths)]


def crls_by_file(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """The same, each with the file that it stands in."""
    return ((file, der) for path in paths for file in _crl_files(path) for der in _crls(file))


def read_file(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        TrustError: "unreadable": missing, not a file, not permitted, or too large; names the path.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise TrustError("unreadable", f"{path}: {error.strerror or error}") from error
    if len(content) > limit:
        raise TrustError("unreadable", f"{path}: larger than {limit} bytes")
    return content


def write_lab(lab: Lab, folder: Path, *, force: bool = False) -> None:
    """Put every file of the lab into `folder`, all or nothing: written beside it, then renamed into place.

    Private keys are readable by the owner only from their first byte. `force` replaces an earlier lab, and nothing
    else: a folder that holds anything but a lab is never replaced.

    Raises:
        TrustError: "lab-exists": the folder is there and `force` was not given, or it is no lab; "unwritable".
    """
    if folder.exists() or folder.is_symlink():
        if not force:
            raise TrustError("lab-exists", f"{folder} exists; --force replaces it")
        if not _is_lab(folder):
            raise TrustError("lab-exists", f"{folder} exists and is no lab made here; it is not replaced")
    try:
        _write_beside(lab, folder)
    except OSError as error:
        raise TrustError("unwritable", f"{folder}: {error.strerror or error}") from error


def write_file(path: Path, file: LabFile) -> None:
    """Write a new file with its mode from the first byte, durably; an existing file is not overwritten.

    Raises:
        TrustError: "unwritable": it exists, or cannot be written; names the path.
    """
    try:
        _write_new(path, file)
    except OSError as error:
        raise TrustError("unwritable", f"{path}: {error.strerror or error}") from error


def replace_file(path: Path, content: bytes, workplace: Path) -> None:
    """Put a file (0644) in the place of an older one, durably: who reads sees the one or the other, never a part. It is
    written in the folder `workplace` first, which is of the same file system, and read by nobody.

    Raises:
        TrustError: "unwritable": names the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = workplace / f".{path.name}-{secrets.token_hex(8)}"
        try:
            _write_new(beside, LabFile(content, PUBLIC))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise TrustError("unwritable", f"{path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder last. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_beside(lab: Lab, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, file in lab.files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_new(path, file)
        made.chmod(0o755)
        _replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _replace(made: Path, folder: Path) -> None:
    """Put the new folder in the old one's place; the old one is removed only when the new one stands."""
    if not folder.exists():
        made.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        folder.rename(aside / "lab")
        made.rename(folder)
    except OSError:
        if (aside / "lab").exists() and not folder.exists():
            (aside / "lab").rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_new(path: Path, file: LabFile) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.content)
        out.flush()
        os.fsync(out.fileno())


def _is_lab(folder: Path) -> bool:
    return not folder.is_symlink() and (folder / "ca" / "authorities.json").is_file()


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise TrustError("trust-folder", f"{folder}: {error.strerror or error}") from error


def _role_of(folder: Path) -> AnchorRole:
    try:
        return AnchorRole(folder.name)
    except ValueError as error:
        raise TrustError("trust-folder", f"{folder}: no role of that name; expected {_role_names()}") from error


def _role_names() -> str:
    return ", ".join(role.value for role in AnchorRole)


def _anchors(path: Path) -> list[Certificate]:
    if not path.is_file():
        raise TrustError("trust-file", f"{path}: not a regular file")
    if path.suffix.lower() not in _CERTIFICATE_SUFFIXES:
        expected = ", ".join(sorted(_CERTIFICATE_SUFFIXES))
        raise TrustError("trust-file", f"{path}: not a certificate file; expected {expected}")
    content = read_file(path, _ANCHOR_FILE_CAP)
    try:
        blocks = _blocks(content, "CERTIFICATE", _ANCHORS_PER_FILE, _ANCHOR_FILE_CAP)
        found = [parse_certificate(der, index=at) for at, der in enumerate(blocks)]
    except MalformedCertificate as error:
        raise TrustError("trust-file", f"{path}: {error}") from error
    for anchor in found:
        if not anchor.self_issued or anchor.basic_constraints is None or not anchor.basic_constraints.ca:
            raise TrustError("trust-file", f"{path}: not a self-issued CA certificate, so not a root")
    return found


def _crl_files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for entry in _listed(path):
        if entry.suffix.lower() not in _CRL_SUFFIXES:
            raise TrustError("crl-file", f"{entry}: not a CRL file; expected {', '.join(sorted(_CRL_SUFFIXES))}")
        yield entry


def _crls(path: Path) -> tuple[bytes, ...]:
    # PEM spells 3 bytes with 4 characters, and a line feed for each 64 of them.
    limit = CRL_CAP // 2 * 3
    try:
        return _blocks(read_file(path, limit), "X509 CRL", _ANCHORS_PER_FILE, limit)
    except MalformedCertificate as error:
        raise TrustError("crl-file", f"{path}: {error}") from error


def _blocks(content: bytes, label: str, max_blocks: int, max_characters: int) -> tuple[bytes, ...]:
    """The DER of a file: DER begins with a SEQUENCE, everything else must be PEM."""
    if content[:1] == b"\x30":
        return (content,)
    return parse_pem(content, label=label, max_blocks=max_blocks, max_characters=max_characters)

"""A lab on disk, opened again to issue further leafs under its CAs."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import msgspec

from pki.certificate import Certificate, parse_certificate
from pki.errors import IssueError
from pki.identifiers import parse_emaid_20
from pki.issue.authority import Authority, LeafOrder, Subject, Validity, authority_for
from pki.issue.declaration import LeafState
from pki.issue.keys import encode_key_pem, fresh_serial, generate_key, parse_key_pem
from pki.issue.lab import PRIVATE, PUBLIC, AuthorityEntry, LabFile, LeafEntry, chain_pem, encode_index
from pki.pem import parse_pem
from pki.profiles import CommonName, Profile
from pki.service.files import read_file, write_file

_INDEX_CAP = 1024 * 1024
_PEM_CAP = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafRequest:
    """What `pnc-pki issue` is asked for. `days` None: the profile's, cut to the CA's own life."""

    name: str
    common_name: str
    at: datetime
    organization: str | None = None
    country: str | None = None
    days: int | None = None
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()


def issue_leaf(lab: Path, profile: Profile, request: LeafRequest, ca_name: str | None = None) -> tuple[Path, Path]:
    """The paths of the new chain and key, written into the lab's folder of that profile and added to its index.

    Raises:
        IssueError: "name", "lab-index", "ca-unknown", or what `Authority.issue` refuses.
        TrustError: "unreadable" or "unwritable"; a leaf of that name exists.
    """
    if not _NAME.fullmatch(request.name):
        raise IssueError(
            "name", f"{request.name!a} is no file name: letters, digits, dot, hyphen, underscore; at most 48"
        )
    entry, authority = _authority(lab, profile, ca_name)
    folder = lab / (entry.folder or "")
    key = generate_key(authority.certificate.key_kind)
    order = LeafOrder(
        subject=Subject(
            common_name=request.common_name,
            organization=request.organization,
            country=request.country,
            domain_component=profile.domain_component,
        ),
        public_key=key.public_key(),
        validity=_validity(request, profile, authority.certificate),
        serial=fresh_serial(),
        dns_names=request.dns_names,
        addresses=request.addresses,
    )
    leaf = authority.issue(order)
    chain_path, key_path = folder / f"{request.name}.pem", folder / f"{request.name}.key.pem"
    write_file(key_path, LabFile(encode_key_pem(key), PRIVATE))
    write_file(chain_path, LabFile(chain_pem(leaf, authority), PUBLIC))
    _add_to_index(lab, entry, profile, request)
    return chain_path, key_path


def _authority(lab: Path, profile: Profile, ca_name: str | None) -> tuple[AuthorityEntry, Authority]:
    path = lab / "ca" / "authorities.json"
    content = read_file(path, _INDEX_CAP)
    try:
        entries = msgspec.json.decode(content, type=list[AuthorityEntry])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise IssueError("lab-index", f"{path}: {error}") from error
    able = [entry for entry in entries if profile.name in entry.issues and ca_name in (None, entry.name)]
    if len(able) != 1:
        names = ", ".join(entry.name for entry in entries if profile.name in entry.issues) or "none"
        raise IssueError("ca-unknown", f"{len(able)} CAs fit, expected one; those that sign {profile.name}: {names}")
    by_name = {entry.name: entry for entry in entries}
    chosen = able[0]
    certificate = _certificate(lab, chosen)
    key = parse_key_pem(read_file(lab / chosen.key, _PEM_CAP))
    above = _above(lab, chosen, by_name)
    return chosen, authority_for(certificate, key, profile, above, chosen.publication)


def _above(lab: Path, chosen: AuthorityEntry, by_name: dict[str, AuthorityEntry]) -> tuple[Certificate, ...]:
    """The issuers of a CA from the nearest up, without the root; at most one, as Sub2 is the deepest."""
    found: list[Certificate] = []
    entry = by_name.get(chosen.issuer or "")
    while entry is not None and entry.issuer is not None and len(found) < 2:
        found.append(_certificate(lab, entry))
        entry = by_name.get(entry.issuer)
    return tuple(found)


def _certificate(lab: Path, entry: AuthorityEntry) -> Certificate:
    (der,) = parse_pem(read_file(lab / entry.certificate, _PEM_CAP), max_blocks=1, max_characters=_PEM_CAP)
    return parse_certificate(der)


def _validity(request: LeafRequest, profile: Profile, issuer: Certificate) -> Validity:
    begin = request.at.replace(microsecond=0)
    if request.days is not None:
        return Validity(begin, begin + timedelta(days=request.days))
    return Validity(begin, min(begin + timedelta(days=profile.leaf.days), issuer.not_after))


def _add_to_index(lab: Path, entry: AuthorityEntry, profile: Profile, request: LeafRequest) -> None:
    if profile.name not in entry.issues or entry.folder in (None, "backend"):
        return
    path = lab / entry.folder / f"{entry.folder}.json"
    content = read_file(path, _INDEX_CAP)
    try:
        entries = msgspec.json.decode(content, type=list[LeafEntry])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise IssueError("lab-index", f"{path}: {error}") from error
    is_contract = profile.common_name is CommonName.EMAID
    entries.append(
        LeafEntry(
            name=request.name,
            common_name=request.common_name,
            chain=f"{entry.folder}/{request.name}.pem",
            key=f"{entry.folder}/{request.name}.key.pem",
            state=LeafState.GOOD,
            emaid=parse_emaid_20(request.common_name).normal if is_contract else None,
        )
    )
    _replace_file(path, encode_index(entries))


def _replace_file(path: Path, content: bytes) -> None:
    """The new content in one step: readers see the old index or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, PUBLIC)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise

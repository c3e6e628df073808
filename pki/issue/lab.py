"""The files of a lab: a whole hierarchy from one declaration, broken certificates included.

`build_lab` returns every file of the lab as bytes with its mode; writing is left to `pki.service.files`. Layout:

    trust/<role>/<root>.pem                anchors by role
    crls/<ca>.crl                          the CRL of every CA, DER
    ca/<ca>.pem  <ca>.key.pem              every CA; ca/authorities.json says which signs what
    <folder>/<name>.pem  <name>.key.pem    leaf, Sub2, Sub1, and the leaf's key; for each branch
    <folder>/<folder>.json                 what each leaf is, for programs
    backend/ca.pem hub.pem site-1.pem ...  TLS between gateway and hub, not ISO 15118
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec

from pki.certificate import Certificate
from pki.identifiers import parse_emaid_20
from pki.issue.authority import Authority, Publication
from pki.issue.declaration import LabDeclaration, LeafState, parse_declaration as parse_declaration
from pki.issue.hierarchy import BACKEND_FOLDER, Hierarchy, MadeAuthority, MadeLeaf, build_hierarchy
from pki.issue.keys import encode_key_pem
from pki.profile import CommonName

PRIVATE, PUBLIC = 0o600, 0o644


@dataclass(frozen=True, slots=True)
class LabFile:
    """The content and permission bits of one file."""

    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class Lab:
    """Every file by its path relative to the lab's folder, `/` between parts, and the instant it was made at."""

    files: Mapping[str, LabFile]
    made_at: datetime


class LeafEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of `<folder>/<folder>.json`; paths are relative to the lab's folder."""

    name: str
    common_name: str
    chain: str
    key: str
    state: LeafState
    emaid: str | None = None


class AuthorityEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of `ca/authorities.json`; `issues` lists the profiles whose leafs this CA signs, `crl`, `responder` and
    `publishes` are the URIs that it writes into them for its list, its OCSP answers and its own certificate."""

    name: str
    certificate: str
    key: str
    issuer: str | None = None
    issues: tuple[str, ...] = ()
    folder: str | None = None
    crl: str | None = None
    responder: str | None = None
    publishes: str | None = None

    @property
    def publication(self) -> Publication | None:
        """What the CA writes into its leafs; None when it writes nothing."""
        if self.crl is None and self.responder is None:
            return None
        return Publication(crl=self.crl, responder=self.responder, issuer=self.publishes)


def build_lab(declaration: LabDeclaration, at: datetime, progress: Callable[[str], None] | None = None) -> Lab:
    """Every file of the lab, made at the instant `at` (aware). `progress` is told the name of each thing made.

    Raises:
        DeclarationError: "declaration": a CA or leaf cannot be made as declared; names it.
        ValueError: `at` is naive.
    """
    made, at = build_hierarchy(declaration, at, progress=progress), at.replace(microsecond=0)
    files = dict(anchor_files(made))
    for authority in made.authorities:
        entry = _authority_entry(authority)
        files[entry.certificate] = LabFile(authority.authority.certificate.pem().encode(), PUBLIC)
        files[entry.key] = LabFile(encode_key_pem(authority.authority.key), PRIVATE)
    files |= leaf_files(made)
    until = at + timedelta(days=declaration.crl_days)
    for authority in made.authorities:
        crl = authority.authority.crl(1, authority.revoked, made.begin, until)
        files[f"crls/{authority.name}.crl"] = LabFile(crl, PUBLIC)
    files["ca/authorities.json"] = LabFile(encode_index(map(_authority_entry, made.authorities)), PUBLIC)
    return Lab(MappingProxyType(files), at)


def anchor_files(made: Hierarchy) -> Iterator[tuple[str, LabFile]]:
    """The roots by role, and that of the TLS between gateway and hub once more under its usual name."""
    for entry in made.authorities:
        if entry.role is not None:
            file = LabFile(entry.authority.certificate.pem().encode(), PUBLIC)
            yield f"trust/{entry.role.value}/{entry.name.removesuffix('-root')}.pem", file
            if entry.folder == BACKEND_FOLDER:
                yield f"{BACKEND_FOLDER}/ca.pem", file


def leaf_files(made: Hierarchy) -> dict[str, LabFile]:
    """Chain and key of every leaf, and for each folder what each leaf in it is."""
    files: dict[str, LabFile] = {}
    entries: dict[str, list[LeafEntry]] = {entry.folder: [] for entry in made.authorities if entry.folder}
    for leaf in made.leafs:
        entry = _leaf_entry(leaf)
        files[entry.chain] = LabFile(chain_pem(leaf.certificate, leaf.signer), PUBLIC)
        files[entry.key] = LabFile(encode_key_pem(leaf.key), PRIVATE)
        entries[leaf.folder].append(entry)
    del entries[BACKEND_FOLDER]
    for folder, listed in entries.items():
        files[f"{folder}/{folder}.json"] = LabFile(encode_index(listed), PUBLIC)
    return files


def chain_pem(leaf: Certificate, authority: Authority) -> bytes:
    """The PEM chain that is sent: leaf, Sub2, Sub1; never the root."""
    return "".join(certificate.pem() for certificate in (leaf, *authority.sent)).encode()


def encode_index(entries: Iterable[LeafEntry] | Iterable[AuthorityEntry]) -> bytes:
    """An index file: JSON, one entry after the other, indented."""
    return msgspec.json.format(msgspec.json.encode(list(entries)), indent=2) + b"\n"


def _leaf_entry(leaf: MadeLeaf) -> LeafEntry:
    is_contract = leaf.signer.profile.common_name is CommonName.EMAID
    return LeafEntry(
        name=leaf.name,
        common_name=leaf.common_name,
        chain=f"{leaf.folder}/{leaf.name}.pem",
        key=f"{leaf.folder}/{leaf.name}.key.pem",
        state=leaf.state,
        emaid=parse_emaid_20(leaf.common_name).normal if is_contract else None,
    )


def _authority_entry(made: MadeAuthority) -> AuthorityEntry:
    said = made.authority.publication or Publication()
    return AuthorityEntry(
        name=made.name,
        certificate=f"ca/{made.name}.pem",
        key=f"ca/{made.name}.key.pem",
        issuer=made.issuer,
        issues=made.issues,
        folder=made.folder,
        crl=said.crl,
        responder=said.responder,
        publishes=said.issuer,
    )

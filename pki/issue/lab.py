"""A whole hierarchy from one declaration, broken certificates included.

`build_lab` returns every file of the lab as bytes with its mode; writing is left to `pki.service.files`. Layout:

    trust/<role>/<root>.pem                anchors by role
    crls/<ca>.crl                          the CRL of every CA, DER
    ca/<ca>.pem  <ca>.key.pem              every CA; ca/authorities.json says which signs what
    <folder>/<name>.pem  <name>.key.pem    leaf, Sub2, Sub1, and the leaf's key; for each branch
    <folder>/<folder>.json                 what each leaf is, for programs
    backend/ca.pem hub.pem site-1.pem ...  TLS between gateway and hub, not ISO 15118
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

import msgspec

from pki.certificate import Certificate
from pki.errors import DeclarationError, IssueError
from pki.identifiers import parse_emaid_20
from pki.issue.authority import Authority, LeafOrder, Publication, Revocation, Subject, Validity, create_root
from pki.issue.declaration import (
    BackendDeclaration,
    BranchDeclaration,
    Forgery,
    LabDeclaration,
    LeafDeclaration,
    LeafState,
    RootDeclaration,
)
from pki.issue.declaration import parse_declaration as parse_declaration
from pki.issue.keys import PrivateKey, encode_key_pem, fresh_serial, generate_key
from pki.profile import AnchorRole, CertificateRule, CommonName, Generation, Profile
from pki.profiles import profile_named

PRIVATE, PUBLIC = 0o600, 0o644

_LEAFS_BELOW = {AnchorRole.V2G: "secc", AnchorRole.MO: "contract", AnchorRole.OEM: "oem", AnchorRole.PE: "secc"}


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
    """Every file of the lab, made at the instant `at` (aware). `progress` is told the path of each thing made.

    Raises:
        DeclarationError: "declaration": a CA or leaf cannot be made as declared; names it.
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("build_lab needs an aware instant")
    workshop = _Workshop(declaration, at.replace(microsecond=0), progress or _silent)
    roots = {name: workshop.root(name, root) for name, root in declaration.root.items()}
    for branch in declaration.branch:
        workshop.branch(branch, roots[branch.root])
    workshop.backend(declaration.backend)
    workshop.finish()
    return Lab(MappingProxyType(workshop.files), workshop.at)


def chain_pem(leaf: Certificate, authority: Authority) -> bytes:
    """The PEM chain that is sent: leaf, Sub2, Sub1; never the root."""
    return "".join(certificate.pem() for certificate in (leaf, *authority.sent)).encode()


def encode_index(entries: list[LeafEntry] | list[AuthorityEntry]) -> bytes:
    """An index file: JSON, one entry after the other, indented."""
    return msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"


class _Workshop:
    """The lab while it is being made: its files, its CAs, and what each CA has revoked."""

    def __init__(self, declaration: LabDeclaration, at: datetime, progress: Callable[[str], None]) -> None:
        self.at = at
        self.files: dict[str, LabFile] = {}
        self._declared = declaration
        self._progress = progress
        self._begin = at - timedelta(minutes=declaration.backdate_minutes)
        self._authorities: dict[str, Authority] = {}
        self._revoked: dict[str, list[Revocation]] = {}
        self._index: list[AuthorityEntry] = []

    def root(self, name: str, declared: RootDeclaration, issues: tuple[str, ...] = ()) -> Authority:
        """A root, as anchor of its role. The root rule is one for all profiles of a role."""
        below = _LEAFS_BELOW.get(declared.role)
        profile = profile_named(f"{declared.key.generation.value}-{below}" if below else "backend-server")
        subject = self._subject(declared.common_name, declared.domain_component)
        with _making(f"root {name!r}"):
            key, life = generate_key(declared.key.kind), self._ca_life(profile.root)
            made = create_root(subject, key, life, fresh_serial(), profile, self._publication(f"{name}-root", profile))
        self._put(f"trust/{declared.role.value}/{name}.pem", made.certificate.pem().encode())
        self._keep(f"{name}-root", made, issuer=None, issues=issues, folder="backend" if issues else None)
        return made

    def branch(self, declared: BranchDeclaration, root: Authority) -> None:
        """Sub1, Sub2, and every leaf of a branch with its chain and key."""
        above = root.for_profile(profile_named(declared.profile))
        name1, name2 = f"{declared.name}-sub1", f"{declared.name}-sub2"
        sub1 = self._sub(declared.sub1, name1, above)
        sub2 = self._sub(declared.sub2, name2, sub1)
        self._keep(name1, sub1, issuer=f"{declared.root}-root")
        self._keep(name2, sub2, issuer=name1, issues=(declared.profile,), folder=declared.folder)
        entries = []
        for leaf in declared.leaf:
            signer = self._signer(declared, leaf.forgery, above, sub1, sub2)
            made, key = self._leaf(leaf, signer)
            if leaf.state is LeafState.REVOKED:
                self._revoked[name2].append(Revocation(made.serial, self._begin))
            entries.append(self._save_leaf(declared.folder, leaf, made, key, signer))
        self._put(f"{declared.folder}/{declared.folder}.json", encode_index(entries))

    def backend(self, declared: BackendDeclaration) -> None:
        """The TLS root, the hub's server certificate and one client certificate per gateway."""
        server, client = profile_named("backend-server"), profile_named("backend-client")
        declared_root = RootDeclaration(common_name=declared.common_name, role=AnchorRole.BACKEND)
        root = self.root("backend", declared_root, issues=(server.name, client.name))
        self._put("backend/ca.pem", root.certificate.pem().encode())
        addresses = tuple(ip_address(address) for address in declared.addresses)
        self._tls("hub", root.for_profile(server), tuple(declared.dns_names), addresses)
        for name in declared.clients:
            self._tls(name, root.for_profile(client))

    def finish(self) -> None:
        """The CRL of every CA, and the index of the CAs."""
        until = self.at + timedelta(days=self._declared.crl_days)
        for name, authority in self._authorities.items():
            self._put(f"crls/{name}.crl", authority.crl(1, self._revoked[name], self._begin, until))
        self._put("ca/authorities.json", encode_index(self._index))

    def _sub(self, common_name: str, name: str, issuer: Authority) -> Authority:
        """The next sub-CA below `issuer`; its files are called `name`."""
        rule = issuer.profile.sub2 if issuer.sent else issuer.profile.sub1
        subject, key = self._subject(common_name), generate_key(issuer.certificate.key_kind)
        publication = self._publication(name, issuer.profile)
        with _making(f"sub-CA {common_name!r}"):
            return issuer.sub_authority(subject, key, self._ca_life(rule), fresh_serial(), publication)

    def _publication(self, name: str, profile: Profile) -> Publication | None:
        """Where a CA of ISO 15118-20 says that its list, its answers and its certificate are; -2 says nothing."""
        base = self._declared.publication
        if base is None or profile.generation is not Generation.ISO_20:
            return None
        return Publication(crl=f"{base}/crls/{name}.crl", responder=f"{base}/ocsp", issuer=f"{base}/ca/{name}.pem")

    def _signer(
        self, declared: BranchDeclaration, forgery: Forgery | None, root: Authority, sub1: Authority, sub2: Authority
    ) -> Authority:
        """The CA that signs a leaf: the real Sub2, or a stranger's under the same names."""
        if forgery is None:
            return sub2
        kind, name1, name2 = root.certificate.key_kind, f"{declared.name}-sub1", f"{declared.name}-sub2"
        if forgery is Forgery.SUB2:
            return self._sub(declared.sub2, name2, sub1.impostor(generate_key(kind)))
        stranger = self._sub(declared.sub1, name1, root.impostor(generate_key(kind)))
        return self._sub(declared.sub2, name2, stranger)

    def _leaf(self, declared: LeafDeclaration, signer: Authority) -> tuple[Certificate, PrivateKey]:
        life = timedelta(days=declared.days or signer.profile.leaf.days)
        validity = Validity(self._begin, self._begin + life)
        if declared.state is LeafState.EXPIRED:
            end = self.at - timedelta(days=declared.ended_days_ago)
            validity = Validity(end - life, end)
        key = generate_key(signer.certificate.key_kind)
        order = LeafOrder(
            subject=self._subject(declared.common_name, signer.profile.domain_component),
            public_key=key.public_key(),
            validity=validity,
            serial=fresh_serial(),
        )
        with _making(f"leaf {declared.name!r}"):
            return signer.issue(order), key

    def _save_leaf(
        self, folder: str, declared: LeafDeclaration, made: Certificate, key: PrivateKey, signer: Authority
    ) -> LeafEntry:
        chain, key_path = f"{folder}/{declared.name}.pem", f"{folder}/{declared.name}.key.pem"
        self._put(chain, chain_pem(made, signer))
        self._put(key_path, encode_key_pem(key), PRIVATE)
        is_contract = signer.profile.common_name is CommonName.EMAID
        return LeafEntry(
            name=declared.name,
            common_name=declared.common_name,
            chain=chain,
            key=key_path,
            state=declared.state,
            emaid=parse_emaid_20(declared.common_name).normal if is_contract else None,
        )

    def _tls(
        self,
        name: str,
        signer: Authority,
        dns_names: tuple[str, ...] = (),
        addresses: tuple[IPv4Address | IPv6Address, ...] = (),
    ) -> None:
        key = generate_key()
        order = LeafOrder(
            subject=self._subject(name),
            public_key=key.public_key(),
            validity=Validity(self._begin, self._begin + timedelta(days=signer.profile.leaf.days)),
            serial=fresh_serial(),
            dns_names=dns_names,
            addresses=addresses,
        )
        with _making(f"backend {name!r}"):
            made = signer.issue(order)
        self._put(f"backend/{name}.pem", chain_pem(made, signer))
        self._put(f"backend/{name}.key.pem", encode_key_pem(key), PRIVATE)

    def _keep(
        self,
        name: str,
        authority: Authority,
        *,
        issuer: str | None,
        issues: tuple[str, ...] = (),
        folder: str | None = None,
    ) -> None:
        said = authority.publication or Publication()
        entry = AuthorityEntry(
            name=name,
            certificate=f"ca/{name}.pem",
            key=f"ca/{name}.key.pem",
            issuer=issuer,
            issues=issues,
            folder=folder,
            crl=said.crl,
            responder=said.responder,
            publishes=said.issuer,
        )
        self._authorities[name] = authority
        self._revoked[name] = []
        self._index.append(entry)
        self._put(entry.certificate, authority.certificate.pem().encode())
        self._put(entry.key, encode_key_pem(authority.key), PRIVATE)

    def _subject(self, common_name: str, domain_component: str | None = None) -> Subject:
        return Subject(
            common_name=common_name,
            organization=self._declared.organization,
            country=self._declared.country,
            domain_component=domain_component,
        )

    def _ca_life(self, rule: CertificateRule) -> Validity:
        return Validity(self.at - timedelta(days=self._declared.ca_age_days), self.at + timedelta(days=rule.days))

    def _put(self, path: str, content: bytes, mode: int = PUBLIC) -> None:
        self.files[path] = LabFile(content, mode)
        self._progress(path)


@contextmanager
def _making(what: str) -> Iterator[None]:
    """Name the declared thing that the authority refused."""
    try:
        yield
    except IssueError as error:
        raise DeclarationError("declaration", f"{what}: {error}", clause=error.clause) from error


def _silent(_path: str) -> None:
    """Nobody is told."""

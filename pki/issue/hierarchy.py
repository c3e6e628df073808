"""A whole hierarchy of authorities and leafs from one declaration, as objects: `lab` makes files of it, the registry of
the service takes it as its first content.

Where keys come from is an argument, so that those of the authorities may be made, and stay, in a key store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from pki.certificate import Certificate, KeyKind
from pki.errors import DeclarationError, IssueError
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
from pki.issue.keys import PrivateKey, fresh_serial, generate_key
from pki.profile import AnchorRole, CertificateRule, Generation, Profile
from pki.profiles import profile_named

BACKEND_FOLDER = "backend"
MakeKey = Callable[[str, KeyKind], PrivateKey]
"""The new key of the authority of that name."""

_LEAFS_BELOW = {AnchorRole.V2G: "secc", AnchorRole.MO: "contract", AnchorRole.OEM: "oem", AnchorRole.PE: "secc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAuthority:
    """An authority, the name of the one above it (None: a root), the profiles whose leafs it signs, and what it has
    revoked. `role` is what a root is trusted for; `folder` where its leafs belong."""

    name: str
    authority: Authority
    issuer: str | None = None
    role: AnchorRole | None = None
    issues: tuple[str, ...] = ()
    folder: str | None = None
    revoked: list[Revocation] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLeaf:
    """A leaf and who signed it. `signer` is a stranger under the real names when the leaf is forged; `issued_by` is the
    name of the authority that it claims."""

    folder: str
    name: str
    common_name: str
    state: LeafState
    certificate: Certificate
    key: PrivateKey
    signer: Authority
    issued_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Authorities from the roots down and leafs, each in the order of the declaration; all certificates, lists too,
    begin at `begin`."""

    authorities: tuple[MadeAuthority, ...]
    leafs: tuple[MadeLeaf, ...]
    begin: datetime


def build_hierarchy(
    declaration: LabDeclaration,
    at: datetime,
    make_key: MakeKey | None = None,
    progress: Callable[[str], None] | None = None,
) -> Hierarchy:
    """Everything that is declared, made at the instant `at` (aware). `make_key` makes the keys of the authorities
    (None: in memory); `progress` is told the name of each thing made.

    Raises:
        DeclarationError: "declaration": a CA or leaf cannot be made as declared; names it.
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("a hierarchy needs an aware instant")
    workshop = _Workshop(declaration, at.replace(microsecond=0), make_key or _in_memory, progress or _silent)
    roots = {name: workshop.root(name, root) for name, root in declaration.root.items()}
    for branch in declaration.branch:
        workshop.branch(branch, roots[branch.root])
    workshop.backend(declaration.backend)
    return Hierarchy(
        authorities=tuple(workshop.authorities.values()), leafs=tuple(workshop.leafs), begin=workshop.begin
    )


class _Workshop:
    """The hierarchy while it is being made."""

    def __init__(
        self, declaration: LabDeclaration, at: datetime, make_key: MakeKey, progress: Callable[[str], None]
    ) -> None:
        self.at, self.begin = at, at - timedelta(minutes=declaration.backdate_minutes)
        self.authorities: dict[str, MadeAuthority] = {}
        self.leafs: list[MadeLeaf] = []
        self._declared, self._make_key, self._progress = declaration, make_key, progress

    def root(self, name: str, declared: RootDeclaration, issues: tuple[str, ...] = ()) -> Authority:
        """A root, as anchor of its role. The root rule is one for all profiles of a role."""
        below = _LEAFS_BELOW.get(declared.role)
        profile = profile_named(f"{declared.key.generation.value}-{below}" if below else "backend-server")
        subject, called = self._subject(declared.common_name, declared.domain_component), f"{name}-root"
        with _making(f"root {name!r}"):
            key, life = self._make_key(called, declared.key.kind), self._ca_life(profile.root)
            made = create_root(subject, key, life, fresh_serial(), profile, self._publication(called, profile))
        folder = BACKEND_FOLDER if issues else None
        self._keep(MadeAuthority(name=called, authority=made, role=declared.role, issues=issues, folder=folder))
        return made

    def branch(self, declared: BranchDeclaration, root: Authority) -> None:
        """Sub1, Sub2, and every leaf of a branch."""
        above = root.for_profile(profile_named(declared.profile))
        name1, name2 = f"{declared.name}-sub1", f"{declared.name}-sub2"
        sub1 = self._sub(declared.sub1, name1, above, self._make_key)
        sub2 = self._sub(declared.sub2, name2, sub1, self._make_key)
        self._keep(MadeAuthority(name=name1, authority=sub1, issuer=f"{declared.root}-root"))
        issues = (declared.profile,)
        self._keep(MadeAuthority(name=name2, authority=sub2, issuer=name1, issues=issues, folder=declared.folder))
        for leaf in declared.leaf:
            signer = self._signer(declared, leaf.forgery, above, sub1, sub2)
            made, key = self._leaf(leaf, signer)
            if leaf.state is LeafState.REVOKED:
                self.authorities[name2].revoked.append(Revocation(made.serial, self.begin))
            self._add(
                MadeLeaf(
                    folder=declared.folder,
                    name=leaf.name,
                    common_name=leaf.common_name,
                    state=leaf.state,
                    certificate=made,
                    key=key,
                    signer=signer,
                    issued_by=name2,
                )
            )

    def backend(self, declared: BackendDeclaration) -> None:
        """The TLS root, the hub's server certificate and one client certificate per gateway."""
        server, client = profile_named("backend-server"), profile_named("backend-client")
        declared_root = RootDeclaration(common_name=declared.common_name, role=AnchorRole.BACKEND)
        root = self.root("backend", declared_root, issues=(server.name, client.name))
        addresses = tuple(ip_address(address) for address in declared.addresses)
        self._tls("hub", root.for_profile(server), tuple(declared.dns_names), addresses)
        for name in declared.clients:
            self._tls(name, root.for_profile(client))

    def _sub(self, common_name: str, name: str, issuer: Authority, make_key: MakeKey) -> Authority:
        """The next sub-CA below `issuer`; its files are called `name`."""
        rule = issuer.profile.sub2 if issuer.sent else issuer.profile.sub1
        subject, publication = self._subject(common_name), self._publication(name, issuer.profile)
        with _making(f"sub-CA {common_name!r}"):
            key = make_key(name, issuer.certificate.key_kind)
            return issuer.sub_authority(subject, key, self._ca_life(rule), fresh_serial(), publication)

    def _publication(self, name: str, profile: Profile) -> Publication | None:
        """Where a CA says that its list, its answers and its certificate are. ISO 15118-20 demands it; where -2 and the
        backend say it too, `publish_all` was declared."""
        base = self._declared.publication
        if base is None or not (self._declared.publish_all or profile.generation is Generation.ISO_20):
            return None
        return publication_at(base, name)

    def _signer(
        self, declared: BranchDeclaration, forgery: Forgery | None, root: Authority, sub1: Authority, sub2: Authority
    ) -> Authority:
        """The CA that signs a leaf: the real Sub2, or a stranger's under the same names."""
        if forgery is None:
            return sub2
        kind, name1, name2 = root.certificate.key_kind, f"{declared.name}-sub1", f"{declared.name}-sub2"
        if forgery is Forgery.SUB2:
            return self._sub(declared.sub2, name2, sub1.impostor(generate_key(kind)), _in_memory)
        stranger = self._sub(declared.sub1, name1, root.impostor(generate_key(kind)), _in_memory)
        return self._sub(declared.sub2, name2, stranger, _in_memory)

    def _leaf(self, declared: LeafDeclaration, signer: Authority) -> tuple[Certificate, PrivateKey]:
        life = timedelta(days=declared.days or signer.profile.leaf.days)
        validity = Validity(self.begin, self.begin + life)
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
            validity=Validity(self.begin, self.begin + timedelta(days=signer.profile.leaf.days)),
            serial=fresh_serial(),
            dns_names=dns_names,
            addresses=addresses,
        )
        with _making(f"backend {name!r}"):
            made = signer.issue(order)
        self._add(
            MadeLeaf(
                folder=BACKEND_FOLDER,
                name=name,
                common_name=name,
                state=LeafState.GOOD,
                certificate=made,
                key=key,
                signer=signer,
                issued_by=f"{BACKEND_FOLDER}-root",
            )
        )

    def _keep(self, made: MadeAuthority) -> None:
        self.authorities[made.name] = made
        self._progress(made.name)

    def _add(self, made: MadeLeaf) -> None:
        self.leafs.append(made)
        self._progress(made.name)

    def _subject(self, common_name: str, domain_component: str | None = None) -> Subject:
        return Subject(
            common_name=common_name,
            organization=self._declared.organization,
            country=self._declared.country,
            domain_component=domain_component,
        )

    def _ca_life(self, rule: CertificateRule) -> Validity:
        return Validity(self.at - timedelta(days=self._declared.ca_age_days), self.at + timedelta(days=rule.days))


def publication_at(base: str, name: str) -> Publication:
    """Where the authority called `name` publishes below the URI `base`."""
    return Publication(crl=f"{base}/crls/{name}.crl", responder=f"{base}/ocsp", issuer=f"{base}/ca/{name}.cer")


def _in_memory(_name: str, kind: KeyKind) -> PrivateKey:
    return generate_key(kind)


@contextmanager
def _making(what: str) -> Iterator[None]:
    """Name the declared thing that the authority refused."""
    try:
        yield
    except IssueError as error:
        raise DeclarationError("declaration", f"{what}: {error}", clause=error.clause) from error


def _silent(_name: str) -> None:
    """Nobody is told."""

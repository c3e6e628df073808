"""The lab as it is declared in TOML: read strictly, so that a misspelt key is an error and not a silent default."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

import msgspec

from pki.certificate import KeyKind
from pki.errors import DeclarationError, UnknownProfile
from pki.profile import AnchorRole, Generation
from pki.profiles import profile_named

Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,47}\Z")]
"""A name that becomes a file name."""
Days = Annotated[int, msgspec.Meta(ge=1, le=36500)]


class LeafState(StrEnum):
    """What a leaf of the lab is, so that a program knows what to expect of it."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"
    FORGED = "forged"


class Forgery(StrEnum):
    """Where a stranger's keys begin: the whole branch, or Sub2 and below. The names stay the real ones."""

    BRANCH = "branch"
    SUB2 = "sub2"


class RootKey(StrEnum):
    """The keys a hierarchy may have: P-256 is ISO 15118-2, the other two are ISO 15118-20."""

    P256 = "secp256r1"
    P521 = "secp521r1"
    ED448 = "ed448"

    @property
    def kind(self) -> KeyKind:
        """The same, as certificates tell it."""
        return KeyKind(self.value)

    @property
    def generation(self) -> Generation:
        """The standard whose hierarchies have such keys."""
        return Generation.ISO_2 if self is RootKey.P256 else Generation.ISO_20


class RootDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root and the role it is trusted for. Its `key` is that of everything below it, and tells the generation."""

    common_name: str
    role: AnchorRole
    key: RootKey = RootKey.P256
    domain_component: str | None = None


class LeafDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A leaf. `days` None: the profile's. An expired leaf ended `ended_days_ago`; `forgery` is given iff forged."""

    name: Name
    common_name: str
    state: LeafState = LeafState.GOOD
    forgery: Forgery | None = None
    days: Days | None = None
    ended_days_ago: Days = 30


class BranchDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sub1, Sub2 and the leafs of one profile under a declared root. `folder` is where the leafs go; the CAs are called
    `<name>-sub1` and `<name>-sub2`."""

    name: Name
    folder: Name
    profile: str
    root: str
    sub1: str
    sub2: str
    leaf: list[LeafDeclaration]


class BackendDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of the TLS between gateway and hub, the hub's names, and one client certificate per gateway id."""

    common_name: str
    dns_names: list[str]
    addresses: list[str]
    clients: list[Name]


class LabDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole lab. Every CA began `ca_age_days` before the lab is made, so that expired leafs lie in its life;
    everything else began `backdate_minutes` before, for clocks that are a little slow. `publication` is the URI below
    which the CAs of ISO 15118-20 say that their lists and answers are found, and with `publish_all` the others too."""

    organization: str
    country: str
    ca_age_days: Days
    crl_days: Days
    backdate_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)]
    publication: Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[^\s/]+(/[^\s]*[^\s/])?\Z", max_length=80)] | None = (
        None
    )
    publish_all: bool = False
    root: dict[Name, RootDeclaration]
    branch: list[BranchDeclaration]
    backend: BackendDeclaration


def parse_declaration(text: str | bytes) -> LabDeclaration:
    """The declaration that a TOML text holds.

    Raises:
        DeclarationError: "declaration"; names the key and its place, or where the text is not TOML.
    """
    try:
        found = msgspec.toml.decode(text, type=LabDeclaration)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DeclarationError("declaration", f"lab declaration: {error}") from error
    for place, problem in _problems(found):
        raise DeclarationError("declaration", f"lab declaration: {place}: {problem}")
    return found


def _problems(declaration: LabDeclaration) -> Iterator[tuple[str, str]]:
    yield from _repeated("branch", [branch.name for branch in declaration.branch])
    yield from _repeated("branch folder", [branch.folder for branch in declaration.branch])
    yield from _repeated("backend client", ["ca", "hub", *declaration.backend.clients])
    for address in declaration.backend.addresses:
        if not _is_address(address):
            yield "backend.addresses", f"{address!r} is no IP address"
    if declaration.publish_all and declaration.publication is None:
        yield "publish_all", "there is no publication below which anything could be found"
    for name, root in declaration.root.items():
        if root.key.generation is Generation.ISO_20 and declaration.publication is None:
            yield f"root {name!r}", "an ISO 15118-20 hierarchy needs the lab's publication (V2G20-2590)"
    for branch in declaration.branch:
        for problem in _branch_problems(branch, declaration):
            yield f"branch {branch.name!r}", problem


def _branch_problems(branch: BranchDeclaration, declaration: LabDeclaration) -> Iterator[str]:
    if branch.folder in {"ca", "trust", "crls", "backend"}:
        yield f"folder {branch.folder!r} is taken by the lab itself"
    root = declaration.root.get(branch.root)
    if root is None:
        yield f"no root {branch.root!r} is declared"
        return
    try:
        profile = profile_named(branch.profile)
    except UnknownProfile as error:
        yield str(error)
        return
    if root.key.generation is not profile.generation:
        yield f"root {branch.root!r} has a key of {root.key.value}, which {profile.name} refuses"
    if root.role not in profile.roles_above(2):
        yield f"root {branch.root!r} is trusted for {root.role.value}, which {profile.name} refuses above sub-CAs"
    for _, problem in _repeated("leaf", [leaf.name for leaf in branch.leaf]):
        yield problem
    for leaf in branch.leaf:
        if (leaf.state is LeafState.FORGED) != (leaf.forgery is not None):
            yield f"leaf {leaf.name!r}: forgery must be given when the state is forged, and only then"


def _repeated(what: str, names: list[str]) -> Iterator[tuple[str, str]]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield what, f"{name!r} is declared twice"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

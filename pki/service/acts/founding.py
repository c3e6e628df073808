"""Founding a PKI: a declaration becomes a state folder with keys, certificates, lists, and an audit log that begins.

The folder is made beside its place and renamed into it, so that there is a whole PKI or none; keys of roots that go
elsewhere are made beside their place too. Leafs that the declaration names (a lab's contracts, good and bad) lie in the
folder as in a lab, with their keys in the clear.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pki.certificate import KeyKind
from pki.errors import KeyStoreError, StateError, TrustError
from pki.issue.authority import Publication
from pki.issue.declaration import LabDeclaration, LeafState
from pki.issue.hierarchy import BACKEND_FOLDER, Hierarchy, MadeAuthority, MadeLeaf, build_hierarchy
from pki.issue.keys import PrivateKey, encode_key_pem, generate_key
from pki.issue.lab import PRIVATE, PUBLIC, LabFile, anchor_files, leaf_files
from pki.issue.lists import Reason
from pki.issue.request import identifier_for
from pki.profile import Place, Profile
from pki.profiles import profile_named
from pki.service.acts.issuing import Wanted, issue
from pki.service.acts.publishing import publish
from pki.service.acts.responding import delegate
from pki.service.files import sync_folder, write_file
from pki.service.key_store import FileKeyStore, KeyStore
from pki.service.registry import Actor, Registry
from pki.service.settings import SETTINGS_FILE, PKISettings
from pki.service.state_folder import PASSPHRASE_FILE, TLS_FOLDER, open_keys
from pki.service.store.audit import append_entry
from pki.service.store.authorities import AuthorityRow, AuthorityState, insert_authority
from pki.service.store.certificates import insert_certificate, set_revoked
from pki.verify.trust_list import SIGNER_NAME

SERVER_NAME = "pki"
"""The common name of the service's TLS server."""
_PASSPHRASE_OCTETS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What is founded: the declaration, the settings and their text, where root keys go (None: with the others), and
    whether a passphrase is to be made up and kept in the folder, which only a lab may."""

    declaration: LabDeclaration
    settings: PKISettings
    settings_text: str
    roots: RootKeys | None = None
    make_passphrase: bool = False


def found(
    folder: Path,
    foundation: Foundation,
    actor: Actor,
    now: Callable[[], datetime],
    progress: Callable[[str], None] | None = None,
) -> None:
    """Make the state folder, which must not exist. `progress` is told the name of each thing made.

    Raises:
        StateError: "state-exists", "state-unusable".
        DeclarationError: something cannot be made as declared.
        KeyStoreError: the passphrase cannot be used, or a key of that name exists where the roots' keys go.
    """
    if folder.exists() or folder.is_symlink():
        raise StateError("state-exists", f"{folder} exists; it is left as it is. --dir names another folder")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            _fill(made, foundation, actor, now, progress)
            if foundation.roots is not None:
                sync_folder(foundation.roots.settle())
            made.rename(folder)
            sync_folder(folder.absolute().parent)
        finally:
            if foundation.roots is not None:
                foundation.roots.discard()
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise StateError("state-unusable", f"{folder}: {error.strerror or error}") from error
    except TrustError as error:
        raise StateError("state-unusable", str(error)) from error


def _fill(
    folder: Path,
    foundation: Foundation,
    actor: Actor,
    now: Callable[[], datetime],
    progress: Callable[[str], None] | None,
) -> None:
    if foundation.make_passphrase:
        text = secrets.token_urlsafe(_PASSPHRASE_OCTETS) + "\n"
        write_file(folder / PASSPHRASE_FILE, LabFile(text.encode(), PRIVATE))
    write_file(folder / SETTINGS_FILE, LabFile(foundation.settings_text.encode(), PUBLIC))
    keys = open_keys(folder, foundation.settings)
    source = _Keys(keys, foundation.roots)
    hierarchy = build_hierarchy(foundation.declaration, now(), source.make, progress)
    for name, file in (*anchor_files(hierarchy), *leaf_files(hierarchy).items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_file(folder / name, file)
    with Registry(folder, foundation.settings, source, now, create=True) as registry:
        _enter(registry, hierarchy, actor)
        publish(registry, actor)
        delegate(registry, actor)
        _certify_service(registry, folder, keys, foundation.declaration, actor)


class RootKeys:
    """The keys of roots that are to lie in a folder of their own, while they are made: beside it, until `settle`."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder, self._passphrase = folder, passphrase
        self._beside: Path | None = None

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key. Raises KeyStoreError, "key-exists" too when the folder has one of that name; OSError."""
        if name in FileKeyStore(self._folder, self._passphrase).names():
            raise KeyStoreError("key-exists", f"{self._folder}: a key {name!a} exists; it is never overwritten")
        if self._beside is None:
            if self._folder.is_dir() and self._folder.stat().st_mode & 0o077:
                message = f"{self._folder}: others may look into it; chmod 700 {self._folder}"
                raise KeyStoreError("key-permissions", message)
            self._folder.absolute().parent.mkdir(parents=True, exist_ok=True)
            where = self._folder.absolute().parent
            self._beside = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=where))
        return FileKeyStore(self._beside, self._passphrase).create(name, kind)

    def settle(self) -> Path:
        """Move them to their folder, which is the answer. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(self._beside.iterdir()) if self._beside else ():
            path.rename(self._folder / path.name)
        return self._folder

    def discard(self) -> None:
        """Remove what lies beside."""
        if self._beside is not None:
            shutil.rmtree(self._beside, ignore_errors=True)


class _Keys:
    """The keys while a PKI is founded: those of the roots may go elsewhere, and are at hand this once."""

    def __init__(self, online: KeyStore, roots: RootKeys | None) -> None:
        self._online, self._roots = online, roots
        self._made: dict[str, PrivateKey] = {}

    def make(self, name: str, kind: KeyKind) -> PrivateKey:
        """The key of a new authority, in the store where it belongs."""
        # The root of the backend signs leafs itself, so its key stays with the service.
        apart = name.endswith("-root") and name != f"{BACKEND_FOLDER}-root"
        store = self._roots if self._roots is not None and apart else self._online
        self._made[name] = store.create(name, kind)
        return self._made[name]

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key of the service, for a responder."""
        self._made[name] = self._online.create(name, kind)
        return self._made[name]

    def load(self, name: str) -> PrivateKey:
        """A key that was made just now."""
        return self._made[name]

    def names(self) -> tuple[str, ...]:
        """What was made."""
        return tuple(sorted(self._made))


def _enter(registry: Registry, hierarchy: Hierarchy, actor: Actor) -> None:
    """Write the authorities and what they have signed into the registry."""
    at = registry.now()
    with registry.writing() as connection:
        append_entry(connection, at, "founded", actor, str(registry.settings.pki.organization))
        for made in hierarchy.authorities:
            insert_authority(connection, _row(made), at)
            told = f"{made.issuer or made.name} {made.authority.certificate.serial:x}"
            append_entry(connection, at, "authority-made", actor, made.name, told)
        by_certificate = {made.authority.certificate.sha256: made for made in hierarchy.authorities}
        for made in by_certificate.values():
            if made.issuer is not None:
                insert_certificate(
                    connection,
                    made.authority.certificate,
                    authority=made.issuer,
                    profile=made.authority.profile.name,
                    place=Place.SUB2 if made.issues else Place.SUB1,
                    identity=made.name,
                    issued_at=at,
                    issued_to=actor.who,
                )
        for leaf in _honest(hierarchy.leafs):
            profile, identity = leaf.signer.profile, identifier_for(leaf.signer.profile, leaf.common_name)
            insert_certificate(
                connection,
                leaf.certificate,
                authority=leaf.issued_by,
                profile=profile.name,
                place=Place.LEAF,
                identity=identity,
                issued_at=at,
                issued_to=actor.who,
            )
            told = f"{leaf.issued_by} {leaf.certificate.serial:x}"
            append_entry(connection, at, "issued", actor, f"{profile.name} {identity}", told)
        for made in hierarchy.authorities:
            for entry in made.revoked:
                set_revoked(connection, made.name, entry.serial, entry.at, Reason.UNSPECIFIED.value)
                append_entry(
                    connection, at, "revoked", actor, "as declared", f"{made.name} {entry.serial:x} unspecified"
                )


def _honest(leafs: tuple[MadeLeaf, ...]) -> Iterator[MadeLeaf]:
    """The leafs that the real authorities signed: forged ones are files of the lab and nothing else."""
    return (leaf for leaf in leafs if leaf.state is not LeafState.FORGED)


def _row(made: MadeAuthority) -> AuthorityRow:
    return AuthorityRow(
        name=made.name,
        certificate=made.authority.certificate.der,
        issuer=made.issuer,
        role=made.role,
        profile=made.authority.profile.name,
        issues=made.issues,
        key_name=made.name,
        state=AuthorityState.ACTIVE,
        publication=made.authority.publication or Publication(),
    )


def _certify_service(
    registry: Registry, folder: Path, keys: KeyStore, declaration: LabDeclaration, actor: Actor
) -> None:
    """The service's own certificates: its TLS server, whose key lies in the clear as TLS needs it, and the signer of
    the list of roots, whose key is with the others."""
    names = (*declaration.backend.dns_names, *declaration.backend.addresses)
    server_key = generate_key()
    server = _wanted("backend-server", SERVER_NAME, server_key, names)
    made = issue(registry, server, Actor(who=actor.who, why="the service's own TLS server"))
    pem = "".join(certificate.pem() for certificate in made.chain)
    (folder / TLS_FOLDER).mkdir(mode=0o700)
    write_file(folder / registry.settings.https.certificate, LabFile(pem.encode(), PUBLIC))
    write_file(folder / registry.settings.https.key, LabFile(encode_key_pem(server_key), PRIVATE))
    signer_key = keys.create(SIGNER_NAME, KeyKind.P256)
    signer = issue(
        registry,
        _wanted("backend-client", SIGNER_NAME, signer_key, ()),
        Actor(who=actor.who, why="signs the list of roots"),
    )
    pem = "".join(certificate.pem() for certificate in signer.chain)
    write_file(folder / TLS_FOLDER / f"{SIGNER_NAME}.pem", LabFile(pem.encode(), PUBLIC))


def _wanted(profile: str, common_name: str, key: PrivateKey, names: tuple[str, ...]) -> Wanted:
    found: Profile = profile_named(profile)
    return Wanted(profile=found, common_name=common_name, public_key=key.public_key(), names=names)

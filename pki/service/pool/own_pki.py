"""What the pools ask of this service's own PKI, answered by its registry.

Rules of this file
1. A contract is issued by the registry as any other certificate, and revoked there with its list published at once.
2. The provisioning service has a key of its own for each generation, in the key store; a new key and certificate after
   two thirds of the old one's life.
3. The signer of root lists was made when the PKI was founded; it is renewed here in the same way, under a new key.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import ExitStack
from datetime import datetime

from pki.certificate import Certificate, KeyKind, parse_certificate
from pki.errors import IssueError, KeyStoreError
from pki.issue.keys import PrivateKey, PublicKey
from pki.issue.lists import Reason
from pki.profile import AnchorRole, Generation
from pki.profiles import profile_named
from pki.service.acts.issuing import Wanted, issue
from pki.service.acts.publishing import refresh
from pki.service.acts.revoking import revoke
from pki.service.pool.identities import profile_of
from pki.service.pool.pools import Pools, PoolSettings, Signer
from pki.service.pool.roots import adopt_own_roots
from pki.service.registry import HeldAuthority, Registry
from pki.service.settings import PoolsTable
from pki.service.store.audit import Actor
from pki.service.store.certificates import Held, find_by_hash, find_by_identity
from pki.service.store.publications import ListKind, find_list
from pki.verify.trust_list import LISTED_ROLES, SIGNER_NAME

_CPS_NAME = "Certificate Provisioning Service"


def open_pools(registry: Registry, settings: PoolSettings | None = None) -> Pools:
    """The pools of a registry's state folder, made when they are missing; own roots that were never listed are.
    `settings` None: those of its `pki.toml`.

    Raises:
        StateError: "state-unusable": `pools.db` cannot be used.
    """
    decided = settings or _decided(registry.settings.pools)
    pools = Pools(registry.folder, RegistryPKI(registry), registry.now, decided)
    with ExitStack() as undo:
        undo.callback(pools.close)
        adopt_own_roots(pools, Actor(who="pools", why="a root of this service's own"))
        undo.pop_all()
    return pools


def _decided(table: PoolsTable) -> PoolSettings:
    return PoolSettings(
        require_revocation=table.require_revocation,
        two_persons=table.two_persons,
        webhook_hosts=frozenset(table.webhook_hosts),
        private_hosts=frozenset(table.private_hosts),
        list_hours=table.list_hours,
    )


class RegistryPKI:
    """The registry of a state folder, as `OwnPKI`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._renewing = threading.Lock()

    def roots(self) -> tuple[tuple[AnchorRole, bytes], ...]:
        """The roots of the roles that the root pool lists."""
        held = [entry for entry in self._registry.authorities().values() if entry.is_root]
        found = [(entry.row.role, entry.certificate.der) for entry in held]
        return tuple((role, der) for role, der in found if role is not None and role in LISTED_ROLES)

    def lists(self) -> tuple[bytes, ...]:
        """The complete list and the delta of every authority, as they are published."""
        with self._registry.reading() as connection:
            names = self._registry.authorities()
            found = [find_list(connection, name, kind) for name in names for kind in ListKind]
        return tuple(entry.der for entry in found if entry is not None)

    def list_uris(self) -> tuple[str, ...]:
        """Where those lists are found, for authorities that say so."""
        held = self._registry.authorities().values()
        return tuple(entry.row.publication.crl for entry in held if entry.row.publication.crl is not None)

    def version(self) -> object:
        """Another value after every change of the published lists."""
        with self._registry.reading() as connection:
            rows = connection.execute("SELECT authority, kind, number FROM list ORDER BY authority, kind").fetchall()
        return tuple(tuple(row) for row in rows)

    def certify_contract(
        self, generation: Generation, emaid: str, key: PublicKey, ends: datetime, actor: Actor
    ) -> tuple[bytes, ...]:
        """The chain of a new contract, valid from now to the last whole day before `ends`."""
        wanted = Wanted(
            profile=profile_of(generation, "contract"),
            common_name=emaid,
            public_key=key,
            days=max((ends - self._registry.now()).days, 1),
        )
        return tuple(certificate.der for certificate in issue(self._registry, wanted, actor).chain)

    def revoke_contract(self, certificate: bytes, actor: Actor, reason: Reason = Reason.CESSATION_OF_OPERATION) -> bool:
        """Revoke a contract that the registry knows, and publish it."""
        with self._registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(parse_certificate(certificate).sha256))
        if held is None:
            return False
        if held.revoked_at is None or held.reason == Reason.CERTIFICATE_HOLD.value:
            self._revoke(held, actor, reason)
        refresh(self._registry, actor)
        return True

    def contract_signer(self, generation: Generation, actor: Actor) -> Signer | None:
        """The provisioning service of a generation."""
        profile = profile_of(generation, "cps")
        able = [
            held for held in self._registry.authorities().values() if held.active and profile.name in held.row.issues
        ]
        if not able:
            return None
        issuer = able[-1]
        return self._signer(profile.name, _CPS_NAME, issuer, issuer.certificate.key_kind, actor)

    def list_signer(self) -> Signer:
        """Who signs the list of roots."""
        profile = profile_named("backend-client")
        issuer = self._registry.issuing_authority(profile)
        actor = Actor(who="pools", why="signs the list of roots")
        return self._signer(profile.name, SIGNER_NAME, issuer, KeyKind.P256, actor)

    def _signer(
        self, profile_name: str, common_name: str, issuer: HeldAuthority, kind: KeyKind, actor: Actor
    ) -> Signer:
        """The newest certificate of that name whose key is in the store and of which a third of the life is left; a new
        one with a new key when there is none."""
        registry = self._registry
        with self._renewing:
            with registry.reading() as connection:
                known = find_by_identity(connection, common_name, profile_name)
            for held in known:
                if held.revoked_at is None and held.authority == issuer.name and not _worn(held, registry.now()):
                    key = self._key_of(parse_certificate(held.der), common_name)
                    if key is not None:
                        return _signer_of(parse_certificate(held.der), key, issuer)
            return self._renew(profile_name, common_name, issuer, kind, actor)

    def _renew(self, profile_name: str, common_name: str, issuer: HeldAuthority, kind: KeyKind, actor: Actor) -> Signer:
        """A new key and certificate."""
        registry = self._registry
        key = registry.keys.create(_key_name(common_name, profile_name, registry.now()), kind)
        wanted = Wanted(profile=profile_named(profile_name), common_name=common_name, public_key=key.public_key())
        made = issue(registry, wanted, Actor(who="pools", why=actor.why), issuer.name)
        return _signer_of(made.certificate, key, issuer)

    def _key_of(self, certificate: Certificate, common_name: str) -> PrivateKey | None:
        """The key of the store that belongs to a certificate."""
        prefix = _key_prefix(common_name)
        for name in reversed(self._registry.keys.names()):
            if name.startswith(prefix):
                try:
                    key = self._registry.key(name)
                except KeyStoreError:
                    continue
                if key.public_key() == certificate.public_key:
                    return key
        return None

    def _revoke(self, held: Held, actor: Actor, reason: Reason) -> None:
        try:
            revoke(self._registry, held, reason, actor)
        except IssueError as error:
            if error.code != "revoked":  # Somebody else has just done it.
                raise


def _signer_of(leaf: Certificate, key: PrivateKey, issuer: HeldAuthority) -> Signer:
    chain = (leaf, *issuer.chain)
    return Signer(tuple(certificate.der for certificate in chain), key, issuer.root.der)


def _worn(held: Held, now: datetime) -> bool:
    """Whether two thirds of a certificate's life are over."""
    return now >= held.not_before + (held.not_after - held.not_before) * 2 / 3


def _key_prefix(common_name: str) -> str:
    return common_name.lower().replace(" ", "-")


def _key_name(common_name: str, profile_name: str, now: datetime) -> str:
    """A name that no key had before: a killed process may have left one without a certificate."""
    return f"{_key_prefix(common_name)[:32]}-{profile_name}-{now:%Y%m%d}-{secrets.token_hex(3)}"

"""Issuing: a request becomes a certificate, by an operator, an enrolment code, an earlier certificate or a registrar.

Rules of this file
1. The profile of the role picks everything but the public key, the name and, for TLS servers, the registered addresses.
2. A name is certified only when an operator gave it, it is registered, or a registrar's prefix holds it.
3. A key belongs to one identity: it is never certified for another, and never again once it was compromised.
4. What is asked of the registry, the authority that signs included, is asked inside the transaction that issues, so
   that nobody revokes in between. The certificate is signed, written and noted in it; a code is used up in it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from pki.certificate import Certificate, parse_certificate
from pki.errors import IssueError
from pki.issue.authority import LeafOrder, Subject, Validity
from pki.issue.keys import PublicKey, fresh_serial, key_kind_of
from pki.issue.request import CheckedRequest, identifier_for
from pki.profile import Place, Profile
from pki.profiles import profile_named
from pki.service.acts.naming import carries_names, require_unreserved, server_names
from pki.service.registry import Actor, HeldAuthority, Registry, require
from pki.service.store.audit import append_entry
from pki.service.store.certificates import (
    Held,
    find_by_hash,
    find_by_identity,
    find_certificate,
    insert_certificate,
    is_compromised,
    issued_since,
    other_holder,
)
from pki.service.store.enrolment import find_identity, has_code, list_registrars, redeem_code

_BACKDATE = timedelta(minutes=5)
"""A new certificate began this long ago, for clocks that are a little slow."""
_BY = "operator:"
_DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new certificate; `chain` is what is sent: the leaf, Sub2, Sub1, never the root."""

    authority: str
    certificate: Certificate
    chain: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be certified. `names` are the DNS names and IP addresses of a TLS server, `days` None is the profile's
    life; `organization` None is the registry's own."""

    profile: Profile
    common_name: str
    public_key: PublicKey
    organization: str | None = None
    country: str | None = None
    names: tuple[str, ...] = ()
    days: int | None = None


def issue(registry: Registry, wanted: Wanted, actor: Actor, authority: str | None = None) -> Issued:
    """A certificate on an operator's word, or a program's that the operator let issue.

    Raises:
        IssueError: what `Authority.issue` refuses; "key-reused", "key-compromised", "names", "validity".
        StateError, KeyStoreError: no such authority, its key cannot be used, or nothing can be written.
    """
    with registry.writing() as connection:
        held = registry.issuing_authority(wanted.profile, authority, key_kind_of(wanted.public_key))
        return _issue(registry, connection, held, wanted, actor)


def enrol_with_code(registry: Registry, profile: Profile, request: CheckedRequest, code: str, actor: Actor) -> Issued:
    """The first certificate of a registered identity, for its one-time code, which is used up.

    Raises:
        IssueError: "identity-unknown", "enrolment-code", and as `issue`.
    """
    at, identity = registry.now(), identifier_for(profile, request.common_name)
    require_unreserved(identity)
    with registry.writing() as connection:
        held = registry.issuing_authority(profile, kind=request.kind)
        known = find_identity(connection, profile.name, identity)
        if known is None:
            raise IssueError("identity-unknown", f"{request.common_name!a} is not registered for {profile.name}")
        redeem_code(connection, code, profile.name, identity, at)
        wanted = Wanted(
            profile=profile,
            common_name=known.common_name,
            public_key=request.public_key,
            organization=known.organization,
            names=known.names,
        )
        return _issue(registry, connection, held, wanted, actor)


def enrol_again(registry: Registry, request: CheckedRequest, former: Certificate, actor: Actor) -> Issued:
    """The next certificate of whoever shows a certificate of this registry: same profile, same subject, same names.

    Whether the holder of `former` has its key, and whether it is valid now, is for the caller to have verified; that it
    is not revoked is asked here again.

    Raises:
        IssueError: "certificate-unknown", "revoked", "subject-changed", and as `issue`.

    Source: RFC 7030 4.2.2.
    """
    with registry.writing() as connection:
        earlier = find_by_hash(connection, bytes.fromhex(former.sha256))
        if earlier is None or earlier.place is not Place.LEAF:
            raise IssueError("certificate-unknown", "the certificate that was shown was not issued here")
        profile = profile_named(earlier.profile)
        require(
            identifier_for(profile, request.common_name) == earlier.identity,
            "subject-changed",
            f"the request names {request.common_name!a}, the certificate that was shown {earlier.identity!a}",
        )
        require_unreserved(earlier.identity)
        require(earlier.revoked_at is None, "revoked", "the certificate that was shown is revoked")
        held = registry.issuing_authority(profile, kind=request.kind)
        return _issue(registry, connection, held, _like(former, profile, request.public_key), actor)


def enrol_for(registry: Registry, registrar: str, profile: Profile, request: CheckedRequest, actor: Actor) -> Issued:
    """A certificate that a registrar asks for on behalf of another, whose name begins with one of its prefixes. What
    it was given of a profile in 24 hours is counted by `actor.who`, which must be one and the same for a registrar.

    Raises:
        IssueError: "registrar": it may not ask for that name; "quota": not so many a day; and as `issue`.
    """
    identity = identifier_for(profile, request.common_name)
    require_unreserved(identity)
    with registry.writing() as connection:
        held = registry.issuing_authority(profile, kind=request.kind)
        given = [entry for entry in list_registrars(connection, registrar) if entry.profile == profile.name]
        fitting = [entry for entry in given if identity.startswith(entry.prefix)]
        if not fitting:
            allowed = ", ".join(f"{entry.prefix}..." for entry in given) or "nobody"
            message = f"{registrar!a} may not ask for {identity!a} of {profile.name}; it may ask for {allowed}"
            raise IssueError("registrar", message)
        _require_not_its_own(connection, profile, identity)
        daily = max(entry.daily for entry in fitting)
        used = issued_since(connection, actor.who, profile.name, registry.now() - _DAY)
        require(used < daily, "quota", f"{registrar!a} was given {used} of {profile.name} in 24 hours, at most {daily}")
        known = find_identity(connection, profile.name, identity)
        wanted = Wanted(
            profile=profile,
            common_name=request.common_name,
            public_key=request.public_key,
            organization=known.organization if known else None,
            names=known.names if known else (),
        )
        return _issue(registry, connection, held, wanted, actor)


def _require_not_its_own(connection: sqlite3.Connection, profile: Profile, identity: str) -> None:
    """Return if a registrar may ask for that name. Raises IssueError "registrar" when its holder enrols by itself, or
    was certified by an operator: a gateway must not become another one, whatever their prefixes are."""
    certified = [
        held for held in find_by_identity(connection, identity, profile.name) if held.issued_to.startswith(_BY)
    ]
    if certified or has_code(connection, profile.name, identity) or list_registrars(connection, identity):
        message = f"{identity!a} of {profile.name} enrols by itself; no registrar asks for it"
        raise IssueError("registrar", message)


def reissue(registry: Registry, earlier: Held, actor: Actor, days: int | None = None) -> Issued:
    """A certificate like an earlier one, for the same key, with a new life. Raises as `issue`; "revoked"."""
    profile, former = profile_named(earlier.profile), parse_certificate(earlier.der)
    require(earlier.place is Place.LEAF, "place", "an authority is renewed by its name, not by its certificate")
    key = former.public_key
    if key is None:
        raise IssueError("key-kind", "the key of that certificate is of no kind that a profile takes")
    with registry.writing() as connection:
        now = find_certificate(connection, earlier.authority, earlier.serial)
        require(now is not None and now.revoked_at is None, "revoked", "a revoked certificate is not renewed")
        held = registry.issuing_authority(profile, kind=former.key_kind)
        return _issue(registry, connection, held, _like(former, profile, key, days), actor)


def _issue(
    registry: Registry, connection: sqlite3.Connection, held: HeldAuthority, wanted: Wanted, actor: Actor
) -> Issued:
    """Sign, write and note, inside the caller's transaction."""
    at, profile = registry.now(), wanted.profile
    identity = identifier_for(profile, wanted.common_name)
    spki = wanted.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    exposed = is_compromised(connection, spki)
    require(
        not exposed, "key-compromised", "others may have that key: a certificate with it was revoked; make a new one"
    )
    other = other_holder(connection, spki, identity)
    require(other is None, "key-reused", f"the key was certified for {other!a}; {identity!a} needs one of its own")
    names = server_names(profile, wanted.names)
    require(bool(names) or not carries_names(profile), "names", "a TLS server needs a DNS name or an address")
    dns_names, addresses = _split(names)
    order = LeafOrder(
        subject=Subject(
            common_name=wanted.common_name,
            organization=wanted.organization or registry.settings.pki.organization,
            country=(wanted.country or registry.settings.pki.country).upper(),
            domain_component=profile.domain_component,
        ),
        public_key=wanted.public_key,
        validity=_validity(at, wanted, held.certificate),
        serial=fresh_serial(),
        dns_names=dns_names,
        addresses=addresses,
    )
    made = registry.signer(held, profile).issue(order)
    insert_certificate(
        connection,
        made,
        authority=held.name,
        profile=profile.name,
        place=Place.LEAF,
        identity=identity,
        issued_at=at,
        issued_to=actor.who,
    )
    append_entry(connection, at, "issued", actor, f"{profile.name} {identity}", f"{held.name} {made.serial:x}")
    return Issued(authority=held.name, certificate=made, chain=(made, *held.chain))


def _validity(at: datetime, wanted: Wanted, issuer: Certificate) -> Validity:
    """From a little ago until the profile's end, cut to the issuer's life unless the days were asked for.

    Raises:
        IssueError: "validity": the issuer is not valid now.
    """
    inside = issuer.not_before <= at < issuer.not_after
    require(inside, "validity", f"the authority that would sign is valid {issuer.not_before} to {issuer.not_after}")
    begin = max(at - _BACKDATE, issuer.not_before)
    end = at + timedelta(days=wanted.days or wanted.profile.leaf.days)
    return Validity(begin, end if wanted.days else min(end, issuer.not_after))


def _like(former: Certificate, profile: Profile, key: PublicKey, days: int | None = None) -> Wanted:
    """What a certificate says of its subject, once more. Its names are what was certified then."""
    names: tuple[str, ...] = ()
    for extension in former.parsed.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = tuple(str(entry.value) for entry in extension.value)
    (common_name,) = former.attributes(NameOID.COMMON_NAME)
    organization, country = former.attributes(NameOID.ORGANIZATION_NAME), former.attributes(NameOID.COUNTRY_NAME)
    return Wanted(
        profile=profile,
        common_name=common_name or "",
        public_key=key,
        organization=organization[0] if organization else None,
        country=country[0] if country else None,
        names=names,
        days=days,
    )


def _split(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[IPv4Address | IPv6Address, ...]]:
    """DNS names and addresses apart."""
    dns_names: list[str] = []
    addresses: list[IPv4Address | IPv6Address] = []
    for name in names:
        try:
            addresses.append(ip_address(name))
        except ValueError:
            dns_names.append(name)
    return tuple(dns_names), tuple(addresses)

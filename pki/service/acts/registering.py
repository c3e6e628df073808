"""Registering who may be given a certificate, and making the code for the first one."""

from __future__ import annotations

from datetime import datetime, timedelta

from pki.errors import IssueError
from pki.issue.request import identifier_for
from pki.profile import Profile
from pki.service.acts.naming import normal_prefix, require_unreserved, server_names
from pki.service.registry import Actor, Registry, require
from pki.service.store import enrolment
from pki.service.store.audit import append_entry
from pki.service.store.enrolment import Identity, Registrar

DAILY = 1000
_NAME_MAX = 64


def register(
    registry: Registry,
    profile: Profile,
    common_name: str,
    actor: Actor,
    *,
    organization: str | None = None,
    names: tuple[str, ...] = (),
) -> Identity:
    """Let a name be certified for one profile. Registering again changes what is given; an organization or names that
    are not given stay as they are.

    Raises:
        IssueError: the name is not what the profile's grammar asks for; "names"; "name-reserved".
    """
    now, wanted = registry.now(), identifier_for(profile, common_name)
    require_unreserved(wanted)
    with registry.writing() as connection:
        known = enrolment.find_identity(connection, profile.name, wanted)
        identity = Identity(
            profile=profile.name,
            identity=wanted,
            common_name=common_name,
            organization=organization or (known.organization if known else None),
            names=server_names(profile, names) or (known.names if known else ()),
            registered_at=known.registered_at if known else now,
        )
        enrolment.insert_identity(connection, identity)
        detail = " ".join((identity.common_name, *identity.names))
        append_entry(connection, now, "registered", actor, f"{profile.name} {identity.identity}", detail)
    return identity


def make_code(registry: Registry, profile: Profile, identity: str, actor: Actor) -> tuple[str, datetime]:
    """A new enrolment code for a registered identity (its normal form), and until when it counts. It is shown once; one
    that was made before and not used counts no longer.

    Raises:
        IssueError: "identity-unknown".
    """
    now = registry.now()
    expires_at = now + timedelta(hours=registry.settings.codes.hours)
    code = enrolment.new_code()
    with registry.writing() as connection:
        if enrolment.find_identity(connection, profile.name, identity) is None:
            raise IssueError("identity-unknown", f"{identity!a} is not registered for {profile.name}")
        enrolment.insert_code(connection, code, profile.name, identity, expires_at)
        append_entry(connection, now, "code-made", actor, f"{profile.name} {identity}", f"until {expires_at}")
    return code, expires_at


def appoint_registrar(
    registry: Registry, name: str, profile: Profile, prefix: str, actor: Actor, daily: int = DAILY
) -> Registrar:
    """Let the holder of a client certificate of that common name (a gateway) ask for certificates of a profile for
    identities that begin with `prefix`, `daily` of them in 24 hours.

    Raises:
        IssueError: "registrar": no name that a certificate could have; "prefix": an empty one, which would let it ask
            for everybody.
    """
    named = 0 < len(name) <= _NAME_MAX and name.isascii() and name.isprintable()
    require(named, "registrar", f"{name[:_NAME_MAX]!a} is not the common name of a client certificate")
    found = Registrar(name=name, profile=profile.name, prefix=normal_prefix(profile, prefix), daily=daily)
    now = registry.now()
    with registry.writing() as connection:
        enrolment.insert_registrar(connection, found)
        append_entry(connection, now, "registrar-appointed", actor, name, f"{profile.name} {found.prefix} {daily}")
    return found


def dismiss_registrar(registry: Registry, name: str, actor: Actor) -> None:
    """Let a client ask for nobody any more. Raises IssueError "registrar" when it could not."""
    with registry.writing() as connection:
        require(enrolment.delete_registrar(connection, name), "registrar", f"{name!a} is no registrar")
        append_entry(connection, registry.now(), "registrar-dismissed", actor, name)


def strike(registry: Registry, profile: Profile, identity: str, actor: Actor) -> None:
    """Take a name off the register; certificates it has stay what they are. Raises IssueError "identity-unknown"."""
    with registry.writing() as connection:
        found = enrolment.delete_identity(connection, profile.name, identity)
        require(found, "identity-unknown", f"{identity!a} is not registered for {profile.name}")
        append_entry(connection, registry.now(), "struck", actor, f"{profile.name} {identity}")

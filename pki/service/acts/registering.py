"""Registering who may be given a certificate, and making the code for the first one."""

from __future__ import annotations

from datetime import datetime, timedelta

from pki.errors import IssueError
from pki.issue.request import identifier_for
from pki.profile import CommonName, Profile
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
    """Let a name be certified for one profile. Registering again changes what is written of it.

    Raises:
        IssueError: the name is not what the profile's grammar asks for.
    """
    now = registry.now()
    identity = Identity(
        profile=profile.name,
        identity=identifier_for(profile, common_name),
        common_name=common_name,
        organization=organization,
        names=names,
        registered_at=now,
    )
    with registry.writing() as connection:
        enrolment.insert_identity(connection, identity)
        append_entry(connection, now, "registered", actor, f"{profile.name} {identity.identity}")
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
        IssueError: "registrar": an empty name or prefix, which would let it ask for everybody.
    """
    require(0 < len(name) <= _NAME_MAX and 0 < len(prefix) <= _NAME_MAX, "registrar", "needs a name and a prefix")
    spelt = prefix if profile.common_name is CommonName.FREE else prefix.upper()
    found, now = Registrar(name=name, profile=profile.name, prefix=spelt, daily=daily), registry.now()
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

"""`pnc-pki register` and `registrar`: who may be given a certificate through the service."""

from __future__ import annotations

from pathlib import Path

import click

from pki.issue.lab import PRIVATE, LabFile
from pki.issue.request import identifier_for
from pki.profile import Profile
from pki.profiles import profile_named
from pki.service.acts.registering import DAILY, appoint_registrar, dismiss_registrar, make_code, register, strike
from pki.service.commands.context import (
    actor,
    add_row,
    as_json_option,
    by_person,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
    profile_option,
    with_reason,
)
from pki.service.files import write_file
from pki.service.screen import listing, print_listing, screen
from pki.service.state_folder import open_registry
from pki.service.store.enrolment import list_identities, list_registrars


def enrolment_path(profile: Profile) -> str:
    """The path of the service at which a first certificate of the profile is asked for."""
    # The tables lie with the web server, without which all other commands start faster.
    from pki.service.web.est import WELL_KNOWN
    from pki.service.web.labels import ISO_VERSIONS, OWN, ROLES

    own = next((label for label, name in OWN.items() if name == profile.name), None)
    if own is not None:
        return f"{WELL_KNOWN}/{own}/simpleenroll"
    version = next(text for text, generation in ISO_VERSIONS.items() if generation is profile.generation)
    role = profile.name.removeprefix(f"{profile.generation.value}-")
    label = next(label for label, name in ROLES.items() if name == role)
    return f"{WELL_KNOWN}/{label}/simpleenroll/{version}"


@click.command("register")
@profile_option
@click.option("--common-name", required=True, help="gateway id, EVSEID, EMAID, PCID ...: what the profile asks for")
@click.option("--organization", help="written into its certificates (default: the PKI's own)")
@click.option("--name", "names", multiple=True, help="a DNS name or IP address of a TLS server; repeatable")
@click.option("--code-file", type=click.Path(path_type=Path, dir_okay=False), help="write the code there (0600)")
@click.option("--no-code", is_flag=True, help="make no enrolment code: a registrar will ask for it")
@click.option("--remove", is_flag=True, help="take the name off the register")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def register_command(
    profile_name: str,
    common_name: str,
    organization: str | None,
    names: tuple[str, ...],
    code_file: Path | None,
    no_code: bool,
    remove: bool,
    why: str,
    who: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Let a name be certified, and make the one-time code for its first certificate. Again: a new code, and the code
    before counts no longer; what is not given again stays as it is."""
    profile, by = profile_named(profile_name), actor(who, why)
    if code_file is not None and (no_code or remove):
        raise click.UsageError("--code-file goes with neither --no-code nor --remove")
    check_new(code_file)
    with open_registry(folder) as registry:
        if remove:
            identity = identifier_for(profile, common_name)
            strike(registry, profile, identity, by)
            if as_json:
                echo_json({"profile": profile_name, "removed": identity})
            else:
                click.echo(f"{identity} is off the register of {profile_name}. What it has counts until it is revoked,")
                click.echo("and may be renewed by whoever holds its key: see pnc-pki find and revoke")
            return
        with registry.writing():
            known = register(registry, profile, common_name, by, organization=organization, names=names)
            made = None if no_code else make_code(registry, profile, known.identity, by)
        listens = registry.settings.https.listen
    if made is not None and code_file is not None:
        write_file(code_file, LabFile(f"{made[0]}\n".encode(), PRIVATE))
    if as_json:
        shown = None if made is None or code_file is not None else made[0]
        until = None if made is None else made[1]
        path = enrolment_path(profile)
        echo_json(
            {"profile": profile_name, "identity": known.identity, "code": shown, "expires_at": until, "path": path}
        )
        return
    click.echo(f"registered {known.identity} for {profile_name}")
    if made is not None:
        where = f"written to {code_file}" if code_file is not None else f"(shown once): {made[0]}"
        click.echo(f"enrolment code, good once until {made[1]:%Y-%m-%d %H:%M} UTC, {where}")
        where = f"https://{listens}{enrolment_path(profile)}"
        click.echo(f"it is asked for at {where}, with {known.identity} and the code as name and password (HTTP Basic)")


@click.command()
@click.argument("name", required=False)
@click.option("--profile", "profile_name", help="what it may ask for, like iso15118-2-secc or backend-client")
@click.option("--prefix", help="how the names begin that it may ask for, like DE*PNC*E or CP-")
@click.option(
    "--daily", type=click.IntRange(1, 1_000_000), default=DAILY, show_default=True, help="so many in 24 hours"
)
@click.option("--remove", is_flag=True, help="it may ask for nobody any more")
@click.option("--why", help="the reason, for the audit log; needed to change something")
@by_person
@in_folder
@as_json_option
@ends_clearly
def registrar(
    name: str | None,
    profile_name: str | None,
    prefix: str | None,
    daily: int,
    remove: bool,
    why: str | None,
    who: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Let the gateway NAME ask for certificates of its chargers. Without options: list who may, who is registered."""
    with open_registry(folder) as registry:
        if profile_name is not None or prefix is not None or remove:
            if name is None or why is None or (not remove and (profile_name is None or prefix is None)):
                raise click.UsageError("needed: NAME, --why, and either --profile with --prefix, or --remove")
            if remove:
                dismiss_registrar(registry, name, actor(who, why))
            else:
                appoint_registrar(
                    registry, name, profile_named(profile_name or ""), prefix or "", actor(who, why), daily
                )
        with registry.reading() as connection:
            registrars, identities = list_registrars(connection, name), list_identities(connection)
    if as_json:
        echo_json({"registrars": registrars, "identities": identities})
        return
    table = listing("registrar", "may ask for", "names that begin with", "a day")
    for entry in registrars:
        add_row(table, entry.name, entry.profile, entry.prefix, str(entry.daily))
    print_listing(screen(), table)
    if name is None:
        known = listing("registered for", "name", "since (UTC)")
        for identity in identities:
            add_row(known, identity.profile, identity.identity, f"{identity.registered_at:%Y-%m-%d %H:%M}")
        print_listing(screen(), known)

"""`pnc-pki init`: a declaration becomes a state folder."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from pki.errors import StateError
from pki.issue.declaration import LabDeclaration, parse_declaration
from pki.service.acts.founding import Foundation, RootKeys, found
from pki.service.commands.context import actor, by_person, ends_clearly, in_folder, offline_keys, offline_options
from pki.service.files import read_file
from pki.service.key_store import read_passphrase
from pki.service.settings import PKISettings, check_settings, parse_listen
from pki.service.state_folder import PASSPHRASE_FILE, OfflineKeys, describe_keys

_TEMPLATES = ("lab",)
_DECLARATION_CAP = 1024 * 1024

_SETTINGS = """\
# pnc-pki: the settings of this PKI. Paths are relative to this folder. What is commented out shows its default.

[pki]
organization = {organization}   # written into certificates for which nothing else is registered
country = {country}

[keys]
{keys}

[https]                           # enrolment (EST) and pools
listen = {https}
# certificate = "tls/server.pem"
# key = "tls/server.key.pem"

[http]                            # OCSP, lists, certificates of authorities; they are signed by themselves
listen = {http}

[lists]
# crl_days = 7                    # a new full list is made at half of its life
# delta_hours = 24
# root_crl_days = 180             # of roots, whose keys may lie offline
# answer_hours = 24               # OCSP; a week at most
# responder_days = 30
# root_responder_days = 365

[approvals]
roots = {approvals}               # whether what a root certifies or revokes waits for a second person (pnc-pki approve)

[codes]
# hours = 72                      # how long an enrolment code counts

[pools]                           # contracts, cars and roots, with the calls of OPCP
two_persons = {approvals}         # whether a root is listed only once two administrators have put it
# require_revocation = true       # chains of cars and contracts need evidence that they are not revoked
# webhook_hosts = []              # where events may be sent to, like "oem.example"
# private_hosts = []              # those of them that may have addresses that are not public
# list_hours = 24                 # how long a signed list of roots counts
"""
_HTTP = "127.0.0.1:8081"
_ANY_HOST = ("0.0.0.0", "::", "")


@click.command()
@click.argument("template", default="lab")
@in_folder
@click.option(
    "--publication",
    metavar="URL",
    help="where lists and answers are found; written into certificates (default: the declaration's, or --http)",
)
@click.option("--https", "https_listen", default="127.0.0.1:8445", show_default=True, help="where EST and pools listen")
@click.option("--http", "http_listen", default=_HTTP, show_default=True, help="where OCSP and lists listen")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="holds the passphrase of the keys (0600, stays where it is); without any, a lab makes one up",
)
@click.option("--passphrase-credential", metavar="NAME", help="the systemd credential that holds it")
@click.option(
    "--pkcs11",
    nargs=3,
    metavar="MODULE TOKEN PINFILE",
    help="keep the keys in hardware: the module's path, the token's label, the file with the PIN",
)
@click.option("--show", is_flag=True, help="print the declaration, to write one's own from, and found nothing")
@click.option(
    "--two-person-roots", is_flag=True, help="what a root certifies or revokes waits for somebody else (--who)"
)
@offline_options
@by_person
@ends_clearly
def init(
    template: str,
    folder: Path,
    publication: str | None,
    https_listen: str,
    http_listen: str,
    passphrase_file: Path | None,
    passphrase_credential: str | None,
    pkcs11: tuple[str, str, str] | None,
    show: bool,
    two_person_roots: bool,
    offline: Path | None,
    offline_passphrase_file: Path | None,
    who: str | None,
) -> None:
    """Found a PKI in a new state folder: TEMPLATE is `lab`, or the path of a declaration like certs/lab.toml."""
    if show:
        click.echo(_text_of(template)[0], nl=False)
        return
    declaration, is_lab = _declaration(template, publication or _published_by(http_listen, template))
    secrets_given = [given for given in (passphrase_file, passphrase_credential, pkcs11) if given]
    if len(secrets_given) > 1:
        raise click.UsageError("one of --passphrase-file, --passphrase-credential and --pkcs11")
    if not secrets_given and not is_lab:
        raise click.UsageError(
            "keys that are worth something need --passphrase-file, --passphrase-credential or --pkcs11"
        )
    keys = _keys_table(passphrase_file, passphrase_credential, pkcs11)
    text = _SETTINGS.format(
        organization=_quoted(declaration.organization),
        country=_quoted(declaration.country),
        keys=keys,
        https=_quoted(https_listen),
        http=_quoted(http_listen),
        approvals=str(two_person_roots).lower(),
    )
    attached = offline_keys(offline, offline_passphrase_file)
    roots = RootKeys(attached.folder, read_passphrase(attached.passphrase_file)) if attached else None
    settings = msgspec.toml.decode(text, type=PKISettings)
    check_settings(settings, "the options of init")
    foundation = Foundation(
        declaration=declaration,
        settings=settings,
        settings_text=text,
        roots=roots,
        make_passphrase=not secrets_given,
    )
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("making keys and certificates", total=None)
        found(
            folder,
            foundation,
            actor(who, f"founded from {template}"),
            lambda: datetime.now(UTC),
            lambda _: progress.advance(task),
        )
    _tell(folder, foundation, attached)


def _tell(folder: Path, founded: Foundation, attached: OfflineKeys | None) -> None:
    """What was made, where it is, and what comes next."""
    at = "" if str(folder) == "pki-state" else f" --dir {shlex.quote(str(folder))}"
    click.echo(f"founded a PKI in {folder}; keys: {describe_keys(founded.settings.keys)}")
    if founded.make_passphrase:
        click.echo(f"the passphrase was made up, and lies in {folder / PASSPHRASE_FILE}: good for a lab only")
    click.echo(f"lists and answers are found below {founded.declaration.publication}: it stands in every certificate")
    if attached:
        click.echo(f"the keys of the roots are in {attached.folder}: take them offline")
    click.echo(f"next:\n  pnc-pki serve{at}")
    click.echo(
        f"  pnc-pki register{at} --profile backend-client --common-name site-1 --why 'new site' --code-file site-1.code"
    )


def _published_by(http_listen: str, template: str) -> str | None:
    """Where a lab that listens elsewhere publishes; None: where it declares. Raises StateError "publication"."""
    if http_listen == _HTTP or template not in _TEMPLATES:
        return None
    host, port = parse_listen(http_listen, "--http")
    if host in _ANY_HOST or port == 0:
        message = f"--http {http_listen} is no address that others could ask; say with --publication which one is"
        raise StateError("publication", message)
    return f"http://{http_listen}"


def _declaration(template: str, publication: str | None) -> tuple[LabDeclaration, bool]:
    """The declaration, and whether it is the built-in lab's."""
    text, built_in = _text_of(template)
    found = parse_declaration(text)
    if publication is not None:
        found = _published_at(found, publication.rstrip("/"))
    return found, built_in


def _text_of(template: str) -> tuple[bytes, bool]:
    """The text of a declaration, and whether it is built in."""
    if template in _TEMPLATES and not Path(template).is_file():
        return (resources.files("pki.service") / "templates" / f"{template}.toml").read_bytes(), True
    if Path(template).exists():
        return read_file(Path(template), _DECLARATION_CAP), False
    known = ", ".join(_TEMPLATES)
    raise StateError("template", f"{template!a} is neither a template ({known}) nor the file of a declaration")


def _published_at(declaration: LabDeclaration, publication: str) -> LabDeclaration:
    """The declaration with another place of publication, for every authority. Raises StateError "publication"."""
    try:
        said = {**msgspec.to_builtins(declaration), "publication": publication, "publish_all": True}
        return msgspec.convert(said, LabDeclaration)
    except msgspec.ValidationError as error:
        message = f"{publication!a} is no place of publication: http:// or https://, a host, at most 80 characters"
        raise StateError("publication", message) from error


def _keys_table(file: Path | None, credential: str | None, pkcs11: tuple[str, str, str] | None) -> str:
    if pkcs11:
        module, token, pin = pkcs11
        lines = ('store = "pkcs11"', f"module = {_quoted(module)}", f"token = {_quoted(token)}")
        return "\n".join((*lines, f"pin_file = {_quoted(str(Path(pin).absolute()))}"))
    if credential:
        return f"passphrase_credential = {_quoted(credential)}"
    return f"passphrase_file = {_quoted(str(file.absolute()) if file else PASSPHRASE_FILE)}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()

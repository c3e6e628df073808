"""An operator's desk: a folder with a PKI, and the commands typed there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from pki.__main__ import main
from pki.issue.keys import generate_key, signing_hash

LAB = Path(__file__).parents[3] / "pki" / "service" / "templates" / "lab.toml"


@dataclass
class Desk:
    """A folder in which an operator works, with a PKI in `pki-state`."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "pki-state"

    def run(self, command: str, *arguments: str | Path, state: Path | None = None) -> Result:
        where = ("--dir", str(state or self.state))
        return CliRunner().invoke(main, [command, *map(str, arguments), *where])

    def does(self, command: str, *arguments: str | Path, state: Path | None = None) -> str:
        done = self.run(command, *arguments, state=state)
        assert done.exit_code == 0, done.output
        return done.stdout

    def says(self, command: str, *arguments: str | Path) -> Any:
        return json.loads(self.does(command, *arguments, "--json"))

    def refuses(self, code: str, command: str, *arguments: str | Path, state: Path | None = None) -> str:
        """Exit code 2, nothing on standard output, one line that names the code."""
        done = self.run(command, *arguments, state=state)
        assert done.exit_code == 2, done.output
        assert done.stderr.startswith(f"pnc-pki: {code}: "), done.output
        assert done.stderr.count("\n") == 1
        return done.stderr

    def misused(self, command: str, *arguments: str | Path) -> None:
        done = self.run(command, *arguments)
        assert done.exit_code == 2, done.output
        assert "Usage:" in done.stderr

    def secret(self, name: str, text: bytes = b"a long passphrase\n", mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_bytes(text)
        path.chmod(mode)
        return path

    def issued(self, name: str = "DEABC000000077", *more: str | Path) -> Path:
        out = self.folder / f"{name}.pem"
        key = self.folder / f"{name}.key"
        self.does("issue", "--common-name", name, "--out", out, "--key-out", key, "--why", "test", *more)
        return out


def csr(path: Path, name: str) -> Path:
    key = generate_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, signing_hash(key))
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def serial_of(path: Path) -> str:
    return f"{x509.load_pem_x509_certificate(path.read_bytes()).serial_number:x}"


def own(desk: Desk, name: str, *options: str | Path) -> Path:
    """A PKI with a passphrase file, founded from a declaration."""
    folder = desk.folder / name
    secret = desk.folder / "online.pass"
    if not secret.exists():
        desk.secret("online.pass")
    done = CliRunner().invoke(main, [*map(str, ("init", LAB, "--dir", folder, "--passphrase-file", secret, *options))])
    assert done.exit_code == 0, done.output
    return folder


def offline(desk: Desk) -> tuple[str | Path, ...]:
    secret = desk.folder / "roots.pass"
    if not secret.exists():
        desk.secret("roots.pass")
    return "--offline", desk.folder / "roots", "--offline-passphrase-file", secret

"""The PKI service as a real process on loopback, and curl as its client."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from pki.issue.keys import PrivateKey
from pki.profiles import profile_named
from pki.service.acts.registering import appoint_registrar, make_code, register
from pki.service.registry import Actor, Registry
from pki.service.state_folder import open_registry

READY_WITHIN_S = 20.0
ACTOR = Actor(who="test", why="test")


@dataclass(frozen=True)
class Answer:
    """What curl got: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem body."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.body)
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        return found

    def certificates(self) -> list[x509.Certificate]:
        """The certificates of a certs-only answer, which is in base64."""
        assert self.status == 200, self.body
        assert self.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(self.body))


@dataclass
class PKIService:
    """A state folder and the process that serves it. `start`, then `stop` or `kill`."""

    folder: Path
    addresses: dict[str, str] = field(default_factory=dict)
    errors: bytes = b""
    lines: list[dict[str, Any]] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _queue: Queue[dict[str, Any]] = field(default_factory=Queue)

    def start(self) -> PKIService:
        """Start it and wait until it is ready."""
        self._queue = Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pki", "serve", "--dir", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        threading.Thread(target=self._read, args=(self._process, self._queue), daemon=True).start()
        self.addresses = self.wait_for("ready")["listen"]
        return self

    def wait_for(self, event: str, within_s: float = READY_WITHIN_S) -> dict[str, Any]:
        """The next line whose event is `event`."""
        while True:
            try:
                line = self._queue.get(timeout=within_s)
            except Empty:
                raise AssertionError(f"no {event!r} within {within_s} s; {self.lines[-5:]}") from None
            if line["event"] == event:
                return line
            if line["event"] == "_end":
                raise AssertionError(f"process ended before {event!r}: {self.errors.decode()}")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def url(self, path: str, listener: str = "https") -> str:
        """The URL of a path."""
        return f"{listener}://{self.addresses[listener]}{path}"

    def curl(self, path: str, *arguments: str, listener: str = "https", body: bytes | None = None) -> Answer:
        """What curl gets."""
        command = ["curl", "-sS", "-i", "--max-time", "20", "--path-as-is", "-H", "Expect:"]
        command += ["--cacert", str(self.folder / "trust" / "backend" / "backend.pem")] if listener == "https" else []
        if body is not None:
            command += ["--data-binary", "@-"]
        done = subprocess.run([*command, *arguments, self.url(path, listener)], input=body, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in fields)
        return Answer(int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, rest)

    def enrol(self, path: str, request: bytes, *arguments: str) -> Answer:
        """What curl gets for a DER request, posted to an EST path."""
        body = base64.b64encode(request)
        return self.curl(f"/.well-known/est/{path}", "-H", "Content-Type: application/pkcs10", *arguments, body=body)

    def registry(self) -> Registry:
        """The same registry, opened beside the service as an operator's command does."""
        return open_registry(self.folder)

    def code(self, profile: str, common_name: str, names: Sequence[str] = ()) -> str:
        """Register a name; its one-time code."""
        with self.registry() as registry:
            found = profile_named(profile)
            identity = register(registry, found, common_name, ACTOR, names=tuple(names))
            return make_code(registry, found, identity.identity, ACTOR)[0]

    def appoint(self, name: str, profile: str, prefix: str, daily: int = 100) -> None:
        """Let a gateway ask for others."""
        with self.registry() as registry:
            appoint_registrar(registry, name, profile_named(profile), prefix, ACTOR, daily)

    def client(self, folder: Path, common_name: str) -> tuple[str, ...]:
        """Enrol a TLS client; the arguments that make curl show its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        code = self.code("backend-client", common_name)
        answer = self.enrol("backend/simpleenroll", csr(key, common_name), "-u", f"{common_name}:{code}")
        (certificate,) = answer.certificates()
        return self.shown(folder, certificate, key)

    @staticmethod
    def shown(folder: Path, certificate: x509.Certificate, key: PrivateKey) -> tuple[str, ...]:
        """The arguments that make curl show a certificate."""
        pem = serialization.Encoding.PEM
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = folder / f"{certificate.serial_number:x}.pem"
        path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *plain))
        return "--cert", str(path)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()

    def _read(self, process: subprocess.Popen[bytes], queue: Queue[dict[str, Any]]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout, process.stderr:
            for line in process.stdout:
                found = json.loads(line)
                self.lines.append(found)
                queue.put(found)
            self.errors = process.stderr.read()
        queue.put({"event": "_end"})


def found_pki(folder: Path) -> None:
    """A new lab PKI that listens on free ports."""
    command = [sys.executable, "-m", "pki", "init", "lab", "--dir", str(folder)]
    subprocess.run(
        [*command, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--publication", "http://127.0.0.1:8081"],
        check=True,
        capture_output=True,
    )


def copy_pki(source: Path, target: Path) -> Path:
    """The same PKI once more, for a test that spoils it."""
    shutil.copytree(source, target)
    return target


def csr(key: PrivateKey, common_name: str, *, organization: str | None = "Test") -> bytes:
    """A request in DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common_name, organization))
    return builder.sign(key, hash_of(key)).public_bytes(serialization.Encoding.DER)


def name(common_name: str, organization: str | None = "Test") -> x509.Name:
    """A subject."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def hash_of(key: PrivateKey) -> hashes.SHA256 | hashes.SHA512 | None:
    """The hash that goes with a key."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return None
    return hashes.SHA256() if key.curve.key_size == 256 else hashes.SHA512()

"""A charger's certificates: it makes a key, asks for a certificate, and takes the chain that comes back.

Rules
1. The key is made here and never leaves the folder; one key for each request.
2. A chain is taken (Accepted) when its leaf holds the key that was asked with and each is signed by the next;
   then key and chain replace the ones before of their use, in one file. Anything else is answered with Rejected.

Source: OCPP 2.0.1 Part 2 A02, A03; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firmware_sim.dialect import Dialect
from firmware_sim.errors import ChargerError, StateError
from wire.errors import MalformedValue
from wire.ocpp.frames import Call
from wire.records import decode

V2G, CHARGING_STATION = "V2GCertificate", "ChargingStationCertificate"


class _Status(msgspec.Struct):
    """What both questions are answered with."""

    status: str
    ocsp_result: str | None = msgspec.field(default=None, name="ocspResult")


class Credentials:
    """The certificates of one charger, in `folder`. `ask` sends a question and gives the payload of its answer."""

    def __init__(
        self, charger_id: str, folder: Path, dialect: Dialect, ask: Callable[[str, object], Awaitable[bytes]]
    ) -> None:
        self._charger_id, self._folder, self._dialect, self._ask = charger_id, folder, dialect, ask
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._use = V2G
        self._news = asyncio.Event()
        self.answered: list[str] = []
        """The status that each CertificateSigned was answered with."""
        self.taken: list[str] = []
        """The use of each chain that was taken."""

    async def sign(
        self, common_name: str, use: str = V2G, *, curve: ec.EllipticCurve | None = None, timeout_s: float = 20.0
    ) -> tuple[x509.Certificate, ...]:
        """The chain that was taken, the leaf first, for a new key.

        Raises:
            ChargerError: "rejected" by the gateway, or "timeout": no chain that could be taken came.
        """
        self._key, self._use = ec.generate_private_key(curve or ec.SECP256R1()), use
        self._news.clear()
        status = await self.request(_request(self._key, common_name), use)
        if status != "Accepted":
            raise ChargerError("rejected", self._charger_id, f"SignCertificate was answered with {status}")
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError as error:
            raise ChargerError("timeout", self._charger_id, f"no certificate within {timeout_s:g} s") from error
        return self.chain(use)

    async def request(self, csr_pem: str, use: str) -> str:
        """The status that the gateway answers to SignCertificate. Raises ChargerError."""
        return (await self._answer(*self._dialect.sign_certificate(csr_pem, use))).status

    async def status(self, named: dict[str, str]) -> tuple[str, str | None]:
        """Status and ocspResult (base64) for a certificate that is named by its hashes. Raises ChargerError."""
        answer = await self._answer(*self._dialect.certificate_status(named))
        return answer.status, answer.ocsp_result

    def path(self, use: str) -> Path:
        """The file that holds key and chain of that use, once there is one."""
        return self._folder / ("credentials.pem" if use == V2G else "station.pem")

    def chain(self, use: str = V2G) -> tuple[x509.Certificate, ...]:
        """The chain of that use that is installed. Raises StateError: there is none."""
        path = self.path(use)
        try:
            return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise StateError("no-certificate", path, f"no certificate: {error}") from error

    def called(self, call: Call) -> object | None:
        """The answer to a CALL of the gateway; None when it is not about certificates."""
        try:
            chain = self._dialect.read_installation(call.action, call.payload)
        except MalformedValue:
            chain = ""
        if chain is None:
            return None
        status = "Accepted" if self._take(chain) else "Rejected"
        self.answered.append(status)
        if status == "Accepted":
            self.taken.append(self._use)
            self._news.set()
        return self._dialect.installation_answer(call.action, status)

    async def _answer(self, action: str, payload: object) -> _Status:
        try:
            given = await self._ask(action, payload)
            inner = self._dialect.read_inner(given) if action == "DataTransfer" else given
            return decode(_Status, inner, f"{action} answer")
        except MalformedValue as error:
            raise ChargerError("unreadable-answer", self._charger_id, str(error)) from error

    def _take(self, pem: str) -> bool:
        """Rule 2."""
        try:
            chain = x509.load_pem_x509_certificates(pem.encode())
            for below, above in pairwise(chain):
                below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            return False
        if self._key is None or chain[0].public_key() != self._key.public_key():
            return False
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.path(self._use)
        made = path.with_suffix(".new")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + pem.encode())
        made.replace(path)
        return True


def _request(key: ec.EllipticCurvePrivateKey, common_name: str) -> str:
    """A CSR in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    hash_ = hashes.SHA512() if key.curve.key_size > 256 else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hash_)
    return made.public_bytes(serialization.Encoding.PEM).decode()

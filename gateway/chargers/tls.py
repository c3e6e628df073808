"""TLS of the stations' ports (OCPP security profiles 2 and 3).

Rules
1. TLS 1.2 or newer. The suites of OCPP and their like: ephemeral keys with AES-GCM or ChaCha20; RSA key exchange with
   AES-GCM only where a port has an RSA certificate, because stations of OCPP may know nothing else (A00.FR.318).
2. No session is ever resumed: a resumed one would skip the verification of the client. Tickets are off; and because
   OpenSSL keeps sessions of TLS 1.2 in the context, each handshake has an empty context of its own in front.
3. Certificates and trust are exchanged as a whole before a handshake; open sockets live on. What cannot be used
   changes nothing.
4. On a port of profile 3 OpenSSL asks whether a client's chain ends in one of our backend roots, and nothing more. Who
   the station is, whether its certificate is revoked, and whether it is in its time is asked by our own verifier
   (`station_certificate`): OpenSSL would judge dates by the system's clock, which may be wrong where the time is known.

An expired station certificate is refused (A00.FR.429 would allow an operator to take it): a port of profile 2 is the
way back.

Source: OCPP 2.0.1 Part 2 A00.FR.301-324, .401-429; RFC 5246, 8446.
"""

from __future__ import annotations

import ssl
from asyncio import sslproto
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.chargers.port import KeyPair, Port, SecurityProfile
from gateway.errors import ConfigurationError
from gateway.tls import judge_dates
from gateway.wording import reason

_EPHEMERAL = "ECDHE+AESGCM:ECDHE+CHACHA20"
_RSA_KEY_EXCHANGE = "AES128-GCM-SHA256:AES256-GCM-SHA384"
_CERTIFICATE_CAP = 64 * 1024
_NEAR = timedelta(days=14)
# Each TLS connection has a buffer of this size for reading, 256 KiB by default: too much for a thousand idle stations.
sslproto.SSLProtocol.max_size = 16 * 1024
_Stamps = tuple[tuple[int, int, int], ...]


class PortTLS:
    """The TLS settings of one port. `not_after`: when the first of its certificates ends; `remind_from`: when that is
    near, two weeks before or in the last quarter of its life."""

    def __init__(self, port: Port, roots: Sequence[str]) -> None:
        """`roots` is PEM: where station certificates may come from, for a port of profile 3.

        Raises:
            ConfigurationError: a file cannot be used, or others can read a private key; names it.
        """
        self._port, self._roots = port, tuple(roots)
        self._stamps = self._read_stamps()
        self._take(self._made(self._roots))

    def for_handshake(self) -> ssl.SSLContext:
        """A context to accept one socket with; the handshake then goes on with the current one."""
        front = _strict_context(self._port.profile)
        front.sni_callback = self._exchange
        return front

    def reload(self, roots: Sequence[str]) -> None:
        """Use the files as they are now, and these roots, from the next handshake on. Raises ConfigurationError, after
        which everything is as before."""
        stamps = self._read_stamps()
        self._take(self._made(tuple(roots)))
        self._stamps, self._roots = stamps, tuple(roots)

    def is_outdated(self, roots: Sequence[str]) -> bool:
        """Whether a file was written or may be read by others, or the roots changed, since they were taken up."""
        return tuple(roots) != self._roots or self._read_stamps() != self._stamps

    def _exchange(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _front: ssl.SSLContext) -> None:
        # Called for every handshake, also when the client names no server.
        handshake.context = self._current

    def _read_stamps(self) -> _Stamps | None:
        files = [path for pair in self._port.pairs for path in (pair.certificate, pair.key)]
        try:
            return tuple((found.st_mtime_ns, found.st_ino, found.st_mode) for found in (path.stat() for path in files))
        except OSError:
            return None

    def _take(self, made: tuple[ssl.SSLContext, x509.Certificate]) -> None:
        self._current, first = made
        self.not_after = first.not_valid_after_utc
        life = self.not_after - first.not_valid_before_utc
        self.remind_from = self.not_after - min(_NEAR, life / 4)

    def _made(self, roots: tuple[str, ...]) -> tuple[ssl.SSLContext, x509.Certificate]:
        """The settings, and the one of the port's certificates that ends first. Raises ConfigurationError."""
        certificates = [_read_certificate(self._port, pair) for pair in self._port.pairs]
        kinds = [_kind_of(self._port, certificate) for certificate in certificates]
        if len(set(kinds)) < len(kinds):
            raise ConfigurationError(f"{self._port.key} certificates: two of {kinds[0]}; give one of EC and one of RSA")
        context = _strict_context(self._port.profile)
        context.set_ciphers(f"{_EPHEMERAL}:{_RSA_KEY_EXCHANGE}" if "RSA" in kinds else _EPHEMERAL)
        for pair in self._port.pairs:
            try:
                context.load_cert_chain(pair.certificate, pair.key)
            except (OSError, ValueError) as error:
                message = (
                    f"{self._port.key}: {pair.certificate} with key {pair.key} cannot be used for TLS: {reason(error)}"
                )
                raise ConfigurationError(message) from error
        if self._port.profile is SecurityProfile.MUTUAL_TLS:
            _trust(context, self._port, roots)
        return context, min(certificates, key=lambda certificate: certificate.not_valid_after_utc)


def _strict_context(profile: SecurityProfile) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    # Python 3.13 and 3.11 differ in their defaults; ours are the same everywhere.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    if profile is SecurityProfile.MUTUAL_TLS:
        context.verify_mode = ssl.CERT_REQUIRED
        judge_dates(context, by_system_clock=False)
    return context


def _trust(context: ssl.SSLContext, port: Port, roots: tuple[str, ...]) -> None:
    if not roots:
        raise ConfigurationError(
            f"{port.key}: profile 3 needs the root of the stations' certificates; put it into the folder backend/ of "
            "[trust] anchors"
        )
    try:
        context.load_verify_locations(cadata="".join(roots))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"{port.key}: the backend roots cannot be used for TLS: {reason(error)}") from error


def _read_certificate(port: Port, pair: KeyPair) -> x509.Certificate:
    """The port's own certificate: the first of the file. Raises ConfigurationError."""
    try:
        if pair.key.stat().st_mode & 0o077:
            raise ConfigurationError(f"{port.key} keys: {pair.key} can be read by others; chmod 600 {pair.key}")
        with pair.certificate.open("rb") as file:
            return x509.load_pem_x509_certificate(file.read(_CERTIFICATE_CAP))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{port.key} certificates: {_named(pair.certificate, error)}") from error


def _kind_of(port: Port, certificate: x509.Certificate) -> str:
    """EC or RSA. Raises ConfigurationError."""
    public_key = certificate.public_key()
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return "EC"
    if isinstance(public_key, rsa.RSAPublicKey):
        return "RSA"
    raise ConfigurationError(f"{port.key} certificates: a key of {type(public_key).__name__}, neither EC nor RSA")


def _named(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return f"{path} is no certificate in PEM: {error}"

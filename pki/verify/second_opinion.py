"""What another engine says of the certificates above a leaf, asked once for each set of sub-CAs and their anchor.

The verifier of this package is our own, so a mistake in it would stand alone with its verdict. Sub-CAs that are seen
for the first time must therefore also be accepted by an engine that shares no code with it:

    ClientVerifier of `cryptography`   P-256 whose only critical extensions are those that ISO 15118-2 makes critical
    OpenSSL through pyOpenSSL, strict  the rest: ClientVerifier knows no Ed448, and no engine knows every extension
                                       that ISO 15118-20 makes critical. Our own rules have passed by then, so OpenSSL
                                       is told to leave critical extensions to them and judges everything else.

Asked is only what depends neither on the leaf nor on the instant of a request: names, signatures, constraints and key
usage of the CAs. So the answer may be kept. It is asked for the instant at which the last of the certificates becomes
valid; the true instant is judged by our own verifier, every time.

A disagreement refuses the chain with "second-opinion" and both reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from pki.certificate import Certificate, KeyKind
from pki.profile import BASIC, KEY_USAGE

SecondOpinion = Callable[[Sequence[Certificate], Certificate], str | None]
"""Takes the CAs of a path from the leaf's issuer up, and the anchor; why it refuses them, None when it accepts."""


def ask_second_opinion(issuers: Sequence[Certificate], anchor: Certificate) -> str | None:
    """Why another engine refuses this path of CAs, naming the engine; None when it accepts. 0.2 to 1 ms.

    `issuers` runs from the leaf's issuer to the certificate that `anchor` signed; an empty path is not asked about.
    """
    if not issuers:
        return None
    critical = {entry.oid for certificate in issuers for entry in certificate.extensions if entry.critical}
    at = max(certificate.not_before for certificate in (*issuers, anchor))
    if anchor.key_kind is KeyKind.P256 and critical <= {BASIC, KEY_USAGE}:
        return _ask_client_verifier(issuers, anchor, at)
    return _ask_openssl(issuers, anchor, at)


def _ask_client_verifier(issuers: Sequence[Certificate], anchor: Certificate, at: datetime) -> str | None:
    verifier = (
        PolicyBuilder()
        .store(Store([anchor.parsed]))
        .time(at)
        .max_chain_depth(len(issuers))
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=_AUTHORITY)
        .build_client_verifier()
    )
    try:
        verifier.verify(issuers[0].parsed, [certificate.parsed for certificate in issuers[1:]])
    except VerificationError as error:
        return f"ClientVerifier: {error}"
    return None


def _must_be_authority(policy: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not a CA certificate")


def _must_sign_certificates(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.key_cert_sign:
        raise ValueError("may not sign certificates")


# The lowest CA stands where this engine expects a leaf, whose rules it would not ask of a CA by itself.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.CRITICAL, _must_be_authority)
    .require_present(x509.KeyUsage, Criticality.CRITICAL, _must_sign_certificates)
)


def _ask_openssl(issuers: Sequence[Certificate], anchor: Certificate, at: datetime) -> str | None:
    # Imported here, since most sites never meet a chain that needs it; without it there is no opinion, so no trust.
    try:
        from OpenSSL import crypto
    except ImportError as error:
        return f"OpenSSL: pyOpenSSL cannot be used ({error})"

    flags = crypto.X509StoreFlags.IGNORE_CRITICAL
    identified = all(entry.authority_key_identifier and entry.subject_key_identifier for entry in issuers)
    if identified and anchor.subject_key_identifier:
        # Strict asks for both identifiers, of a root for its own; where one is missing, that has been tolerated.
        flags |= crypto.X509StoreFlags.X509_STRICT
    lowest, *above = [crypto.X509.from_cryptography(certificate.parsed) for certificate in issuers]
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(anchor.parsed))
    store.set_flags(flags)
    store.set_time(at)
    try:
        crypto.X509StoreContext(store, lowest, above).verify_certificate()
    except crypto.X509StoreContextError as error:
        return f"OpenSSL: {error}"
    return None

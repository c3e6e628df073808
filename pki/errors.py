"""What can go wrong while deciding who may be trusted.

PKIError                       anything below; carries a stable kebab-case `code`, the `clause` and the `index`
 +- MalformedCertificate       bytes that are not a usable certificate or PEM chain; nothing was judged
 +- ChainRejected              a readable chain that breaks a rule; carries every finding
 +- NoEvidence                 a sound chain whose revocation state was demanded and is unknown or stale
 +- IdentifierError            a text that is not the identifier it should be (EMAID, EVSEID)
 +- UnknownProfile             a profile name that the table does not have; lists the known names
 +- TrustError                 an anchor or a CRL that cannot be used as evidence
 +- IssueError                 a request that the authority refuses to sign
 +- BundleRejected             a contract bundle that the car it is for must not install
 +- DeclarationError           a lab declaration with an unknown key or an impossible value
 +- KeyStoreError              a key, or the passphrase of its store, that cannot be used
 +- PoolRefused                a request to the pools that a rule of theirs refuses
 +- StateError                 the service's state folder, store or settings cannot be used
 +- MalformedRequest           bytes that are no OCSP request that can be answered (pki.service.web.ocsp_request)
 +- Unauthorized               a certificate whose issuer is not answered for here (pki.service.web.answers)
 +- ListenError                the service cannot listen, or its certificate cannot be used (pki.service.web.server)
 +- Problem                    a request to be answered with an RFC 9457 problem body (pki.service.web.problems)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding did to the verdict."""

    REFUSED = "refused"
    TOLERATED = "tolerated"


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure from the profile. `index` counts the presented chain from 0 (leaf); None: no single certificate.

    `expected` and `found` say it in two short texts where it can be said so. `switch` is the name of the policy switch
    under which it was tolerated; None when no switch had to decide. `step` is the verifier's step that met it, 1 to 12;
    None when a certificate was judged by itself.
    """

    code: str
    severity: Severity
    clause: str | None
    index: int | None
    message: str
    expected: str | None = None
    found: str | None = None
    switch: str | None = None
    step: int | None = None


class PKIError(Exception):
    """Raised when trust cannot be given. `code` is for machines, `str(error)` names what and where for people.

    `clause` is the requirement that is broken (None where no single one is), `index` the certificate's position in the
    presented chain, 0 the leaf, one past its end the root that is held; never a position among anchors, lists or
    answers, which only the message names.
    """

    def __init__(self, code: str, message: str, *, clause: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.code, self.clause, self.index = code, clause, index


class MalformedCertificate(PKIError):
    """Raised when bytes are no certificate that could be judged."""


class ChainRejected(PKIError):
    """Raised when a readable chain breaks a rule. `findings` ends with the one that refused it.

    `emaid` is the leaf's normalised EMAID once the subject was read (step 10), for the audit log only.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        findings: tuple[Finding, ...] = (),
        emaid: str | None = None,
        clause: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(code, message, clause=clause, index=index)
        self.findings, self.emaid = findings, emaid


class NoEvidence(PKIError):
    """Raised when revocation evidence was demanded and `revocation` is "unknown" or "stale"; all else was sound."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        revocation: str,
        findings: tuple[Finding, ...] = (),
        emaid: str | None = None,
        clause: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(code, message, clause=clause, index=index)
        self.revocation, self.findings, self.emaid = revocation, findings, emaid


class IdentifierError(PKIError):
    """Raised when a text is not the identifier it should be."""


class UnknownProfile(PKIError):
    """Raised for a profile name that the table does not have."""


class TrustError(PKIError):
    """Raised when an anchor or a CRL cannot be used as evidence."""


class IssueError(PKIError):
    """Raised when the authority refuses to sign."""


class BundleRejected(PKIError):
    """Raised when a contract bundle must not be installed."""


class DeclarationError(PKIError):
    """Raised when a lab declaration cannot be read or cannot be built."""


class StateError(PKIError):
    """Raised when the state of the PKI service (folder, store, settings) cannot be used, or is not what was asked."""


class KeyStoreError(PKIError):
    """Raised when a key cannot be made or loaded, or the passphrase of its store cannot be used."""


class PoolRefused(PKIError):
    """Raised when the pools refuse what a client asks."""

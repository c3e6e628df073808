"""Evidence of revocation and lists of roots that the hub fetches for its gateways: how they are asked for, and how much
they may be.

The hub is a cache. Nothing that it hands out is trusted for being the hub's: a gateway verifies it as if it had fetched
it itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import StrEnum

from yarl import URL

from pki.verify.ocsp_answer import OCSP_CAP
from pki.verify.trust_list import TRUST_LIST_CAP
from wire.errors import WireError
from wire.sync_messages import PATH_REVOCATION

MAX_URL_CHARACTERS = 1024
MAX_REQUEST_BYTES = 512
"""Of an OCSP request about one certificate without a nonce; one with SHA-512 has about 200."""
MAX_CRL_BYTES = 16 * 1024 * 1024


class EvidenceKind(StrEnum):
    """What lies at a URL."""

    CRL = "crl"
    OCSP = "ocsp"
    ROOTS = "roots"


LIMITS = {
    EvidenceKind.CRL: MAX_CRL_BYTES,
    EvidenceKind.OCSP: OCSP_CAP,
    EvidenceKind.ROOTS: TRUST_LIST_CAP,
}
"""How many bytes each may have."""


class BadEvidenceQuestion(WireError):
    """Raised when what is asked for can be no evidence."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-evidence-question", message)


@dataclass(frozen=True, slots=True)
class EvidenceSource:
    """A URL, and the DER of the request that is posted to it, b"" for all but OCSP. Raises BadEvidenceQuestion."""

    kind: EvidenceKind
    url: str
    request: bytes = b""

    def __post_init__(self) -> None:
        if not 0 < len(self.url) <= MAX_URL_CHARACTERS or not self.url.isascii() or not self.url.isprintable():
            raise BadEvidenceQuestion(f"url: expected 1 to {MAX_URL_CHARACTERS} ASCII characters")
        if (self.kind is EvidenceKind.OCSP) != bool(self.request) or len(self.request) > MAX_REQUEST_BYTES:
            raise BadEvidenceQuestion(f"request: expected 1 to {MAX_REQUEST_BYTES} bytes with ocsp, none with the rest")

    @property
    def name(self) -> str:
        """One text (hex) for each source."""
        text = f"{self.kind.value} {self.url} ".encode()
        return hashlib.sha256(text + self.request).hexdigest()

    @property
    def path(self) -> str:
        """Where the hub has it."""
        query = {"kind": self.kind.value, "url": self.url}
        if self.request:
            query["request"] = base64.urlsafe_b64encode(self.request).decode()
        return str(URL.build(path=PATH_REVOCATION, query=query))


def read_source(kind: str, url: str, request: str) -> EvidenceSource:
    """The source that a query names. Raises BadEvidenceQuestion."""
    try:
        named = EvidenceKind(kind)
    except ValueError as error:
        raise BadEvidenceQuestion(f"kind: expected crl, ocsp or roots, found {kind[:20]!a}") from error
    try:
        posted = base64.b64decode(request, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadEvidenceQuestion("request: expected base64url") from error
    return EvidenceSource(named, url, posted)


def etag_of(octets: bytes) -> str:
    """The entity tag of evidence."""
    return f'"{hashlib.sha256(octets).hexdigest()}"'

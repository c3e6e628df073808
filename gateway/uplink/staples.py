"""The OCSP answers that are fit to be handed out now: to stations that ask, and to charger software for its handshakes.

Whatever is here was verified when it came, or when it was read from the store; what has run out is not handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.store.evidence import KeptAnswer
from gateway.uplink.evidence import Asked, answer_key
from pki.certificate import Certificate
from pki.verify.hash_text import CertificateName
from pki.verify.ocsp import OCSP_SKEW


@dataclass(frozen=True, slots=True)
class ChainAsked:
    """The certificates of one chain of the site, below its root, leaf first, as they are asked about."""

    leaf_sha256: str
    certificates: tuple[tuple[str, Asked], ...]
    """SHA-256 (hex) of each certificate, and what OCSP names it with."""


class Staples:
    """Answers by certificate id, and the site's chains. Belongs to the event loop."""

    def __init__(self) -> None:
        self.issuers: tuple[Certificate, ...] = ()
        self._answers: dict[str, KeptAnswer] = {}
        self._chains: dict[str, ChainAsked] = {}
        self._by_certificate: dict[str, Asked] = {}

    def put(self, answer: KeptAnswer) -> None:
        """Take a verified answer."""
        self._answers[answer.key] = answer

    def forget(self, before: datetime) -> None:
        """Let go of answers that ran out before an instant."""
        self._answers = {key: answer for key, answer in self._answers.items() if answer.next_update >= before}

    def held(self, key: str) -> KeptAnswer | None:
        """The answer for a certificate id, fresh or not."""
        return self._answers.get(key)

    def know(self, chains: list[ChainAsked], issuers: tuple[Certificate, ...] = ()) -> None:
        """The site's chains from now on, and the CAs that are known with them."""
        self.issuers = issuers
        self._chains = {chain.leaf_sha256: chain for chain in chains}
        self._by_certificate = {sha256: asked for chain in chains for sha256, asked in chain.certificates}

    def named(self, name: CertificateName, at: datetime) -> KeptAnswer | None:
        """The fresh answer for a certificate as a station names it; None too when its name has two readings, and both
        are known."""
        found = [self._fresh(answer_key(name.issuer, serial), at) for serial in name.serials]
        answers = [answer for answer in found if answer is not None]
        return answers[0] if len(answers) == 1 else None

    def certificate(self, sha256: str, at: datetime) -> KeptAnswer | None:
        """The fresh answer for a certificate of the site's chains.

        Raises:
            KeyError: no chain of the site holds it.
        """
        return self._fresh(self._by_certificate[sha256].key, at)

    def chain(self, leaf_sha256: str, at: datetime) -> list[tuple[str, KeptAnswer | None]]:
        """SHA-256 and fresh answer of each certificate of a chain of the site, leaf first.

        Raises:
            KeyError: the site has no such chain.
        """
        certificates = self._chains[leaf_sha256].certificates
        return [(sha256, self._fresh(asked.key, at)) for sha256, asked in certificates]

    def chains(self) -> tuple[str, ...]:
        """SHA-256 of the leaf of each chain of the site."""
        return tuple(self._chains)

    def _fresh(self, key: str, at: datetime) -> KeptAnswer | None:
        answer = self._answers.get(key)
        return answer if answer is not None and answer.this_update - OCSP_SKEW <= at <= answer.next_update else None

"""What contracts' chains have told: the CAs above them, and where their leafs say that lists are found. Bounded; what
was met longest ago is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar

from pki.certificate import Certificate
from pki.verify.conclusion import VerifiedChain

MAX_CAS = 512
MAX_URIS = 128

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Met:
    """The memory of the chains that were verified since the start."""

    def __init__(self) -> None:
        self._issuers: OrderedDict[str, Certificate] = OrderedDict()
        self._crl_uris: OrderedDict[str, None] = OrderedDict()

    def meet(self, chain: VerifiedChain) -> bool:
        """Whether the chain told anything new."""
        news = [_note(self._issuers, issuer.sha256, issuer, MAX_CAS) for issuer in chain.path[1:]]
        news += [_note(self._crl_uris, uri, None, MAX_URIS) for uri in sorted(chain.leaf.crl_uris)]
        return any(news)

    def issuers(self) -> tuple[Certificate, ...]:
        """The sub-CAs and anchors above the chains."""
        return tuple(self._issuers.values())

    def crl_uris(self) -> tuple[str, ...]:
        """What leafs name, not yet allowed."""
        return tuple(self._crl_uris)


def _note(held: OrderedDict[K, V], key: K, value: V, limit: int) -> bool:
    new = key not in held
    held[key] = value
    held.move_to_end(key)
    while len(held) > limit:
        held.popitem(last=False)
    return new

"""Asks the PKI for a station's certificate, as its registration authority: by the gateway's own client certificate.

The chain that comes back is verified before a station sees it: its key and name are those of the request, and its path
ends at an anchor that this site trusts for that use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Moment
from gateway.enrol.answer import own_leaf, verify_answer
from gateway.enrol.enrolment import PKI, require_clock
from gateway.enrol.order import CertificateUse, SigningOrder, label_of
from pki.certificate import Certificate
from pki.verify.certificate_id import issuer_id
from pki.verify.hash_text import CertificateName
from pki.verify.trust import TrustStore


@dataclass(frozen=True, slots=True)
class Registrar:
    """`anchors` gives what the site trusts now."""

    pki: PKI
    anchors: Callable[[], TrustStore]

    def trust_for(self, order: SigningOrder) -> TrustStore:
        """The anchors that the chain may end at: those of its use, and only the root that was named, if one was."""
        trust = self.pki.trust if order.use is CertificateUse.CHARGING_STATION else self.anchors()
        root = order.root
        if root is None:
            return trust
        roles = order.profile.anchor_roles
        return TrustStore({role: [each for each in trust.anchors(role) if _is_named(root, each)] for role in roles})

    async def certify(self, order: SigningOrder, now: Moment) -> tuple[Certificate, ...]:
        """The chain for the station, the leaf first, without the root.

        Raises:
            EnrolmentError: "clock-unknown"; not obtained, or not what was asked for.
        """
        require_clock(now)
        label = label_of(order.profile)
        answered = await self.pki.est.enrol(order.der, label)
        leaf = own_leaf(answered, order.request.spki_der)
        above = await self.pki.est.authorities(label)
        return verify_answer(
            leaf,
            (*answered, *above),
            profile=order.profile,
            common_name=order.request.common_name,
            trust=self.trust_for(order),
            at=now.at,
        )


def _is_named(name: CertificateName, root: Certificate) -> bool:
    """A root is its own issuer."""
    return root.serial in name.serials and name.issuer == issuer_id(root, name.issuer.algorithm)

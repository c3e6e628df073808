"""The TLS client certificate of a station: whose it is, by our own verifier. OpenSSL has only asked whether its chain
ends in one of our roots.

Steps:
1. it is known by which instant dates are judged (`gateway.decide.dates`)                    clock-unknown
2. the certificate is sound under the profile `backend-client`, at that instant, and not revoked    the verifier's codes
3. its revocation state is known, as the site asks for it              revocation-unknown, revocation-stale
4. its organization is the operator, where one is configured (A00.FR.404)            wrong-organization
5. its common name is the station's (A00.FR.405)                                             wrong-station

Source: OCPP 2.0.1 Part 2 A00.FR.401-429, B01.FR.12.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.x509.oid import NameOID

from gateway.chargers.port import Account, Entrance
from gateway.clock import Moment
from gateway.decide.contract import Trust
from gateway.decide.dates import Dated, judged_at
from gateway.decide.policy import Choice
from gateway.errors import AdmissionRefused
from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError
from pki.profiles import profile_named
from pki.verify.conclusion import VerifiedChain
from pki.verify.revocation import Evidence, Grace, RevocationState
from wire.records import ClockState

PROFILE = profile_named("backend-client")
"""What the PKI gives to stations as TLS clients."""
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class StationCertificate:
    """A certificate that has passed every step; only `verify_station` makes one."""

    certificate: Certificate
    common_name: str


def verify_station(der: bytes, account: Account, entrance: Entrance, trust: Trust, now: Moment) -> StationCertificate:
    """The certificate `der` as that of `account`.

    Raises:
        AdmissionRefused: `code` as in the list above.
    """
    at = judged_at(Dated.STATION, now)  # 1
    if at is None:
        raise _refused(account, "clock-unknown", "the clock of this box is not set, so no certificate can be judged")
    try:
        if now.clock is ClockState.UNKNOWN:
            # It was issued after the time was last known: so it is later now, if the certificate is sound.
            at = max(at, parse_certificate(der, index=0).not_before)
        chain = trust.verifier.verify([der], profile=PROFILE, at=at)  # 2
    except PKIError as error:
        raise _refused(account, error.code, f"its certificate is refused: {error}") from error
    _require_revocation(chain, account, entrance, at)  # 3
    leaf = chain.leaf
    if entrance.organization is not None:  # 4
        named = leaf.attributes(NameOID.ORGANIZATION_NAME)
        if list(named) != [entrance.organization]:
            message = f"its certificate is of {list(named)!a}, not of {entrance.organization!a}"
            raise _refused(account, "wrong-organization", message)
    names = leaf.attributes(NameOID.COMMON_NAME)
    if list(names) != [account.client_name]:  # 5
        message = f"its certificate names {list(names)!a}, not {account.client_name!a}"
        raise _refused(account, "wrong-station", message)
    return StationCertificate(leaf, account.client_name)


def _require_revocation(chain: VerifiedChain, account: Account, entrance: Entrance, at: datetime) -> None:
    """Step 3. What has run out counts for the site's grace."""
    if chain.revocation is RevocationState.GOOD or entrance.revocation_unknown is Choice.ACCEPT:
        return
    if chain.revocation is RevocationState.UNKNOWN:
        message = "there is no revocation list of the CA of its certificate; see [trust] crls"
        raise _refused(account, "revocation-unknown", message)
    grace = Grace(timedelta(hours=entrance.revocation_stale_grace_h))
    stale = Evidence(chain.revocation, chain.revocation_at, stale_since=chain.stale_since)
    if grace.finding(stale, at) is None:
        message = f"the revocation list of its CA ran out {chain.stale_since}, longer ago than the grace of [policy]"
        raise _refused(account, "revocation-stale", message)


def _refused(account: Account, code: str, message: str) -> AdmissionRefused:
    return AdmissionRefused(code, f"{account.charger_id}: {message}", _FORBIDDEN, account.charger_id)

"""Who is let in: the checks between a connection and the first OCPP message, the cheapest first.

1. one identity in the URL, of the right syntax                                           404 bad-identity
2. at most one Authorization header                                                       400 bad-request
3. the identity is configured; strangers cost as much time as wrong passwords             404 unknown-station
4. the port's proof: a password (profiles 1, 2)                                           401 credentials
   or a certificate (3)                                                                   403, `station_certificate`
   or nothing (0), of a station that has nothing to show                                  403 must-authenticate
5. not below the profile on which the station came before                                 403 profile-downgrade

Nothing of a request is used before it is known to end in an identity, so nothing a stranger sends gets into a log or a
statement. The version in a URL, if there is one, means nothing.

Source: OCPP 2.0.1 Part 2 A00.FR.204-324, A05.FR.07; Part 4 3.1.1; OCPP-J 1.6 errata 3.4.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from aiohttp import hdrs, web

from gateway.chargers.connected import Site
from gateway.chargers.passwords import Passwords
from gateway.chargers.port import Account, Entrance, Port, SecurityProfile
from gateway.chargers.station_certificate import StationCertificate, verify_station
from gateway.errors import AdmissionRefused
from gateway.store.credentials import highest_profile, note_profile
from wire.ids import is_charger_id


@dataclass(frozen=True, slots=True)
class Admitted:
    """A station that has proven who it is."""

    account: Account
    profile: SecurityProfile
    certificate: StationCertificate | None = None


class Admission:
    """Judges connections. Belongs to the event loop."""

    def __init__(self, site: Site, entrance: Entrance, passwords: Passwords) -> None:
        self._site, self._entrance, self._passwords = site, entrance, passwords

    async def admit(self, request: web.Request, port: Port) -> Admitted:
        """The station at the other end.

        Raises:
            AdmissionRefused: `code` and status as in the list above.
            StoreUnavailable, sqlite3.Error: what has to be kept cannot be.
        """
        charger_id = request.match_info["charger_id"]
        if not is_charger_id(charger_id):
            raise AdmissionRefused("bad-identity", "the URL ends in no identity of a charging station", 404)
        headers = request.headers.getall(hdrs.AUTHORIZATION, [])
        if len(headers) > 1:
            raise AdmissionRefused("bad-request", f"{len(headers)} Authorization headers", 400, charger_id)
        account = self._entrance.accounts.get(charger_id.casefold())
        shown = None
        if port.profile.by_password:
            shown = self._passwords.proven(headers[0] if headers else None, charger_id)
        if account is None:
            raise AdmissionRefused("unknown-station", "no [[charger]] has this id", 404, charger_id)
        if port.profile.by_password and shown is None:
            raise AdmissionRefused("credentials", "wrong password" if headers else "no password sent", 401, charger_id)
        if port.profile is SecurityProfile.UNAUTHENTICATED:
            self._require_nothing_to_show(account)
        certificate = None
        if port.profile is SecurityProfile.MUTUAL_TLS:
            certificate = self._certified(request, account)
        await self._require_no_step_down(account, port)
        if shown is not None:
            await self._passwords.logged_in(account.charger_id, shown)
        return Admitted(account, port.profile, certificate)

    def still_stands(self, admitted: Admitted) -> None:
        """Return if a connected station's certificate would be taken now too. Raises AdmissionRefused."""
        if admitted.certificate is not None:
            der = admitted.certificate.certificate.der
            verify_station(der, admitted.account, self._entrance, self._site.authorizer.trust, self._site.clock.now())

    def _require_nothing_to_show(self, account: Account) -> None:
        """Return if the station has neither password nor certificate to come with: else whoever knows its id could come
        first, and be it. Raises AdmissionRefused."""
        if account.password is not None:
            message = f"{account.charger_id} has a password_hash, and may not come without on a port of profile 0"
            raise AdmissionRefused("must-authenticate", message, 403, account.charger_id)
        by_certificate = any(port.profile is SecurityProfile.MUTUAL_TLS for port in self._entrance.ports)
        if (by_certificate or account.serial_number is not None) and not account.may_prove_nothing:
            message = (
                f"{account.charger_id} may have a certificate, and comes without on a port of profile 0; if it has "
                "none, set allow_unauthenticated = true in its [[charger]]"
            )
            raise AdmissionRefused("must-authenticate", message, 403, account.charger_id)

    def _certified(self, request: web.Request, account: Account) -> StationCertificate:
        der = shown_certificate(request)
        if der is None:
            raise AdmissionRefused("no-certificate", "no certificate was shown", 403, account.charger_id)
        trust, now = self._site.authorizer.trust, self._site.clock.now()
        return verify_station(der, account, self._entrance, trust, now)

    async def _require_no_step_down(self, account: Account, port: Port) -> None:
        """Step 5, and the profile is kept when it is another one than before."""
        highest = highest_profile(self._site.ledger, account.charger_id)
        if highest == port.profile:
            return
        if highest is not None and port.profile < highest:
            steps_to_basic = (highest, port.profile) == (SecurityProfile.MUTUAL_TLS, SecurityProfile.BASIC_TLS)
            if not (account.may_step_down and steps_to_basic):
                message = f"came on security profile {highest} before, and may not come on {port.profile} (A05.FR.07)"
                raise AdmissionRefused("profile-downgrade", message, 403, account.charger_id)
        at, profile = self._site.clock.now().at, int(port.profile)
        await self._site.writer.run(lambda c: note_profile(c, account.charger_id, profile, at))
        if highest is not None:
            message = f"came on security profile {profile}, on {highest} before"
            await self._site.audit("charger-profile-changed", account.charger_id, message)


def shown_certificate(request: web.Request) -> bytes | None:
    """The DER of the certificate that the peer showed in the handshake; None when it showed none."""
    connection = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    return connection.getpeercert(True) if isinstance(connection, ssl.SSLObject) else None

"""A new password for a station, given over OCPP.

Steps, each durable before the next:
1. the new password is good beside the present one;
2. the station is told: AuthorizationKey (1.6, in hex), SecurityCtrlr.BasicAuthPassword (2.x);
3. it says Accepted: the new one alone is good. RebootRequired: both are, until it comes with the new one. Rejected: the
   new one is gone. It says nothing: both are, until a login shows which one it has.
4. One station is asked one such question at a time: the answer to one says nothing about another.

A crash after any step leaves what the step before left, and a login decides (`passwords`).

Source: OCPP 2.0.1 Part 2 A01; OCPP 1.6 Security Whitepaper ed. 3, A01; errata 2025-09 2.1.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum

from gateway.chargers.calls import Rank
from gateway.chargers.connected import Site
from gateway.chargers.credentials import PasswordHash
from gateway.chargers.passwords import Passwords
from gateway.chargers.port import Account
from gateway.chargers.station import Station
from gateway.errors import CallFailed, RotationFailed
from gateway.log import say
from gateway.store.credentials import Standing
from wire.ocpp import v16, v21, v201
from wire.ocpp.payload import Message

PASSWORD_BYTES = 20
"""The longest of 1.6; in hex it fits the 40 characters of 2.0.1."""
MAX_OPEN = 8
"""Passwords that may be good beside the present one because nothing is known of them."""
_CLEAR = frozenset({"NotImplemented", "NotSupported"})
"""With these a station says that it has done nothing."""


class RotationOutcome(StrEnum):
    """How it ended when it ended well."""

    CHANGED = "changed"
    AFTER_REBOOT = "after-reboot"


class Rotation:
    """Gives new passwords. Belongs to the event loop."""

    def __init__(
        self,
        site: Site,
        passwords: Passwords,
        accounts: Mapping[str, Account],
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._site, self._passwords, self._accounts, self._entropy = site, passwords, accounts, entropy
        self._under_way: set[str] = set()

    async def rotate(self, station: Station) -> RotationOutcome:
        """Give the station a new password. It connects anew with it by itself; nobody else ever sees it.

        Not to be awaited by whoever answers the station's own CALLs.

        Raises:
            RotationFailed: "no-password": it has none that could be changed; "rotation-refused": it did not take it;
                "rotation-open": it gave no answer, a login decides; "too-many-open": too often of the last;
                "rotation-under-way": it is being asked already.
            StoreUnavailable: nothing has changed, or a login decides.
        """
        name = station.charger_id.casefold()
        if name in self._under_way:
            message = f"{station.charger_id} is being given a new password already; wait for its answer"
            raise RotationFailed("rotation-under-way", message)
        self._under_way.add(name)
        try:
            return await self._rotate(station)
        finally:
            self._under_way.discard(name)

    async def _rotate(self, station: Station) -> RotationOutcome:
        charger_id = station.charger_id
        account = self._accounts.get(charger_id.casefold())
        if account is None or account.password is None:
            raise RotationFailed("no-password", f"{charger_id} has no password_hash in the configuration")
        if self._passwords.count_open(charger_id) >= MAX_OPEN:
            message = (
                f"{charger_id}: {MAX_OPEN} new passwords wait for a login that shows which one it has; restart the "
                "station, or give it a password by hand and put its password_hash into the configuration"
            )
            raise RotationFailed("too-many-open", message)
        text = self._entropy(PASSWORD_BYTES).hex()
        new = PasswordHash.of(text.encode(), self._entropy(16))
        await self._passwords.offer(charger_id, new)
        standing: Standing | None = Standing.OPEN
        try:
            status = await self._tell(station, text)
            standing = {"Accepted": Standing.PROVEN, "RebootRequired": Standing.AWAITED}.get(status)
        except CallFailed as error:
            if error.ocpp_code not in _CLEAR:
                # Not in the station's words: it may repeat what it was told.
                why = error.code if error.ocpp_code is None else f"{error.code} {error.ocpp_code[:40]!a}"
                message = f"{charger_id}: {why}; both passwords are good until a login shows which one it has"
                await self._said("charger-password-open", charger_id, message)
                raise RotationFailed("rotation-open", message) from error
            standing, status = None, str(error.ocpp_code)
        finally:
            # Also when this is cancelled: then nothing is known, and nothing is written.
            await self._passwords.settle(charger_id, new, standing)
        if standing is None:
            await self._said("charger-password-refused", charger_id, f"the station answered {status}")
            raise RotationFailed("rotation-refused", f"{charger_id} answered {status}; its password is the old one")
        await self._said("charger-password-changed", charger_id, f"the station answered {status}")
        return RotationOutcome.CHANGED if standing is Standing.PROVEN else RotationOutcome.AFTER_REBOOT

    async def _tell(self, station: Station, text: str) -> str:
        """The status that the station answers. Raises CallFailed."""
        answer = await station.ask(_request(station.ocpp, text), rank=Rank.COMMAND)
        if isinstance(answer, v16.ChangeConfigurationAnswer):
            return answer.status
        assert isinstance(answer, v201.SetVariablesAnswer | v21.SetVariablesAnswer)  # `ask` gives the one that fits.
        return answer.set_variable_result[0].attribute_status

    async def _said(self, event: str, charger_id: str, message: str) -> None:
        say(
            event,
            level="info" if event == "charger-password-changed" else "warning",
            charger=charger_id,
            reason=message,
        )
        await self._site.audit(event, charger_id, message)


def _request(ocpp: str, text: str) -> Message:
    if ocpp == v16.VERSION:
        return v16.ChangeConfiguration(key="AuthorizationKey", value=text)
    # On the wire 2.1 asks the same.
    data = v201.SetVariableData(
        attribute_value=text,
        component=v201.Component(name="SecurityCtrlr"),
        variable=v201.Variable(name="BasicAuthPassword"),
    )
    return v201.SetVariables(set_variable_data=(data,))

"""The passwords that are good now: the configured one, or those that the station was given in its place.

Rules
1. A given password is durable before the station hears of it.
2. While it is not known whether the station took it, the old one and the new one are good. A login with the new one
   ends what was given before it. A login with the old one proves little: the station may have taken the new one, and
   use it only from its next start on. So it ends the new one only when that was given `OPEN_FOR` ago, and never when
   the station has said that it takes it from its next start on.
3. A new `password_hash` in the configuration puts an end to what was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from gateway.chargers.connected import Site
from gateway.chargers.credentials import PasswordHash, proven_hash
from gateway.chargers.port import Account
from gateway.store.credentials import (
    GivenPassword,
    Standing,
    drop_open_passwords,
    drop_password,
    drop_replaced_passwords,
    given_passwords,
    keep_password,
)

OPEN_FOR = timedelta(days=7)
"""How long a password stays good of which nothing is known while the station comes with an older one."""


class Passwords:
    """The passwords of the configured stations."""

    def __init__(self, site: Site, accounts: Mapping[str, Account]) -> None:
        self._site, self._accounts = site, accounts

    async def begin(self) -> None:
        """Forget what stands for passwords that are no longer configured. Raises StoreUnavailable."""
        configured = {name: str(account.password) for name, account in self._accounts.items() if account.password}
        await self._site.writer.run(lambda c: drop_replaced_passwords(c, configured))

    def proven(self, header: str | None, charger_id: str) -> PasswordHash | None:
        """The good password that an Authorization header shows; None: it shows none. Raises sqlite3.Error."""
        return proven_hash(header, charger_id, self._good(charger_id))

    async def logged_in(self, charger_id: str, shown: PasswordHash) -> None:
        """Draw the conclusion from a login (rule 2). Raises StoreUnavailable."""
        held = self._given(charger_id)
        text, at = str(shown), self._site.clock.now().at
        mine = [given for given in held if given.hash == text]
        if mine and mine[0].standing is not Standing.PROVEN:
            proven = GivenPassword(text, mine[0].replaces, Standing.PROVEN)
            await self._site.writer.run(lambda c: keep_password(c, charger_id, proven, at))
            await self._site.audit("charger-password-changed", charger_id, "a login has shown the new password")
        elif any(each.standing is Standing.OPEN for each in held):
            dropped = await self._site.writer.run(lambda c: drop_open_passwords(c, charger_id, at - OPEN_FOR))
            if dropped:
                message = f"it came with the password from before for {OPEN_FOR.days} days"
                await self._site.audit("charger-password-kept", charger_id, message)

    async def offer(self, charger_id: str, new: PasswordHash) -> None:
        """Make a password good beside the present one. Raises StoreUnavailable."""
        await self._keep(charger_id, new, Standing.OPEN)

    async def settle(self, charger_id: str, new: PasswordHash, standing: Standing | None) -> None:
        """What became of it; None: the station did not take it. Raises StoreUnavailable."""
        if standing is None:
            await self._site.writer.run(lambda c: drop_password(c, charger_id, str(new)))
        elif standing is not Standing.OPEN:
            await self._keep(charger_id, new, standing)

    def count_open(self, charger_id: str) -> int:
        """How many passwords are good of which nothing is known."""
        return sum(1 for given in self._given(charger_id) if given.standing is not Standing.PROVEN)

    async def _keep(self, charger_id: str, new: PasswordHash, standing: Standing) -> None:
        at = self._site.clock.now().at
        given = GivenPassword(str(new), self._configured(charger_id), standing)
        await self._site.writer.run(lambda c: keep_password(c, charger_id, given, at))

    def _good(self, charger_id: str) -> list[PasswordHash]:
        account = self._accounts.get(charger_id.casefold())
        held = self._given(charger_id)  # Asked for strangers too: it takes as long.
        if account is None or account.password is None:
            return []
        good = [PasswordHash.parse(given.hash) for given in held]
        replaced = any(given.standing is Standing.PROVEN for given in held)
        return good if replaced else [account.password, *good]

    def _given(self, charger_id: str) -> list[GivenPassword]:
        return given_passwords(self._site.ledger, charger_id, self._configured(charger_id))

    def _configured(self, charger_id: str) -> str:
        account = self._accounts.get(charger_id.casefold())
        return "" if account is None or account.password is None else str(account.password)

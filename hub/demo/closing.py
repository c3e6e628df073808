"""The month is closed: on both sides of each pair, compared to the cent, netted and exported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from hub.demo.account import Balance, Checks, PairRow
from hub.demo.cast import CURRENCY, OPERATORS, PROVIDERS, Member
from hub.demo.month import RIGHT_KWH, Visit
from hub.demo.platform import Platform
from hub.demo.stage import FEE_PER_SESSION, VAT_PERCENT, Stage, agreement_id

EXPORTS = "exports"
_CENT, _HUNDRED = Decimal("0.01"), Decimal(100)
_COMPARED = ("id", "lines", "taxes", "net", "tax", "total", "cdrs", "credits", "energy_kwh")


class Closing:
    """Closes a month for all pairs."""

    def __init__(self, stage: Stage, checks: Checks, month: date, visits: Sequence[Visit]) -> None:
        self._stage, self._checks, self._month, self._visits = stage, checks, month, visits
        self._last = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        self._exports = stage.folder / EXPORTS
        self._exports.mkdir(mode=0o700)

    def close_all(self) -> tuple[tuple[PairRow, ...], tuple[Balance, ...]]:
        """The closed month of each pair, and what each party gets over all."""
        pairs = tuple(self._pair(operator, provider) for operator in OPERATORS for provider in PROVIDERS)
        sums = defaultdict[str, Decimal](Decimal)
        for pair in pairs:
            sums[pair.seller] += pair.gross
            sums[pair.buyer] -= pair.gross
        self._checks.equal("over all parties nothing is left", sum(sums.values()), Decimal(0))
        return pairs, tuple(Balance(party=party, amount=amount) for party, amount in sums.items())

    def _pair(self, operator: Member, provider: Member) -> PairRow:
        name = f"{operator.party} and {provider.party}"
        claim, debt = (self._closed(member, operator, provider) for member in (operator, provider))
        differing = [field for field in _COMPARED if claim["invoice"][field] != debt["invoice"][field]]
        same_items = claim["cdrs"] == debt["cdrs"]
        invoice = claim["invoice"]
        total = f"{invoice['total']} {CURRENCY}"
        seen = total if not differing and same_items else f"differs in {', '.join(differing) or 'its CDRs'}"
        self._checks.holds(f"claim and debt of {name} are the same", not differing and same_items, seen)
        self._add_up(name, operator, provider, claim)
        self._net(name, operator, provider, invoice["total"])
        self._export(self._stage.of(operator), invoice["id"], claim)
        return PairRow(
            seller=operator.party,
            buyer=provider.party,
            invoice=invoice["id"],
            cdrs=invoice["cdrs"] - invoice["credits"],
            credits=invoice["credits"],
            kwh=Decimal(invoice["energy_kwh"]),
            net=Decimal(invoice["net"]),
            vat=Decimal(invoice["tax"]),
            gross=Decimal(invoice["total"]),
            agreed=not differing and same_items,
        )

    def _closed(self, member: Member, operator: Member, provider: Member) -> Any:
        """The invoice as a member closed it, with its CDRs; closed twice, which changes nothing."""
        platform = self._stage.of(member)
        wish = {"agreement": agreement_id(operator, provider), "period": f"{self._month:%Y-%m}"}
        first, again = (platform.send("POST", "/api/v1/settlements", wish) for _ in range(2))
        if again["invoice"] != first["invoice"]:
            self._checks.holds(f"closing twice changes nothing at {member.title}", False, again["invoice"]["id"])
        return platform.get(f"/api/v1/settlements/{quote(first['invoice']['id'], safe='')}")

    def _add_up(self, name: str, operator: Member, provider: Member, claim: Any) -> None:
        """The energy is what the meters measured, or what was agreed; the amounts are sums of the CDRs."""
        of_pair = [one for one in self._visits if (one.operator, one.provider) == (operator, provider)]
        measured = sum((RIGHT_KWH if one.is_wrong else one.kwh for one in of_pair), Decimal(0))
        invoice = claim["invoice"]
        self._checks.equal(f"the energy of {name} is what was measured", Decimal(invoice["energy_kwh"]), measured)
        charged = sum((Decimal(one["net"]) for one in claim["cdrs"]), Decimal(0)).quantize(_CENT)
        net = charged + (len(of_pair) * Decimal(FEE_PER_SESSION)).quantize(_CENT)
        gross = net + (net * Decimal(VAT_PERCENT) / _HUNDRED).quantize(_CENT)
        seen = Decimal(invoice["net"]), Decimal(invoice["total"])
        self._checks.holds(
            f"the invoice of {name} is the sum of its CDRs, fees and tax",
            all(abs(one - other) <= _CENT for one, other in zip(seen, (net, gross), strict=True)),
            f"net {seen[0]}, gross {seen[1]}",
        )

    def _net(self, name: str, operator: Member, provider: Member, total: Any) -> None:
        query = f"one={quote(operator.party)}&other={quote(provider.party)}&from={self._month}&to={self._last}"
        paid = [_paid(self._stage.of(one).get(f"/api/v1/netting?{query}")["netting"]) for one in (operator, provider)]
        expected = f"{provider.party} pays {total} {CURRENCY} to {operator.party}"
        for member, words in zip((operator, provider), paid, strict=True):
            self._checks.equal(f"what {name} net, by {member.title}", words, expected)

    def _export(self, platform: Platform, invoice: str, claim: Any) -> None:
        for suffix in ("json", "csv", "html"):
            content = platform.read(f"/api/v1/settlements/{quote(invoice, safe='')}?format={suffix}")
            (self._exports / f"{invoice}.{suffix}").write_bytes(content)
        rows = (self._exports / f"{invoice}.csv").read_text("utf-8").splitlines()
        self._checks.equal(f"the export of {invoice} has a row for each CDR", len(rows) - 1, len(claim["cdrs"]))


def _paid(nettings: Sequence[Any]) -> str:
    return "; ".join(f"{one['pays']} pays {one['balance']} {one['currency']} to {one['receives']}" for one in nettings)

"""Closing the books of a play: everybody's books are fetched, balanced, and the decisions looked up in the chain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firmware_sim.account import Account, balance
from firmware_sim.books import ChainBook, ChargeBook, ChargerBook, HubBook
from firmware_sim.charger import Charger
from firmware_sim.dialect import Answer, Presented
from firmware_sim.journal import load_message_journal
from firmware_sim.meter import load_meter_journal
from firmware_sim.proofs import prove
from firmware_sim.report import DecisionCheck
from firmware_sim.scenario import Presenting
from firmware_sim.sessions import Charge
from firmware_sim.site import Site
from wire.chain import Record, RecordKind
from wire.records import Decision, decode

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """One authorization as the scenario saw it; `number` is the step's, `began_ns` and `ended_ns` are of the monotonic
    clock, which is the gateway's too: by the time of day it may be wrong by as much as its hub."""

    number: int
    step: Presenting
    presented: Presented
    began_ns: int
    ended_ns: int
    answer: Answer


async def close_books(
    site: Site,
    chargers: Iterable[Charger],
    charges: Sequence[Charge],
    asked: Sequence[Asked],
    foreseen: Mapping[str, frozenset[str]],
) -> tuple[Account, tuple[DecisionCheck, ...]]:
    """The account with the proofs of an outsider, and each foreseen decision beside the one in the gateway's chain.

    `foreseen` has by a charge's reference the codes of what the hub is to find on it.

    The hub's books are fetched when it holds as much as the gateway's chain had, and are of one moment with it: nothing
    was added to the chain meanwhile. The caller bounds the time.

    Raises:
        SiteError: a command or the hub's API failed. MalformedValue: a journal that cannot be read.
    """
    chain, hub = await _of_one_moment(site)
    books = [_book(site, charger) for charger in chargers]
    charged = [
        ChargeBook(
            charge.charger_id,
            charge.tx.wire_id or "(none)",
            charge.energy_wh,
            foreseen.get(charge.tx.reference, frozenset()),
        )
        for charge in charges
    ]
    account = balance(books, chain, hub, charged, await prove(site, hub.sessions, books))
    return account, tuple(check_decision(one, chain.records) for one in asked if one.step.expect.reason)


async def _of_one_moment(site: Site) -> tuple[ChainBook, HubBook]:
    """The chain as gateway and hub hold it. A gateway at which nobody charges writes too, of its clock for one, and may
    begin a new epoch."""
    while True:
        chain = await site.gateway_chain()
        if (await site.hub_positions()).get(chain.epoch, 0) >= len(chain.records):
            hub, after = await site.hub_book(chain.epoch), await site.gateway_chain()
            if (after.epoch, len(after.records)) == (chain.epoch, len(chain.records)):
                return chain, hub
        await asyncio.sleep(POLL_S)


def _book(site: Site, charger: Charger) -> ChargerBook:
    charger_id = charger.spec.charger_id
    folder = site.charger_folder(charger_id)
    return ChargerBook(
        charger_id,
        charger.meter.public_key,
        load_meter_journal(folder / "meter.jsonl"),
        load_message_journal(folder / "messages.jsonl"),
        charger.meter.earlier_keys,
    )


def check_decision(asked: Asked, records: Iterable[Record]) -> DecisionCheck:
    """The last decision in `records` about this token at this charger while it was asked, against the foreseen one."""
    found: Decision | None = None
    for record in records:
        if record.kind is RecordKind.DECISION and asked.began_ns <= record.mono_ns <= asked.ended_ns:
            decision = decode(Decision, record.body, f"decision in record {record.seq}")
            same = _plain(decision.token.uid) == _plain(asked.presented.uid)
            if decision.charger_id == asked.step.charger and same:
                found = decision
    return DecisionCheck(
        step=asked.number,
        title=asked.step.title,
        charger_id=asked.step.charger,
        token=asked.presented.uid,
        answer=str(asked.answer),
        expected=asked.step.expect.reason or "",
        found=None if found is None else found.reason,
        message="" if found is None or found.chain is None else found.chain.message,
    )


def _plain(uid: str) -> str:
    return uid.replace("-", "").upper()

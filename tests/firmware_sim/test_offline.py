"""A charger that decides itself: without a gateway, before asking it, and when it hears otherwise afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_sim.dialect import Medium, Presented, Stop
from firmware_sim.local_auth import Source
from firmware_sim.local_list import ListChange, Listed
from firmware_sim.sessions import Charge
from tests.firmware_sim.conftest import friendly
from tests.firmware_sim.test_calls import CARD, NEWER, VERSIONS, Asking, play
from tests.gateway.rough_pki import Papers, leaf
from wire.ocpp.frames import Call

FRIEND = Presented(Medium.RFID, "04FF00FF00FF00")
STRANGER = Presented(Medium.RFID, "04BADBADBADBAD")


def put_on_list(ask: Asking, *entries: Listed) -> None:
    listed = ask.charger.holdings.local_list
    listed.update(listed.version + 1, [ListChange(entry.uid, entry) for entry in entries], full=True)


async def charging(
    ask: Asking, presented: Presented, seconds: float = 30, group: str | None = None
) -> asyncio.Task[Charge]:
    """A charge that has begun."""
    begun = asyncio.Event()
    task = asyncio.create_task(ask.charger.charge(presented, seconds, lambda now: begun.set(), group_id=group))
    await begun.wait()
    return task


def of_transactions(ask: Asking) -> list[Call]:
    return ask.server.kept_of("StartTransaction", "StopTransaction", "TransactionEvent")


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_listed_token_starts_while_the_charger_is_cut_off(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        put_on_list(ask, Listed(uid=CARD.uid, status="Accepted"))
        await ask.charger.cut()
        assert str(await ask.charger.permit(CARD)) == "Accepted (by list)"
        assert str(await ask.charger.permit(STRANGER)) == "Unknown (by unknown-policy)"
        await ask.charger.charge(CARD, 0.1, lambda now: None)
        assert not of_transactions(ask)
        ask.charger.mend()
        await ask.charger.delivered(5)
        told = of_transactions(ask)
        assert len(told) >= 2
        if ocpp != "1.6":
            assert all(json.loads(call.payload)["offline"] is True for call in told)
        assert len(ask.sent("BootNotification")) == 1

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_what_the_gateway_said_counts_when_it_is_gone(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        await ask.charger.authorize(CARD)
        await ask.charger.cut()
        permit = await ask.charger.permit(CARD)
        assert (permit.answer.status, permit.source) == ("Accepted", Source.CACHE)

    async def after_a_restart(ask: Asking) -> None:
        await ask.charger.cut()
        assert (await ask.charger.permit(CARD)).source is Source.CACHE

    play(tmp_path, ocpp, story)
    play(tmp_path, ocpp, after_a_restart)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_unknown_tokens_charge_offline_where_they_may_and_are_not_cached(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        ask.charger.holdings.settings.keep("AuthCtrlr.OfflineTxForUnknownIdEnabled", "true")
        await ask.charger.cut()
        assert (await ask.charger.permit(STRANGER)).source is Source.UNKNOWN_POLICY
        assert not len(ask.charger.holdings.cache)

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_listed_token_is_not_asked_about_where_it_need_not(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        put_on_list(ask, Listed(uid=CARD.uid, status="Accepted"))
        assert (await ask.charger.permit(CARD)).source is Source.GATEWAY
        ask.charger.holdings.settings.keep("AuthCtrlr.LocalPreAuthorize", "true")
        assert (await ask.charger.permit(CARD)).source is Source.LIST
        assert len(ask.sent("Authorize")) == 1

    play(tmp_path, ocpp, story)


def test_in_16_a_listed_token_never_enters_the_cache(tmp_path: Path) -> None:
    async def story(ask: Asking) -> None:
        put_on_list(ask, Listed(uid=CARD.uid, status="Accepted"))
        await ask.charger.authorize(CARD)
        assert not len(ask.charger.holdings.cache)

    play(tmp_path, "1.6", story)


def test_in_16_an_answer_against_the_list_is_told(tmp_path: Path) -> None:
    async def story(ask: Asking) -> None:
        put_on_list(ask, Listed(uid=CARD.uid, status="Blocked"))
        await ask.charger.authorize(CARD)
        told = await ask.until("StatusNotification", 2)
        assert (told[-1]["connectorId"], told[-1]["errorCode"]) == (0, "LocalListConflict")

    play(tmp_path, "1.6", story)


# --- late refusals


def refusing(call: Call) -> object:
    """Whoever begins a transaction is refused."""
    if call.action == "StartTransaction":
        return {"transactionId": 77, "idTagInfo": {"status": "Blocked"}}
    if call.action == "TransactionEvent" and b'"Started"' in call.payload:
        return {"idTokenInfo": {"status": "Blocked"}}
    return friendly(call)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
@pytest.mark.parametrize(("stops", "energy_wh"), [("true", "0"), ("false", "0"), ("false", "20")])
def test_a_late_refusal_ends_the_charge_or_its_energy(tmp_path: Path, ocpp: str, stops: str, energy_wh: str) -> None:
    async def story(ask: Asking) -> None:
        ask.server.answer = refusing
        settings = ask.charger.holdings.settings
        settings.keep("TxCtrlr.StopTxOnInvalidId", stops)
        settings.keep("TxCtrlr.MaxEnergyOnInvalidId", energy_wh)
        charge = await (await charging(ask, CARD, 30 if stops == "true" else 1.5))
        await ask.charger.delivered(5)
        last = json.loads(of_transactions(ask)[-1].payload)
        reason = last["reason"] if ocpp == "1.6" else last["transactionInfo"]["stoppedReason"]
        assert reason == "DeAuthorized"
        # 150 kW for 1.5 s would be 60 Wh: what came before the answer, and what is allowed, is less.
        assert int(energy_wh) <= charge.energy_wh < int(energy_wh) + 15
        if ocpp != "1.6" and stops == "false":
            states = [event["transactionInfo"].get("chargingState") for event in ask.sent("TransactionEvent")]
            assert "SuspendedEVSE" in states
        cached = ask.charger.holdings.cache.find(CARD.uid)
        assert cached is not None
        assert cached.status == "Blocked"

    play(tmp_path, ocpp, story)


# --- who may stop


def grouping(group: str) -> Callable[[Call], object]:
    """Every token belongs to `group`; STRANGER is refused."""

    def answer(call: Call) -> object:
        if call.action != "Authorize":
            return friendly(call)
        status = "Blocked" if STRANGER.uid.encode() in call.payload else "Accepted"
        if b'"idTag"' in call.payload:
            return {"idTagInfo": {"status": status, "parentIdTag": group}}
        return {"idTokenInfo": {"status": status, "groupIdToken": {"idToken": group, "type": "Central"}}}

    return answer


@pytest.mark.parametrize("ocpp", list(VERSIONS))
@pytest.mark.parametrize("online", [True, False])
def test_an_accepted_card_of_the_group_may_stop(tmp_path: Path, ocpp: str, online: bool) -> None:
    async def story(ask: Asking) -> None:
        ask.server.answer = grouping("Family")
        if not online:
            put_on_list(
                ask,
                Listed(uid=CARD.uid, status="Accepted", group_id="Family"),
                Listed(uid=FRIEND.uid, status="Accepted", group_id="FAMILY"),
                Listed(uid=STRANGER.uid, status="Blocked", group_id="Family"),
            )
            await ask.charger.cut()
        permit = await ask.charger.permit(CARD)
        task = await charging(ask, CARD, group=permit.answer.group_id)
        assert not await ask.charger.sessions.stop_with(STRANGER)
        assert await ask.charger.sessions.stop_with(FRIEND)
        await task
        ask.charger.mend()
        await ask.charger.delivered(5)
        last = json.loads(of_transactions(ask)[-1].payload)
        assert FRIEND.uid == (last["idTag"] if ocpp == "1.6" else last["idToken"]["idToken"])

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_the_master_pass_stops_and_never_starts(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        ask.charger.holdings.settings.keep("AuthCtrlr.MasterPassGroupId", "Masters")
        put_on_list(ask, Listed(uid=FRIEND.uid, status="Accepted", group_id="Masters"))
        assert not (await ask.charger.permit(FRIEND)).answer.accepted
        task = await charging(ask, CARD)
        assert await ask.charger.sessions.stop_with(FRIEND)
        assert (await task).tx.stop is Stop.MASTER_PASS
        await ask.charger.delivered(5)
        assert ask.sent("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"] == "MasterPass"

    play(tmp_path, ocpp, story)


# --- contracts


CONTRACT_ROWS = [
    # ContractValidationOffline, the root is held, the eMAID is listed, and the answer
    ("true", True, True, "Accepted (by list)"),
    ("true", True, False, "Unknown (by unknown-policy)"),
    ("true", False, True, "Invalid / CertChainError (by chain)"),
    ("false", True, True, "Invalid (by chain)"),
]


@pytest.mark.parametrize(("validates", "root_held", "is_listed", "expected"), CONTRACT_ROWS)
def test_a_contract_while_the_charger_is_cut_off(
    tmp_path: Path, validates: str, root_held: bool, is_listed: bool, expected: str
) -> None:
    papers = Papers()
    certificate, _ = leaf(papers.mo2, "DEABCC123456788", domain_component="MO")
    chain = certificate.pem() + "".join(each.pem() for each in papers.mo2.sent)
    presented = Presented(Medium.CONTRACT, "DEABCC123456788", chain)

    async def story(ask: Asking) -> None:
        if is_listed:
            put_on_list(ask, Listed(uid="DE-ABC-C12345678-8", status="Accepted"))
        if root_held:
            assert ask.charger.holdings.roots.install("MORootCertificate", papers.mo.certificate.pem()) == "Accepted"
        ask.charger.holdings.settings.keep("ISO15118Ctrlr.ContractValidationOffline", validates)
        await ask.charger.cut()
        assert str(await ask.charger.permit(presented)) == expected

    play(tmp_path, "2.0.1", story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_chain_that_may_not_be_sent_and_cannot_be_judged_is_refused(tmp_path: Path, ocpp: str) -> None:
    chain = Presented(Medium.CONTRACT, "DEABCC123456788", Papers().mo2.certificate.pem())

    async def story(ask: Asking) -> None:
        ask.charger.holdings.settings.keep("ISO15118Ctrlr.CentralContractValidationAllowed", "false")
        assert str(await ask.charger.permit(chain)) == "Invalid / CertChainError (by chain)"
        assert not ask.server.kept_of("Authorize", "DataTransfer")

    play(tmp_path, ocpp, story)

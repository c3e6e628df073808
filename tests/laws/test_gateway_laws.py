"""Laws of the gateway's store under whatever stations say, repeat and garble, restarts in between."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from pki.service.files import load_trust
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench
from tests.parts import ScriptedHub, SetClock, token
from wire.chain import RecordKind
from wire.ids import session_id
from wire.ocpp.transaction import is_transaction_action
from wire.records import TransactionEntry, decode

T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OCPP = {"CP-1": "1.6", "CP-2": "1.6", "CP-3": "2.0.1"}


@pytest.fixture(scope="module")
def trust(lab: Path) -> Trust:
    return Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence())


@contextmanager
def opened(factory: pytest.TempPathFactory, trust: Trust) -> Iterator[Bench]:
    bench = Bench(
        folder=factory.mktemp("law"), trust=trust, policy=SitePolicy(), clock=SetClock(at=T0), hub=ScriptedHub()
    )
    try:
        yield bench
    finally:
        bench.close()


# --- a walk


@dataclass(frozen=True)
class Said:
    """A message as a station means it; `transaction` counts the starts of that station, or names a transaction."""

    charger_id: str
    action: str
    fields: tuple[tuple[str, Any], ...]
    transaction: int | str | None = None


@dataclass(frozen=True)
class Resend:
    """An earlier message under a new id, spelled another way."""

    which: int


@dataclass(frozen=True)
class Restart:
    """A kill and a new start."""


@dataclass(frozen=True)
class Publish:
    """The card's entry changes."""

    valid: bool


def told(minute: int) -> str:
    return (T0 + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


MINUTES = st.integers(0, 4).map(told)
CP16 = st.sampled_from(["CP-1", "CP-2"])
STARTS = st.builds(
    lambda charger, connector, meter, at: Said(
        charger,
        "StartTransaction",
        (("connectorId", connector), ("idTag", "04A1B2C3"), ("meterStart", meter), ("timestamp", at)),
    ),
    CP16,
    st.integers(1, 2),
    st.integers(0, 2),
    MINUTES,
)
NAMED16 = st.integers(0, 3) | st.sampled_from(["-1", "77"])
STOPS = st.builds(
    lambda charger, named, meter, at, tag: Said(
        charger, "StopTransaction", (("meterStop", meter), ("timestamp", at), *tag), named
    ),
    CP16,
    NAMED16,
    st.integers(0, 2),
    MINUTES,
    st.sampled_from([(), (("idTag", "04A1B2C3"),), (("idTag", "OTHER"),)]),
)


def sampled(at: str, value: str) -> tuple[str, Any]:
    return "meterValue", [{"timestamp": at, "sampledValue": [{"value": value}]}]


VALUES16 = st.builds(
    lambda charger, named, value, at: Said(
        charger, "MeterValues", (("connectorId", 1), sampled(at, str(value))), named
    ),
    CP16,
    NAMED16 | st.none(),
    st.integers(0, 2),
    MINUTES,
)
EVENTS = st.builds(
    lambda kind, seq_no, name, at: Said(
        "CP-3",
        "TransactionEvent",
        (
            ("eventType", kind),
            ("timestamp", at),
            ("triggerReason", "Authorized"),
            ("seqNo", seq_no),
            ("transactionInfo", {"transactionId": name}),
            ("evse", {"id": 1}),
            ("idToken", {"idToken": "04A1B2C3", "type": "ISO14443"}),
        ),
    ),
    st.sampled_from(["Started", "Updated", "Ended"]),
    st.integers(0, 1),
    st.sampled_from(["a", "A", "-1", "77"]),
    MINUTES,
)
VALUES201 = st.builds(
    lambda value, at: Said("CP-3", "MeterValues", (("evseId", 1), sampled(at, str(value)))), st.integers(0, 1), MINUTES
)
GARBLED = st.builds(
    lambda charger, what: Said(charger, "MeterValues", (("connectorId", what),)),
    st.sampled_from(sorted(OCPP)),
    st.sampled_from([None, "x", -1]),
)
STEPS = st.lists(
    STARTS
    | STOPS
    | VALUES16
    | EVENTS
    | VALUES201
    | GARBLED
    | st.builds(Resend, st.integers(0, 30))
    | st.builds(Resend, st.integers(0, 30))
    | st.builds(Restart)
    | st.builds(Publish, st.booleans()),
    max_size=25,
)


@dataclass
class Walk:
    """Plays steps on a bench, and remembers what was said and answered."""

    bench: Bench
    sent: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[tuple[str, str, str], object] = field(default_factory=dict)
    starts: dict[str, list[int]] = field(default_factory=dict)
    messages: int = 0

    def play(self, step: Said | Resend | Restart | Publish) -> None:
        self.bench.clock.move(1)
        match step:
            case Restart():
                self.bench.restart()
            case Publish():
                self.bench.list_tokens(token(valid=step.valid))
            case Resend():
                if self.sent:
                    charger_id, action, payload = self.sent[step.which % len(self.sent)]
                    self.say(charger_id.swapcase(), action, dict(reversed(payload.items())))
            case Said():
                payload = dict(copy.deepcopy(step.fields))
                if step.transaction is not None:
                    payload["transactionId"] = self.number(step.charger_id, step.transaction)
                self.sent.append((step.charger_id, step.action, payload))
                self.say(step.charger_id, step.action, payload)

    def number(self, charger_id: str, transaction: int | str) -> int:
        """The number of a transaction the station was given, or the one it makes up."""
        given = self.starts.get(charger_id, [])
        return given[transaction % len(given)] if isinstance(transaction, int) and given else int(transaction)

    def say(self, charger_id: str, action: str, payload: dict[str, Any]) -> None:
        name = charger_id.upper()
        self.messages += 1
        frame = json.dumps([2, f"m{self.messages}", action, payload])
        reply = json.loads(asyncio.run(self.bench.station(OCPP[name], charger_id).receive(frame)) or "")
        assert reply[:2] == [3, f"m{self.messages}"], "a transaction message is acknowledged, whatever it holds"
        key = name, action, json.dumps(payload, sort_keys=True)
        if action == "StartTransaction" and key not in self.answers:
            self.starts.setdefault(name, []).append(reply[2]["transactionId"])
        assert self.answers.setdefault(key, reply[2]) == reply[2], "a resend hears what was said the first time"


def began(connector: int, minute: int) -> Said:
    tag = ("idTag", "04A1B2C3")
    return Said(
        "CP-1", "StartTransaction", (("connectorId", connector), tag, ("meterStart", 0), ("timestamp", told(minute)))
    )


UNANSWERED_STOP = Said("CP-1", "StopTransaction", (("meterStop", 2), ("timestamp", told(3))), "-1")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
@example(steps=[began(1, 0), UNANSWERED_STOP, began(2, 1), Resend(1)])
@example(steps=[UNANSWERED_STOP, Restart(), Resend(0), began(1, 0), Resend(0)])
def test_every_message_is_recorded_once_however_often_it_comes(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, steps: list[Said | Resend | Restart | Publish]
) -> None:
    with opened(tmp_path_factory, trust) as bench:
        walk = Walk(bench)
        for step in steps:
            walk.play(step)
        bench.restart()
        bench.check_chain()
        said = [record for record in bench.records() if record.kind is RecordKind.TRANSACTION]
        entries = [decode(TransactionEntry, record.body, "entry") for record in said]
        recorded = []
        for entry in entries:
            payload = json.loads(entry.frame)[3]
            recorded.append((entry.charger_id.upper(), entry.action, json.dumps(payload, sort_keys=True)))
            assert json.loads(entry.reply) == walk.answers[recorded[-1]]
        assert sorted(recorded) == sorted(walk.answers), "each thing said is there once, and nothing else"
        given = [number for numbers in walk.starts.values() for number in numbers]
        assert len(set(given)) == len(given), "no number is given twice"
        for entry in entries:
            assert (entry.session_id is None) is (entry.transaction_id is None)
            if entry.transaction_id is not None:
                expected = session_id("site-1", entry.charger_id, entry.transaction_id, entry.reuse)
                assert entry.session_id == expected, "a session's id follows from its charger and transaction"
            named = json.loads(entry.frame)[3].get("transactionInfo", {}).get("transactionId")
            assert named is None or entry.transaction_id == named


# --- noise

VALID: dict[tuple[str, str], dict[str, Any]] = {
    ("1.6", "StartTransaction"): {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": told(0)},
    ("1.6", "StopTransaction"): {
        "transactionId": 5,
        "meterStop": 9,
        "timestamp": told(1),
        "idTag": "A",
        "transactionData": [{"timestamp": told(1), "sampledValue": [{"value": "7", "unit": "kWh"}]}],
    },
    ("1.6", "MeterValues"): {
        "connectorId": 1,
        "transactionId": 5,
        "meterValue": [{"timestamp": told(1), "sampledValue": [{"value": "7", "format": "SignedData"}]}],
    },
    ("2.0.1", "TransactionEvent"): {
        "eventType": "Started",
        "timestamp": told(0),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "t", "remoteStartId": 4},
        "reservationId": 5,
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "A", "type": "eMAID"},
        "meterValue": [
            {
                "timestamp": told(0),
                "sampledValue": [{"value": 1.5, "unitOfMeasure": {"unit": "kWh", "multiplier": 0}}],
            }
        ],
    },
    ("2.0.1", "MeterValues"): {
        "evseId": 1,
        "meterValue": [{"timestamp": told(0), "sampledValue": [{"value": 1.5}]}],
    },
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, 1e-320])
    | st.sampled_from(["", "-1", "NaN", "sNaN", "1e999999", "-Infinity", "0" * 200, "\0", "'; --"])
    | st.sampled_from(["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "2026-01-01"])
    | TEXT
)
JSON = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        yield from places(held, (*path, key))


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[str, str, Any]:
    """A transaction message with one or two places filled with something else."""
    ocpp, action = draw(st.sampled_from(sorted(VALID)))
    payload: Any = copy.deepcopy(VALID[ocpp, action])
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(sorted(places(payload), key=repr)))
        odd = draw(JSON)
        if not path:
            return ocpp, action, odd
        place = payload
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = odd
    return ocpp, action, payload


HUGE_START = {"transactionInfo": {"transactionId": "t", "remoteStartId": 2**64}, "idToken": None}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(message=disturbed())
@example(message=("1.6", "StartTransaction", VALID["1.6", "StartTransaction"] | {"connectorId": 2**63}))
@example(message=("2.0.1", "TransactionEvent", VALID["2.0.1", "TransactionEvent"] | {"evse": {"id": -(2**70)}}))
@example(message=("2.0.1", "TransactionEvent", VALID["2.0.1", "TransactionEvent"] | HUGE_START))
def test_transaction_message_is_kept_and_acknowledged_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, message: tuple[str, str, Any]
) -> None:
    ocpp, action, payload = message
    with opened(tmp_path_factory, trust) as bench:
        frames = [json.dumps([2, name, action, payload]) for name in ("first", "again")]
        replies = [json.loads(asyncio.run(bench.station(ocpp).receive(frame)) or "") for frame in frames]
        assert [reply[0] for reply in replies] == [3, 3]
        assert replies[0][2] == replies[1][2]
        assert bench.writer.broken is None
        entries = [decode(TransactionEntry, record.body, "entry") for record in bench.records()]
        assert [entry.frame for entry in entries] == frames[:1]
        bench.check_chain()


FRAMES = (
    TEXT
    | JSON.map(json.dumps)
    | st.lists(JSON, max_size=6).map(json.dumps)
    | st.tuples(st.sampled_from([2, 3, 4, 5]), JSON, JSON, JSON).map(json.dumps)
    | st.tuples(
        st.just(2),
        st.just("m"),
        st.sampled_from(["BootNotification", "Authorize", "DataTransfer", "Heartbeat", "StatusNotification"]),
        st.dictionaries(
            st.sampled_from(["idTag", "idToken", "certificate", "vendorId", "messageId", "data", "reason"]), JSON
        ),
    ).map(json.dumps)
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ocpp=st.sampled_from(["1.6", "2.0.1"]), frames=st.lists(FRAMES, min_size=1, max_size=8), boot=st.booleans())
def test_no_text_ends_the_conversation(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, ocpp: str, frames: list[str], boot: bool
) -> None:
    with opened(tmp_path_factory, trust) as bench:
        station = bench.station(ocpp)
        if boot:
            station_is = {"model": "M", "vendorName": "V"}
            payload = {"chargePointVendor": "V", "chargePointModel": "M", "reason": "x", "chargingStation": station_is}
            asyncio.run(station.receive(json.dumps([2, "b", "BootNotification", payload])))
        for frame in frames:
            reply = asyncio.run(station.receive(frame))
            if reply is not None:
                kind, message_id, *rest = json.loads(reply)
                assert kind in (3, 4)
                assert isinstance(message_id, str)
                assert len(rest) == (1 if kind == 3 else 3)
        bench.check_chain()
        assert bench.writer.broken is None
        assert all(
            record.kind is RecordKind.DECISION or is_transaction_action(ocpp, json.loads(record.body)["action"])
            for record in bench.records()
        )

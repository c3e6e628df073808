"""SCENARIO.toml: what site to build, and what happens there step by step. Read once, checked whole.

A step is a table `[[step]]` whose key `do` says what is done. Steps play in the order of the file; only a charge with
`background = true` goes on while later steps play, until a `finish` step. Paths are relative to the scenario's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from firmware_sim.errors import MeterKindError, ScenarioError
from firmware_sim.local_auth import Source
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import MeterKind, check_kind
from firmware_sim.misdeeds import Misdeed
from wire.ids import is_charger_id, is_gateway_id
from wire.meter.record import CurrentType
from wire.records import TokenType, WhitelistType
from wire.toml import Table, TOMLError, parse_toml

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Process(StrEnum):
    """The daemons a scenario runs."""

    PKI = "pki"
    HUB = "hub"
    GATEWAY = "gateway"


class Until(StrEnum):
    """What a wait step waits for."""

    WHITELIST = "whitelist"
    EVIDENCE = "evidence"
    RECONNECTED = "reconnected"
    DRAINED = "drained"
    LISTS = "lists"
    IDLE = "idle"


class OCPPVersion(StrEnum):
    """The versions a simulated charger speaks."""

    V16 = "1.6"
    V201 = "2.0.1"
    V21 = "2.1"


class ChargerTable(Table, frozen=True, kw_only=True):
    """[[charger]]: one charger with its signing meter; one in `signed_every` periodic values is signed.

    `list_entries` and `list_items`: what its local list can hold, and one message of it. `faults`: what it does wrong.
    `meter` says what kind of meter it has, `meter_faults` what that does wrong.
    """

    id: str
    ocpp: OCPPVersion
    power_kw: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    current: CurrentType
    sample_s: Seconds = 0.5
    signed_every: Annotated[int, msgspec.Meta(ge=1)] = 2
    list_entries: Annotated[int, msgspec.Meta(ge=0)] = 100
    list_items: Annotated[int, msgspec.Meta(ge=1)] = 20
    faults: tuple[Misdeed, ...] = ()
    meter: MeterKind = MeterKind()
    meter_faults: tuple[MeterFault, ...] = ()


class TokenTable(Table, frozen=True, kw_only=True):
    """[[token]]: what the hub knows of a driver: an RFID `uid`, or a `contract` of the lab by its name."""

    uid: str | None = None
    contract: str | None = None
    issuer: str = "Lab Mobility"
    valid: bool = True
    whitelist: WhitelistType = WhitelistType.ALLOWED

    @property
    def type(self) -> TokenType:
        """The OCPI type."""
        return TokenType.RFID if self.contract is None else TokenType.EMAID


class Expectation(Table, frozen=True, kw_only=True):
    """What the gateway is to answer. `reason` is the code of its decision as it stands in the chain of evidence. With
    `source` the charger decides itself where it may, and this is what by."""

    status: str
    certificate_status: str | None = None
    reason: str | None = None
    source: Source | None = None


class _Step(Table, frozen=True, kw_only=True, tag_field="do"):
    title: str
    chapter: str | None = None


class FoundStep(_Step, frozen=True, kw_only=True, tag="found"):
    """Founds the PKI of the site and writes the configuration of hub and gateway."""


class EnrolStep(_Step, frozen=True, kw_only=True, tag="enrol"):
    """Registers the gateway at the PKI, which must run, and lets it fetch its certificate with the one-time code."""


class RevokeStep(_Step, frozen=True, kw_only=True, tag="revoke"):
    """Revokes a contract at the PKI, and waits until the gateway holds the list that says so."""

    contract: str
    within_s: Seconds = 20.0


class StartStep(_Step, frozen=True, kw_only=True, tag="start"):
    """Starts a daemon and waits until it is ready."""

    process: Process


class StopStep(_Step, frozen=True, kw_only=True, tag="stop"):
    """Ends a daemon as an operator does; it must end with exit code 0."""

    process: Process


class KillStep(_Step, frozen=True, kw_only=True, tag="kill"):
    """kill -9. With `charging`, when that charger's background charge is through the part `share` of its time."""

    process: Process
    charging: str | None = None
    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5


class TokensStep(_Step, frozen=True, kw_only=True, tag="tokens"):
    """Publishes the scenario's tokens at the hub."""


class ConnectStep(_Step, frozen=True, kw_only=True, tag="connect"):
    """Powers every charger up; each must be accepted."""


class DisconnectStep(_Step, frozen=True, kw_only=True, tag="disconnect"):
    """Powers every charger off."""


class WaitStep(_Step, frozen=True, kw_only=True, tag="wait"):
    """Waits until the site is in a state; asks for it, and does not guess a time."""

    until: Until
    within_s: Seconds = 20.0


class Presenting(_Step, frozen=True, kw_only=True):
    """A driver shows a card (`rfid`) or plugs in a car with a `contract`, which may claim another contract's EMAID."""

    charger: str
    expect: Expectation
    rfid: str | None = None
    contract: str | None = None
    claim: str | None = None


class AuthorizeStep(Presenting, frozen=True, kw_only=True, tag="authorize"):
    """Asks only; nothing is charged, whatever the answer."""


class ChargeStep(Presenting, frozen=True, kw_only=True, tag="charge"):
    """Asks and, if accepted, charges for `seconds`. `findings` are codes that the hub is to find on its session."""

    seconds: Seconds
    background: bool = False
    findings: tuple[str, ...] = ()


class SwapStep(_Step, frozen=True, kw_only=True, tag="swap"):
    """Swaps a charger's meter for a new one, and pins that one's key at the hub, which must run."""

    charger: str


class CutStep(_Step, frozen=True, kw_only=True, tag="cut"):
    """Cuts the network between one charger, or all, and the gateway; the power stays."""

    charger: str | None = None


class MendStep(_Step, frozen=True, kw_only=True, tag="mend"):
    """Mends it, and waits for the connection."""

    charger: str | None = None
    within_s: Seconds = 20.0


class CommandStep(_Step, frozen=True, kw_only=True, tag="command"):
    """Gives a command at the hub (OCPI's name of it) and waits for the station's answer; with `starts` until a session
    came of it. `fields` are further fields of the command; `of_transaction` names the charge that goes on there."""

    charger: str
    command: str
    token: str | None = None
    token_type: TokenType = TokenType.APP_USER
    fields: dict[str, object] = msgspec.field(default_factory=dict)
    of_transaction: bool = False
    starts: bool = False
    expect_result: str = "ACCEPTED"
    within_s: Seconds = 20.0


class OperateStep(_Step, frozen=True, kw_only=True, tag="operate"):
    """Runs `pnc-gateway command` with these arguments, as an operator at the site does."""

    arguments: tuple[str, ...]
    expect_result: str = "ACCEPTED"


class BlockStep(_Step, frozen=True, kw_only=True, tag="block"):
    """Blocks a token at the hub, and waits until the lists of all chargers say so."""

    uid: str
    within_s: Seconds = 20.0


class FinishStep(_Step, frozen=True, kw_only=True, tag="finish"):
    """Waits for the background charges, and until every message of every charger is acknowledged."""

    within_s: Seconds = 30.0


class AccountStep(_Step, frozen=True, kw_only=True, tag="account"):
    """Closes the books: what chargers wrote against what gateway and hub hold."""


Step = (
    FoundStep
    | EnrolStep
    | RevokeStep
    | StartStep
    | StopStep
    | KillStep
    | TokensStep
    | ConnectStep
    | DisconnectStep
    | WaitStep
    | AuthorizeStep
    | ChargeStep
    | SwapStep
    | CutStep
    | MendStep
    | CommandStep
    | OperateStep
    | BlockStep
    | FinishStep
    | AccountStep
)


class PriceTable(Table, frozen=True, kw_only=True):
    """[price]: the hub's tariff, amounts as text so that their digits stay."""

    currency: str = "EUR"
    energy_per_kwh: str = "0.49"
    session_fee: str = "0.00"


class Scenario(Table, frozen=True, kw_only=True):
    """The whole file."""

    title: str
    about: str
    pki: str
    charger: tuple[ChargerTable, ...]
    step: tuple[Step, ...]
    token: tuple[TokenTable, ...] = ()
    price: PriceTable = PriceTable()
    gateway_id: str = "site-1"
    deadline_s: Seconds = 180.0
    whitelist_interval_s: Seconds = 300.0


def load_scenario(path: Path) -> Scenario:
    """The scenario in the file at `path`.

    Raises:
        ScenarioError: unreadable, not TOML, an unknown key (with its line), or steps that do not fit each other.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError("unreadable", f"{path}: cannot be read: {error}") from error
    try:
        scenario = parse_toml(Scenario, text, str(path))
    except TOMLError as error:
        raise ScenarioError("bad-scenario", str(error)) from error
    for problem in _problems(scenario):
        raise ScenarioError("bad-scenario", f"{path}: {problem}")
    return scenario


def _problems(scenario: Scenario) -> Iterator[str]:
    """What does not fit, in the order of the file."""
    if not is_gateway_id(scenario.gateway_id):
        yield f"gateway_id {scenario.gateway_id!r} cannot name a gateway"
    for amount in (scenario.price.energy_per_kwh, scenario.price.session_fee):
        if not _is_amount(amount):
            yield f"[price] {amount!r} is no amount of money"
    ids = [charger.id for charger in scenario.charger]
    yield from (
        f"[[charger]] id {charger_id!r} cannot name a charger, or stands twice"
        for charger_id in ids
        if not is_charger_id(charger_id) or ids.count(charger_id) > 1
    )
    for charger in scenario.charger:
        try:
            check_kind(charger.meter)
        except MeterKindError as error:
            yield f"[[charger]] {charger.id}, meter: {error}"
    for number, token in enumerate(scenario.token, start=1):
        if (token.uid is None) == (token.contract is None):
            yield f"[[token]] number {number}: give either uid or contract"
    for number, step in enumerate(scenario.step, start=1):
        yield from (f"[[step]] number {number} ({step.title!r}): {problem}" for problem in _step_problems(step, ids))
    if not any(isinstance(step, AccountStep) for step in scenario.step):
        yield 'no [[step]] with do = "account": nothing would be checked at the end'


def _step_problems(step: Step, ids: list[str]) -> Iterator[str]:
    if isinstance(step, AuthorizeStep | ChargeStep):
        if step.charger not in ids:
            yield f"charger {step.charger!r} is none of {', '.join(ids)}"
        if (step.rfid is None) == (step.contract is None):
            yield "give either rfid or contract"
        if step.claim is not None and step.contract is None:
            yield "claim belongs to a contract"
    if isinstance(step, CutStep | MendStep | CommandStep | SwapStep) and step.charger not in (None, *ids):
        yield f"charger {step.charger!r} is none of {', '.join(ids)}"
    if isinstance(step, KillStep) and step.charging is not None and step.charging not in ids:
        yield f"charging {step.charging!r} is none of {', '.join(ids)}"


def _is_amount(text: str) -> bool:
    return text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit() and Decimal(text).is_finite()

"""A site under test in one folder: a PKI, configuration of hub and gateway, and the ways to ask what they hold.

FOLDER/pki/        the PKI, by `pnc-pki init`       FOLDER/hub/       hub.toml and its state
FOLDER/gateway/    gateway.toml and its state       FOLDER/chargers/  meters and journals, one folder per charger
FOLDER/logs/       what the daemons said
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec

from firmware_sim.books import ChainBook, HubBook
from firmware_sim.errors import SiteError
from firmware_sim.faults import free_ports, run_command
from firmware_sim.scenario import Scenario, TokenTable
from wire.chain import Record
from wire.commands import CommandState
from wire.errors import MalformedValue
from wire.records import Cdr, Session, Token, TokenType, Value, decode, encode

T = TypeVar("T")

PAGE = 1000
ALWAYS = datetime.min.replace(tzinfo=UTC)
_POLL_S = 0.1
_CLIENT_TIMEOUT = aiohttp.ClientTimeout(total=30)


class LabContract(Value, frozen=True, kw_only=True):
    """One entry of the lab's contracts.json; `chain` is relative to the lab's folder."""

    name: str
    emaid: str
    chain: str
    state: str


class EvidenceSource(Value, frozen=True, kw_only=True):
    """A list or answer that the gateway fetches: when it last did; `code` None: it went well."""

    name: str
    good_at: datetime | None = None
    code: str | None = None


class GatewayStatus(Value, frozen=True, kw_only=True):
    """What `pnc-gateway status --json` says, as far as a scenario asks."""

    gateway_id: str
    epoch: str
    records: int
    acked_seq: int
    backlog: int
    whitelist_version: int
    sources: tuple[EvidenceSource, ...] = ()

    def lists_since(self, at: datetime) -> int:
        """How many revocation lists were fetched after `at`; 0 as long as some were not, or some source fails."""
        found = [source for source in self.sources if source.name.endswith(".crl")]
        late = (each.good_at is None or each.code or (each in found and each.good_at <= at) for each in self.sources)
        return 0 if any(late) else len(found)


class _Chain(Value, frozen=True, kw_only=True):
    gateway_id: str
    epoch: str


class _HubGateway(Value, frozen=True, kw_only=True):
    gateway_id: str
    epoch: str | None = None
    acked_seq: int = 0


class _PutAnswer(Value, frozen=True, kw_only=True):
    version: int


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or token, and the salted hash a configuration keeps of it."""

    text: str
    hashed: str

    @classmethod
    def new(cls) -> Secret:
        """A fresh one: 40 hex characters."""
        text, salt = secrets.token_hex(20), secrets.token_bytes(16)
        return cls(text, f"sha256${salt.hex()}${hashlib.sha256(salt + text.encode()).hexdigest()}")


class Site:
    """The folder of a site and the addresses in it. Making one writes nothing; `build` does."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.pki, self.logs = folder / "pki", folder / "logs"
        self._ports = free_ports(5)
        self._api_token = Secret.new()
        self.passwords = {charger.id: Secret.new() for charger in scenario.charger}
        self._contracts: dict[str, LabContract] = {}

    @property
    def charger_url(self) -> str:
        """Where chargers connect, without their identity."""
        return f"ws://127.0.0.1:{self._ports[0]}/ocpp"

    def config(self, process: str) -> Path:
        """The configuration file of "hub" or "gateway"."""
        return self.folder / process / f"{process}.toml"

    def command(self, process: str) -> tuple[str, ...]:
        """What "pki", "hub" or "gateway" is started with."""
        if process == "pki":
            return ("serve", "--dir", str(self.pki))
        return ("run", "--config", str(self.config(process)))

    def charger_folder(self, charger_id: str) -> Path:
        """Where a charger's meter and journals are."""
        return self.folder / "chargers" / charger_id

    async def build(self, declaration: Path, meter_keys: Mapping[str, str]) -> None:
        """Founds the PKI and writes both configurations; `meter_keys` are for the hub's registry, by charger id.

        Raises:
            SiteError: `pnc-pki init` failed, or its list of contracts cannot be read.
        """
        passphrase = self.folder / "pki.passphrase"
        self.folder.mkdir(parents=True, exist_ok=True)
        passphrase.touch(mode=0o600, exist_ok=False)
        passphrase.write_text(f"{secrets.token_urlsafe(24)}\n", "ascii")
        listens = ("--https", f"127.0.0.1:{self._ports[3]}", "--http", f"127.0.0.1:{self._ports[4]}")
        told = ("--publication", self._published, *listens, "--passphrase-file", str(passphrase))
        await run_command("pki", "init", str(declaration), "--dir", str(self.pki), *told)
        listed = self._read(self.pki / "contracts" / "contracts.json")
        try:
            contracts = decode(tuple[LabContract, ...], listed, "contracts.json")
        except MalformedValue as error:
            raise SiteError("lab", str(error)) from error
        self._contracts = {contract.name: contract for contract in contracts}
        for process, text in (("gateway", self._gateway_toml()), ("hub", self._hub_toml(meter_keys))):
            self.config(process).parent.mkdir(parents=True, exist_ok=True)
            self.config(process).write_text(text, "utf-8")

    async def enrol(self) -> str:
        """Registers the gateway at the PKI, which must run, and has it fetch its certificate; gives what it said.
        Raises SiteError."""
        gateway_id, code = self.scenario.gateway_id, self.folder / "gateway" / "enrolment.code"
        registered = ("--profile", "backend-client", "--common-name", gateway_id, "--why", "a new site")
        await run_command("pki", "register", *registered, "--code-file", str(code), "--dir", str(self.pki))
        config = ("--config", str(self.config("gateway")))
        return (await run_command("gateway", "enrol", *config, "--code-file", str(code))).decode("utf-8", "replace")

    async def revoke(self, name: str) -> None:
        """Revokes a contract at the PKI. Raises SiteError."""
        chain = str(self.pki / self.contract(name)[0].chain)
        why = ("--reason", "keyCompromise", "--why", "told by its driver")
        await run_command("pki", "revoke", chain, *why, "--dir", str(self.pki))

    @property
    def _published(self) -> str:
        return f"http://127.0.0.1:{self._ports[4]}"

    @property
    def contract_count(self) -> int:
        """How many contracts the lab made."""
        return len(self._contracts)

    def contract(self, name: str) -> tuple[LabContract, str]:
        """A contract of the lab and its chain as PEM. Raises SiteError for a name the lab does not have."""
        contract = self._contracts.get(name)
        if contract is None:
            known = ", ".join(sorted(self._contracts)) or "none, the lab is not made yet"
            raise SiteError("lab", f"the lab has no contract {name!r}; it has: {known}")
        return contract, self._read(self.pki / contract.chain).decode("ascii")

    def tokens(self, at: datetime) -> tuple[Token, ...]:
        """The scenario's tokens as OCPI objects."""
        return tuple(self._token(token, at) for token in self.scenario.token)

    def tokens_but(self, blocked: Collection[str]) -> tuple[Token, ...]:
        """The same, with some blocked now."""
        at = datetime.now(UTC)
        found = self.tokens(at)
        return tuple(msgspec.structs.replace(each, valid=each.valid and each.uid not in blocked) for each in found)

    def _token(self, token: TokenTable, at: datetime) -> Token:
        if token.contract is not None:
            emaid = self.contract(token.contract)[0].emaid
            uid, contract_id = emaid, emaid
        else:
            uid = token.uid or ""
            contract_id = f"DE-LAB-C{hashlib.sha256(uid.encode()).hexdigest()[:8].upper()}"
        return Token(
            country_code=contract_id[:2],
            party_id="LAB" if token.type is TokenType.RFID else contract_id[2:5],
            uid=uid,
            type=token.type,
            contract_id=contract_id,
            issuer=token.issuer,
            valid=token.valid,
            whitelist=token.whitelist,
            last_updated=at,
        )

    def _gateway_toml(self) -> str:
        chargers = "".join(
            f'\n[[charger]]\nid = "{charger_id}"\npassword_hash = "{secret.hashed}"\n'
            for charger_id, secret in self.passwords.items()
        )
        gateway_id = self.scenario.gateway_id
        return f"""\
[gateway]
id = "{gateway_id}"

[chargers]
listen = "127.0.0.1:{self._ports[0]}"
{chargers}
[uplink]
hub = "https://127.0.0.1:{self._ports[1]}"
ca = "../pki/backend/ca.pem"
authorize_timeout_s = 2.0
whitelist_interval_s = {self.scenario.whitelist_interval_s}
retry_min_s = 0.2
retry_max_s = 2.0
splay_s = 0

[commands]
hub_may = "all"

[enrol]
est = "https://127.0.0.1:{self._ports[3]}"
ca = "../pki/backend/ca.pem"

[trust]
anchors = "../pki/trust"

[trust.refresh]
hosts = ["127.0.0.1:{self._ports[3]}", "127.0.0.1:{self._ports[4]}"]
trust_list = "https://127.0.0.1:{self._ports[3]}/v1/root/ctl"
ocsp = ["{self._published}/ocsp"]
interval_s = 2.0
retry_min_s = 0.2
retry_max_s = 2.0
"""

    def _hub_toml(self, meter_keys: Mapping[str, str]) -> str:
        price, gateway_id = self.scenario.price, self.scenario.gateway_id
        meters = "".join(
            f'\n[[meter]]\ngateway_id = "{gateway_id}"\ncharger_id = "{charger_id}"\npublic_key = "{key}"\n'
            for charger_id, key in meter_keys.items()
        )
        return f"""\
[hub]
state_dir = "hub-state"

[sync]
listen = "127.0.0.1:{self._ports[1]}"
certificate = "../pki/backend/hub.pem"
key = "../pki/backend/hub.key.pem"
client_ca = "../pki/backend/ca.pem"
gateways = ["{gateway_id}"]

[api]
listen = "127.0.0.1:{self._ports[2]}"

[[api.client]]
name = "scenario"
token_hash = "{self._api_token.hashed}"

[price]
currency = "{price.currency}"
energy_per_kwh = "{price.energy_per_kwh}"
session_fee = "{price.session_fee}"
{meters}"""

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise SiteError("lab", f"{path}: {error.strerror}") from error

    # --- asking the gateway -------------------------------------------------------------------------------------

    async def gateway_status(self) -> GatewayStatus:
        """What the gateway's store says, whether it runs or not, also that nothing is sent now. Raises SiteError."""
        arguments = "status", "--config", str(self.config("gateway")), "--json"
        output = await run_command("gateway", *arguments, good=(0, 1))
        return _decoded(GatewayStatus, output, "gateway status")

    async def await_lists(self, since: datetime = ALWAYS) -> int:
        """How many revocation lists the gateway holds, once it has fetched all of them after `since`. Raises
        SiteError."""
        while True:
            count = (await self.gateway_status()).lists_since(since)
            if count:
                return count
            await asyncio.sleep(_POLL_S)

    async def gateway_chain(self) -> ChainBook:
        """The gateway's whole chain of evidence. Raises SiteError."""
        output = await run_command("gateway", "export", "--config", str(self.config("gateway")))
        first, *lines = output.splitlines()
        chain = _decoded(_Chain, first, "gateway export, line 1")
        records = tuple(
            _decoded(Record, line, f"gateway export, line {number}") for number, line in enumerate(lines, start=2)
        )
        return ChainBook(chain.gateway_id, chain.epoch, records)

    async def publish(self, tokens: Iterable[Token]) -> int:
        """Puts tokens on the hub's list; gives the list's new version. Raises SiteError."""
        answer = await self._hub("PUT", "/api/v1/tokens", encode(tuple(tokens)))
        return _decoded(_PutAnswer, answer, "PUT /api/v1/tokens").version

    async def pin_meter_key(self, serial: str, key: str, not_before: datetime) -> None:
        """Has the hub pin the key of a meter, as an operator does who imports a list. Raises SiteError."""
        listed = f"meter_serial,public_key,source,not_before\n{serial},{key},nameplate,{not_before.isoformat()}\n"
        await self._hub("POST", "/api/v1/meters/keys", listed.encode())

    async def submit_command(self, wish: bytes) -> CommandState:
        """Gives a command; as POST /api/v1/commands. Raises SiteError."""
        return _decoded(CommandState, await self._hub("POST", "/api/v1/commands", wish), "POST /api/v1/commands")

    async def command_state(self, command_id: str, seen: int, wait_s: int) -> CommandState:
        """Where a command stands, once it has more than `seen` reports or `wait_s` went by. Raises SiteError."""
        path = f"/api/v1/commands/{command_id}?wait={wait_s}&seen={seen}"
        return _decoded(CommandState, await self._hub("GET", path), path)

    async def hub_positions(self) -> dict[str, int]:
        """By epoch of this gateway, the oldest first, the highest record number the hub holds. Raises SiteError."""
        path = "/api/v1/gateways"
        answer = _decoded(dict[str, tuple[_HubGateway, ...]], await self._hub("GET", path), path)["gateways"]
        ours = (found for found in answer if found.gateway_id == self.scenario.gateway_id)
        return {found.epoch: found.acked_seq for found in ours if found.epoch is not None}

    async def hub_position(self) -> int:
        """The same of the epoch that has come furthest; 0 when it never connected. Raises SiteError."""
        return max((await self.hub_positions()).values(), default=0)

    async def hub_book(self, epoch: str) -> HubBook:
        """Everything the hub holds of this gateway, whose epoch this is. Raises SiteError."""
        owner = f"gateway_id={self.scenario.gateway_id}"
        earlier = [await self._hub_chain(each) for each in await self.hub_positions() if each != epoch]
        chain = await self._hub_chain(epoch)
        sessions = await self._listed("sessions", Session, owner)
        return HubBook(chain, sessions, await self._listed("cdrs", Cdr, owner), tuple(earlier))

    async def _hub_chain(self, epoch: str) -> ChainBook:
        gateway = self.scenario.gateway_id
        return ChainBook(gateway, epoch, await self._listed("records", Record, f"gateway_id={gateway}&epoch={epoch}"))

    async def _listed(self, name: str, type_: type[T], query: str) -> tuple[T, ...]:
        """All objects of a list of the hub's API, page after page."""
        found: list[T] = []
        after: int | None = 0
        while after is not None:
            path = f"/api/v1/{name}?{query}&after={after}&limit={PAGE}"
            page = _decoded(dict[str, msgspec.Raw], await self._hub("GET", path), path)
            found += [
                _decoded(type_, bytes(item), path) for item in _decoded(list[msgspec.Raw], bytes(page[name]), path)
            ]
            next_ = bytes(page["next"])
            after = None if next_ == b"null" else _decoded(int, next_, path)
        return tuple(found)

    async def _hub(self, method: str, path: str, body: bytes | None = None) -> bytes:
        tls = ssl.create_default_context(cafile=str(self.pki / "backend" / "ca.pem"))
        url = f"https://127.0.0.1:{self._ports[2]}{path}"
        headers = {"Authorization": f"Bearer {self._api_token.text}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=_CLIENT_TIMEOUT, headers=headers) as session,
                session.request(method, url, data=body, ssl=tls) as response,
            ):
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SiteError("hub-unreachable", f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.status not in (200, 201):
            what = answer.decode("utf-8", "replace")[:500]
            raise SiteError("hub-refused", f"{method} {path}: HTTP {response.status}: {what}")
        return answer


def _decoded(type_: type[T], data: bytes, what: str) -> T:
    try:
        return decode(type_, data, what)
    except MalformedValue as error:
        raise SiteError("unreadable-answer", str(error)) from error

"""The tables of gateway.toml: which keys there are, of what type, with which defaults."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gateway.decide.policy import Choice, OfflinePolicy, SitePolicy
from gateway.tables_ocpi import OCPITable
from wire.toml import Table

Amount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,6}(\.[0-9]{1,6})?\Z")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class GatewayTable(Table, frozen=True, kw_only=True):
    """[gateway]: who this is and where it keeps its databases."""

    id: str
    state_dir: str = "gateway-state"


class PortTable(Table, frozen=True, kw_only=True):
    """[[chargers.port]]: one port of one OCPP security profile; ws:// or wss://LISTEN/ocpp/{charger_id}.

    `profile`: 0 nothing is proven, 1 a password, 2 a password over TLS, 3 a TLS client certificate. `certificates` and
    `keys`: the port's own for 2 and 3, in the same order; one of EC, one of RSA, or both.
    `allow_unencrypted_network`: 0 or 1 on an address that is not loopback. `allow_unauthenticated`: 0 at all.
    """

    listen: str
    profile: Annotated[int, msgspec.Meta(ge=0, le=3)]
    certificates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    allow_unencrypted_network: bool = False
    allow_unauthenticated: bool = False


Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class LimitsTable(Table, frozen=True, kw_only=True):
    """[chargers.limits]: what one station, one address, and all together may take.

    A frame counts as one message, and one more for each 8 KiB. Handshakes are connections whose station has not proven
    itself yet.
    """

    messages_per_s: Count = 100
    message_burst: Count = 500
    messages_per_s_in_all: Count = 1000
    message_burst_in_all: Count = 2000
    connections: Count = 2048
    connections_per_address: Count = 1024
    handshakes: Count = 256
    handshakes_per_address: Count = 32
    refused_per_s_per_address: Count = 20
    refused_burst_per_address: Count = 50
    handshake_timeout_s: Seconds = 10.0
    write_timeout_s: Seconds = 10.0
    ping_interval_s: Seconds = 30.0


class ChargersTable(Table, frozen=True, kw_only=True):
    """[chargers]: where charging stations connect, at ws://LISTEN/ocpp/{charger_id}.

    `listen`: a port of OCPP security profile 1; 127.0.0.1:8180 when it is left out and there is no [[chargers.port]].
    `allow_unencrypted_network`: that port on an address that is not loopback. `organization`: the O of every station's
    TLS client certificate; not looked at when it is left out. `revocation_unknown`: a station certificate about whose
    revocation nothing is known.
    """

    listen: str | None = None
    allow_unencrypted_network: bool = False
    heartbeat_interval_s: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 300
    organization: str | None = None
    revocation_unknown: Choice = Choice.REFUSE
    port: tuple[PortTable, ...] = ()
    limits: LimitsTable = LimitsTable()


class ChargerTable(Table, frozen=True, kw_only=True):
    """[[charger]]: one charging station that may connect.

    `password_hash`: for ports of profile 1 and 2. `serial_number`: what its TLS client certificate names (OCPP 2.0.1
    A00.FR.405), its id when it is left out. `allow_profile_downgrade`: it may come back from profile 3 to 2.
    `allow_unauthenticated`: it has no certificate, and may come on profile 0 beside ports of profile 3.
    `evse_ids`: the EVSE and SECC ids that its ISO 15118 certificates may name; without any it gets none.
    `price_display`: whether it shows the [price]: it is asked, unless this says so.
    """

    id: str
    password_hash: str | None = None
    serial_number: str | None = None
    allow_profile_downgrade: bool = False
    allow_unauthenticated: bool = False
    evse_ids: tuple[str, ...] = ()
    price_display: Literal["ask", "yes", "no"] = "ask"


class UplinkTable(Table, frozen=True, kw_only=True):
    """[uplink]: `kind`: a hub of ours, or OCPI with any roaming hub or eMSP, which [uplink.ocpi] names.

    The hub, and the certificate this gateway shows it: without `certificate` and `key` the one that it
    gets by [enrol]. `hub_log_key`: the hub's Ed25519 key (hex) that countersigns this gateway's log, without it the
    first one that it shows. `proxy`: the HTTP proxy on the way, "direct" for none; without it HTTPS_PROXY and NO_PROXY
    of the environment count. `splay_s`: over how long gateways spread that lost the hub together. `epoch_wait_s`: the
    first of the growing times between one new epoch of the ledger and another within an hour. `revocation`: whether
    what [trust.refresh] names is asked of the hub first, which fetched it, or of the PKI itself."""

    kind: Literal["native", "ocpi"] = "native"
    hub: str = ""
    ca: str | None = None
    ocpi: OCPITable | None = None
    certificate: str | None = None
    key: str | None = None
    hub_log_key: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")] | None = None
    authorize_timeout_s: Seconds = 0.8
    request_timeout_s: Seconds = 20.0
    whitelist_interval_s: Seconds = 300.0
    retry_min_s: Seconds = 1.0
    retry_max_s: Seconds = 60.0
    splay_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    epoch_wait_s: Seconds = 60.0
    proxy: str | None = None
    revocation: Literal["direct", "hub"] = "direct"


class ClockTable(Table, frozen=True, kw_only=True):
    """[clock]: what this box may know the time by.

    `time_daemon`: whose word that the system's clock is synchronised is taken: the kernel's, which is told by any time
    daemon, or the file of systemd-timesyncd; auto: the kernel's where it may be asked, else the file; none: nobody's.
    `drift_ppm`: how wrong the time since boot may run, in millionths. `believed_alone_h`: how far after the last time
    that was known the system's clock is believed while neither time daemon nor hub has spoken since boot.
    """

    time_daemon: Literal["auto", "kernel", "timesyncd", "none"] = "auto"
    drift_ppm: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 200
    believed_alone_h: Annotated[int, msgspec.Meta(ge=0, le=8784)] = 744


class LedgerTable(Table, frozen=True, kw_only=True):
    """[ledger]: the store of evidence, and what waits in it for the hub.

    `keep_days`: how many days what a record says is kept after the hub countersigned it; 0: for ever. Its hash and its
    place in the log stay in any case. Where room is tight it goes before.
    `max_mb`: how much room the ledger may take, with its write-ahead log. `keep_free_mb`: how much of the file system
    is to stay free. `ballast_mb`: a file that is given up when the disk is full all the same. All in 1,048,576 octets.
    `when_full`: who asks to charge when the room is spent is refused, or let in all the same.
    `periodic_hold_ms`: how long a periodic value may wait for others before it is stored and answered.
    """

    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 30
    max_mb: Annotated[int, msgspec.Meta(ge=32, le=1_048_576)] = 2048
    keep_free_mb: Annotated[int, msgspec.Meta(ge=0, le=1_048_576)] = 64
    ballast_mb: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 8
    when_full: Choice = Choice.REFUSE
    periodic_hold_ms: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class EnrolTable(Table, frozen=True, kw_only=True):
    """[enrol]: the PKI that gives this gateway its certificate, and its stations theirs, by EST.

    `ca`: the roots of the PKI's server certificate and of the certificates it gives to gateways.
    """

    est: str
    ca: str
    timeout_s: Seconds = 20.0
    retry_min_s: Seconds = 30.0
    retry_max_s: Seconds = 3600.0


class RefreshTable(Table, frozen=True, kw_only=True):
    """[trust.refresh]: where lists and answers are fetched from, ahead of their end.

    `hosts`: the only ones that are asked, HOST or HOST:PORT. `networks`: those that are not public and in which hosts
    may lie, as CIDR. `chains`: PEM chains of this site whose OCSP answers are kept ready. `ca`: for https, in place of
    [enrol] ca. `interval_s`: how long nothing new is asked for at most.
    """

    hosts: tuple[str, ...]
    networks: tuple[str, ...] = ()
    trust_list: str | None = None
    crls: tuple[str, ...] = ()
    ocsp: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    ca: str | None = None
    interval_s: Seconds = 3600.0
    timeout_s: Seconds = 20.0
    retry_min_s: Seconds = 10.0
    retry_max_s: Seconds = 1800.0


class PoolTable(Table, frozen=True, kw_only=True):
    """[pool]: the contract pool (OPCP) that cars' requests for contract certificates are relayed to.

    `secret_file`: the secret of `client_id`, mode 0600. `ca`: roots of the pool's server certificate, the system's
    without it. `token_url`: where tokens are given, /oauth/token at the pool without it; `audience`: what for, `url`
    without it. `timeout_s`: for all of it; a car waits 5 s at most (ISO 15118-2 Table 109).
    """

    url: str
    client_id: str
    secret_file: str
    ca: str | None = None
    token_url: str | None = None
    audience: str | None = None
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=4.5)] = 4.0


class LocalTable(Table, frozen=True, kw_only=True):
    """[local]: HTTP for charger software on this box: `listen` on loopback, or `socket`, a path in the file system."""

    listen: str | None = None
    socket: str | None = None


class StationRootsTable(Table, frozen=True, kw_only=True):
    """[trust.stations]: roots that stations are to hold as this site does; without the table none is installed.

    `roles`: which. With an MO root a station checks contracts by itself, and may send hashes instead of chains.
    `remove`: roots of these roles that the site does not trust are taken out of stations.
    """

    roles: Annotated[tuple[Literal["v2g", "mo", "oem"], ...], msgspec.Meta(min_length=1)]
    remove: bool = False


class TrustTable(Table, frozen=True, kw_only=True):
    """[trust]: anchors by role in sub-folders v2g/ mo/ oem/ pe/ backend/, and CRL files or folders of them."""

    anchors: str
    crls: tuple[str, ...] = ()
    refresh: RefreshTable | None = None
    stations: StationRootsTable | None = None


class PriceTable(Table, frozen=True, kw_only=True):
    """[price]: what stations show before a start, if they can. Prices before taxes; `texts` by language are what
    drivers read, taxes included, and are made from the numbers when they are left out."""

    currency: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
    per_kwh: Amount | None = None
    per_minute: Amount | None = None
    fee: Amount | None = None
    vat_percent: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,2}(\.[0-9]{1,2})?\Z")] | None = None
    language: Annotated[str, msgspec.Meta(min_length=2, max_length=8)] = "en"
    texts: dict[str, Annotated[str, msgspec.Meta(min_length=1, max_length=512)]] = msgspec.field(default_factory=dict)


class CommandsTable(Table, frozen=True, kw_only=True):
    """[commands]: how long the gateway waits when something is wanted of a station.

    `start_window_s`: how long after a remote start its session may begin. `answer_timeout_s`: for each answer of a
    station. `station_wait_s`: for a station that is away when the hub's command comes. `hub_may`: what the hub may
    want: only what concerns charging (OCPI's five commands, and that somebody pays just now), or anything: firmware,
    certificates, settings, any message.
    """

    start_window_s: Seconds = 900.0
    answer_timeout_s: Seconds = 30.0
    station_wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 10.0
    hub_may: Literal["all", "charging"] = "charging"


class GatewayConfig(Table, frozen=True, kw_only=True):
    """The whole file."""

    gateway: GatewayTable
    uplink: UplinkTable
    ledger: LedgerTable = LedgerTable()
    clock: ClockTable = ClockTable()
    trust: TrustTable
    chargers: ChargersTable = ChargersTable()
    charger: tuple[ChargerTable, ...] = ()
    policy: SitePolicy = SitePolicy()
    commands: CommandsTable = CommandsTable()
    price: PriceTable | None = None
    offline: OfflinePolicy = OfflinePolicy()
    enrol: EnrolTable | None = None
    pool: PoolTable | None = None
    local: LocalTable | None = None

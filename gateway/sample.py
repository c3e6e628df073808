"""The commented gateway.toml that `pnc-gateway init` writes: it shows every key, and its default where it has one."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError

SAMPLE = """\
# pncgate edge gateway. Paths are relative to this file's folder. Every value that is commented out shows its default.

[gateway]
id = "{id}"                        # the common name of this gateway's certificate at the hub
# state_dir = "gateway-state"      # the databases; the only folder the gateway writes to

[chargers]
# listen = "127.0.0.1:8180"        # OCPP profile 1, ws://LISTEN/ocpp/{{charger_id}}; no such port once there are others
# allow_unencrypted_network = false  # needed when listen is not loopback: stations connect without TLS (OCPP profile 1)
# heartbeat_interval_s = 300
# organization = "ABC Charging"    # the O that every station's TLS client certificate must have; any when left out
# revocation_unknown = "refuse"    # a station certificate of whose CA there is no revocation list: accept | refuse

# One table for each further port: one OCPP security profile each, stations connect to wss://LISTEN/ocpp/{{charger_id}}.
# [[chargers.port]]
# listen = "0.0.0.0:8443"
# profile = 3                        # 1 password, 2 password over TLS, 3 TLS client certificate of trust/backend
# certificates = ["csms.pem"]        # of the port, one of EC and one of RSA at most; taken up anew when they change
# keys = ["csms.key.pem"]            # mode 0600
# allow_unencrypted_network = false  # needed for profile 1 when listen is not loopback
# allow_unauthenticated = false      # needed for profile 0, where nobody proves anything: laboratories only

# [chargers.limits]                # what one station, one address, and all together may take
# messages_per_s = 100             # over it the next frame is read later; large frames count more
# message_burst = 500
# messages_per_s_in_all = 1000
# message_burst_in_all = 2000
# connections = 2048
# connections_per_address = 1024
# handshakes = 256                 # connections whose station has not proven itself yet
# handshakes_per_address = 32
# refused_per_s_per_address = 20   # connections that come to nothing; over it the next ones wait
# refused_burst_per_address = 50
# handshake_timeout_s = 10.0
# write_timeout_s = 10.0           # how long a station may leave what it is sent untaken
# ping_interval_s = 30.0

# One table for each charging station; `pnc-gateway password --charger ID --config gateway.toml` adds one.
# [[charger]]
# id = "CP-1"
# password_hash = "sha256$...$..." # for ports of profile 1 and 2
# allow_profile_downgrade = false  # it may come back from profile 3 to 2
# serial_number = "SN-1"           # what its TLS client certificate names; its id when left out
# allow_unauthenticated = false    # it has no certificate, and may come on profile 0 beside ports of profile 3
# evse_ids = ["DE*ABC*E000001"]    # what its ISO 15118 certificates may name
# price_display = "ask"            # whether it shows the [price]: asked, unless this says yes or no

[uplink]
hub = "https://127.0.0.1:8443"
ca = "ca.pem"                      # the CA that signed the hub's certificate, and nothing else
{own}# authorize_timeout_s = 0.8        # how long a driver waits for the hub before local knowledge decides
# request_timeout_s = 20.0
# whitelist_interval_s = 300.0
# retry_min_s = 1.0
# retry_max_s = 60.0
# splay_s = 10.0                     # over how long gateways spread that lost the hub together
# epoch_wait_s = 60.0                # before a third new epoch of the ledger within an hour; longer before each further
# proxy = "http://10.0.0.1:3128"     # "direct" for none; without it HTTPS_PROXY and NO_PROXY count
# revocation = "direct"             # "hub": what [trust.refresh] names is asked of the hub first, where it is fetched
# The key that the hub countersigns this log with, as its operator tells it; the first one that it uses when left out.
# hub_log_key = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
# kind = "native"                    # "ocpi": no hub of ours, but OCPI with a roaming hub or eMSP, as a CPO of its own;
#                                    # without hub and hub_log_key then, and with the next three tables

# [uplink.ocpi]                      # docs/operations.md, OCPI without a hub of ours
# versions_url = "https://ocpi.example.org/versions"
# token_file = "ocpi-token"          # the credentials token, mode 0600
# party = "DE*ABC"
# name = "ABC Charging"
# website = "https://abc.example"
# quirks = ""                        # of the peer: docs/ocpi.md
# tariff = "tariff.json"             # one OCPI tariff; without it [price] is billed
# session_update_s = 300.0
# full_crawl_h = 24.0                # how often all tokens are read again, instead of what changed
# page_limit = 500

# [[uplink.ocpi.location]]           # also: name, postal_code, state, help_phone
# id = "L1"
# address = "Street 1"
# city = "Town"
# country = "DEU"                    # alpha-3
# latitude = "52.52000"
# longitude = "13.40000"
# time_zone = "UTC"

# [[uplink.ocpi.location.evse]]      # one for each EVSE that is told of
# charger = "CP-1"
# evse = 1
# uid = "E1"
# evse_id = "DE*ABC*E1"

# [[uplink.ocpi.location.evse.connector]]
# number = 1                         # the station's
# id = "1"                           # the peer's
# standard = "IEC_62196_T2"
# format = "SOCKET"
# power_type = "AC_3_PHASE"
# max_voltage = 400
# max_amperage = 32

# [ledger]
# keep_days = 30                   # what records say is let go so long after the hub countersigned it; 0 keeps it all
# max_mb = 2048                    # room for all that is stored; as it is used up, periodic unsigned values give way
# keep_free_mb = 64                # of the file system
# ballast_mb = 8                   # a file that is given up when the disk is full all the same
# when_full = "refuse"             # who asks to charge when the room is spent: accept | refuse
# periodic_hold_ms = 0             # how long a periodic value may wait for others, so that less is written to flash

# [clock]                          # what this box may know the time by, beside the hub
# time_daemon = "auto"             # kernel: what chrony, ntpd ... told it; timesyncd: its file; auto: either; none
# drift_ppm = 200                  # how wrong the time since boot may run, in millionths
# believed_alone_h = 744           # how far after the last known time the system's clock is believed without a source

[trust]
anchors = "trust"                  # folders by role: trust/mo/*.pem, trust/v2g/*.pem ...
{crls}                    # CRL files, or folders of them

{on}[enrol]                          # the PKI that gives certificates by EST: `pnc-gateway enrol`, then by itself
{on}est = "{pki}"
{on}ca = "{ca}"                # the roots of the PKI's own certificate and of those it gives to gateways
# timeout_s = 20.0
# retry_min_s = 30.0
# retry_max_s = 3600.0

{on}[trust.refresh]                  # lists and OCSP answers are fetched ahead, verified, and put in force
{on}hosts = [{hosts}]   # nobody else is ever asked
# networks = []                    # networks that are not public, in which these hosts may lie: "10.1.0.0/16" ...
{on}trust_list = "{pki}/v1/root/ctl"  # the signed list of roots; its signer's root: trust/backend
# crls = []                        # URLs; those in certificates are followed too, where the host is allowed
# ocsp = []                        # responders for certificates that name none
# chains = []                      # PEM chains of this site whose OCSP answers are kept ready
# ca = "web-ca.pem"                # for https, in place of [enrol] ca
# interval_s = 3600.0              # new lists are looked for at least this often
# timeout_s = 20.0
# retry_min_s = 10.0
# retry_max_s = 1800.0

# [trust.stations]                 # roots that stations are given; without this table none is
# roles = ["v2g"]                  # v2g, mo, oem; with an mo root stations check contracts by themselves
# remove = false                   # take out roots of these roles that are not trusted here

# [pool]                           # the contract pool (OPCP) that cars' requests for contracts are relayed to
# url = "https://pool.example"
# client_id = "site-1"             # as the pool's operator registered it, with the role CPO
# secret_file = "pool.secret"      # mode 0600
# ca = "pool-ca.pem"               # without it: the system's
# token_url = "https://login.example/oauth/token"  # without it: /oauth/token at the pool
# audience = "https://pool.example"  # what the token is for; without it: url
# timeout_s = 4.0                  # for all of it; a car waits 5 s at most

# [local]                          # HTTP for charger software on this box: authorize, OCSP staples, health
# listen = "127.0.0.1:8182"        # loopback only
# socket = "gateway.sock"          # or a socket in the file system

# [price]                          # what stations show before a start, if they can; before taxes
# currency = "EUR"
# per_kwh = "0.41"
# per_minute = "0.05"
# fee = "1.00"                     # once
# vat_percent = "19"
# language = "en"                  # the one that is shown where only one can be
# texts = {{en = "49 ct/kWh"}}       # what drivers read, taxes included; without it the numbers are put into words

[commands]                         # what the hub or an operator wants of a station
# start_window_s = 900.0           # how long after a remote start its session may begin
# answer_timeout_s = 30.0          # how long a station may take to answer
# station_wait_s = 10.0            # how long the hub's command waits for a station that is away
# hub_may = "charging"             # what the hub may want: start, stop, reserve, unlock; or "all": firmware, resets ...

[policy]
# unknown_token_offline = "refuse"   # a token on no list while the hub is unreachable: accept | refuse
# contract_offline = "accept"        # a verified contract chain on no list while the hub is unreachable
# clock_unknown = "refuse"           # a contract chain while the time is not known; accept: as of the last known time
# list_max_age_h = 168               # how long the token list is fresh after the hub confirmed it last
# stale_list_offline = "accept"      # entries of a list that is not fresh, while the hub cannot be asked
# no_authorization = "refuse"        # a charger that has only a button and asks nobody for a token (NoAuthorization)
# revocation_unknown = "refuse"      # a contract of whose certificates one has no revocation evidence
# revocation_stale_grace_h = 168     # how long it counts after its own end
# earlier_decision_s = 3600          # how long a decision carries over to its transaction, if the list says no other

[offline]                          # what stations do alone, while they cannot reach this gateway
# manage = true                    # give stations lists and settings at all
# authorize_listed = true          # let in whom the station's list or cache knows as good
# unknown_tokens = "refuse"        # whom neither knows: accept | refuse; left out: as unknown_token_offline above
# contracts = "accept"             # whose chain the station finds good; left out: as contract_offline above
# start_before_answer = false      # start without waiting, also while this gateway can be asked
# cache = true                     # let stations remember answers
# cache_lifetime_s = 604800        # and for how long; left out: as the station likes
# stop_when_refused = true         # end a transaction whose token is refused later, and not only its energy
# max_energy_refused_wh = 1000     # what may still be given then; left out: as the station has it
# message_attempts = 10            # how often a transaction message is sent before it is given up
# message_retry_interval_s = 30
# list_entries = 1000              # the most tokens a station is given
# list_interval_s = 900            # how long it is left alone in between, unless a token was blocked
# clear_cache = true               # when a token it may remember was blocked and its list cannot say so
"""

_OWN_FILES = """\
certificate = "{id}.pem"           # what this gateway shows the hub; leave out both when there is an [enrol] table
key = "{id}.key.pem"               # mode 0600
"""
_PORT_OF_LISTS = 8081
_COMMENTED = re.compile(r"^((?:# )?[^#\n]*\S) {2,}(# .*)$", re.MULTILINE)


def sample_config(gateway_id: str, pki: str | None, pki_http: str | None) -> str:
    """The configuration of a new gateway; with a PKI, the tables that name it are in force.

    Raises:
        ConfigurationError: `pki` is no address.
    """
    if pki is None:
        hosts = '"pki.example:8445", "pki.example:8081"'
        asked = {"on": "# ", "pki": "https://pki.example:8445", "ca": "pki-ca.pem", "hosts": hosts}
        return _aligned(
            SAMPLE.format(id=gateway_id, own=_OWN_FILES.format(id=gateway_id), crls='crls = ["crls"]', **asked)
        )
    try:
        place = urlsplit(pki)
        usable = place.scheme == "https" and place.hostname and place.path in ("", "/") and not place.query
        shown = f"[{place.hostname}]" if ":" in (place.hostname or "") else place.hostname
        served = f"{shown}:{place.port or 443}"
    except ValueError:
        usable, shown, served = False, None, ""
    if not usable:
        raise ConfigurationError(f"--pki {pki!r}: must be https://HOST[:PORT]")
    hosts = f'"{served}", "{pki_http or f"{shown}:{_PORT_OF_LISTS}"}"'
    asked = {"on": "", "pki": pki.rstrip("/"), "ca": "ca.pem", "hosts": hosts}
    return _aligned(SAMPLE.format(id=gateway_id, own="", crls="# crls = []", **asked))


def _aligned(sample: str) -> str:
    """The same text with the comments behind settings in one column, whatever was filled in."""
    return _COMMENTED.sub(lambda line: f"{line[1]:<34} {line[2]}", sample)

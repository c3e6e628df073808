"""A founded lab PKI with pools on top, a clock that is set, cars with keys, and clients that are registered."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from pki.certificate import KeyKind
from pki.issue.keys import PrivateKey, generate_key
from pki.issue.sealing import CarPrivateKey
from pki.profile import Generation
from pki.service.acts.issuing import Wanted, issue
from pki.service.pool.clients import Client, Role, add_client, list_clients
from pki.service.pool.identities import profile_of
from pki.service.pool.own_pki import open_pools
from pki.service.pool.pools import Pools, PoolSettings
from pki.service.pool.tokens import issue_token
from pki.service.pool.vehicles import VehicleChain
from pki.service.registry import Registry
from pki.service.state_folder import open_registry
from pki.service.store.audit import Actor
from tests.pki.mint import AT

TESTER = Actor(who="tester", why="a test")
EMAID = "DEABC000000009"
PCID = "WVWABCDEFGH123456"
NAMESPACE = "urn:iso:15118:2:2013:MsgDef"
NAMESPACE_20 = "urn:iso:15118:20:2022:MsgDef"


@dataclass
class SetTime:
    """The instant, until it is moved."""

    at: datetime = AT

    def __call__(self) -> datetime:
        return self.at

    def move(self, **change: float) -> None:
        self.at += timedelta(**change)


@dataclass
class Car:
    """A car: its PCID, its key, what its maker publishes."""

    pcid: str
    key: PrivateKey
    chain: VehicleChain

    @property
    def sealing_key(self) -> CarPrivateKey:
        """The key as bundles are opened with it."""
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        return self.key


@dataclass
class Shop:
    """Pools that work."""

    registry: Registry
    pools: Pools
    clock: SetTime
    secrets: dict[str, str] = field(default_factory=dict)
    pool_clients: tuple[Client, ...] = ()

    def car(self, pcid: str = PCID, generation: Generation = Generation.ISO_2, days: int | None = None) -> Car:
        """A car with a new key and certificate; not published."""
        key = generate_key(KeyKind.P256 if generation is Generation.ISO_2 else KeyKind.P521)
        wanted = Wanted(profile=profile_of(generation, "oem"), common_name=pcid, public_key=key.public_key(), days=days)
        leaf, sub2, sub1 = (found.der for found in issue(self.registry, wanted, TESTER).chain)
        return Car(pcid, key, VehicleChain(generation=generation, leaf=leaf, sub2=sub2, sub1=sub1))

    def client(self, name: str, *roles: Role, providers: tuple[str, ...] = (), wmis: tuple[str, ...] = ()) -> Client:
        """A registered client; its secret is kept in `secrets`."""
        self.secrets[name] = add_client(self.pools, name, roles, providers, wmis, TESTER)
        return next(client for client in list_clients(self.pools) if client.id == name)

    def maker(self) -> Client:
        """The maker of cars whose PCID begins with WVW."""
        return self.client("maker", Role.OEM, wmis=("WVW",))

    def operator(self) -> Client:
        """The operator of EMAIDs that begin with DEABC."""
        return self.client("operator", Role.MO, providers=("DEABC",))

    def bearer(self, name: str) -> dict[str, str]:
        """The header with a token of that client."""
        token = issue_token(self.pools, name, self.secrets[name], "https://pools.example")
        return {"Authorization": f"Bearer {token.access_token}"}


def open_shop(folder: Path, settings: PoolSettings | None = None, clock: SetTime | None = None) -> Shop:
    """The pools of a founded state folder; close `pools` and `registry`."""
    clock = clock or SetTime()
    registry = open_registry(folder, now=clock)
    return Shop(registry, open_pools(registry, settings), clock)


def text(der: bytes) -> str:
    """Octets in base64."""
    return base64.b64encode(der).decode()


def provisioning_body(car: Car, **changed: object) -> dict[str, object]:
    """The body of PUT /v1/oem/provCerts."""
    body: dict[str, object] = {
        "subCA1Certificate": text(car.chain.sub1),
        "subCA2Certificate": text(car.chain.sub2 or b""),
        "vehicleCertificate": text(car.chain.leaf),
        "xsdMsgDefNamespace": NAMESPACE if car.chain.generation is Generation.ISO_2 else NAMESPACE_20,
    }
    return {**body, **changed}


def wish_body(pcid: str = PCID, emaid: str = EMAID, **changed: object) -> dict[str, object]:
    """The body of PUT /v1/cps/generate/signedContractData."""
    body: dict[str, object] = {
        "contractBegins": AT.isoformat(),
        "contractEnds": (AT + timedelta(days=300)).isoformat(),
        "emaid": emaid,
        "pcid": pcid,
        "xsdMsgDefNamespace": NAMESPACE,
    }
    return {**body, **changed}

"""The provisioning service: signs contract data that an operator made, or makes a contract from nothing.

Rules of this file
1. Nothing is signed but for the operator of the EMAID, over a chain that stands below an MO or V2G root of the root
   pool, and never with another curve than the car's (V2G20-2709).
2. Everything that can refuse refuses before a certificate is issued. When the signed data cannot be stored after all,
   the new certificate is revoked; whoever is killed in between leaves a certificate whose key nobody has.

Source: OPCP 1.0, cps.v1; ISO 15118-2 V2G2-815 to -823; ISO 15118-20 V2G20-2487 to -2507.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from pki.certificate import Certificate, KeyKind, parse_certificate
from pki.errors import PKIError, PoolRefused
from pki.identifiers import EMAID
from pki.issue.contract import (
    ContractBundle,
    ContractData,
    check_contract_data,
    check_signature,
    encode_bundle,
    make_contract_data,
    parse_bundle,
    sign_contract,
)
from pki.issue.keys import PublicKey
from pki.issue.sealing import Suite, iv_octets, suite_of
from pki.profile import Generation
from pki.service.pool.clients import Client
from pki.service.pool.contracts import SignedContract, put_contract
from pki.service.pool.identities import account, common_name, profile_of, vehicle_id
from pki.service.pool.pools import Pools, Signer
from pki.service.pool.roots import list_roots
from pki.service.pool.vehicles import Vehicle, get_vehicle
from pki.service.store.audit import Actor
from pki.verify.chain import verify

BEGIN_SLACK = timedelta(days=1)
"""How far ahead a contract that is made here may be asked to begin: it begins when it is made."""
_SUITES = {KeyKind.P256: Suite.P256, KeyKind.P521: Suite.P521, KeyKind.ED448: Suite.X448}
_CURVE_CLAUSE = "ISO 15118-20 V2G20-2709"
_CPS_CLAUSE = "OPCP 1.0, cps.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedContract:
    """Contract data as an operator sends it: the chain as DER (`sub2` None: one sub-CA), the sealed key, the ephemeral
    public key; `pcid` None: it is signed and not stored."""

    generation: Generation
    leaf: bytes
    sub2: bytes | None
    sub1: bytes
    encrypted_private_key: bytes
    dh_public_key: bytes
    pcid: str | None = None
    cps_root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractWish:
    """A contract to be made: for which account and car, from when until when."""

    generation: Generation
    emaid: str
    pcid: str
    begins: datetime
    ends: datetime
    cps_root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedResult:
    """Signed contract data: `signed` as it is handed out, `root` the one above the provisioning service."""

    emaid: str
    pcid: str | None
    generation: Generation
    signed: bytes
    root: Certificate


def sign_offered(pools: Pools, offered: OfferedContract, client: Client) -> SignedResult:
    """Sign an operator's contract data, and store it when a car is named.

    Raises:
        PoolRefused: "provider", "key-kind", "cps-root", "pcid-format", "vehicle-unknown", "vehicle-unusable", ...;
        BundleRejected, IssueError: the data is of the wrong form; ChainRejected, NoEvidence, MalformedCertificate: its
        chain. StateError, KeyStoreError: the service cannot sign.
    """
    kind = parse_certificate(offered.leaf, index=0).key_kind
    if kind not in _SUITES:
        raise PoolRefused("key-kind", "the contract's key is of no kind that a profile takes", clause=_CURVE_CLAUSE)
    subs = (offered.sub1,) if offered.sub2 is None else (offered.sub2, offered.sub1)
    data = ContractData(
        suite=_SUITES[kind],
        contract_chain=(offered.leaf, *subs),
        encrypted_private_key=offered.encrypted_private_key,
        dh_public_key=offered.dh_public_key,
        emaid=common_name(parse_certificate(offered.leaf)).replace("-", "").upper(),
    )
    emaid = check_contract_data(data)
    client.require_provider(emaid.normal)
    _require_generation(offered.generation, data.generation)
    _verify_contract(pools, data, emaid)
    vehicle = None if offered.pcid is None else get_vehicle(pools, offered.pcid)
    if vehicle is not None:
        _require_suite(vehicle, data.suite)
    actor = client.actor("contract data signed")
    signer = choose_signer(pools, data.generation, offered.cps_root, actor)
    signed = encode_bundle(sign_contract(data, signer.chain, signer.key))
    result = _result(emaid.normal, vehicle, data, signed, signer)
    if vehicle is not None:
        _store(pools, result, vehicle, data, client)
    else:
        with pools.writing() as connection:
            pools.note(connection, "contract-signed", actor, emaid.normal)
    return result


def generate_contract(pools: Pools, wish: ContractWish, client: Client) -> SignedResult:
    """Make a contract: key, certificate, sealing and signature, and store it. The key exists unencrypted inside
    `make_contract_data` alone.

    Raises:
        PoolRefused: "provider", "validity", "key-kind", "cps-root", and as `get_vehicle`; IssueError: the authority
        refuses; StateError, KeyStoreError: the service cannot issue or sign.
    """
    emaid = account(wish.emaid)
    client.require_provider(emaid.normal)
    _check_life(pools, wish)
    vehicle = get_vehicle(pools, wish.pcid)
    key, actor = vehicle.leaf.public_key, client.actor("contract generated")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        message = "no contract is sealed for this car: its key is Ed448, and an alternative X448 key is not read"
        raise PoolRefused("key-kind", message, clause="ISO 15118-20 V2G20-2488")
    suite = suite_of(key)
    _require_generation(wish.generation, Generation.ISO_2 if suite is Suite.P256 else Generation.ISO_20)
    signer = choose_signer(pools, wish.generation, wish.cps_root, actor)
    written = emaid.normal + (emaid.check or "")

    def certify(public_key: PublicKey) -> tuple[bytes, ...]:
        return pools.own.certify_contract(wish.generation, written, public_key, wish.ends, actor)

    data = make_contract_data(key, certify, pcid=vehicle.pcid, iv=secrets.token_bytes(iv_octets(suite)))
    try:
        signed = encode_bundle(sign_contract(data, signer.chain, signer.key))
        result = _result(emaid.normal, vehicle, data, signed, signer)
        _store(pools, result, vehicle, data, client)
    except PKIError:
        pools.own.revoke_contract(data.contract_chain[0], Actor(who=actor.who, why="it could not be stored"))
        raise
    return result


def store_signed(
    pools: Pools, signed: bytes, generation: Generation, emaid: str, pcid: str, cps_root: str | None, client: Client
) -> None:
    """Store signed contract data that a provisioning service sends. Data of this house is read and its signature
    verified; any other is opaque.

    Raises:
        PoolRefused: "emaid-format", "provider", "pcid-format", "vehicle-unknown", "emaid-mismatch", "namespace",
        "contract-held"; BundleRejected, ChainRejected, NoEvidence, MalformedCertificate: data of this house that does
        not verify. StateError, IssueError, KeyStoreError: what it replaces cannot be revoked.
    """
    wanted = account(emaid).normal
    client.require_provider(wanted)
    chain: tuple[bytes, ...] = ()
    if signed.lstrip()[:1] == b"{":
        bundle = parse_bundle(signed)
        _require_generation(generation, bundle.data.generation)
        found = check_contract_data(bundle.data)
        if found.normal != wanted:
            message = f"the signed data is of {found.normal}, the request names {wanted}"
            raise PoolRefused("emaid-mismatch", message, clause="OPCP 1.0, ccp.v1: addSignedContractData")
        cps_root = _verify_bundle(pools, bundle)
        _verify_contract(pools, bundle.data, found)
        chain = bundle.data.contract_chain
    new = SignedContract(
        emaid=wanted,
        pcid=vehicle_id(pcid),
        generation=generation,
        chain=chain,
        signed=signed,
        cps_root=cps_root,
        owner=client.id,
    )
    put_contract(pools, new, client.actor("signed contract data sent"))


def choose_signer(pools: Pools, generation: Generation, cps_root: str | None, actor: Actor) -> Signer:
    """The provisioning service of a generation; `cps_root` asks for the one below a certain root, by fingerprint or by
    the root's id in the pool.

    Raises:
        PoolRefused: "cps-root", "no-signer".
    """
    signer = pools.own.contract_signer(generation, actor)
    if signer is None:
        raise PoolRefused("no-signer", f"no authority here certifies a provisioning service of {generation.value}")
    if cps_root is not None:
        sha256 = parse_certificate(signer.root).sha256
        names = {sha256, *(root.id for root in list_roots(pools) if root.certificate.sha256 == sha256)}
        if cps_root.replace(":", "").lower() not in names:
            message = f"no provisioning service here stands below root {cps_root[:80]!a}; it stands below {sha256}"
            raise PoolRefused("cps-root", message, clause=_CPS_CLAUSE)
    return signer


def _check_life(pools: Pools, wish: ContractWish) -> None:
    now, most = pools.now(), timedelta(days=profile_of(wish.generation, "contract").leaf.days)
    if wish.begins > now + BEGIN_SLACK:
        message = f"a contract that is made here begins when it is made, not at {wish.begins}"
        raise PoolRefused("validity", message, clause=_CPS_CLAUSE)
    if not now + timedelta(days=1) <= wish.ends <= now + most:
        message = f"contractEnds {wish.ends} is not between one and {most.days} days from now"
        raise PoolRefused("validity", message, clause="ISO 15118-2 Table F.4")


def _require_generation(named: Generation, found: Generation) -> None:
    if named is not found:
        message = f"xsdMsgDefNamespace names {named.value}, the keys are of {found.value}"
        raise PoolRefused("namespace", message, clause=_CURVE_CLAUSE)


def _require_suite(vehicle: Vehicle, suite: Suite) -> None:
    kind = vehicle.leaf.key_kind
    if _SUITES.get(kind) is not suite:
        message = f"the contract is sealed for a key of {suite.value}, the car {vehicle.pcid} has {kind.value}"
        raise PoolRefused("key-kind", message, clause=_CURVE_CLAUSE)


def _verify_contract(pools: Pools, data: ContractData, emaid: EMAID) -> None:
    verify(
        data.contract_chain,
        profile=profile_of(data.generation, "contract"),
        trust=pools.trust(),
        at=pools.now(),
        revocation=pools.evidence(),
        emaid=emaid,
        require_revocation=pools.settings.require_revocation,
    )


def _verify_bundle(pools: Pools, bundle: ContractBundle) -> str:
    """The fingerprint of the root above who signed."""
    cps = check_signature(
        bundle,
        trust=pools.trust(),
        at=pools.now(),
        revocation=pools.evidence(),
        require_revocation=pools.settings.require_revocation,
    )
    return cps.path[-1].sha256


def _result(emaid: str, vehicle: Vehicle | None, data: ContractData, signed: bytes, signer: Signer) -> SignedResult:
    return SignedResult(
        emaid=emaid,
        pcid=None if vehicle is None else vehicle.pcid,
        generation=data.generation,
        signed=signed,
        root=parse_certificate(signer.root),
    )


def _store(pools: Pools, result: SignedResult, vehicle: Vehicle, data: ContractData, client: Client) -> None:
    new = SignedContract(
        emaid=result.emaid,
        pcid=vehicle_id(vehicle.pcid),
        generation=result.generation,
        chain=data.contract_chain,
        signed=result.signed,
        cps_root=result.root.sha256,
        owner=client.id,
        key_of=vehicle.leaf.der,
    )
    put_contract(pools, new, client.actor("signed contract data stored"))

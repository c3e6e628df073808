"""The root certificates in a station: which it holds, putting one in, taking one out; the same in every version.

Over 1.6 the roots of ISO 15118 are spoken of wrapped in DataTransfer, those of the operator and the manufacturer by the
messages of the security extension. None of these may be awaited by who answers the station's own CALLs.

Source: OCPP 2.0.1 and 2.1 Part 2 M03, M04, M05; OCA "Improved security for OCPP 1.6-J" ed. 3, "ISO 15118 Plug & Charge
with OCPP 1.6" v1.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.chargers.connected import MODULES
from gateway.errors import CallFailed
from pki.certificate import parse_certificate, verify_signature
from pki.errors import PKIError
from pki.pem import parse_pem
from wire.errors import MalformedValue
from wire.ocpp import pnc16, v16, v21, v201
from wire.ocpp.payload import Message

if TYPE_CHECKING:
    from gateway.chargers.station import Station

T = TypeVar("T", bound=Message)


class InstalledUse(StrEnum):
    """What a certificate in a station is for, by the names of 2.1."""

    V2G = "V2GRootCertificate"
    MO = "MORootCertificate"
    OEM = "OEMRootCertificate"
    CSMS = "CSMSRootCertificate"
    MANUFACTURER = "ManufacturerRootCertificate"
    V2G_CHAIN = "V2GCertificateChain"


_PLAIN_IN_16: dict[InstalledUse, v16.CertificateUseEnum] = {
    InstalledUse.CSMS: "CentralSystemRootCertificate",
    InstalledUse.MANUFACTURER: "ManufacturerRootCertificate",
}
_PEM_MAX = {v16.VERSION: 5500, v201.VERSION: 5500, v21.VERSION: 10_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCertificate:
    """A certificate as the station reports it; of a chain also those below, as it has them."""

    use: InstalledUse
    named: v201.CertificateHashData
    below: tuple[v201.CertificateHashData, ...] = ()


async def install_root(station: Station, use: InstalledUse, pem: str) -> str:
    """The station's word: Accepted, Rejected or Failed.

    Raises:
        CallFailed: no answer that can be read; "not-supported" when its version or the station itself has no such
            message; "not-a-root", and then nothing was sent: a station may take what is none, and never list it again.
    """
    _check_root(station, pem)
    if use is InstalledUse.V2G_CHAIN or use not in _uses(station, (use,)):
        raise _unsupported(station, f"{use.value} cannot be installed")
    if station.ocpp != v16.VERSION:
        request = MODULES[station.ocpp].InstallCertificate(certificate_type=use.value, certificate=pem)
        return await _status(station, request)
    plain = _PLAIN_IN_16.get(use)
    if plain is not None:
        return await _status(station, v16.InstallCertificate(certificate_type=plain, certificate=pem))
    kind: Any = use.value
    inner = v201.InstallCertificate(certificate_type=kind, certificate=pem)
    return (await _ask_wrapped(station, inner, v201.InstallCertificateAnswer)).status


async def delete_certificate(station: Station, installed: InstalledCertificate) -> str:
    """The station's word: Accepted, Failed or NotFound. It is named by the hash that the station reported (M04.FR.07).

    Raises:
        CallFailed: as `install_root`, but for "not-a-root".
    """
    named = installed.named
    if station.ocpp != v16.VERSION:
        return await _status(station, v201.DeleteCertificate(certificate_hash_data=named))
    if installed.use not in _PLAIN_IN_16:
        inner = v201.DeleteCertificate(certificate_hash_data=named)
        return (await _ask_wrapped(station, inner, v201.DeleteCertificateAnswer)).status
    plain = v16.CertificateHashData(
        hash_algorithm=named.hash_algorithm,
        issuer_name_hash=named.issuer_name_hash,
        issuer_key_hash=named.issuer_key_hash,
        serial_number=named.serial_number,
    )
    return await _status(station, v16.DeleteCertificate(certificate_hash_data=plain))


async def installed_certificates(
    station: Station, uses: Sequence[InstalledUse] = tuple(InstalledUse)
) -> tuple[InstalledCertificate, ...]:
    """What the station holds for these uses; those that its version does not know are left out.

    Raises:
        CallFailed: as `install_root`, but for "not-a-root".
    """
    wanted = _uses(station, uses)
    if not wanted:
        return ()
    if station.ocpp != v16.VERSION:
        kinds = tuple(use.value for use in wanted)
        answer = await _ask(station, MODULES[station.ocpp].GetInstalledCertificateIds(certificate_type=kinds))
        return tuple(_listed(answer.certificate_hash_data_chain))
    found: list[InstalledCertificate] = []
    for use, plain in _PLAIN_IN_16.items():
        if use in wanted:
            held = await _ask(station, v16.GetInstalledCertificateIds(certificate_type=plain))
            found += [InstalledCertificate(use=use, named=_as_201(each)) for each in held.certificate_hash_data]
    wrapped: Any = tuple(use.value for use in wanted if use not in _PLAIN_IN_16)
    if wrapped:
        inner = v201.GetInstalledCertificateIds(certificate_type=wrapped)
        told = await _ask_wrapped(station, inner, v201.GetInstalledCertificateIdsAnswer)
        found += _listed(told.certificate_hash_data_chain)
    return tuple(found)


def _uses(station: Station, uses: Sequence[InstalledUse]) -> tuple[InstalledUse, ...]:
    return tuple(use for use in uses if use is not InstalledUse.OEM or station.ocpp == v21.VERSION)


def _listed(
    chains: Sequence[v201.CertificateHashDataChain | v21.CertificateHashDataChain],
) -> Iterator[InstalledCertificate]:
    for each in chains:
        yield InstalledCertificate(
            use=InstalledUse(each.certificate_type),
            named=each.certificate_hash_data,
            below=each.child_certificate_hash_data,
        )


def _as_201(named: v16.CertificateHashData) -> v201.CertificateHashData:
    return v201.CertificateHashData(
        hash_algorithm=named.hash_algorithm,
        issuer_name_hash=named.issuer_name_hash,
        issuer_key_hash=named.issuer_key_hash,
        serial_number=named.serial_number,
    )


async def _status(station: Station, request: Message) -> str:
    status: str = (await _ask(station, request)).status
    return status


async def _ask(station: Station, request: Message) -> Any:
    """The answer, of the type that belongs to the request and its version."""
    try:
        return await station.ask(request)
    except CallFailed as error:
        if error.ocpp_code in ("NotImplemented", "NotSupported"):
            raise _unsupported(station, f"it does not know {type(request).__name__}") from error
        raise


async def _ask_wrapped(station: Station, inner: Message, answer_type: type[T]) -> T:
    """The inner answer of a message that is wrapped over 1.6."""
    name = type(inner).__name__
    outer = await _ask(station, pnc16.wrap(name, inner))
    try:
        answer = pnc16.unwrap_answer(answer_type, outer, name)
    except MalformedValue as error:
        raise CallFailed("unreadable-answer", f"{station.charger_id}: {error}") from error
    if answer is None:
        raise _unsupported(station, f"it answered {outer.status} to a wrapped {name}")
    return answer


def _check_root(station: Station, pem: str) -> None:
    limit = _PEM_MAX[station.ocpp]
    try:
        (der,) = parse_pem(pem, max_blocks=1, max_characters=limit)
        root = parse_certificate(der)
    except PKIError as error:
        raise CallFailed("not-a-root", f"{station.charger_id}: nothing was sent: {error}") from error
    if not root.self_issued or not verify_signature(root, root.signature_kind, root.tbs, root.signature):
        message = f"{station.charger_id}: nothing was sent: the certificate is not signed by its own key"
        raise CallFailed("not-a-root", message)


def _unsupported(station: Station, why: str) -> CallFailed:
    return CallFailed("not-supported", f"{station.charger_id}: OCPP {station.ocpp}: {why}")

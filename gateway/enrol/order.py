"""What a station asks to be certified, checked before anybody is asked: pure.

1. the kind of certificate is one that is relayed                                           certificate-type
2. one PEM block, a certification request whose key its sender holds (`pki.issue.request`)   its own codes
3. a key of the kind that the certificate needs                                                     key-kind
4. the common name is one that the configuration gives to this station                       foreign-subject

Source: OCPP 2.0.1 A02, A03, A00.FR.405; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.enrol.est import Label
from gateway.errors import SigningRefused
from pki.certificate import KeyKind
from pki.errors import PKIError
from pki.issue.request import REQUEST_CAP, CheckedRequest, identifier_for, verify_request
from pki.pem import parse_pem
from pki.profile import Profile
from pki.profiles import profile_named
from pki.verify.hash_text import CertificateName

_NAMESPACE_20 = "urn:iso:std:iso:15118:-20:CommonMessages"
_REQUEST_LABEL = "CERTIFICATE REQUEST"


class CertificateUse(StrEnum):
    """What the certificate is for, by OCPP's names."""

    CHARGING_STATION = "ChargingStationCertificate"
    V2G = "V2GCertificate"
    V2G_20 = "V2G20Certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class StationNames:
    """What a station may be called in certificates: `client` in the TLS client's, `evse_ids` in those of ISO 15118."""

    client: str
    evse_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a station asks, as it came: a certification request (PEM) and the kind of certificate; in 2.1 a number that
    its answer is to carry, and the root that it is to stand under."""

    csr: str
    use: str | None = None
    request_id: int | None = None
    root: CertificateName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOrder:
    """A request that may be relayed. `der` is what the station signed; `root` is where the chain must end, if anywhere
    in particular."""

    charger_id: str
    use: CertificateUse
    profile: Profile
    request: CheckedRequest
    der: bytes
    request_id: int | None = None
    root: CertificateName | None = None


_PROFILES: Mapping[CertificateUse, Mapping[KeyKind, str]] = {
    CertificateUse.CHARGING_STATION: {KeyKind.P256: "backend-client"},
    CertificateUse.V2G: {
        KeyKind.P256: "iso15118-2-secc",
        KeyKind.P521: "iso15118-20-secc",
        KeyKind.ED448: "iso15118-20-secc",
    },
    CertificateUse.V2G_20: {KeyKind.P521: "iso15118-20-secc", KeyKind.ED448: "iso15118-20-secc"},
}
_LABELS = {
    "backend-client": Label("backend"),
    "iso15118-2-secc": Label("cpo"),
    "iso15118-20-secc": Label("cpo", _NAMESPACE_20),
}


def label_of(profile: Profile) -> Label:
    """The EST label that a profile is asked for by."""
    return _LABELS[profile.name]


def check_order(charger_id: str, asking: Asking, names: StationNames) -> SigningOrder:
    """The order, once every step above is passed. Cost: one signature verification.

    Raises:
        SigningRefused: "certificate-type", "foreign-subject", or the code of the request's own fault.
    """
    use = asking.use
    try:
        wanted = CertificateUse(use or CertificateUse.CHARGING_STATION)  # 1
    except ValueError as error:
        raise SigningRefused("certificate-type", f"{(use or '')[:40]!a} is not relayed") from error
    profiles = _PROFILES[wanted]
    try:
        (der,) = parse_pem(asking.csr, label=_REQUEST_LABEL, max_blocks=1, max_characters=2 * REQUEST_CAP)  # 2
        request = verify_request(der, kinds=profiles.keys())  # 2, 3
        profile = profile_named(profiles[request.kind])
        named = identifier_for(profile, request.common_name)
    except PKIError as error:
        raise SigningRefused(error.code, str(error)) from error
    if named not in _allowed(profile, wanted, names):  # 4
        key = "serial_number or id" if wanted is CertificateUse.CHARGING_STATION else "evse_ids"
        message = f"{request.common_name!a} is no name of this station; [[charger]] {key} of {charger_id} gives them"
        raise SigningRefused("foreign-subject", message)
    return SigningOrder(
        charger_id=charger_id,
        use=wanted,
        profile=profile,
        request=request,
        der=der,
        request_id=asking.request_id,
        root=asking.root,
    )


def _allowed(profile: Profile, use: CertificateUse, names: StationNames) -> set[str]:
    """The station's names in the profile's one spelling; one that the profile's grammar does not know is none."""
    found: set[str] = set()
    for text in (names.client,) if use is CertificateUse.CHARGING_STATION else names.evse_ids:
        try:
            found.add(identifier_for(profile, text))
        except PKIError:
            continue
    return found

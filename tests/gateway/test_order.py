"""What a station may ask to be certified: a request that it signed, for a name that is its own."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.enrol.order import Asking, CertificateUse, StationNames, check_order, label_of
from gateway.errors import SigningRefused
from pki.pem import encode_pem

NAMES = StationNames(client="SN-1", evse_ids=("DE*PNC*E000001", "DEPNC0000042"))
SECC = "DEPNCS" + "000000000000000000000000000000427"
V2G, STATION = CertificateUse.V2G.value, CertificateUse.CHARGING_STATION.value


def csr(common_name: str, key: CertificateIssuerPrivateKeyTypes | None = None) -> x509.CertificateSigningRequest:
    key = key or ec.generate_private_key(ec.SECP256R1())
    hash_: hashes.SHA256 | hashes.SHA512 | None = hashes.SHA256()
    if isinstance(key, ed448.Ed448PrivateKey):
        hash_ = None
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        hash_ = hashes.SHA512()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hash_)


def pem(common_name: str, key: CertificateIssuerPrivateKeyTypes | None = None) -> str:
    return csr(common_name, key).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("common_name", "use", "key", "profile", "label"),
    [
        ("SN-1", None, None, "backend-client", "backend"),
        ("SN-1", STATION, None, "backend-client", "backend"),
        ("DE*PNC*E000001", V2G, None, "iso15118-2-secc", "cpo"),
        ("DEPNCE000001", V2G, None, "iso15118-2-secc", "cpo"),
        ("de*pnc*e000001", V2G, None, "iso15118-2-secc", "cpo"),
    ],
)
def test_name_of_its_own_is_relayed(common_name: str, use: str | None, key: None, profile: str, label: str) -> None:
    order = check_order("CP-1", Asking(csr=pem(common_name, key), use=use), NAMES)
    assert order.profile.name == profile
    assert label_of(order.profile).name == label
    assert order.request.common_name == common_name


def test_key_tells_the_generation() -> None:
    names = StationNames(client="SN-1", evse_ids=(SECC,))
    for key in (ec.generate_private_key(ec.SECP521R1()), ed448.Ed448PrivateKey.generate()):
        order = check_order("CP-1", Asking(csr=pem(SECC, key), use=V2G), names)
        assert order.profile.name == "iso15118-20-secc"
        assert label_of(order.profile).query() != {}


@pytest.mark.parametrize(
    ("text", "use", "code"),
    [
        (pem("SN-2"), STATION, "foreign-subject"),
        (pem("sn-1"), STATION, "foreign-subject"),
        (pem("SN-1"), V2G, "evseid-format"),
        (pem("DE*PNC*E000002"), V2G, "foreign-subject"),
        (pem("DE*PNC*E000001"), STATION, "foreign-subject"),
        (pem("SN-1"), "V2G30Certificate", "certificate-type"),
        (pem("SN-1"), "x" * 500, "certificate-type"),
        (pem("SN-1", ec.generate_private_key(ec.SECP384R1())), STATION, "key-kind"),
        (pem("SN-1", ec.generate_private_key(ec.SECP521R1())), STATION, "key-kind"),
        (pem("SN-1", rsa.generate_private_key(65537, 2048)), STATION, "key-kind"),
        (pem("SN-1") + pem("SN-1"), STATION, "size-limit"),
        ("", STATION, "malformed-pem"),
        ("hello", STATION, "malformed-pem"),
        (encode_pem(b"\x30\x03\x02\x01\x05", "CERTIFICATE REQUEST"), STATION, "malformed-request"),
        ("-----BEGIN CERTIFICATE REQUEST-----" + "A" * 20_000, STATION, "size-limit"),
        (pem("SN-1").replace("CERTIFICATE REQUEST", "CERTIFICATE"), STATION, "malformed-pem"),
    ],
)
def test_everything_else_is_refused(text: str, use: str, code: str) -> None:
    with pytest.raises(SigningRefused) as refused:
        check_order("CP-1", Asking(csr=text, use=use), NAMES)
    assert refused.value.code == code
    assert len(str(refused.value)) < 400


def test_request_that_somebody_else_signed_is_refused() -> None:
    der = bytearray(csr("SN-1").public_bytes(Encoding.DER))
    other = csr("SN-1").public_bytes(Encoding.DER)
    signature = other[-70:]
    der[-70:] = signature
    with pytest.raises(SigningRefused) as refused:
        check_order("CP-1", Asking(csr=encode_pem(bytes(der), "CERTIFICATE REQUEST"), use=STATION), NAMES)
    assert refused.value.code in ("proof-of-possession", "malformed-request")


def test_station_without_names_gets_no_v2g_certificate() -> None:
    with pytest.raises(SigningRefused, match="evse_ids") as refused:
        check_order(
            "CP-1", Asking(csr=pem("DE*PNC*E000001"), use=V2G), StationNames(client="CP-1", evse_ids=("not an id",))
        )
    assert refused.value.code == "foreign-subject"

"""Every curve before foreign eyes: the openssl program, which knows them all, and pyocmf where it is right.

Known defects of pyocmf 0.6.0: it raises for `brainpool256r1` without P, knows no brainpool384r1, and takes keys as
SubjectPublicKeyInfo in hex only. secp192k1 it knows with a further package only; openssl crosses that one.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import warnings
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyocmf
import pytest

from wire.meter.curves import CURVES, Curve
from wire.meter.draft import (
    OCMFPayload,
    ReadingDraft,
    SignatureEncoding,
    derive_private_key,
    sign_ocmf,
    sign_payload,
)
from wire.meter.judge import judge_record
from wire.meter.keys import parse_public_key, public_key_of
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import Pagination, PaginationContext, ReadingReason

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl program here: our curves go uncrossed by it")
every_curve = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)

DRAFT = OCMFPayload(
    pagination=Pagination(context=PaginationContext.TRANSACTION, number=7),
    gateway_serial="GS-1",
    meter_serial="MS-1",
    id_assigned=True,
    id_type="CENTRAL",
    readings=(
        ReadingDraft(
            at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC),
            reason=ReadingReason.BEGIN,
            value=Decimal("2935.600"),
            register="01-00:B2.08.00*FF",
            unit="kWh",
            error_flags="",
        ),
    ),
)
PAYLOAD = b'{"FV":"1.2","PG":"T1","MS":"M","IS":false,"IT":"NONE",\r\n "RD":[{"RV":1.50,"RU":"kWh","ST":"G"}]} '


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, timeout=60, check=False)


def name_of(curve: Curve) -> str:
    return {"secp192r1": "prime192v1", "secp256r1": "prime256v1"}.get(
        curve.name, curve.name.replace("brainpool", "brainpoolP")
    )


@needs_openssl
@every_curve
@pytest.mark.parametrize("hash_name", ["SHA256", "SHA512"])
def test_openssl_verifies_what_we_sign_and_no_other_bytes(curve: Curve, hash_name: str, tmp_path: Path) -> None:
    private = derive_private_key(curve.name, 0xC0FFEE)
    raw = sign_ocmf(DRAFT, private, algorithm=f"ECDSA-{curve.name}-{hash_name}", encoding=SignatureEncoding.BASE64)
    record = parse_ocmf(raw)
    key, signature, payload = tmp_path / "key", tmp_path / "signature", tmp_path / "payload"
    key.write_bytes(public_key_of(private.public_key()).spki)
    signature.write_bytes(record.signature.value)
    payload.write_bytes(record.payload_bytes)
    verify = ("dgst", f"-{hash_name.lower()}", "-keyform", "DER", "-verify", key, "-signature", signature, payload)
    assert openssl(*verify).stdout == b"Verified OK\n"
    payload.write_bytes(record.payload_bytes + b" ")
    assert openssl(*verify).returncode == 1


@needs_openssl
@every_curve
def test_we_verify_what_openssl_signs_with_keys_of_its_own_in_its_own_spellings(curve: Curve, tmp_path: Path) -> None:
    private, payload, signature = tmp_path / "key.pem", tmp_path / "payload", tmp_path / "signature"
    made = openssl("ecparam", "-name", name_of(curve), "-genkey", "-noout", "-out", private)
    assert made.returncode == 0, made.stderr
    payload.write_bytes(PAYLOAD)
    assert openssl("dgst", "-sha256", "-sign", private, "-out", signature, payload).returncode == 0
    section = f'{{"SA":"ECDSA-{name_of(curve)}-SHA256","SE":"base64","SD":"%s"}}'
    text = base64.b64encode(signature.read_bytes()).decode()
    raw = b"OCMF|" + PAYLOAD + b"|" + (section % text).encode()
    spki = openssl("ec", "-in", private, "-pubout", "-outform", "DER").stdout
    pem = openssl("ec", "-in", private, "-pubout", "-outform", "PEM").stdout
    compressed = openssl("ec", "-in", private, "-pubout", "-outform", "DER", "-conv_form", "compressed").stdout
    point = compressed[-curve.coordinate_bytes - 1 :]
    for key in (spki, pem, compressed, point, spki[-2 * curve.coordinate_bytes :].hex()):
        verdict = judge_record(raw, key)
        assert verdict.is_trusted, verdict.detail
        assert (verdict.curve, verdict.fallbacks) == (curve.name, ())
    assert parse_public_key(compressed) == parse_public_key(spki)
    assert parse_public_key(spki).spki == spki
    assert judge_record(raw.replace(b"1.50", b"1.51"), spki).signature == "invalid"


@needs_openssl
@every_curve
def test_explicit_parameters_of_a_known_curve_are_a_bad_key(curve: Curve, tmp_path: Path) -> None:
    private = tmp_path / "key.pem"
    assert openssl("ecparam", "-name", name_of(curve), "-genkey", "-noout", "-out", private).returncode == 0
    explicit = openssl("ec", "-in", private, "-pubout", "-param_enc", "explicit", "-outform", "DER").stdout
    raw = sign_payload(PAYLOAD, derive_private_key(curve.name, 5), algorithm=f"ECDSA-{curve.name}-SHA256")
    verdict = judge_record(raw, explicit)
    assert (verdict.signature, verdict.key_source) == ("bad-key", "registry")
    assert "explicit curve parameters" in verdict.detail


FOREIGN = {
    "secp192r1": "secp192r1",
    "secp256k1": "secp256k1",
    "secp256r1": "secp256r1",
    "brainpool256r1": "brainpoolP256r1",
    "secp384r1": "secp384r1",
    "secp521r1": "secp521r1",
}
"""The spelling of each curve that pyocmf takes."""


@pytest.mark.parametrize("name", FOREIGN)
def test_pyocmf_and_we_agree_on_what_holds(name: str) -> None:
    private = derive_private_key(name, 0xC0FFEE)
    key = public_key_of(private.public_key())
    raw = sign_ocmf(DRAFT, private, algorithm=f"ECDSA-{FOREIGN[name]}-SHA256")
    for text, expected in ((raw, "valid"), (raw.replace(b"2935.600", b"2935.601"), "invalid")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pyocmf.OCMF.from_string(text.decode()).verify_signature(key.spki.hex())
        assert found == (expected == "valid")
        assert judge_record(text, key).signature == expected

"""A clean meter of every kind gives no finding at all, here and before foreign eyes, and its energy is exact."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path

import msgspec
import pyocmf
import pytest
from hypothesis import given, reject, settings, strategies as st

from firmware_sim.errors import MeterKindError
from firmware_sim.meter_kind import (
    FORMAT_VERSIONS,
    AlgorithmSpelling,
    Between,
    Carrier,
    ChargePoint,
    ClockKind,
    KeySending,
    KeySpelling,
    Loss,
    MeterKind,
    Records,
    Signer,
    check_kind,
)
from tests.firmware_sim.test_meter_faults import EXPECTED, judged, played
from tests.meter_pages import KeptPages
from wire.meter.carrier import unwrap
from wire.meter.curves import CURVES
from wire.meter.draft import SignatureEncoding
from wire.meter.ocmf import parse_ocmf
from wire.meter.session import judge_session
from wire.meter.verdict import KeySource, SignatureVerdict

OPENSSL = shutil.which("openssl")
B0, B1, B2, B3 = (f"01-00:{code}.08.00*FF" for code in ("B0", "B1", "B2", "B3"))
IMPORT, VENDOR = "01-00:01.08.00*FF", "01-00:98.08.00*FF"

KINDS = {
    "everyday": MeterKind(),
    "one record": MeterKind(records=Records.MULTIPLE),
    "one record, ends only": MeterKind(records=Records.MULTIPLE, between=Between.NOTHING),
    "carried forward": MeterKind(records=Records.MULTIPLE, carry_forward=True),
    "ends only": MeterKind(between=Between.NOTHING),
    "fiscal readings": MeterKind(between=Between.FISCAL),
    "fiscal readings beside one record": MeterKind(records=Records.MULTIPLE, between=Between.FISCAL),
    "lifetime register": MeterKind(registers=(B0,)),
    "1.8.0": MeterKind(registers=(IMPORT,), unit="Wh", digits=1),
    "maker's register": MeterKind(registers=(VENDOR,), restarts=True),
    "four registers": MeterKind(format_version="1.4", registers=(B2, B0, B3, B1), restarts=True),
    "four registers in one record": MeterKind(
        format_version="1.4", registers=(B2, B0, B3, B1), records=Records.MULTIPLE, carry_forward=True, most_readings=16
    ),
    "whole Wh": MeterKind(unit="Wh", digits=0),
    "two decimals": MeterKind(digits=2),
    "cable loss": MeterKind(registers=(B3, B2), loss=Loss(milliohm=20), restarts=True),
    "cable loss in one record": MeterKind(
        registers=(B1,), loss=Loss(milliohm=4, name="liquid", number=7), records=Records.MULTIPLE
    ),
    "tariff that changes": MeterKind(tariff="001;EUR;0.49", tariff_next="001;EUR;0.59"),
    "tariff that changes in one record": MeterKind(
        tariff="001;EUR;0.49", tariff_next="001;EUR;0.59", records=Records.MULTIPLE
    ),
    "meter signs": MeterKind(signer=Signer.METER),
    "gateway signs": MeterKind(signer=Signer.GATEWAY),
    "EVSE id": MeterKind(charge_point=ChargePoint.EVSEID),
    "no charge point": MeterKind(charge_point=ChargePoint.NONE, format_version="1.3", controller_firmware="7.1"),
    "informative clock": MeterKind(clock=ClockKind.INFORMATIVE),
    "unknown clock": MeterKind(clock=ClockKind.UNKNOWN),
    "relative clock": MeterKind(clock=ClockKind.RELATIVE),
    "clock that settles": MeterKind(clock=ClockKind.SETTLING),
    "SA left out": MeterKind(algorithm=AlgorithmSpelling.OMITTED),
    "SA as OpenSSL spells it": MeterKind(curve="brainpool384r1", algorithm=AlgorithmSpelling.OPENSSL),
    "SA in capitals": MeterKind(algorithm=AlgorithmSpelling.CAPITALS),
    **{f"format {version}": MeterKind(format_version=version) for version in FORMAT_VERSIONS},
    **{
        f"{curve.name} in {encoding.value}": MeterKind(curve=curve.name, signature_encoding=encoding)
        for curve, encoding in product(CURVES, SignatureEncoding)
    },
}


def deviations_of(kind: MeterKind) -> set[str]:
    """What there is to say of records that are as their kind wants them."""
    found = set()
    if kind.version == (1, 4):
        found.add("version-new")
    if kind.version < (0, 4):
        found.add("version-old")
    if kind.curve == "secp521r1":
        found.add("algorithm-extension")
    if kind.algorithm in (AlgorithmSpelling.OPENSSL, AlgorithmSpelling.CAPITALS):
        found.add("algorithm-spelling")
    if kind.signer is Signer.GATEWAY:
        found.add("meter-serial-missing")
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of three transactions."""

    findings: list[str]
    deviations: set[str]
    exact: bool


def judge_clean(kind: MeterKind, ocpp: str = "2.1") -> Judged:
    pages, findings, deviations, exact = KeptPages(), list[str](), set[str](), True
    for transaction in played(kind, ocpp=ocpp, transactions=2).told:
        verdicts = judged(transaction, transaction.public_key, ocpp)
        assert {(each.signature, each.key_source) for each in verdicts} == {
            (SignatureVerdict.VALID, KeySource.REGISTRY)
        }
        assert not any(verdict.fallbacks for verdict in verdicts)
        session = judge_session(verdicts, EXPECTED)
        counted = transaction.taken[-1].register_kwh - transaction.taken[0].register_kwh
        exact = exact and session.energy_wh == counted.scaleb(3)
        findings += [finding.code for finding in session.findings]
        findings += [found.code for each in verdicts for found in pages.take(each, f"session-{transaction.number}")]
        deviations |= {deviation.code for verdict in verdicts for deviation in verdict.deviations}
    return Judged(findings, deviations, exact)


def check(kind: MeterKind, said: Judged) -> None:
    poor = kind.clock in (ClockKind.INFORMATIVE, ClockKind.UNKNOWN, ClockKind.SETTLING)
    assert set(said.findings) == ({"clock-informative"} if poor else set())
    assert {code for code in said.deviations if code not in OLD} == deviations_of(kind)
    assert said.exact


OLD = {"algorithm-in-payload", "key-before-version"}
"""What is odd about formats below 1.0 whatever they say."""


@pytest.mark.parametrize("name", KINDS)
def test_a_clean_meter_of_every_kind_gives_no_finding(name: str) -> None:
    check(KINDS[name], judge_clean(KINDS[name]))


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize("carrier", Carrier)
def test_and_in_every_carrier(carrier: Carrier, ocpp: str) -> None:
    kind = MeterKind(carrier=carrier, between=Between.NOTHING)
    check(kind, judge_clean(kind, ocpp))


@pytest.mark.parametrize("spelling", KeySpelling)
@pytest.mark.parametrize("curve", ["secp192k1", "secp256r1", "brainpool384r1"])
def test_and_with_its_key_in_every_spelling(spelling: KeySpelling, curve: str) -> None:
    kind = MeterKind(key_spelling=spelling, curve=curve, between=Between.NOTHING)
    (transaction,) = played(kind, transactions=1).told
    verdicts = judged(transaction, None)
    assert {(each.signature, each.key_source) for each in verdicts} == {(SignatureVerdict.VALID, KeySource.CLAIMED)}


@pytest.mark.parametrize(
    ("sending", "ocpp", "sent"),
    [
        (KeySending.NEVER, "2.1", [None] * 4),
        (KeySending.NEVER, "2.0.1", [""] * 4),
        (KeySending.ONCE, "2.1", ["key", None, None, None]),
        (KeySending.EVERY, "2.0.1", ["key"] * 4),
    ],
)
def test_the_key_goes_along_as_often_as_it_is_set(sending: KeySending, ocpp: str, sent: list[str | None]) -> None:
    for transaction in played(MeterKind(key_sending=sending), ocpp=ocpp).told:
        assert [value.public_key and "key" for value in transaction.told] == sent


def enum_of(kind: type) -> st.SearchStrategy[object]:
    return st.sampled_from(list(kind))


@settings(max_examples=30, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "curve": st.sampled_from(["secp192r1", "secp256r1", "secp384r1"]),
            "format_version": st.sampled_from(FORMAT_VERSIONS),
            "records": enum_of(Records),
            "between": enum_of(Between),
            "carry_forward": st.booleans(),
            "most_readings": st.sampled_from([8, 16]),
            "registers": st.lists(st.sampled_from([B0, B1, B2, B3, IMPORT]), min_size=1, max_size=4, unique=True).map(
                tuple
            ),
            "restarts": st.booleans(),
            "unit": st.sampled_from(["Wh", "kWh"]),
            "digits": st.integers(0, 3),
            "clock": enum_of(ClockKind),
            "loss": st.sampled_from([None, Loss(milliohm=15)]),
            "tariff": st.sampled_from([None, "001;EUR;0.49"]),
            "tariff_next": st.sampled_from([None, "001;EUR;0.59"]),
            "signer": enum_of(Signer),
            "charge_point": enum_of(ChargePoint),
        }
    )
)
def test_and_whatever_comes_together(fields: dict[str, object]) -> None:
    kind = msgspec.convert(fields, MeterKind)
    try:
        check_kind(kind)
    except MeterKindError:
        reject()
    check(kind, judge_clean(kind))


# --- foreign eyes -----------------------------------------------------------------------------------------------------

PYOCMF = ("secp192r1", "secp256k1", "secp256r1", "secp384r1")
"""The curves that pyocmf takes in OCMF's spelling without a further package."""


def is_foreign(kind: MeterKind) -> bool:
    """Whether pyocmf reads it: format 1.0 or later, SA as specified."""
    return kind.curve in PYOCMF and kind.version >= (1, 0) and kind.algorithm is not AlgorithmSpelling.CAPITALS


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if is_foreign(kind)])
def test_pyocmf_verifies_every_record(name: str) -> None:
    for transaction in played(KINDS[name], transactions=1).told:
        for value in transaction.told:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                record = pyocmf.OCMF.from_string(unwrap(value.data).payload.decode())
                assert record.verify_signature(transaction.public_key.spki.hex()) is True


@pytest.mark.skipif(OPENSSL is None, reason="no openssl program here: these curves go uncrossed by it")
@pytest.mark.parametrize("curve", ["secp192k1", "brainpool256r1", "brainpool384r1", "secp521r1"])
def test_openssl_verifies_the_record_of_a_whole_transaction(tmp_path: Path, curve: str) -> None:
    (transaction,) = played(MeterKind(curve=curve, records=Records.MULTIPLE), transactions=1).told
    record = parse_ocmf(unwrap(transaction.told[0].data).payload)
    files = {"key.der": transaction.public_key.spki, "data": record.payload_bytes, "signature": record.signature.value}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    asked = ("dgst", "-sha256", "-verify", "key.der", "-keyform", "DER", "-signature", "signature", "data")
    found = subprocess.run([str(OPENSSL), *asked], cwd=tmp_path, capture_output=True, check=False)
    assert found.stdout.strip() == b"Verified OK", found.stderr


# --- kinds that there cannot be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"curve": "secp224r1"}, "curve 'secp224r1'"),
        ({"format_version": "2.0"}, "format_version '2.0'"),
        ({"unit": "MWh"}, "unit 'MWh'"),
        ({"unit": "Wh", "digits": 4}, "with 4 digits"),
        ({"registers": ("kWh",)}, "registers kWh"),
        ({"registers": (B2, "01-00:B2.08.00*255")}, "different registers"),
        ({"registers": ()}, "registers"),
        ({"loss": Loss(milliohm=5)}, "98, B1 or B3"),
        ({"tariff": "x", "format_version": "1.0"}, "tariff exists since format 1.1"),
        ({"tariff_next": "x"}, "tariff_next"),
        ({"algorithm": AlgorithmSpelling.OMITTED, "curve": "secp256k1"}, "algorithm omitted"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(MeterKindError, match=named):
        check_kind(msgspec.structs.replace(MeterKind(), **changes))


def test_the_display_cuts_and_never_rounds_up() -> None:
    assert MeterKind(digits=2).shown(1_999_999) == Decimal("1.99")
    assert MeterKind(unit="Wh", digits=1).shown(1_999_999) == Decimal("1999.9")

"""Authorize by certificate hashes alone: accepted only for a chain that was shown before, with today's evidence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.gateway.conftest import Bench, send
from tests.gateway.test_station import BOOT201, decisions

EMAID = {"idToken": "DEABC000000001", "type": "eMAID"}


def hashes_of(lab: Path, name: str) -> list[dict[str, str]]:
    """The hash data of leaf, Sub2 and Sub1, in hex, as a station computes it."""
    chain = x509.load_pem_x509_certificates((lab / "contracts" / f"{name}.pem").read_bytes())
    root = x509.load_pem_x509_certificate(next((lab / "trust" / "mo").glob("mo.pem")).read_bytes())
    entries = []
    for certificate, issuer in zip(chain, [*chain[1:], root], strict=True):
        key = issuer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        entries.append(
            {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": hashlib.sha256(certificate.issuer.public_bytes()).hexdigest(),
                "issuerKeyHash": hashlib.sha256(key).hexdigest(),
                "serialNumber": f"{certificate.serial_number:x}",
                "responderURL": "http://169.254.169.254/",
            }
        )
    return entries


def authorize(bench: Bench, **presented: object) -> Any:
    station = bench.station("2.0.1")
    send(station, "BootNotification", BOOT201)
    return send(station, "Authorize", {"idToken": EMAID} | presented)[2]


@pytest.mark.parametrize("restarted", [False, True])
def test_hashes_of_a_chain_that_was_shown_are_accepted(bench: Bench, lab: Path, restarted: bool) -> None:
    unknown = authorize(bench, iso15118CertificateHashData=hashes_of(lab, "alice"))
    assert unknown == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}
    assert decisions(bench)[0].reason == "binding-unknown"
    authorize(bench, certificate=(lab / "contracts" / "alice.pem").read_text())
    if restarted:
        bench.restart()
    known = authorize(bench, iso15118CertificateHashData=hashes_of(lab, "alice"))
    assert known == {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}
    bench.clock.move(400 * 24 * 3600)
    late = authorize(bench, iso15118CertificateHashData=hashes_of(lab, "alice"))
    assert late["idTokenInfo"]["status"] == "Invalid", "evidence that ran out long ago is none"
    assert decisions(bench)[-1].reason == "revocation-stale"


def test_hashes_of_another_contract_do_not_vouch(bench: Bench, lab: Path) -> None:
    station = bench.station("2.0.1")
    send(station, "BootNotification", BOOT201)
    for name, emaid in (("alice", "DEABC000000001"), ("bob", "DEABC000000002")):
        pem = (lab / "contracts" / f"{name}.pem").read_text()
        send(station, "Authorize", {"idToken": {"idToken": emaid, "type": "eMAID"}, "certificate": pem})
    answer = authorize(bench, iso15118CertificateHashData=hashes_of(lab, "bob"))
    assert answer["certificateStatus"] == "CertChainError"
    assert decisions(bench)[-1].reason == "emaid-mismatch"


def test_contracts_of_iso_15118_20_are_judged_by_their_own_profile(bench: Bench, lab: Path) -> None:
    import json

    for folder, name in (("contracts-20", "dora"), ("contracts-448", "emil")):
        listed = json.loads((lab / folder / f"{folder}.json").read_text())
        contract = next(entry for entry in listed if entry["name"] == name)
        station = bench.station("2.0.1")
        send(station, "BootNotification", BOOT201)
        request = {
            "idToken": {"idToken": contract["emaid"], "type": "eMAID"},
            "certificate": (lab / contract["chain"]).read_text(),
        }
        answer: Any = send(station, "Authorize", request)[2]
        assert answer == {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}, name

"""GetCertificateChainStatus (2.1): only what is held and verified speaks, and no URL of a station's is ever asked."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from jsonschema.validators import validator_for

from gateway.chargers.calls import Calls
from gateway.chargers.certificates import CertificateService, StationCertificates
from gateway.store.evidence import KeptAnswer
from gateway.uplink.evidence import Asked
from gateway.uplink.staples import Staples
from pki.certificate import Certificate
from pki.issue.answers import GOOD, UNKNOWN, Standing, revoked
from pki.issue.keys import fresh_serial
from pki.verify.certificate_id import HashAlgorithm, IssuerID, issuer_id
from pki.verify.hash_text import CertificateName
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import nobody_listens
from tests.gateway.rough_pki import Papers, crl, impostor, now
from tests.gateway.test_evidence import signer
from tests.parts import SetClock
from wire.ocpp.quirks import to_nobody
from wire.records import encode


def named(issuer: Certificate, serial: int, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> dict[str, str]:
    found = issuer_id(issuer, algorithm)
    return {
        "hashAlgorithm": algorithm.value.upper(),
        "issuerNameHash": found.name_hash.hex(),
        "issuerKeyHash": found.key_hash.hex(),
        "serialNumber": f"{serial:x}",
    }


def statuses(
    papers: Papers,
    evidence: RevocationEvidence,
    *asked: tuple[str, dict[str, str]],
    at: datetime | None = None,
    wanted: list[CertificateName] | None = None,
) -> list[dict[str, Any]]:
    """The answer, held to the schema of another implementation."""
    known = (papers.cpo1.certificate, papers.cpo2.certificate, papers.v2g.certificate)

    def issuers(name: IssuerID) -> tuple[Certificate, ...]:
        return tuple(each for each in known if issuer_id(each, name.algorithm) == name)

    service = CertificateService(
        Staples(),
        SetClock(at=at or now()),
        want=lambda name, _station: (wanted if wanted is not None else []).append(name),
        issuers=issuers,
        revocation=lambda: evidence,
    )
    station = StationCertificates("CP-1", "2.1", service, Calls("CP-1", nobody_listens))
    request = {
        "certificateStatusRequests": [
            {"certificateHashData": name, "source": source, "urls": ["http://169.254.169.254/latest"]}
            for source, name in asked
        ]
    }
    act = station.actions()["GetCertificateChainStatus"]
    answer = json.loads(encode(asyncio.run(act.perform(json.dumps(request).encode(), to_nobody))))
    path = files("ocpp") / "v21" / "schemas" / "GetCertificateChainStatusResponse.json"
    schema = json.loads(path.read_text("utf-8-sig"))
    validator_for(schema)(schema).validate(answer)
    found: list[dict[str, Any]] = answer["certificateStatus"]
    for (source, name), each in zip(asked, found, strict=True):
        assert (each["source"], each["certificateHashData"]) == (source, name)
    return found


def words(found: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in found]


def ocsp(papers: Papers, serial: int, standing: Standing, *, lasts: timedelta = timedelta(hours=1)) -> bytes:
    at = now() - timedelta(minutes=4)
    return signer(papers.cpo2).answer(
        serial, standing, this_update=at, next_update=at + lasts, algorithm=HashAlgorithm.SHA256
    )


def test_lists_speak_for_crl_and_answers_for_ocsp(papers: Papers) -> None:
    good, gone, other = (fresh_serial() for _ in range(3))
    evidence = RevocationEvidence(
        crls=[crl(papers.cpo2, 7, revoked=(gone,))],
        ocsps=[ocsp(papers, good, GOOD), ocsp(papers, other, revoked(now() - timedelta(hours=1)))],
    )
    issuer = papers.cpo2.certificate
    found = statuses(
        papers,
        evidence,
        ("CRL", named(issuer, good)),
        ("CRL", named(issuer, gone)),
        ("OCSP", named(issuer, good)),
        ("OCSP", named(issuer, other)),
    )
    assert words(found) == ["Good", "Revoked", "Good", "Revoked"]
    mixed = statuses(
        papers, evidence, ("OCSP", named(issuer, gone)), ("CRL", named(issuer, good, HashAlgorithm.SHA384))
    )
    assert words(mixed) == ["Failed", "Good"], "a list is no OCSP answer; the hash is the station's choice"
    at = now()
    for each in found:
        until = datetime.fromisoformat(each["nextUpdate"].replace("Z", "+00:00"))
        assert at <= until <= at + timedelta(days=7, seconds=1)


@pytest.mark.parametrize("source", ["CRL", "OCSP"])
def test_nothing_that_counts_is_failed(papers: Papers, source: str) -> None:
    serial, issuer = fresh_serial(), papers.cpo2.certificate
    stale_list = crl(papers.cpo2, 7, begun=timedelta(days=8), lasts=timedelta(days=7))
    stale_answer = ocsp(papers, serial, GOOD, lasts=timedelta(minutes=2))
    false_list = crl(impostor(papers.cpo2), 9)
    for crls, ocsps in (([], []), ([stale_list], [stale_answer]), ([false_list], [])):
        evidence = RevocationEvidence(crls=crls, ocsps=ocsps)
        wanted: list[CertificateName] = []
        found = statuses(papers, evidence, (source, named(issuer, serial)), wanted=wanted)
        assert words(found) == ["Failed"]
        assert len(wanted) == (source == "OCSP"), (
            "it is asked about for the next time, where nobody named by the station"
        )
    fresh = RevocationEvidence(crls=[crl(papers.mo2, 7)])
    assert words(statuses(papers, fresh, (source, named(papers.mo2.certificate, serial)))) == ["Failed"], "foreign"
    odd = named(issuer, serial) | {"issuerNameHash": "no hash"}
    assert words(statuses(papers, fresh, (source, odd))) == ["Failed"]


def test_revoked_stays_revoked_and_unknown_is_said(papers: Papers) -> None:
    gone, unknown, issuer = fresh_serial(), fresh_serial(), papers.cpo2.certificate
    evidence = RevocationEvidence(
        crls=[crl(papers.cpo2, 7, begun=timedelta(days=8), lasts=timedelta(days=7), revoked=(gone,))],
        ocsps=[ocsp(papers, unknown, UNKNOWN)],
    )
    found = statuses(papers, evidence, ("CRL", named(issuer, gone)), ("OCSP", named(issuer, unknown)))
    assert words(found) == ["Revoked", "Unknown"]


def test_name_with_two_readings_is_revoked_when_one_of_them_is(papers: Papers) -> None:
    # 0x1234567812345678, and the same digits read as decimal
    text = "1234567812345678"
    issuer = papers.cpo2.certificate
    for serial in (int(text, 16), int(text)):
        evidence = RevocationEvidence(crls=[crl(papers.cpo2, 7, revoked=(serial,))])
        name = named(issuer, 1) | {"serialNumber": text}
        assert words(statuses(papers, evidence, ("CRL", name))) == ["Revoked"]
    nothing = RevocationEvidence(crls=[crl(papers.cpo2, 7)])
    assert words(statuses(papers, nothing, ("CRL", named(issuer, 1) | {"serialNumber": text}))) == ["Good"]


@pytest.mark.parametrize(
    ("ocpp", "octets", "status"),
    [
        ("1.6", 4125, "Accepted"),
        ("1.6", 4126, "Failed"),
        ("2.0.1", 4125, "Accepted"),
        ("2.0.1", 4126, "Failed"),
        ("2.1", 4126, "Accepted"),
        ("2.1", 13_500, "Accepted"),
        ("2.1", 13_501, "Failed"),
    ],
)
def test_answer_is_handed_on_as_long_as_the_version_has_room(
    papers: Papers, ocpp: str, octets: int, status: str
) -> None:
    issuer, at = papers.cpo2.certificate, now()
    staples = Staples()
    staples.put(KeptAnswer(Asked(issuer, 5).key, at, at + timedelta(hours=1), bytes(octets)))
    service = CertificateService(staples, SetClock(at=at))
    station = StationCertificates("CP-1", ocpp, service, Calls("CP-1", nobody_listens))
    acts = station.transfers() if ocpp == "1.6" else station.actions()
    request = json.dumps({"ocspRequestData": named(issuer, 5) | {"responderURL": "http://127.0.0.1/"}})
    answer = json.loads(encode(asyncio.run(acts["GetCertificateStatus"].perform(request.encode(), to_nobody))))
    assert answer["status"] == status
    assert ("ocspResult" in answer) is (status == "Accepted")

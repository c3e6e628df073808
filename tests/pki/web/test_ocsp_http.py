"""The OCSP responder, asked by openssl and curl; openssl, pyhanko-certvalidator and our verifier judge its answers."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from asn1crypto import ocsp as asn1_ocsp, x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError

from pki.certificate import Certificate, parse_certificate
from pki.issue.lists import Reason
from pki.pem import parse_chain_pem
from pki.service.acts.revoking import release, revoke
from pki.service.store.certificates import find_by_hash
from pki.verify.ocsp import parse_ocsp, verify_ocsp
from pki.verify.ocsp_answer import OCSPStatus
from tests.pki_service import ACTOR, Answer, PKIService

REQUEST = ("-H", "Content-Type: application/ocsp-request")
HASHES = [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]
Builder = ocsp.OCSPRequestBuilder


def chain_of(service: PKIService, path: str = "contracts/alice.pem") -> list[Certificate]:
    return [parse_certificate(der) for der in parse_chain_pem((service.folder / path).read_bytes())]


def request_for(
    leaf: Certificate, issuer: Certificate, algorithm: hashes.HashAlgorithm | None = None, nonce: bytes | None = None
) -> bytes:
    builder = Builder().add_certificate(leaf.parsed, issuer.parsed, algorithm or hashes.SHA256())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def request_by_serial(leaf: Certificate, issuer: Certificate, serial: int) -> bytes:
    found = ocsp.load_der_ocsp_request(request_for(leaf, issuer))
    builder = Builder().add_certificate_by_hash(found.issuer_name_hash, found.issuer_key_hash, serial, hashes.SHA256())
    return builder.build().public_bytes(serialization.Encoding.DER)


def ask(service: PKIService, der: bytes) -> Answer:
    answer = service.curl("/ocsp", *REQUEST, listener="http", body=der)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/ocsp-response"
    return answer


def status(answer: Answer) -> ocsp.OCSPResponseStatus | ocsp.OCSPCertStatus:
    found = ocsp.load_der_ocsp_response(answer.body)
    if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return found.response_status
    return found.certificate_status


def openssl(service: PKIService, *arguments: str) -> str:
    leaf, sub2, sub1 = chain_of(service)
    files = service.folder / "asked"
    files.mkdir(exist_ok=True)
    (files / "leaf.pem").write_text(leaf.pem())
    (files / "issuer.pem").write_text(sub2.pem())
    (files / "above.pem").write_text(sub2.pem() + sub1.pem())
    command = ["openssl", "ocsp", "-url", service.url("/ocsp", "http"), "-CAfile", "../trust/mo/mo.pem"]
    command += ["-verify_other", "above.pem", *arguments]
    done = subprocess.run(command, cwd=files, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("nonce", [(), ("-no_nonce",)])
@pytest.mark.parametrize("algorithm", ["-sha1", "-sha256", "-sha384", "-sha512"])
def test_openssl_verifies_what_it_asked_for(service: PKIService, algorithm: str, nonce: tuple[str, ...]) -> None:
    said = openssl(service, *nonce, "-issuer", "issuer.pem", algorithm, "-cert", "leaf.pem")
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said
    assert "no nonce" not in said or nonce


def test_openssl_is_told_that_a_number_of_ours_is_unknown(service: PKIService) -> None:
    assert "0x3039: unknown" in openssl(service, "-issuer", "issuer.pem", "-serial", "0x3039")


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize(
    "path", ["contracts/alice.pem", "contracts-20/dora.pem", "cps/cps-1.pem", "backend/hub.pem", "cps-20/cps-20.pem"]
)
def test_our_verifier_takes_the_answers_of_every_branch(
    service: PKIService, path: str, algorithm: hashes.HashAlgorithm
) -> None:
    chain = chain_of(service, path)
    with service.registry() as registry:
        root = next(
            each.root
            for each in registry.authorities().values()
            if each.certificate.subject_der == chain[-1].issuer_der
        )
    for leaf, issuer in zip(chain, [*chain[1:], root], strict=True):
        answer = ask(service, request_for(leaf, issuer, algorithm, b"n" * 32))
        found = verify_ocsp(parse_ocsp(answer.body), issuer, nonce=b"n" * 32)
        assert found.entries[leaf.serial].status is OCSPStatus.GOOD
        assert found.delegate is not None


def becomes(service: PKIService, der: bytes, expected: ocsp.OCSPCertStatus) -> bytes:
    """The answer once it says what another process has done. That counts 10 ms later; a request takes about as long."""
    for _ in range(50):
        answer = ask(service, der)
        if status(answer) is expected:
            return answer.body
    raise AssertionError(f"never {expected}")


def test_a_revocation_by_another_process_counts_at_once(own_service: PKIService) -> None:
    leaf, issuer, _ = chain_of(own_service)
    der = request_for(leaf, issuer)
    assert status(ask(own_service, der)) is ocsp.OCSPCertStatus.GOOD
    with own_service.registry() as registry:
        with registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(leaf.sha256))
        assert held is not None
        revoke(registry, held, Reason.CERTIFICATE_HOLD, ACTOR)
        told = ocsp.load_der_ocsp_response(becomes(own_service, der, ocsp.OCSPCertStatus.REVOKED))
        assert told.revocation_reason is x509.ReasonFlags.certificate_hold
        release(registry, held, ACTOR)
        becomes(own_service, der, ocsp.OCSPCertStatus.GOOD)


def test_pyhanko_judges_by_our_answers_and_lists(own_service: PKIService) -> None:
    chain = chain_of(own_service)
    root = asn1_x509.Certificate.load(
        x509.load_pem_x509_certificate((own_service.folder / "trust/mo/mo.pem").read_bytes()).public_bytes(
            serialization.Encoding.DER
        )
    )
    issuers = [*chain[1:], parse_certificate(root.dump())]

    def judge() -> None:
        pairs = zip(chain, issuers, strict=True)
        bodies = [ask(own_service, request_for(each, above, hashes.SHA1())).body for each, above in pairs]
        answers = [asn1_ocsp.OCSPResponse.load(body) for body in bodies]
        context = ValidationContext(trust_roots=[root], ocsps=answers, revocation_mode="require", allow_fetching=False)
        leaf, *above = [asn1_x509.Certificate.load(each.der) for each in chain]
        asyncio.run(CertificateValidator(leaf, above, context).async_validate_path())

    judge()
    with own_service.registry() as registry:
        with registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(chain[0].sha256))
        assert held is not None
        revoke(registry, held, Reason.KEY_COMPROMISE, ACTOR)
    becomes(own_service, request_for(chain[0], issuers[0], hashes.SHA1()), ocsp.OCSPCertStatus.REVOKED)
    with pytest.raises(RevokedError):
        judge()


# --- HTTP around it


def test_get_tells_caches_what_rfc_5019_asks(service: PKIService) -> None:
    leaf, issuer, _ = chain_of(service)
    path = "/ocsp/" + quote(base64.b64encode(request_for(leaf, issuer)), safe="")
    first = service.curl(path, listener="http")
    said = ocsp.load_der_ocsp_response(first.body)
    assert said.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert parsedate_to_datetime(first.headers["last-modified"]) == said.this_update_utc
    assert parsedate_to_datetime(first.headers["expires"]) == said.next_update_utc
    age, *rest = first.headers["cache-control"].split(",")
    assert rest == ["public", "no-transform", "must-revalidate"]
    # Until half of its life is over, when the next one is made.
    assert said.next_update_utc is not None
    assert 0 < int(age.removeprefix("max-age=")) <= (said.next_update_utc - said.this_update_utc).total_seconds() / 2
    second = service.curl(path, "-H", f"If-None-Match: {first.headers['etag']}", listener="http")
    assert (second.status, second.body, second.headers["etag"]) == (304, b"", first.headers["etag"])
    third = service.curl(path, "-H", f"If-Modified-Since: {first.headers['last-modified']}", listener="http")
    assert third.status == 304
    assert service.curl(path, "-H", 'If-None-Match: "other"', listener="http").body == first.body


def test_get_takes_slashes_as_they_are(service: PKIService) -> None:
    leaf, issuer, _ = chain_of(service)
    # Some clients do not encode the slashes that base64 may hold; two may follow each other.
    for serial in range(64):
        text = base64.b64encode(request_by_serial(leaf, issuer, leaf.serial - serial)).decode()
        if "/" in text:
            answer = service.curl(f"/ocsp/{text}", listener="http")
            assert answer.status == 200
            assert status(answer) in (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.UNKNOWN)
            return
    raise AssertionError("no request with a slash")


def test_the_nonce_is_answered_and_such_an_answer_is_not_cached(service: PKIService) -> None:
    leaf, issuer, _ = chain_of(service)
    for nonce in (b"n", b"n" * 32):
        answer = ask(service, request_for(leaf, issuer, nonce=nonce))
        extension = ocsp.load_der_ocsp_response(answer.body).extensions.get_extension_for_class(x509.OCSPNonce)
        assert extension.value.nonce == nonce
        assert answer.headers["cache-control"] == "no-store"
    plain = ask(service, request_for(leaf, issuer, nonce=b"n" * 33))
    assert len(ocsp.load_der_ocsp_response(plain.body).extensions) == 0


def test_an_unknown_number_is_never_good_and_not_cached(service: PKIService) -> None:
    leaf, issuer, _ = chain_of(service)
    answer = ask(service, request_by_serial(leaf, issuer, 0x1234567890))
    assert status(answer) is ocsp.OCSPCertStatus.UNKNOWN
    assert answer.headers["cache-control"] == "no-store"


def test_a_foreign_issuer_is_not_answered_for(service: PKIService) -> None:
    leaf, issuer, _ = chain_of(service)
    answer = ask(service, request_for(issuer, leaf))
    assert (answer.body, status(answer)) == (b"\x30\x03\x0a\x01\x06", ocsp.OCSPResponseStatus.UNAUTHORIZED)


@pytest.mark.parametrize("body", [b"", b"0", b"\x30\x80", b"x" * 200, b"\x30\x03\x0a\x01\x00"])
def test_what_is_no_request_is_told_so(service: PKIService, body: bytes) -> None:
    assert status(ask(service, body)) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_a_request_about_several_certificates_is_malformed(service: PKIService) -> None:
    said = subprocess.run(
        ["openssl", "ocsp", "-url", service.url("/ocsp", "http"), "-issuer", "ca.pem", "-serial", "1", "-serial", "2"],
        cwd=issuer_file(service),
        capture_output=True,
        text=True,
    )
    assert "malformedrequest (1)" in said.stdout + said.stderr


def issuer_file(service: PKIService) -> Path:
    folder = service.folder / "several"
    folder.mkdir(exist_ok=True)
    (folder / "ca.pem").write_text(chain_of(service)[1].pem())
    return folder


@pytest.mark.parametrize(
    ("path", "arguments", "body", "status", "code"),
    [
        ("/ocsp", REQUEST, b"x" * 4097, 413, "too-large"),
        ("/ocsp", ("-H", "Content-Type: application/json"), b"{}", 415, "media-type"),
        ("/ocsp/!!!", (), None, 400, "not-base64"),
        ("/ocsp/M", (), None, 400, "not-base64"),
        ("/ocsp", (), None, 405, "method"),
        ("/ocsp/MAA=", ("-X", "DELETE"), None, 405, "method"),
    ],
)
def test_what_is_wrong_around_a_request_is_a_problem(
    service: PKIService, path: str, arguments: tuple[str, ...], body: bytes | None, status: int, code: str
) -> None:
    answer = service.curl(path, *arguments, listener="http", body=body)
    assert (answer.status, answer.problem["code"]) == (status, code)

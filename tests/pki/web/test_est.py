"""EST with curl as the client: who is given what, and every refusal with its code, its audit entry, no certificate."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import NameOID

from pki.certificate import parse_certificate
from pki.issue.lists import Reason
from pki.profiles import AnchorRole, profile_named
from pki.service.acts.revoking import revoke
from pki.service.files import load_trust
from pki.service.store.audit import read_entries
from pki.service.store.certificates import find_by_hash, find_by_identity
from pki.verify import verify
from tests.pki_service import ACTOR, Answer, PKIService, csr

DER = serialization.Encoding.DER
NAMESPACE = "urn:iso:15118:2:2013:MsgDef"
SECC, CLIENT = "iso15118-2-secc", "backend-client"


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def issued_to(service: PKIService, identity: str) -> int:
    with service.registry() as registry, registry.reading() as connection:
        return len(find_by_identity(connection, identity))


def last_entry(service: PKIService) -> tuple[str, str]:
    """Act and detail of the last entry that a client caused: the service publishes its lists whenever they are due."""
    with service.registry() as registry, registry.reading() as connection:
        *_, last = (entry for entry in read_entries(connection) if entry.act != "list-published")
        return last.act, last.detail


def refused(service: PKIService, answer: Answer, status: int, code: str) -> None:
    """The problem, and the entry in the audit log that goes with it."""
    assert (answer.status, answer.problem["code"]) == (status, code)
    assert answer.problem["detail"]
    act, detail = last_entry(service)
    assert act.startswith("refused-simple")
    assert answer.problem["code"] in detail or status == 401


# --- what is given


@pytest.mark.parametrize(
    ("path", "profile", "common_name"),
    [
        ("simpleenroll", CLIENT, "gw-default"),
        ("backend/simpleenroll", CLIENT, "gw-labelled"),
        ("cpo/simpleenroll", SECC, "DE*PNC*E100001"),
        ("acme-cpo/simpleenroll/ISO15118-2", SECC, "DE*PNC*E100002"),
        (f"mo/simpleenroll?xsdMsgDefNamespace={NAMESPACE}", "iso15118-2-contract", "DEPNCC00000100"),
        ("oem/simpleenroll/ISO15118-2", "iso15118-2-oem", "WVWABCDEFGH7654321"),
        ("cps/simpleenroll", "iso15118-2-cps", "Test CPS"),
    ],
)
def test_a_registered_name_is_enrolled_with_its_code(
    service: PKIService, path: str, profile: str, common_name: str
) -> None:
    code, key = service.code(profile, common_name), p256()
    (leaf,) = service.enrol(path, csr(key, common_name), "-u", f"{common_name}:{code}").certificates()
    assert leaf.public_key() == key.public_key()
    assert [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [common_name]
    label = path.split("/")[0] if "/" in path else "backend"
    above = service.curl(f"/.well-known/est/{label}/cacerts").certificates()
    check_path(service, profile, leaf, above)


@pytest.mark.parametrize("make_key", [lambda: ec.generate_private_key(ec.SECP521R1()), ed448.Ed448PrivateKey.generate])
def test_generation_20_is_enrolled_under_the_authority_of_the_key(service: PKIService, make_key: type) -> None:
    key, kinds = make_key(), attributes(service, "veh/csrattrs")
    name = "WVWV12345678901234511" if isinstance(key, ec.EllipticCurvePrivateKey) else "WVWV12345678901234522"
    oid = "1.3.132.0.35" if isinstance(key, ec.EllipticCurvePrivateKey) else "1.3.101.113"
    code = service.code("iso15118-20-vehicle", name)
    answer = service.enrol("veh/simpleenroll/ISO15118-20", csr(key, name), "-u", f"{name}:{code}")
    if oid in kinds:
        assert answer.certificates()[0].public_key() == key.public_key()
    else:
        refused(service, answer, 400, "key-kind")


def check_path(service: PKIService, profile: str, leaf: x509.Certificate, above: list[x509.Certificate]) -> None:
    """Our own verifier takes the leaf with what cacerts gave, and the anchors of the state folder."""
    ders = {each.public_bytes(DER) for each in above}
    roots = [der for der in ders if parse_certificate(der).self_issued]
    subs = [der for der in ders if not parse_certificate(der).self_issued]
    assert roots
    trust = load_trust(service.folder / "trust")
    held = {each.der for role in AnchorRole for each in trust.anchors(role)}
    assert set(roots) <= held
    at = leaf.not_valid_before_utc
    with service.registry() as registry:
        at = registry.now()
    verify([leaf.public_bytes(DER), *subs], profile=profile_named(profile), trust=trust, at=at)


def attributes(service: PKIService, path: str) -> str:
    """The dotted identifiers that csrattrs names, as openssl prints them."""
    answer = service.curl(f"/.well-known/est/{path}")
    assert answer.headers["content-type"] == "application/csrattrs"
    der = base64.b64decode(answer.body)
    printed = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=der, check=True, capture_output=True)
    names = {"secp521r1": "1.3.132.0.35", "ED448": "1.3.101.113", "prime256v1": "1.2.840.10045.3.1.7"}
    return " ".join(names.get(line.rpartition(b":")[2].decode(), "") for line in printed.stdout.splitlines())


def test_attributes_tell_the_key_of_each_generation(service: PKIService) -> None:
    assert attributes(service, "cpo/csrattrs").split() == ["1.2.840.10045.3.1.7"]
    assert "1.3.132.0.35" in attributes(service, "cpo/csrattrs/ISO15118-20")


def test_a_request_by_openssl_in_lines_is_read(service: PKIService, tmp_path: Path) -> None:
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "k.pem", "-subj", "/O=Test/CN=gw-openssl", "-outform", "DER", "-out", "r.der"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    lines = subprocess.run(["openssl", "base64", "-in", "r.der"], cwd=tmp_path, check=True, capture_output=True)
    code = service.code(CLIENT, "gw-openssl")
    head = ("-H", "Content-Type: application/pkcs10", "-H", "Content-Transfer-Encoding: 8bit")
    path = "/.well-known/est/simpleenroll"
    answer = service.curl(path, *head, "-u", f"gw-openssl:{code}", body=lines.stdout)
    (tmp_path / "a.b64").write_bytes(answer.body)
    subprocess.run(["openssl", "base64", "-d", "-in", "a.b64", "-out", "a.p7"], cwd=tmp_path, check=True)
    pkcs7 = ["openssl", "pkcs7", "-inform", "DER", "-in", "a.p7", "-print_certs"]
    printed = subprocess.run(pkcs7, cwd=tmp_path, check=True, capture_output=True)
    assert b"CN = gw-openssl" in printed.stdout


def test_the_holder_of_a_certificate_is_given_the_next_one(service: PKIService, tmp_path: Path) -> None:
    shown, key = service.client(tmp_path, "gw-again"), p256()
    for path in ("simplereenroll", "backend/simplereenroll"):
        (leaf,) = service.enrol(path, csr(key, "gw-again"), *shown).certificates()
        assert leaf.public_key() == key.public_key()
    assert issued_to(service, "gw-again") == 3


def test_a_gateway_asks_for_its_chargers(service: PKIService, tmp_path: Path) -> None:
    shown = service.client(tmp_path, "gw-registrar")
    service.appoint("gw-registrar", SECC, "DE*PNC*E2")
    (leaf,) = service.enrol("cpo/simpleenroll", csr(p256(), "DE*PNC*E200001"), *shown).certificates()
    assert leaf.subject.rfc4514_string().count("DE*PNC*E200001") == 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/cpo/cacerts/ISO15118-2/secp256r1/", "secp256r1"),
        ("/acme-cpo/cacerts/ISO15118-2/secp256r1/", "secp256r1"),
        ("/mo/cacerts/ISO15118-20/secp521r1/", "secp521r1"),
    ],
)
def test_authorities_are_found_where_opcp_has_them(service: PKIService, path: str, kind: str) -> None:
    for found in service.curl(path, "-H", "Content-Transfer-Encoding: base64").certificates():
        assert parse_certificate(found.public_bytes(DER)).key_kind == kind


# --- what is refused


def test_without_code_or_certificate_nothing_is_given(service: PKIService) -> None:
    answer = service.enrol("simpleenroll", csr(p256(), "gw-nobody"))
    refused(service, answer, 401, "not-authenticated")
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_a_code_counts_once(service: PKIService) -> None:
    code = service.code(CLIENT, "gw-once")
    assert service.enrol("simpleenroll", csr(p256(), "gw-once"), "-u", f"gw-once:{code}").status == 200
    refused(
        service, service.enrol("simpleenroll", csr(p256(), "gw-once"), "-u", f"gw-once:{code}"), 401, "enrolment-code"
    )
    assert issued_to(service, "gw-once") == 1


def test_a_wrong_code_and_an_unknown_name_look_the_same(service: PKIService) -> None:
    service.code(CLIENT, "gw-known")
    known = service.enrol("simpleenroll", csr(p256(), "gw-known"), "-u", "gw-known:wrong")
    unknown = service.enrol("simpleenroll", csr(p256(), "gw-unknown"), "-u", "gw-unknown:wrong")
    refused(service, known, 401, "enrolment-code")
    refused(service, unknown, 401, "enrolment-code")
    assert known.body == unknown.body


def test_a_code_is_for_one_subject(service: PKIService) -> None:
    code = service.code(CLIENT, "gw-mine")
    service.code(CLIENT, "gw-other")
    answer = service.enrol("simpleenroll", csr(p256(), "gw-other"), "-u", f"gw-mine:{code}")
    refused(service, answer, 403, "foreign-subject")
    assert service.enrol("simpleenroll", csr(p256(), "gw-mine"), "-u", f"gw-mine:{code}").status == 200


def test_a_code_is_for_one_profile(service: PKIService) -> None:
    code = service.code(CLIENT, "DE*PNC*E300001")
    answer = service.enrol("cpo/simpleenroll", csr(p256(), "DE*PNC*E300001"), "-u", f"DE*PNC*E300001:{code}")
    refused(service, answer, 401, "enrolment-code")


def spoilt_signature() -> bytes:
    der = bytearray(csr(p256(), "gw-bad"))
    der[-1] ^= 1
    return bytes(der)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (spoilt_signature(), 400, "proof-of-possession"),
        (csr(p256(), "gw-bad")[:-9], 400, "malformed-request"),
        (csr(p256(), "gw-bad") + bytes(4096), 413, "request-size"),
        (csr(ec.generate_private_key(ec.SECP521R1()), "gw-bad"), 400, "key-kind"),
        (csr(ec.generate_private_key(ec.SECP384R1()), "gw-bad"), 400, "key-kind"),
        (b"", 400, "malformed-request"),
        (csr(p256(), "gw-bad\u00e9"), 400, "subject"),
    ],
    ids=["signature", "truncated", "oversized", "p521", "p384", "empty", "not-ascii"],
)
def test_a_bad_request_is_refused_and_leaves_the_code_whole(
    service: PKIService, request_: bytes, status: int, code: str
) -> None:
    word = service.code(CLIENT, "gw-bad")
    refused(service, service.enrol("simpleenroll", request_, "-u", f"gw-bad:{word}"), status, code)
    assert issued_to(service, "gw-bad") == 0


def test_a_key_is_never_certified_for_two(service: PKIService) -> None:
    key = p256()
    first, second = service.code(CLIENT, "gw-key-1"), service.code(CLIENT, "gw-key-2")
    assert service.enrol("simpleenroll", csr(key, "gw-key-1"), "-u", f"gw-key-1:{first}").status == 200
    refused(service, service.enrol("simpleenroll", csr(key, "gw-key-2"), "-u", f"gw-key-2:{second}"), 409, "key-reused")


def test_a_revoked_client_is_refused_at_once(service: PKIService, tmp_path: Path) -> None:
    shown = service.client(tmp_path, "gw-revoked")
    assert service.enrol("simplereenroll", csr(p256(), "gw-revoked"), *shown).status == 200
    certificate = x509.load_pem_x509_certificate(Path(shown[1]).read_bytes())
    with service.registry() as registry:
        with registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(parse_certificate(certificate.public_bytes(DER)).sha256))
        assert held is not None
        revoke(registry, held, Reason.KEY_COMPROMISE, ACTOR)
    refused(service, service.enrol("simplereenroll", csr(p256(), "gw-revoked"), *shown), 403, "client-revoked")


def test_a_client_below_a_revoked_authority_is_refused_at_once(own_service: PKIService, tmp_path: Path) -> None:
    code, key = own_service.code("iso15118-2-cps", "Test CPS 2"), p256()
    answer = own_service.enrol("cps/simpleenroll", csr(key, "Test CPS 2"), "-u", f"Test CPS 2:{code}")
    shown = own_service.shown(tmp_path, answer.certificates()[0], key)
    assert own_service.enrol("cps/simplereenroll", csr(p256(), "Test CPS 2"), *shown).status == 200
    with own_service.registry() as registry:
        authority = registry.authority("cps-sub2").certificate
        with registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(authority.sha256))
        assert held is not None
        revoke(registry, held, Reason.CA_COMPROMISE, ACTOR)
    answer = own_service.enrol("cps/simplereenroll", csr(p256(), "Test CPS 2"), *shown)
    refused(own_service, answer, 403, "client-revoked")
    assert "cps-sub2" in answer.problem["detail"]


def test_a_certificate_gives_its_own_subject_only(service: PKIService, tmp_path: Path) -> None:
    shown = service.client(tmp_path, "gw-plain")
    refused(service, service.enrol("simplereenroll", csr(p256(), "gw-else"), *shown), 403, "registrar")
    refused(service, service.enrol("simpleenroll", csr(p256(), "gw-else"), *shown), 403, "registrar")


def test_a_contract_certificate_makes_nobody_a_registrar(service: PKIService, tmp_path: Path) -> None:
    """The common name of a registrar counts only in the certificate of a TLS client."""
    code, key = service.code("iso15118-2-cps", "gw-registrar-2"), p256()
    service.appoint("gw-registrar-2", SECC, "DE*PNC*E4")
    answer = service.enrol("cps/simpleenroll", csr(key, "gw-registrar-2"), "-u", f"gw-registrar-2:{code}")
    shown = service.shown(tmp_path, answer.certificates()[0], key)
    answer = service.enrol("cpo/simpleenroll", csr(p256(), "DE*PNC*E400001"), *shown)
    refused(service, answer, 403, "subject-changed")


def test_a_gateway_asks_for_its_own_chargers_only_and_so_many_a_day(service: PKIService, tmp_path: Path) -> None:
    shown = service.client(tmp_path, "gw-quota")
    service.appoint("gw-quota", SECC, "DE*PNC*E5", daily=3)
    foreign = service.enrol("cpo/simpleenroll", csr(p256(), "DE*PNC*E600001"), *shown)
    refused(service, foreign, 403, "registrar")
    statuses = [service.enrol("cpo/simpleenroll", csr(p256(), f"DE*PNC*E50000{n}"), *shown).status for n in range(4)]
    assert statuses[-1] == 429
    assert statuses[0] == 200
    assert service.enrol("cpo/simpleenroll", csr(p256(), "DE*PNC*E500009"), *shown).headers["retry-after"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n", "PEM"),
        (csr(p256(), "gw-form"), "DER as it is"),
        (b"not base64!", "not base64"),
    ],
)
def test_another_form_than_base64_is_refused(service: PKIService, body: bytes, said: str) -> None:
    code = service.code(CLIENT, "gw-form")
    head = ("-H", "Content-Type: application/pkcs10", "-u", f"gw-form:{code}")
    answer = service.curl("/.well-known/est/simpleenroll", *head, body=body)
    refused(service, answer, 400, "not-base64")
    assert said in answer.problem["detail"]


@pytest.mark.parametrize(
    ("path", "arguments", "body", "status", "code"),
    [
        ("/.well-known/est/simpleenroll", ("-H", "Content-Type: text/plain"), b"x", 415, "media-type"),
        ("/.well-known/est/simpleenroll", ("-H", "Content-Type: application/pkcs10"), b"M" * 9000, 413, "too-large"),
        (
            "/.well-known/est/simpleenroll",
            ("-H", "Content-Type: application/pkcs10", "-H", "Authorization: Bearer x"),
            b"MAA=",
            401,
            "authorization",
        ),
        ("/.well-known/est/nobody/simpleenroll", (), b"", 404, "label-unknown"),
        ("/.well-known/est/cpo/simpleenroll/ISO15118-3", (), b"", 400, "generation"),
        (
            "/.well-known/est/cpo/simpleenroll/ISO15118-2?xsdMsgDefNamespace=urn:iso:15118:20:2020:MsgDef",
            (),
            b"",
            400,
            "generation",
        ),
        ("/.well-known/est/veh/simpleenroll/ISO15118-2", (), b"", 400, "generation"),
        ("/.well-known/est/serverkeygen", (), b"", 501, "server-keygen"),
        ("/.well-known/est/cpo/fullcmc", (), b"", 501, "full-cmc"),
        ("/cpo/cacerts/ISO15118-2/rsa/", (), None, 404, "algorithm-unknown"),
        ("/cpo/cacerts/ISO15118-2/ed448/", (), None, 404, "no-authority"),
        ("/.well-known/est/cpo/nothing", (), None, 404, "not-found"),
        ("/.well-known/est/cacerts", (), b"x", 405, "method"),
        ("/.well-known/est/..%2f..%2fetc/cacerts", (), None, 404, "not-found"),
    ],
)
def test_what_is_not_offered_says_so(
    service: PKIService, path: str, arguments: tuple[str, ...], body: bytes | None, status: int, code: str
) -> None:
    answer = service.curl(path, *arguments, body=body)
    assert (answer.status, answer.problem["code"]) == (status, code)


@pytest.mark.parametrize(
    ("arguments", "body", "status", "code"),
    [
        (("-H", "Content-Type: application/pkcs10"), b"A" * 20000, 413, "too-large"),
        (("-H", "Content-Type: application/pkcs10", "-H", "Authorization: Bearer x"), b"AA", 401, "authorization"),
        (("-H", "Content-Type: text/plain"), b"AA", 415, "media-type"),
    ],
)
def test_what_is_refused_before_the_registry_is_asked_stands_in_the_audit_log(
    own_service: PKIService, arguments: tuple[str, ...], body: bytes, status: int, code: str
) -> None:
    answer = own_service.curl("/.well-known/est/simpleenroll", *arguments, body=body)
    assert answer.status == status
    act, detail = last_entry(own_service)
    assert (act, detail.split(":")[0]) == ("refused-simpleenroll", code)


@pytest.mark.parametrize(
    ("body", "status", "code"), [(b"0\x82\x01", 200, "malformed-request"), (b"0" * 9000, 413, "too-large")]
)
def test_a_refused_ocsp_request_stands_in_the_audit_log(
    own_service: PKIService, body: bytes, status: int, code: str
) -> None:
    head = ("-H", "Content-Type: application/ocsp-request")
    assert own_service.curl("/ocsp", *head, listener="http", body=body).status == status
    act, detail = last_entry(own_service)
    assert (act, detail.split(":")[0]) == ("refused-ocsp", code)

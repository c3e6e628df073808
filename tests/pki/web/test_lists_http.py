"""Lists and certificates of authorities, as curl and openssl find them where certificates say that they are."""

from __future__ import annotations

import asyncio
import subprocess
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from asn1crypto import crl as asn1_crl, x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError

from pki.certificate import Certificate, parse_certificate
from pki.issue.lists import Reason
from pki.pem import parse_chain_pem
from pki.service.acts.revoking import revoke
from pki.service.store.certificates import find_by_hash
from pki.verify.crl import parse_crl, verify_crl
from tests.pki_service import ACTOR, Answer, PKIService


def get(service: PKIService, path: str, *arguments: str) -> Answer:
    return service.curl(path, *arguments, listener="http")


def alice(service: PKIService) -> list[Certificate]:
    chain = (service.folder / "contracts" / "alice.pem").read_bytes()
    return [parse_certificate(der) for der in parse_chain_pem(chain)]


@pytest.mark.parametrize("listener", ["http", "https"])
def test_every_authority_publishes_a_list_and_its_certificate(service: PKIService, listener: str) -> None:
    with service.registry() as registry:
        held = registry.authorities()
    for name, authority in held.items():
        crl = service.curl(f"/crls/{name}.crl", listener=listener)
        assert (crl.status, crl.headers["content-type"]) == (200, "application/pkix-crl")
        verify_crl(parse_crl(crl.body), authority.certificate)
        der = service.curl(f"/ca/{name}.cer", listener=listener)
        assert (der.headers["content-type"], der.body) == ("application/pkix-cert", authority.certificate.der)
        pem = service.curl(f"/ca/{name}.pem", listener=listener)
        assert pem.headers["content-type"] == "application/pem-certificate-chain"
        assert parse_chain_pem(pem.body)[0] == authority.certificate.der
        assert parse_chain_pem(pem.body)[-1] == authority.root.der


def test_openssl_refuses_by_the_list_what_was_revoked_and_a_delta_follows(
    own_service: PKIService, tmp_path: Path
) -> None:
    leaf, sub2, sub1 = alice(own_service)
    (tmp_path / "leaf.pem").write_text(leaf.pem())
    (tmp_path / "above.pem").write_text(sub2.pem() + sub1.pem())

    def judge() -> subprocess.CompletedProcess[str]:
        lists = [get(own_service, f"/crls/{name}.crl").body for name in ("mo-sub2", "mo-sub1", "mo-root")]
        pem = "".join(x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM).decode() for der in lists)
        (tmp_path / "crls.pem").write_text(pem)
        command = ["openssl", "verify", "-crl_check_all", "-CRLfile", "crls.pem", "-untrusted", "above.pem"]
        command += ["-CAfile", str(own_service.folder / "trust/mo/mo.pem"), "leaf.pem"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert judge().returncode == 0
    assert get(own_service, "/crls/mo-root-delta.crl").problem["code"] == "no-list"
    before = get(own_service, "/crls/mo-sub2.crl").headers
    with own_service.registry() as registry:
        with registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(leaf.sha256))
        assert held is not None
        revoke(registry, held, Reason.KEY_COMPROMISE, ACTOR)
    # The service sees what another process did, and publishes without being told.
    assert "mo-sub2" in own_service.wait_for("lists-published")["made"]
    assert "certificate revoked" in judge().stderr
    after = get(own_service, "/crls/mo-sub2.crl", "-H", f"If-None-Match: {before['etag']}")
    assert (after.status, after.headers["etag"] != before["etag"]) == (200, True)
    delta = x509.load_der_x509_crl(get(own_service, "/crls/mo-sub2-delta.crl").body)
    assert delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert [entry.serial_number for entry in delta] == [leaf.serial]


def test_caches_are_told_how_long(service: PKIService) -> None:
    first = get(service, "/crls/mo-sub2.crl")
    crl = x509.load_der_x509_crl(first.body)
    assert parsedate_to_datetime(first.headers["last-modified"]) == crl.last_update_utc
    assert parsedate_to_datetime(first.headers["expires"]) == crl.next_update_utc
    assert first.headers["cache-control"] == "max-age=3600,public,no-transform,must-revalidate"
    assert get(service, "/crls/mo-sub2.crl", "-H", f"If-None-Match: {first.headers['etag']}").status == 304
    head = get(service, "/crls/mo-sub2.crl", "-I")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(first.body)), b"")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/crls/nobody.crl", "no-list"),
        ("/crls/mo-sub2-delta-delta.crl", "no-list"),
        ("/ca/nobody.cer", "authority-unknown"),
        ("/ca/..%2fkeys%2fmo-root.pem", "not-found"),
        ("/ca/../keys/mo-root.key", "not-found"),
        ("/ca/%00.pem", "not-found"),
        ("/crls/%0aINFO:forged.crl", "not-found"),
    ],
)
def test_nothing_else_is_given_out(service: PKIService, path: str, code: str) -> None:
    answer = get(service, path)
    assert (answer.status, answer.problem["code"]) == (404, code)


def test_pyhanko_judges_by_the_lists_as_they_are_fetched(own_service: PKIService) -> None:
    chain = alice(own_service)
    root = x509.load_pem_x509_certificate((own_service.folder / "trust/mo/mo.pem").read_bytes())
    anchor = asn1_x509.Certificate.load(root.public_bytes(serialization.Encoding.DER))
    leaf, *above = [asn1_x509.Certificate.load(each.der) for each in chain]

    def judge() -> None:
        # A list that names its delta is taken with it only.
        names = ("mo-sub2", "mo-sub2-delta", "mo-sub1", "mo-sub1-delta", "mo-root")
        bodies = [get(own_service, f"/crls/{name}.crl").body for name in names]
        lists = [asn1_crl.CertificateList.load(body) for body in bodies]
        context = ValidationContext(trust_roots=[anchor], crls=lists, revocation_mode="require", allow_fetching=False)
        asyncio.run(CertificateValidator(leaf, above, context).async_validate_path())

    judge()
    with own_service.registry() as registry:
        with registry.reading() as connection:
            held = find_by_hash(connection, bytes.fromhex(chain[0].sha256))
        assert held is not None
        revoke(registry, held, Reason.KEY_COMPROMISE, ACTOR)
    own_service.wait_for("lists-published")
    with pytest.raises(RevokedError):
        judge()

"""The calls of OPCP over a socket: a car from its factory to its contract, and every bad input with its rule."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from yarl import URL

from pki.certificate import parse_certificate
from pki.issue.contract import make_contract_data, open_bundle, parse_bundle
from pki.issue.keys import PublicKey
from pki.profile import AnchorRole, Generation
from pki.service.acts.issuing import Wanted, issue
from pki.service.pool.clients import Role
from pki.service.pool.identities import profile_of
from pki.service.pool.pools import PoolSettings
from pki.service.store.audit import read_entries
from pki.verify import TrustStore
from pki.verify.trust_list import verify_trust_list
from tests.pki.mint import AT
from tests.pki.pool.calls import Caller, calling
from tests.pki.pool.material import (
    EMAID,
    NAMESPACE,
    NAMESPACE_20,
    PCID,
    TESTER,
    Car,
    Shop,
    open_shop,
    provisioning_body,
    text,
    wish_body,
)


def test_the_way_of_a_contract(shop: Shop) -> None:
    """Published, looked up, generated, listed, preferred, fetched by maker and charger, deleted."""
    shop.maker()
    shop.operator()
    shop.client("charge", Role.CPO)
    car = shop.car()

    async def script(call: Caller) -> None:
        stored = await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")
        assert (stored.status, stored.body["vehicleCertificate"]) == (200, text(car.chain.leaf))
        assert stored.body["fingerprint"] == parse_certificate(car.chain.leaf).sha256
        assert (await call("GET", f"/v1/oem/provCerts/lookupVehicle/{PCID}", by="operator")).status == 200
        found = await call("GET", f"/v1/oem/provCerts/{PCID}", by="operator")
        assert found.body["OEMMessage"] == stored.body
        assert (await call("PUT", "/v1/cps/generate/signedContractData", wish_body(), by="operator")).status == 201
        other = wish_body(emaid="DE-ABC-00000000A")
        assert (await call("PUT", "/v1/cps/generate/signedContractData", other, by="operator")).status == 201
        listed = (await call("GET", f"/v1/ccp/signedContractData/{PCID}", by="maker")).body["XMLContracts"]
        assert [(entry["emaid"], entry["defaultContract"]) for entry in listed] == [
            (EMAID, True),
            ("DEABC00000000A", False),
        ]
        default = f"/v1/ccp/signedContractData/{PCID}/DEABC00000000A/default"
        assert (await call("POST", default, by="maker")).status == 200
        asked = {
            "certificateInstallationReq": text(
                b'{"oem_provisioning_certificate":"' + text(car.chain.leaf).encode() + b'"}'
            ),
            "xsdMsgDefNamespace": NAMESPACE,
        }
        given = await call("POST", "/v1/ccp/signedContractData", asked, by="charge")
        (content,) = given.body["CCPResponse"]["emaidContent"]
        assert content["messageDef"]["emaid"] == "DEABC00000000A"
        bundle = parse_bundle(base64.b64decode(content["messageDef"]["certificateInstallationRes"]))
        assert open_bundle(bundle, car.sealing_key, pcid=PCID, trust=shop.pools.trust(), at=AT).emaid.normal
        provided = await call("GET", f"/v1/ccp/provideSignedContractData/{EMAID}/{PCID}", by="maker")
        assert provided.body["xsdMsgDefNamespace"] == NAMESPACE
        for client in ("maker", "charge", "operator"):
            seen = await call("GET", f"/v1/ccp/lookupContract/{EMAID}", by=client)
            assert [entry["pcid"] for entry in seen.body["XMLContracts"]] == [PCID]
        assert (await call("DELETE", f"/v1/ccp/signedContractData/{EMAID}", by="operator")).status == 200
        gone = await call("DELETE", f"/v1/ccp/signedContractData/{EMAID}", by="operator")
        gone.refused(404, "contract-unknown")
        assert (await call("DELETE", f"/v1/oem/provCerts/{PCID}", by="maker")).status == 200
        assert (await call("GET", f"/v1/ccp/signedContractData/{PCID}", by="maker")).body == {"XMLContracts": []}

    calling(shop, script)


def offered(shop: Shop, car: Car, emaid: str = EMAID) -> dict[str, object]:
    """`contractData` as an operator with its own PKI sends it."""

    def certify(key: PublicKey) -> tuple[bytes, ...]:
        wanted = Wanted(profile=profile_of(Generation.ISO_2, "contract"), common_name=emaid, public_key=key)
        return tuple(found.der for found in issue(shop.registry, wanted, TESTER).chain)

    data = make_contract_data(car.sealing_key.public_key(), certify, pcid=car.pcid, iv=bytes(16))
    leaf, sub2, sub1 = data.contract_chain
    return {
        "contractCertificate": text(leaf),
        "contractSubCa2Certificate": text(sub2),
        "contractSubCa1Certificate": text(sub1),
        "contractSignatureEncryptedPrivateKey": text(data.encrypted_private_key),
        "dHpublickey": text(data.dh_public_key),
    }


def test_an_operator_with_its_own_pki_has_its_data_signed_and_stored_if_it_names_a_car(shop: Shop) -> None:
    shop.maker()
    shop.operator()
    car = shop.car()
    body: dict[str, object] = {"contractData": offered(shop, car), "xsdMsgDefNamespace": NAMESPACE}

    async def script(call: Caller) -> None:
        await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")
        signed = await call("PUT", "/v1/cps/contractData/signed", body, by="operator")
        assert (signed.status, signed.body["pcid"], signed.body["emaid"]) == (201, None, EMAID)
        bundle = parse_bundle(base64.b64decode(signed.body["signedData"]))
        open_bundle(bundle, car.sealing_key, pcid=PCID, trust=shop.pools.trust(), at=AT)
        path = f"/v1/ccp/provideSignedContractData/{EMAID}/{PCID}"
        (await call("GET", path, by="maker")).refused(404, "contract-unknown")
        stored = await call("PUT", "/v1/cps/contractData/signed", {**body, "pcid": PCID}, by="operator")
        assert stored.body["pcid"] == PCID
        provided = await call("GET", path, by="maker")
        assert provided.body["certificateInstallationRes"] == stored.body["signedData"]
        by_root = f"{path}?cpsV2GRootCertificateFingerprint="
        fingerprint = stored.body["cpsV2GRootCertificateFingerprint"]
        assert (await call("GET", by_root + fingerprint, by="maker")).status == 200
        (await call("GET", by_root + "00" * 32, by="maker")).refused(404, "contract-unknown")

    calling(shop, script)


def deprecated(data: dict[str, object]) -> dict[str, object]:
    """The same data as the deprecated calls take it."""
    return {
        "contractData": {
            "contractSignatureCertChain": {
                "contractSignatureCertChainCertificate": data["contractCertificate"],
                "contractSignatureCertChainSubCertificates": [
                    data["contractSubCa2Certificate"],
                    data["contractSubCa1Certificate"],
                ],
            },
            "contractSignatureEncryptedPrivateKey": data["contractSignatureEncryptedPrivateKey"],
            "dHpublickey": data["dHpublickey"],
            "emaid": EMAID,
        },
        "xsdMsgDefNamespace": NAMESPACE,
        "pcid": PCID,
        "emaid": "DE-ABC-000000009",
    }


def test_the_deprecated_calls_sign_and_store(shop: Shop) -> None:
    shop.maker()
    shop.operator()
    car = shop.car()
    old = deprecated(offered(shop, car))

    async def script(call: Caller) -> None:
        await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")
        signed = await call("PUT", "/v1/cps/signedContractData", old, by="operator")
        assert (signed.status, signed.body["pcid"]) == (200, PCID)
        assert (await call("GET", f"/v1/ccp/signedContractData/{PCID}", by="maker")).body == {"XMLContracts": []}
        assert (await call("PUT", "/v1/cps/forward/signedContractData", old, by="operator")).status == 201
        listed = await call("GET", f"/v1/ccp/signedContractData/{PCID}", by="maker")
        assert [entry["emaid"] for entry in listed.body["XMLContracts"]] == [EMAID]
        named = {**old, "emaid": "DEABC00000000A"}
        (await call("PUT", "/v1/cps/signedContractData", named, by="operator")).refused(400, "emaid-mismatch")

    calling(shop, script)


def test_a_service_stores_signed_data_in_both_generations(shop: Shop) -> None:
    shop.maker()
    shop.operator()
    shop.client("service", Role.CPS, providers=("DEABC",))
    car = shop.car("WVWABCDEFGH1234567", Generation.ISO_20)

    async def script(call: Caller) -> None:
        assert (await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")).status == 200
        wish = wish_body(car.pcid, xsdMsgDefNamespace="urn:iso:std:iso:15118:-20:CommonMessages")
        assert (await call("PUT", "/v1/cps/generate/signedContractData", wish, by="operator")).status == 201
        path = f"/v1/ccp/provideSignedContractData/{EMAID}/{car.pcid}"
        (await call("GET", path, by="maker")).refused(404, "contract-unknown")
        provided = await call("GET", f"{path}?xsdMsgDefNamespace={NAMESPACE_20}", by="maker")
        assert provided.body["xsdMsgDefNamespace"] == NAMESPACE_20
        sent = {
            "xsdMsgDefNamespace": NAMESPACE_20,
            "emaid": EMAID,
            "pcid": car.pcid,
            "signedContractDataXML": provided.body["certificateInstallationRes"],
        }
        assert (await call("PUT", "/v1/ccp/signedContractData", sent, by="service")).status == 201
        opaque = {**sent, "signedContractDataXML": text(b"opaque")}
        (await call("PUT", "/v1/ccp/signedContractData", opaque, by="service")).refused(409, "contract-held")
        foreign = {**opaque, "emaid": "FRXYZ000000009"}
        (await call("PUT", "/v1/ccp/signedContractData", foreign, by="service")).refused(403, "provider")

    calling(shop, script)


def test_the_service_lists_its_signers(shop: Shop) -> None:
    shop.operator()

    async def script(call: Caller) -> None:
        for path in ("/cps/signer", "/v1/cps/signer"):
            found = (await call("GET", path, by="operator")).body["cpsCertificates"]
            assert [entry["xsdMsgDefNamespace"] for entry in found] == [NAMESPACE, NAMESPACE_20]
            assert all("DC=CPS" in entry["cpsDistinguishedName"] for entry in found)

    calling(shop, script)


# --- roots


def test_administrators_change_the_roots_and_everyone_sees_the_feed(shop: Shop, tmp_path: Path) -> None:
    shop.client("admin", Role.ADMIN)
    shop.client("charge", Role.CPO)

    async def script(call: Caller) -> None:
        everything = (await call("GET", "/v1/root/rootCerts", by="charge")).body
        roots = everything["RootCertificateCollection"]["rootCertificates"]
        assert len(roots) == 6
        only = (await call("GET", "/v1/root/rootCerts?rootType=mo", by="charge")).body
        assert len(only["RootCertificateCollection"]["rootCertificates"]) == 2
        chosen = roots[0]
        path = f"/v1/root/rootCerts/{chosen['rootCertificateId']}"
        assert (await call("GET", path, by="charge")).body["RootResponse"] == chosen
        feed = (await call("GET", "/v1/root/changes")).body
        assert (len(feed["changes"]), feed["more"]) == (6, False)
        (await call("DELETE", path, by="charge")).refused(403, "role")
        assert (await call("DELETE", path, by="admin")).status == 200
        (await call("DELETE", path, by="admin")).refused(404, "root-unknown")
        again = {"caCertificate": chosen["caCertificate"], "rootType": chosen["rootType"]}
        back = await call("PUT", "/v1/root/rootCerts", again, by="admin")
        assert back.body["fingerprint"] == chosen["fingerprint"]
        news = (await call("GET", f"/v1/root/changes?after={feed['last']}")).body
        assert [entry["change"] for entry in news["changes"]] == ["revoked", "added"]
        (await call("GET", "/v1/root/changes?after=x")).refused(400, "after")
        (await call("GET", "/v1/root/rootCerts?rootType=XX", by="charge")).refused(400, "root-type")

    calling(shop, script)


def test_a_root_waits_for_a_second_administrator(state: Path) -> None:
    shop = open_shop(state, PoolSettings(two_persons=True))
    shop.client("one", Role.ADMIN)
    shop.client("two", Role.ADMIN)

    async def script(call: Caller) -> None:
        listed = (await call("GET", "/v1/root/rootCerts?rootType=v2g", by="one")).body
        root = listed["RootCertificateCollection"]["rootCertificates"][0]
        body = {"caCertificate": root["caCertificate"], "rootType": "PE"}
        assert (await call("PUT", "/v1/root/rootCerts", body, by="one")).status == 202
        (await call("PUT", "/v1/root/rootCerts", body, by="one")).refused(400, "second-person")
        assert (await call("PUT", "/v1/root/rootCerts", body, by="two")).body["rootType"] == "PE"

    with shop.registry, shop.pools:
        calling(shop, script)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_and_our_verifier_take_the_list_that_is_served(shop: Shop, tmp_path: Path) -> None:
    backend = next(entry.certificate for entry in shop.registry.authorities().values() if entry.name == "backend-root")
    trust = TrustStore({AnchorRole.BACKEND: [backend]})

    async def script(call: Caller) -> None:
        served = await call("GET", "/v1/root/ctl")
        assert served.headers["Content-Type"] == "application/pkcs7-mime; smime-type=signed-data"
        assert len(verify_trust_list(served.raw, trust=trust, at=AT, floor_version=6).roots) == 6
        inside = await call("GET", "/v1/root/ctl", headers={"Accept": "application/json"})
        verify_trust_list(base64.b64decode(inside.body["CTL"]["content"]), trust=trust, at=AT, floor_version=6)
        (tmp_path / "list.der").write_bytes(served.raw)
        (tmp_path / "root.pem").write_text(backend.pem())

    calling(shop, script)
    how = ["openssl", "cms", "-verify", "-inform", "DER", "-in", str(tmp_path / "list.der")]
    how += ["-CAfile", str(tmp_path / "root.pem"), "-purpose", "any", "-attime", str(int(AT.timestamp()))]
    found = subprocess.run(how, capture_output=True, check=True, timeout=60)
    assert found.stdout.startswith(b'{"version":6,')


# --- bad input


def test_a_call_without_a_good_token_is_refused(shop: Shop) -> None:
    shop.maker()
    shop.client("charge", Role.CPO)

    async def script(call: Caller) -> None:
        path = f"/v1/oem/provCerts/{PCID}"
        refused = await call("GET", path)
        refused.refused(401, "token")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        for header in ("Bearer", "Bearer x", "Basic bWFrZXI6eA==", "Bearer " + "x" * 6000):
            (await call("GET", path, headers={"Authorization": header})).refused(401, "token")
        (await call("GET", path, by="charge")).refused(403, "role")

    calling(shop, script)
    with shop.pools.reading() as connection:
        assert [entry.act for entry in read_entries(connection)][-1] == "refused"


def test_the_token_endpoint_answers_as_oauth_does(shop: Shop) -> None:
    shop.maker()
    good = {
        "client_id": "maker",
        "client_secret": shop.secrets["maker"],
        "audience": "https://pools.example",
        "grant_type": "client_credentials",
    }

    async def script(call: Caller) -> None:
        given = await call("POST", "/oauth/token", good)
        assert (given.status, given.body["token_type"], given.body["scope"]) == (200, "Bearer", "oem")
        assert (given.body["expires_in"], given.headers["Cache-Control"]) == (86400, "no-store")
        bearer = {"Authorization": f"Bearer {given.body['access_token']}"}
        assert (await call("GET", "/v1/root/rootCerts", headers=bearer)).status == 200
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        asked = await call("POST", "/oauth/token", headers=form, raw=urlencode(good).encode())
        assert asked.status == 200
        wrong = await call("POST", "/oauth/token", {**good, "client_secret": "x"})
        assert (wrong.status, wrong.body["error"]) == (401, "invalid_client")
        kind = await call("POST", "/oauth/token", {**good, "grant_type": "password"})
        assert (kind.status, kind.body["error"]) == (400, "unsupported_grant_type")
        for raw in (b"", b"{}", b"[]", b"\xff", b"x" * 300_000):
            bad = await call("POST", "/oauth/token", raw=raw)
            assert (bad.status, bad.body["error"]) == (400, "invalid_request")
        for raw in (b"", b"client_id=x", b"\xff=\xff", b"a=b&" * 40):
            assert (await call("POST", "/oauth/token", headers=form, raw=raw)).status == 400

    calling(shop, script)


async def slow(host: str, port: int, head: str) -> bytes:
    """All that a caller is told that announces a body, sends its first octets and no more, until it is hung up on."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"{head}\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{{".encode())
        return await reader.read()
    finally:
        writer.close()


def test_a_body_that_does_not_come_in_time_is_refused_and_the_connection_closed(state: Path) -> None:
    shop = open_shop(state, PoolSettings(body_timeout_s=0.1))
    shop.maker()
    bearer = shop.bearer("maker")["Authorization"]

    async def script(call: Caller) -> None:
        url = URL(call.base)
        assert url.host is not None
        assert url.port is not None
        token = await slow(url.host, url.port, "POST /oauth/token HTTP/1.1")
        put = await slow(url.host, url.port, f"PUT /v1/oem/provCerts HTTP/1.1\r\nAuthorization: {bearer}")
        for told, code in ((token, b'"invalid_request"'), (put, b'"too-slow: ')):
            assert told.startswith(b"HTTP/1.1 408 ")
            assert code in told
            assert b"connection: close" in told.lower()

    with shop.registry, shop.pools:
        calling(shop, script)


def test_a_token_is_for_this_service_if_it_knows_its_name(state: Path) -> None:
    shop = open_shop(state, PoolSettings(public_url="https://pki.example/"))
    shop.maker()
    good = {"client_id": "maker", "client_secret": shop.secrets["maker"], "grant_type": "client_credentials"}

    async def script(call: Caller) -> None:
        assert (await call("POST", "/oauth/token", {**good, "audience": "https://pki.example"})).status == 200
        other = await call("POST", "/oauth/token", {**good, "audience": "https://other.example"})
        assert (other.status, other.body["error"]) == (400, "invalid_request")

    with shop.registry, shop.pools:
        calling(shop, script)


def test_every_bad_body_names_its_rule(shop: Shop) -> None:
    shop.maker()
    shop.operator()
    shop.client("admin", Role.ADMIN)
    shop.client("charge", Role.CPO)
    shop.client("service", Role.CPS, providers=("DEABC",))
    shop.client("stranger", Role.OEM, wmis=("1HG",))
    car = shop.car()
    good, wish = provisioning_body(car), wish_body()
    signed = {"contractData": offered(shop, car), "xsdMsgDefNamespace": NAMESPACE}
    put, ask, sent = "/v1/oem/provCerts", "/v1/cps/generate/signedContractData", "/v1/ccp/signedContractData"
    sign = "/v1/cps/contractData/signed"
    installing = {"certificateInstallationReq": text(b"\x80\x98"), "xsdMsgDefNamespace": NAMESPACE}
    storing = {"emaid": EMAID, "pcid": PCID, "signedContractDataXML": text(b"{}"), "xsdMsgDefNamespace": NAMESPACE}
    cases: list[tuple[str, str, object, str, int, str]] = [
        ("PUT", put, [], "maker", 400, "body"),
        ("PUT", put, {**good, "vehicleCertificate": 7}, "maker", 400, "body"),
        ("PUT", put, {**good, "vehicleCertificate": "%"}, "maker", 400, "base64"),
        ("PUT", put, {**good, "vehicleCertificate": ""}, "maker", 400, "base64"),
        ("PUT", put, {**good, "vehicleCertificate": text(b"\x30\x00")}, "maker", 400, "malformed-certificate"),
        ("PUT", put, {**good, "xsdMsgDefNamespace": "urn:x"}, "maker", 400, "namespace"),
        ("PUT", put, {**good, "xsdMsgDefNamespace": NAMESPACE_20}, "maker", 400, "algorithm"),
        ("PUT", put, {**good, "previousPcid": "x"}, "maker", 400, "pcid-format"),
        ("PUT", put, {**good, "v2gRootAuthorityKeyIdentifiers": ["x"]}, "maker", 400, "key-identifier"),
        ("PUT", put, {**good, "v2gRootAuthorityKeyIdentifiers": ["aa:bb:cc:dd"] * 2}, "maker", 400, "key-identifier"),
        ("PUT", put, good, "stranger", 403, "wmi"),
        ("PUT", put, good, "operator", 403, "role"),
        ("GET", f"{put}/short", None, "maker", 400, "pcid-format"),
        ("GET", f"{put}/{PCID}", None, "stranger", 403, "wmi"),
        ("GET", f"{put}/{PCID}", None, "maker", 404, "vehicle-unknown"),
        ("GET", f"{put}/lookupVehicle/{PCID}", None, "operator", 404, "vehicle-unknown"),
        ("DELETE", f"{put}/{PCID}", None, "stranger", 403, "wmi"),
        ("DELETE", f"{put}/{PCID}", None, "maker", 404, "vehicle-unknown"),
        ("PUT", ask, {**wish, "contractEnds": "soon"}, "operator", 400, "instant"),
        ("PUT", ask, {**wish, "contractEnds": "2026-11-24"}, "operator", 400, "instant"),
        ("PUT", ask, {**wish, "emaid": "?"}, "operator", 400, "emaid-format"),
        ("PUT", ask, {**wish, "emaid": "FRABC000000009"}, "operator", 403, "provider"),
        ("PUT", ask, wish, "operator", 400, "vehicle-unknown"),
        ("PUT", sign, {"contractData": {}}, "operator", 400, "body"),
        ("PUT", sign, {**signed, "pcid": PCID}, "operator", 404, "vehicle-unknown"),
        ("PUT", sign, {**signed, "cpsV2GRootCertificateFingerprint": "x"}, "operator", 400, "cps-root"),
        ("PUT", sign, {**signed, "xsdMsgDefNamespace": NAMESPACE_20}, "operator", 400, "namespace"),
        ("POST", sent, installing, "charge", 400, "exi"),
        ("POST", sent, {**installing, "certificateInstallationReq": text(b"{}")}, "charge", 400, "body"),
        ("PUT", sent, storing, "service", 400, "bundle-format"),
        ("PUT", sent, {**storing, "signedContractDataXML": text(b"opaque")}, "service", 404, "vehicle-unknown"),
        ("DELETE", f"{sent}/DEABC00000000A", None, "operator", 404, "contract-unknown"),
        ("DELETE", f"{sent}/FRABC00000000A", None, "operator", 403, "provider"),
        ("POST", f"{sent}/{PCID}/{EMAID}/default", None, "maker", 400, "contract-unknown"),
        ("GET", f"/v1/ccp/lookupContract/{EMAID}", None, "maker", 404, "contract-unknown"),
        (
            "PUT",
            "/v1/root/rootCerts",
            {"caCertificate": text(b"x"), "rootType": "V2G"},
            "admin",
            400,
            "malformed-certificate",
        ),
        (
            "PUT",
            "/v1/root/rootCerts",
            {"caCertificate": text(car.chain.sub1), "rootType": "OEM"},
            "admin",
            400,
            "root-certificate",
        ),
        ("PUT", "/v1/root/rootCerts", {"caCertificate": text(b"x"), "rootType": "BACKEND"}, "admin", 400, "root-type"),
        ("GET", "/v1/root/rootCerts/1", None, "maker", 404, "root-unknown"),
        ("POST", "/v1/webhook/endpoints", {"url": "https://a"}, "maker", 400, "webhook-event"),
        ("GET", "/v1/webhook/endpoints/1", None, "maker", 404, "endpoint-unknown"),
    ]

    async def script(call: Caller) -> None:
        for method, path, body, by, status, code in cases:
            (await call(method, path, body, by=by)).refused(status, code)
        (await call("PUT", put, by="maker", raw=b"x" * 300_000)).refused(400, "body-size")
        (await call("PUT", put, by="maker", raw=b'{"\xff": 1}')).refused(400, "body")
        odd = {"X-Skip-Revocation": "maybe"}
        (await call("DELETE", f"{sent}/{EMAID}", by="operator", headers=odd)).refused(400, "header")
        assert (await call("GET", f"/v1/ccp/signedContractData/{PCID}", by="maker")).body == {"XMLContracts": []}

    calling(shop, script)


def test_a_car_that_asks_with_another_key_is_not_served(shop: Shop) -> None:
    shop.maker()
    shop.operator()
    shop.client("charge", Role.CPO)
    car, forger = shop.car(), shop.car()

    async def script(call: Caller) -> None:
        await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")
        await call("PUT", "/v1/cps/generate/signedContractData", wish_body(), by="operator")
        plain = b'{"oem_provisioning_certificate":"' + text(forger.chain.leaf).encode() + b'"}'
        body = {"certificateInstallationReq": text(plain), "xsdMsgDefNamespace": NAMESPACE}
        (await call("POST", "/v1/ccp/signedContractData", body, by="charge")).refused(400, "vehicle-changed")

    calling(shop, script)


def test_a_service_that_cannot_sign_says_so_and_tells_no_secrets(shop: Shop, state: Path) -> None:
    shop.maker()
    shop.operator()
    car = shop.car()

    async def script(call: Caller) -> None:
        await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")
        for key in (state / "keys").glob("mo-sub2*"):
            key.rename(key.with_suffix(".away"))
        failed = await call("PUT", "/v1/cps/generate/signedContractData", wish_body(), by="operator")
        failed.refused(500, "key-missing")
        assert str(state) not in failed.raw.decode()

    calling(shop, script)


def test_a_wish_must_end_in_time(shop: Shop) -> None:
    shop.operator()
    late = wish_body(contractEnds=(AT + timedelta(days=5000)).isoformat())

    async def script(call: Caller) -> None:
        answer = await call("PUT", "/v1/cps/generate/signedContractData", late, by="operator")
        answer.refused(400, "validity")

    calling(shop, script)


def test_a_contract_sealed_for_another_curve_than_the_cars_is_not_signed(shop: Shop) -> None:
    shop.maker()
    shop.operator()
    old, new = shop.car(), shop.car("WVWABCDEFGH1234567", Generation.ISO_20)
    body = {"contractData": offered(shop, old), "xsdMsgDefNamespace": NAMESPACE, "pcid": new.pcid}

    async def script(call: Caller) -> None:
        await call("PUT", "/v1/oem/provCerts", provisioning_body(new), by="maker")
        (await call("PUT", "/v1/cps/contractData/signed", body, by="operator")).refused(400, "key-kind")
        (await call("PUT", "/v1/cps/generate/signedContractData", wish_body(new.pcid), by="operator")).refused(
            400, "namespace"
        )

    calling(shop, script)


def test_what_a_maker_says_of_its_car_is_told_again(shop: Shop) -> None:
    shop.maker()
    car = shop.car()
    said = {"previousPcid": "WVWABCDEFGH000001", "v2gRootAuthorityKeyIdentifiers": ["45:b8:40:9e:e1:38:f8:bf"]}

    async def script(call: Caller) -> None:
        stored = await call("PUT", "/v1/oem/provCerts", provisioning_body(car, **said), by="maker")
        found = await call("GET", f"/v1/oem/provCerts/{PCID}", by="maker")
        for body in (stored.body, found.body["OEMMessage"]):
            assert {key: body[key] for key in said} == said

    calling(shop, script)

"""The sync endpoint over real sockets and mutual TLS."""

from __future__ import annotations

import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from wire.chain import GENESIS_HASH, RecordKind
from wire.records import WhitelistChange, decode, encode
from wire.sync_messages import MAX_BATCH_BYTES, Ack, Refusal, RefusalCode, Welcome

TOKEN = {
    "country_code": "DE",
    "party_id": "EMP",
    "uid": "04A1",
    "type": "RFID",
    "contract_id": "DE-EMP-C00000001-X",
    "issuer": "emp",
    "valid": True,
    "whitelist": "ALLOWED",
    "last_updated": "2026-11-23T09:00:00Z",
}


_HELLO = b'{"type":"hello","gateway_id":"site-1","epoch":"%s","head_seq":%s,"head_hash":""}'


def untimed(answer):
    """The answer without the hub's time, which is now."""
    assert abs(answer.at - datetime.now(UTC)) < timedelta(seconds=20)
    return msgspec.structs.replace(answer, at=None)


def _tokens(*changes):
    return json.dumps([TOKEN | change for change in changes]).encode()


def test_a_batch_is_held_once_however_often_it_is_sent(hub, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "11.000")
    link = hub.link()
    assert untimed(link.send(chain.hello())) == Welcome(acked_seq=0, acked_hash=GENESIS_HASH)
    expected = Ack(acked_seq=3, acked_hash=chain.records[-1].hash)
    assert link.send(chain.batch(1, 2)).acked_seq == 2
    assert [untimed(link.send(chain.batch(1, 3))) for _ in range(2)] == [expected, expected]
    assert link.send(chain.hello()).acked_seq == 3
    status, page = hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e1&limit=2")
    assert (status, [record["seq"] for record in page["records"]], page["next"]) == (200, [1, 2], 2)
    status, rest = hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e1&after=2")
    held = msgspec.convert(page["records"] + rest["records"], tuple[type(chain.records[0]), ...])
    assert held == tuple(chain.records)
    assert rest["next"] is None


def test_a_signed_session_becomes_one_session_and_one_cdr(hub, chain, charger, t0):
    id_ = charger.signed_session("T1", t0, "1.000", "11.500")
    hub.link().send(chain.batch(1, 3))
    _, session = hub.api("GET", f"/api/v1/sessions/{id_}")
    assert (session["status"], session["kwh"], session["gateway_id"]) == ("COMPLETED", 10.5, "site-1")
    status, cdr = hub.api("GET", f"/api/v1/cdrs/{id_}")
    assert status == 200
    assert (cdr["total_energy"], cdr["total_time"], cdr["currency"]) == (10.5, 0.5, "EUR")
    assert Decimal(str(cdr["total_cost"]["before_taxes"])) == Decimal("10.5") * Decimal("0.49") + Decimal("0.50")
    assert [value["nature"] for value in cdr["signed_data"]["signed_values"]] == ["Start", "End"]
    assert hub.api("GET", "/api/v1/cdrs?gateway_id=site-2")[1] == {"cdrs": [], "next": None}
    assert len(hub.api("GET", "/api/v1/cdrs?gateway_id=site-1")[1]["cdrs"]) == 1


def test_a_fork_is_refused_shown_and_overwrites_nothing(hub, chain, new_chain, t0):
    for number in range(3):
        chain.add(RecordKind.AUDIT, f'{{"n":{number}}}')
    clone = new_chain()
    for number in range(3):
        clone.add(RecordKind.AUDIT, f'{{"clone":{number}}}')
    link = hub.link()
    link.send(chain.batch(1, 3))
    answer = link.send(clone.batch(1, 3))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.seq, answer.acked_seq) == (RefusalCode.FORK, 1, 3)
    clone.add(RecordKind.AUDIT, "{}")
    assert link.send(clone.batch(4, 1)).code is RefusalCode.FORK
    _, page = hub.api("GET", "/api/v1/conflicts")
    assert [(entry["seq"], entry["kind"]) for entry in page["conflicts"]] == [(1, "fork"), (3, "fork")]
    assert page["conflicts"][0]["held_hash"] == chain.records[0].hash
    assert page["conflicts"][0]["offered_hash"] == clone.records[0].hash
    _, held = hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e1")
    assert [record["hash"] for record in held["records"]] == [record.hash for record in chain.records]


def test_a_gateway_restored_from_an_old_image_is_noticed_at_hello(hub, chain, new_chain):
    for number in range(3):
        chain.add(RecordKind.AUDIT, f'{{"n":{number}}}')
    image = new_chain(records=list(chain.records[:2]))
    link = hub.link()
    link.send(chain.batch(1, 3))
    assert link.send(chain.hello()).acked_seq == 3
    assert hub.api("GET", "/api/v1/conflicts")[1]["conflicts"] == []
    assert link.send(image.hello()).acked_seq == 3
    _, page = hub.api("GET", "/api/v1/conflicts")
    assert [(entry["seq"], entry["kind"]) for entry in page["conflicts"]] == [(2, "rollback")]


def test_a_gap_and_an_altered_record_change_nothing(hub, chain):
    for number in range(4):
        chain.add(RecordKind.AUDIT, f'{{"n":{number}}}')
    link = hub.link()
    assert link.send(chain.batch(3, 2)).code is RefusalCode.GAP
    batch = chain.batch(1, 4)
    altered = msgspec.structs.replace(batch.records[2], body='{"n":9}')
    records = (*batch.records[:2], altered, batch.records[3])
    refusal = link.send(msgspec.structs.replace(batch, records=records))
    assert (refusal.code, refusal.seq, refusal.acked_seq) == (RefusalCode.CHAIN, 3, 0)
    assert link.send(chain.batch(1, 4)).acked_seq == 4


def test_an_unreadable_body_is_held_acked_and_listed(hub, chain):
    chain.add(RecordKind.TRANSACTION, "no JSON at all \x00 ü")
    chain.add(RecordKind.AUDIT, "{}")
    assert hub.link().send(chain.batch(1, 2)).acked_seq == 2
    _, page = hub.api("GET", "/api/v1/quarantine")
    assert [(entry["seq"], entry["gateway_id"]) for entry in page["quarantine"]] == [(1, "site-1")]
    assert "not JSON" in page["quarantine"][0]["reason"]
    _, held = hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e1")
    assert held["records"][0]["body"] == chain.records[0].body


def test_a_gateway_can_write_only_as_itself(hub, chain):
    chain.add(RecordKind.AUDIT, "{}")
    link = hub.link("site-2")
    for path, message in (("/sync/v1/hello", chain.hello()), ("/sync/v1/batches", chain.batch(1, 1))):
        status, body = link.request("POST", path, encode(message))
        problem = json.loads(body)
        assert (status, problem["status"], problem["type"]) == (403, 403, "urn:pncgate:problem:foreign-gateway")
        assert "site-2" in problem["detail"]
        assert "site-1" in problem["detail"]
    assert hub.api("GET", "/api/v1/gateways")[1]["gateways"] == [
        {"gateway_id": name, "epoch": None, "acked_seq": 0, "acked_hash": None, "records": 0, "quarantined": 0}
        | {"conflicts": 0, "first_seen": None, "last_seen": None}
        for name in ("site-1", "site-2")
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sync/v1/hello"),
        ("POST", "/sync/v1/batches"),
        ("POST", "/sync/v1/authorize"),
        ("GET", "/sync/v1/whitelist?since=0"),
    ],
)
def test_an_unknown_gateway_is_refused_everywhere(hub, method, path):
    status, body = hub.link("stranger").request(method, path, b"{}" if method == "POST" else None)
    assert (status, json.loads(body)["type"]) == (403, "urn:pncgate:problem:unknown-gateway")


def test_without_a_certificate_of_the_right_root_nothing_is_heard(hub, other_ca, chain):
    for link in (hub.link(None), hub.link("site-1", other_ca)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            link.send(chain.hello())
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in hub.next_line("tls-refused")["reason"]
    assert "CERTIFICATE_VERIFY_FAILED" in hub.next_line("tls-refused")["reason"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_tls_version_is_refused(hub, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca.path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = hub.listen["sync"].rpartition(":")
    with socket.create_connection((host, int(port)), 5) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw)
    refused = hub.next_line("tls-refused")
    assert "UNSUPPORTED_PROTOCOL" in refused["reason"]
    assert refused["listener"] == "sync"


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/sync/v1/batches", b"\xff\xfe", 400, "not JSON"),
        ("/sync/v1/batches", b'{"type":"batch","gateway_id":"site-1"}', 400, "epoch"),
        ("/sync/v1/batches", b"[" * 50_000, 400, "sync batch"),
        ("/sync/v1/hello", _HELLO % (b" ", b"0"), 400, "$.epoch"),
        ("/sync/v1/hello", _HELLO % (b"e1", b"99999999999999999999"), 400, "$.head_seq"),
        ("/sync/v1/hello", b" " * 20_000, 413, "16384 bytes"),
        ("/sync/v1/batches", b" " * (MAX_BATCH_BYTES + 1), 413, f"{MAX_BATCH_BYTES} bytes"),
        ("/sync/v1/authorize", b'{"uid":"1","type":"CARD"}', 400, "$.type"),
        ("/sync/v1/elsewhere", b"{}", 404, "elsewhere"),
    ],
)
def test_malformed_input_is_told_what_and_where(hub, path, body, status, named):
    found, answer = hub.link().request("POST", path, body)
    problem = json.loads(answer)
    assert (found, problem["status"]) == (status, status)
    assert named in problem["detail"]


def test_numbers_beyond_the_store_are_malformed(hub, chain):
    chain.add(RecordKind.AUDIT, "{}")
    text = encode(chain.batch(1, 1)).replace(b'"mono_ns":1000', b'"mono_ns":99999999999999999999')
    status, answer = hub.link().request("POST", "/sync/v1/batches", text)
    assert (status, "$.records[0].mono_ns" in json.loads(answer)["detail"]) == (400, True)


def test_the_whitelist_travels_as_a_whole_or_as_what_changed(hub):
    link = hub.link()

    def change(since):
        status, body = link.request("GET", f"/sync/v1/whitelist?since={since}")
        assert status == 200
        return decode(WhitelistChange, body, "change")

    def put(*changes):
        status, answer = hub.api("PUT", "/api/v1/tokens", _tokens(*changes))
        assert (status, answer["tokens"]) == (200, len(changes))
        return answer["version"]

    assert change(0) == WhitelistChange(version=0, since=0, full=True, tokens=())
    before = datetime.now(UTC).timestamp() * 1000
    first = put({}, {"uid": "04B2"})
    second = put({"uid": "04b2", "valid": False})
    assert before - 1 <= first < second <= datetime.now(UTC).timestamp() * 1000 + 2
    assert put({"uid": "04b2", "valid": False}) == second
    whole, delta = change(0), change(first)
    assert (whole.version, whole.full, [token.uid for token in whole.tokens]) == (second, True, ["04A1", "04b2"])
    assert (delta.full, delta.since, [(token.uid, token.valid) for token in delta.tokens]) == (
        False,
        first,
        [("04b2", False)],
    )
    assert (change(second).tokens, change(second).full) == ((), False)
    for never_issued in (1, first - 1, second + 1, 2**63 - 1):
        assert change(never_issued) == whole
    assert link.request("GET", "/sync/v1/whitelist?since=-1")[0] == 400


def test_every_welcome_and_ack_names_the_version_of_the_list(hub, chain):
    chain.add(RecordKind.AUDIT, "{}")
    link = hub.link()
    assert link.send(chain.hello()).whitelist_version == 0
    version = hub.api("PUT", "/api/v1/tokens", _tokens({}))[1]["version"]
    assert link.send(chain.batch(1, 1)).whitelist_version == version
    assert link.send(chain.hello()).whitelist_version == version


def test_authorize_answers_from_the_list(hub):
    emaid = {"type": "EMAID", "uid": "pnc-1", "contract_id": "DE-EMP-C00000002-K"}
    hub.api("PUT", "/api/v1/tokens", _tokens({}, {"uid": "04B2", "valid": False}, emaid))
    link = hub.link()

    def allowed(uid, type_="RFID"):
        status, body = link.request("POST", "/sync/v1/authorize", json.dumps({"uid": uid, "type": type_}).encode())
        assert status == 200
        answer = json.loads(body)
        return answer["allowed"], answer.get("token", {}).get("uid")

    assert allowed("04a1") == ("ALLOWED", "04A1")
    assert allowed("04B2") == ("BLOCKED", "04B2")
    assert allowed("04C3") == ("NOT_ALLOWED", None)
    assert allowed("04A1", "APP_USER") == ("NOT_ALLOWED", None)
    assert allowed("04A1", "OTHER") == ("ALLOWED", "04A1")
    assert allowed("pnc-1", "OTHER") == ("NOT_ALLOWED", None)
    assert allowed("deempc00000002k", "EMAID") == ("ALLOWED", "pnc-1")
    assert allowed("DE-EMP-C00000002", "EMAID") == ("ALLOWED", "pnc-1")
    assert allowed("PNC1", "EMAID") == ("ALLOWED", "pnc-1")
    assert allowed("DEEMPC00000002K", "RFID") == ("NOT_ALLOWED", None)


def test_epochs_are_chains_of_their_own(hub, chain, new_chain, charger, new_charger, t0):
    id_ = charger.signed_session("T1", t0, "1.000", "2.000")
    fresh = new_chain(epoch="e2")
    new_charger(fresh).event("Started", "T2", t0 + timedelta(hours=2), "2.000")
    link = hub.link()
    link.send(chain.batch(1, 3))
    assert link.send(fresh.hello()).acked_seq == 0
    assert link.send(fresh.batch(1, 1)).acked_seq == 1
    _, page = hub.api("GET", "/api/v1/sessions")
    assert [(session["id"] == id_, session["status"]) for session in page["sessions"]] == [
        (True, "COMPLETED"),
        (False, "ACTIVE"),
    ]
    _, held = hub.api("GET", "/api/v1/gateways")
    assert [(entry["epoch"], entry["acked_seq"]) for entry in held["gateways"]][:2] == [("e1", 3), ("e2", 1)]


def test_a_batch_just_within_the_protocols_limit_is_taken(hub, chain):
    for _ in range(7):
        chain.add(RecordKind.AUDIT, '"' * (MAX_BATCH_BYTES // 16))
    batch = chain.batch(1, 7)
    assert MAX_BATCH_BYTES * 3 // 4 < len(encode(batch)) <= MAX_BATCH_BYTES
    assert hub.link().send(batch).acked_seq == 7

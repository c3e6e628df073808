"""Partners, objects and pushes in the database, on both engines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.errors import StoreError
from hub.roaming.partners import Partner, Registration, TokenKind
from hub.roaming.publishing import correlation_of, publish
from hub.store import calls, derived, orders, outbound, partners as store
from hub.store.alarms import Alarm, alarms, note_alarm
from hub.store.authorizations import Authorization, authorization_of, note_authorization
from hub.store.engine import Engine, OpenConnection
from hub.store.objects import Kept, ObjectDiffers, Scope, drop_object, keep_object, object_of, objects_of, page_of
from hub.store.partners import KnownPartner, NoSuchPartner
from hub.store.roaming_erasure import count_named, forget_roaming
from hub.subject import subject_of
from wire.errors import OCPIRefused
from wire.ocpi.commands import CommandType
from wire.ocpi.paging import PageQuery
from wire.ocpi.partners import ConnectionStatus, CredentialsRole, Endpoint
from wire.ocpi.quirks import Quirks
from wire.ocpi.routing import Routing
from wire.ocpi.tokens import Token
from wire.ocpi.types import BusinessDetails, InterfaceRole, Module, PartyKey, Role, Version
from wire.records import AllowedType, Session, SessionStatus, WhitelistType, encode

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
EMS, CPO, OTH = (PartyKey.of("DE", party) for party in ("EMS", "CPO", "OTH"))


@pytest.fixture
def connection(engine: Engine) -> Iterator[OpenConnection]:
    opened = engine.open_writer()
    opened.execute("BEGIN IMMEDIATE")
    yield opened
    opened.close()


def role(party: PartyKey, role_: Role = Role.EMSP) -> CredentialsRole:
    details = BusinessDetails(name="Partner")
    return CredentialsRole(
        role=role_.value, business_details=details, party_id=party.party_id, country_code=party.country_code
    )


def registered(
    connection: OpenConnection, id_: str, *parties: PartyKey, hub: PartyKey | None = None, at: datetime = T0
) -> Partner:
    store.add_partner(connection, Partner(id=id_, name=id_, hosts=("https://localhost:1",), added_at=at), at)
    endpoints = tuple(
        Endpoint(identifier=module.value, role=InterfaceRole.RECEIVER, url=f"https://localhost:1/{module.value}")
        for module in (Module.SESSIONS, Module.CDRS, Module.TOKENS)
    )
    done = Registration(
        url="https://localhost:1/versions",
        token_out="secret",
        version=Version.V2_3_0,
        endpoints=endpoints,
        roles=tuple(role(party) for party in parties),
        hub_party=hub,
    )
    store.register(connection, id_, done, at)
    return store.partner_named(connection, id_)


def cdr(id_: str, owner: PartyKey = CPO, emsp: PartyKey = EMS, **more: object) -> dict[str, Any]:
    token = {"country_code": emsp.country_code, "party_id": emsp.party_id, "uid": "04A1"}
    return {
        "country_code": owner.country_code,
        "party_id": owner.party_id,
        "id": id_,
        "cdr_token": token,
        "last_updated": "2026-11-23T10:00:00Z",
    } | more


def test_a_partner_is_found_by_its_tokens_and_its_parties(connection):
    partner = registered(connection, "driving", EMS)
    with pytest.raises(KnownPartner, match="is there already"):
        store.add_partner(connection, partner, T0)
    with pytest.raises(NoSuchPartner, match="pnc-hub partners list"):
        store.partner_named(connection, "nobody")
    store.issue_token(connection, "driving", TokenKind.CREDENTIALS, "a" * 64, T0)
    found = store.partner_of_token(connection, ("b" * 64, "a" * 64))
    assert found is not None
    assert (found.partner.id, found.kind, found.hash) == ("driving", TokenKind.CREDENTIALS, "a" * 64)
    store.end_tokens(connection, "driving", kept="b" * 64)
    assert store.partner_of_token(connection, ("a" * 64,)) is None
    assert store.partner_of_token(connection, ()) is None
    store.set_quirks(connection, "driving", Quirks(raw_token=True), T0)
    store.note_seen(connection, "driving", T0)
    partner = store.partner_named(connection, "driving")
    assert (partner.quirks.raw_token, partner.last_seen, partner.can_be_sent_to) == (True, T0, True)
    assert store.set_status(connection, "driving", ConnectionStatus.OFFLINE, T0)
    assert not store.set_status(connection, "driving", ConnectionStatus.OFFLINE, T0)
    assert not store.partner_named(connection, "driving").can_be_sent_to
    assert store.speaks_for(connection, partner, EMS)
    assert not store.speaks_for(connection, partner, OTH)


def test_a_party_is_reached_directly_before_by_a_hub(connection):
    hub = registered(connection, "hub", EMS, OTH, hub=PartyKey.of("DE", "HUB"), at=T0 + timedelta(days=1))
    assert store.partner_of_party(connection, EMS) == hub
    direct = registered(connection, "driving", EMS)
    assert store.partner_of_party(connection, EMS) == direct
    assert store.partner_of_party(connection, EMS, Role.CPO) is None
    assert store.partner_of_party(connection, OTH) == hub
    told = {"country_code": "FR", "party_id": "FAR", "role": "CPO", "status": "CONNECTED"}
    keep_object(connection, Module.HUB_CLIENT_INFO, told | {"last_updated": "2026-11-23T10:00:00Z"}, "hub", T0)
    far = PartyKey.of("FR", "FAR")
    assert store.partner_of_party(connection, far) == hub
    assert store.speaks_for(connection, hub, far)
    assert not store.speaks_for(connection, direct, far)
    store.unregister(connection, "hub", T0)
    assert store.partner_of_party(connection, OTH) is None
    known = [(str(one.info.party), one.info.status) for one in store.known_parties(connection, without="driving")]
    assert known == [("DE*EMS", ConnectionStatus.SUSPENDED), ("DE*OTH", ConnectionStatus.SUSPENDED)]
    store.remove_partner(connection, "hub")
    assert [one.id for one in store.partners(connection)] == ["driving"]


def test_a_party_that_is_no_longer_named_is_suspended_and_comes_back(connection):
    registered(connection, "driving", EMS, OTH)
    done = Registration(
        url="https://localhost:1/versions",
        token_out="newer",
        version=Version.V2_2_1,
        endpoints=(),
        roles=(role(OTH),),
        hub_party=None,
    )
    store.register(connection, "driving", done, T0 + timedelta(days=1))
    partner = store.partner_named(connection, "driving")
    assert (partner.parties, partner.token_out, partner.version) == ((OTH,), "newer", Version.V2_2_1)
    assert store.partner_of_party(connection, EMS) is None
    assert [one.info.status.value for one in store.known_parties(connection)] == ["SUSPENDED", "CONNECTED"]


def test_objects_keep_their_place_and_their_spelling(connection):
    first = {"country_code": "de", "party_id": "ems", "id": "Loc-a", "last_updated": "2026-11-23T10:00:00Z", "x": [1.5]}
    assert keep_object(connection, Module.LOCATIONS, first, "p", T0) == (Kept.NEW, 1)
    other = first | {"id": "B", "last_updated": "2026-11-23T11:00:00"}
    assert keep_object(connection, Module.LOCATIONS, other, None, T0)[0] is Kept.NEW
    assert keep_object(connection, Module.LOCATIONS, dict(reversed(first.items())), "p", T0) == (Kept.SAME, 1)
    newer = first | {"id": "LOC-A", "last_updated": "2026-11-23T12:00:00Z"}
    assert keep_object(connection, Module.LOCATIONS, newer, "p", T0, shared=True) == (Kept.CHANGED, 1)
    held = object_of(connection, Module.LOCATIONS, EMS, "LOC-A")
    assert held is not None
    assert (held.document, held.from_partner) == (newer, "p")
    assert [one.id for one in objects_of(connection, Module.LOCATIONS, "B", ours=True)] == ["B"]
    assert objects_of(connection, Module.LOCATIONS, "LOC-A", ours=True) == ()

    def listed(scope: Scope, **query: Any) -> tuple[list[str], int]:
        page = page_of(connection, Module.LOCATIONS, PageQuery(**query), scope)
        return [one["id"] for one in page.documents], page.total

    assert listed(Scope()) == (["B"], 1), "another's is not shown as ours"
    assert listed(Scope(shared=True)) == (["LOC-A", "B"], 2)
    assert listed(Scope(shared=True), limit=1, offset=1) == (["B"], 2)
    assert listed(Scope(shared=True), date_from=T0 + timedelta(hours=2)) == (["LOC-A"], 1)
    assert listed(Scope(shared=True), date_to=T0 + timedelta(hours=2)) == (["B"], 1)
    assert listed(Scope(shared=True, owners=(OTH,))) == ([], 0)
    assert listed(Scope(shared=True, owners=())) == ([], 0)
    assert drop_object(connection, Module.LOCATIONS, EMS, "B")
    assert not drop_object(connection, Module.LOCATIONS, EMS, "B")
    with pytest.raises(OCPIRefused, match="a text is required"):
        keep_object(connection, Module.LOCATIONS, {"country_code": "DE", "party_id": "EMS"}, None, T0)


def test_a_cdr_is_never_changed_by_anybody(connection):
    assert keep_object(connection, Module.CDRS, cdr("C-1"), None, T0)[0] is Kept.NEW
    assert keep_object(connection, Module.CDRS, cdr("c-1") | {"id": "C-1"}, None, T0)[0] is Kept.SAME
    with pytest.raises(ObjectDiffers, match="a CDR never changes"):
        keep_object(connection, Module.CDRS, cdr("C-1", total_energy=1), None, T0)
    with pytest.raises((StoreError, sqlite3.Error), match="a CDR is never changed"):
        connection.execute("UPDATE ocpi_objects SET document = '{}'")


def test_sessions_and_cdrs_are_for_their_owner_and_their_emsp(connection):
    for number, emsp in enumerate((EMS, OTH, EMS)):
        keep_object(connection, Module.CDRS, cdr(f"C-{number}", emsp=emsp), None, T0)

    def seen(*readers: PartyKey) -> list[str]:
        scope = Scope(readers=readers)
        return [one["id"] for one in page_of(connection, Module.CDRS, PageQuery(), scope).documents]

    assert (seen(EMS), seen(OTH), seen(EMS, OTH)) == (["C-0", "C-2"], ["C-1"], ["C-0", "C-1", "C-2"])
    assert (seen(CPO), seen()) == (["C-0", "C-1", "C-2"], [])


def test_what_is_published_is_noted_once_for_whom_it_is(connection):
    registered(connection, "driving", EMS)
    registered(connection, "other", OTH)
    assert publish(connection, Module.CDRS, cdr("C-1", session_id="S-1"), T0)
    assert not publish(connection, Module.CDRS, cdr("C-1", session_id="S-1"), T0)
    assert publish(connection, Module.CDRS, cdr("C-2", emsp=PartyKey.of("FR", "FAR")), T0)
    session = cdr("S-1", status="ACTIVE")
    for kwh in (1, 2):
        assert publish(connection, Module.SESSIONS, session | {"kwh": kwh}, T0)
    token = {"country_code": "DE", "party_id": "CPO", "uid": "04A1", "type": "RFID"}
    assert publish(connection, Module.TOKENS, token, T0)
    claimed = outbound.claim_pushes(connection, T0, 10)
    assert [(one.partner, one.method, one.module) for one in claimed] == [
        ("driving", "POST", Module.CDRS),
        ("driving", "PUT", Module.SESSIONS),
        ("driving", "PUT", Module.TOKENS),
        ("other", "PUT", Module.TOKENS),
    ]
    assert claimed[1].document["kwh"] == 2, "the older one was overtaken"
    assert claimed[0].correlation_id == claimed[1].correlation_id == correlation_of(Module.SESSIONS, session)
    patch = {"kwh": 3, "last_updated": "2026-11-23T10:00:00Z"}
    for partner in ("driving", "other"):
        outbound.note_push(connection, claimed[1].object_number, [partner], "PATCH", "c", T0, patch)
    assert not outbound.is_any_waiting(connection, T0), "what is claimed is settled first"
    outbound.settle_push(connection, claimed[3].number, "done", T0)
    (found,) = outbound.claim_pushes(connection, T0, 10)
    assert (found.partner, found.document) == ("other", patch)
    outbound.unclaim_push(connection, found.number)
    assert [one.number for one in outbound.claim_pushes(connection, T0, 10)] == [found.number]
    later = T0 + outbound.CLAIM_LASTS + timedelta(seconds=1)
    assert [one.partner for one in outbound.claim_pushes(connection, later, 10)] == ["driving"], "its claim is too old"
    assert outbound.end_claims(connection) == 5
    store.set_status(connection, "driving", ConnectionStatus.OFFLINE, T0)
    assert publish(connection, Module.SESSIONS, session | {"kwh": 3}, T0)
    assert not outbound.is_any_waiting(connection, T0), "none for OFFLINE"


def test_an_order_is_found_again_until_its_end_is_told(connection):
    order = orders.TakenOrder(
        command_id="id-1",
        partner="driving",
        command=CommandType.RESERVE_NOW,
        response_url="https://localhost/1",
        routing=Routing(to=CPO, from_=EMS),
        gateway_id="site-1",
        charger_id="CP-1",
        reservation="DE*EMS*r-1",
        correlation_id="c-1",
        taken_at=T0,
    )
    orders.note_order(connection, order)
    assert orders.untold_orders(connection) == (order,)
    assert orders.reservation_order(connection, "DE*EMS*r-1") == order
    assert orders.reservation_order(connection, "DE*EMS*r-2") is None
    orders.note_told(connection, "id-1", "told", T0)
    assert orders.untold_orders(connection) == ()


def test_a_call_keeps_the_first_result_that_its_partner_tells(connection):
    call = calls.Call(
        uid="u-1",
        partner="charging",
        command="START_SESSION",
        sender=EMS,
        receiver=CPO,
        request={"location_id": "LOC1"},
        sent_at=T0,
        correlation_id="c-1",
    )
    calls.note_call(connection, call)
    assert calls.call_of(connection, "u-1") == call
    calls.note_response(connection, "u-1", {"result": "ACCEPTED"})
    assert not calls.note_result(connection, "u-1", "another", {"result": "FAILED"}, T0)
    assert calls.note_result(connection, "u-1", "charging", {"result": "ACCEPTED"}, T0)
    assert calls.note_result(connection, "u-1", "charging", {"result": "FAILED"}, T0), "the first one is kept"
    found = calls.call_of(connection, "u-1")
    assert found is not None
    assert (found.response, found.result, found.result_at) == ({"result": "ACCEPTED"}, {"result": "ACCEPTED"}, T0)
    assert calls.call_of(connection, "u-2") is None


def test_an_authorization_is_found_by_its_reference(connection):
    token = Token(
        country_code="DE",
        party_id="EMS",
        uid="04A1",
        type="RFID",
        contract_id="C",
        issuer="I",
        valid=True,
        whitelist=WhitelistType.ALLOWED,
        last_updated=T0,
    )
    answered = Authorization(
        reference="ref-1",
        at=T0,
        partner="charging",
        cpo=CPO,
        token=token,
        allowed=AllowedType.ALLOWED,
        location=None,
        correlation_id="c-1",
    )
    note_authorization(connection, answered)
    assert authorization_of(connection, "ref-1") == answered
    assert authorization_of(connection, "ref-2") is None


def test_cursors_only_move_as_they_are_told(connection):
    assert derived.cursor(connection, derived.CDRS) == 0
    for position in (3, 5):
        derived.move_cursor(connection, derived.CDRS, position)
        assert derived.cursor(connection, derived.CDRS) == position


def test_who_charged_is_let_go_and_the_bill_stays(connection):
    theirs, others = cdr("C-1", total_energy=12.5, x=[1]), cdr("C-2")
    theirs |= {"authorization_reference": "ref-1", "signed_data": {"signed_values": []}}
    others["cdr_token"] = others["cdr_token"] | {"uid": "04B2"}
    for document, source in ((theirs, None), (others, "charging")):
        keep_object(connection, Module.CDRS, document, source, T0)
    token = {"country_code": "DE", "party_id": "EMS", "uid": "04A1", "type": "RFID"}
    keep_object(connection, Module.TOKENS, token, None, T0)
    alarm = Alarm("charging", Module.CDRS, CPO, "C-1", "cdr-differs", "differs", "c-1", theirs)
    note_alarm(connection, alarm, T0)
    (act,) = connection.execute(
        "INSERT INTO erasures (at, by, kind, forced, counts) VALUES ('t', 'me', 'person', 0, '{}') RETURNING number"
    ).fetchone()
    subject = subject_of(["04A1"], [])
    assert count_named(connection, subject) == 3
    forget_roaming(connection, subject, (), act, lambda text: f"ERASED-{len(text)}")
    assert count_named(connection, subject) == 0
    held = object_of(connection, Module.CDRS, CPO, "C-1")
    assert held is not None
    kept = {name: value for name, value in theirs.items() if name not in ("authorization_reference", "signed_data")}
    assert held.document == kept | {"cdr_token": theirs["cdr_token"] | {"uid": "ERASED-4"}}
    untouched = object_of(connection, Module.CDRS, CPO, "C-2")
    assert untouched is not None
    assert untouched.document == others
    assert object_of(connection, Module.TOKENS, EMS, "04A1|RFID") is None
    assert alarms(connection, 0, 10) == ()
    with pytest.raises((StoreError, sqlite3.Error), match="a CDR is never changed"):
        connection.execute(
            "UPDATE ocpi_objects SET document = '{\"total_energy\":1}', erasure = ? WHERE id = 'C-2'", (act,)
        )


def test_by_time_our_own_session_is_let_go_with_the_one_it_came_of(connection):
    for source, owner in ((None, CPO), ("charging", OTH)):
        keep_object(connection, Module.SESSIONS, cdr("S-1", owner=owner, status="COMPLETED"), source, T0)
    (act,) = connection.execute(
        "INSERT INTO erasures (at, by, kind, forced, counts) VALUES ('t', 'me', 'retention', 0, '{}') RETURNING number"
    ).fetchone()
    forget_roaming(connection, None, ("s-1",), act, lambda text: "nobody")
    uids = [held.document["cdr_token"]["uid"] for held in objects_of(connection, Module.SESSIONS, "S-1")]
    assert uids == ["nobody", "04A1"]


def test_a_session_that_is_committed_late_under_a_lower_number_is_not_passed_over(connection):
    def insert(number: int, id_: str) -> None:
        session = Session(
            id=id_,
            gateway_id="site-1",
            charger_id="CP-1",
            evse_id=1,
            transaction_id="t",
            status=SessionStatus.ACTIVE,
            start_date_time=T0,
            last_updated=T0,
            kwh=Decimal(0),
        )
        connection.execute(
            "INSERT INTO sessions (number, id, gateway_id, charger_key, status, session, meter)"
            " VALUES (?, ?, 'site-1', 'cp-1', 'ACTIVE', ?, '{}')",
            (number, id_, encode(session).decode()),
        )

    def step() -> list[str]:
        fresh, last = derived.new_sessions(connection, 10)
        for due in fresh:
            derived.note_derived(connection, due, final=False)
        derived.move_cursor(connection, derived.SESSIONS, last)
        return [due.session.id for due in fresh]

    insert(2, "S-2")
    assert (step(), step()) == (["S-2"], [])
    insert(1, "S-1")
    assert (step(), step()) == (["S-1"], [])
    assert derived.cursor(connection, derived.SESSIONS) == 2
    insert(4, "S-4")
    insert(3, "S-3")
    assert (step(), step()) == (["S-3", "S-4"], [])
    assert derived.changed_sessions(connection, 10) == ()

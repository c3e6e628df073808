"""Who gets in and what each may do: every route by every role, forms from elsewhere, tries, sessions."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.config import load_config
from hub.desk import CommandDesk
from hub.evidence.gather import Maker
from hub.roles import PERMISSIONS, Permission, Role
from hub.store import audit, users
from hub.store.database import Database
from hub.web.pages.guard import form_token
from hub.web.pages.site import OperatorPages
from hub.web.pages.ways import Route
from tests.hub.pages.site import PASSWORD, Browser, PageSite
from wire.settling.terms import Terms
from wire.tree_head import SigningKey

FILLED = {
    "id": "none-of-this-name",
    "number": "77",
    "hash": "f" * 64,
    "name": "nobody-here",
    "party": "DE*ABC",
    "invoice": "I-1",
}


@pytest.fixture(scope="module")
def routes(site: PageSite, tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    """Every route there is, of pages that are built and not served."""
    return _routes(site, tmp_path_factory.mktemp("routes"))


def _routes(site: PageSite, folder: Path) -> list[Route]:
    import asyncio

    async def built() -> list[Route]:
        config = load_config(site.hub.config)
        assert config.pages is not None
        database = Database(folder, config.terms)
        try:
            maker = Maker(key=SigningKey(b"\x01" * 32), terms=config.terms, issuer="")
            return OperatorPages(database, config.pages, (), CommandDesk(database, ()), maker).routes()
        finally:
            await database.close()

    return asyncio.run(built())


def path_of(route: Route) -> str:
    return route.path.format(**FILLED)


def test_the_table_gives_each_role_what_it_is_for() -> None:
    assert PERMISSIONS.keys() == {*Role}
    assert PERMISSIONS[Role.ADMIN] == {*Permission}
    assert all(Permission.VIEW in may for may in PERMISSIONS.values())
    assert [role for role, may in PERMISSIONS.items() if Permission.USERS in may] == [Role.ADMIN]
    assert Permission.COMMAND not in PERMISSIONS[Role.VIEWER] | PERMISSIONS[Role.SETTLEMENT]


@pytest.mark.parametrize("role", list(Role))
def test_every_route_asks_for_what_the_table_says(
    routes: list[Route], browsers: dict[Role, Browser], role: Role
) -> None:
    """What a role may not do is 403 before anything is looked for; what it may is something else."""
    browser = browsers[role]
    for route in routes:
        if route.public or route.path in ("/sign-out", "/account/password"):
            continue
        answer = browser.get(path_of(route)) if route.method == "GET" else browser.post(path_of(route))
        may = route.permission is None or route.permission in PERMISSIONS[role]
        assert (answer.status == 403) != may, (role, route.method, route.path, answer.status)
        assert answer.status != 500, (route.method, route.path)


def test_nobody_sees_anything_but_the_way_in(routes: list[Route], site: PageSite) -> None:
    stranger = site.browser()
    for route in routes:
        if route.public:
            continue
        if route.method == "GET":
            answer = stranger.get(path_of(route))
            assert (answer.status, answer.location[:14]) == (303, "/sign-in?next="), route.path
            assert answer.body == b""
        else:
            assert stranger.post(path_of(route)).status == 403, route.path
    assert stranger.get("/nothing").status == 303
    assert stranger.get("/style.css").status == 200


def test_a_form_from_elsewhere_does_nothing(routes: list[Route], site: PageSite) -> None:
    admin = site.signed_in(Role.ADMIN)
    other = site.signed_in(Role.ADMIN)
    for route in routes:
        if route.method != "POST":
            continue
        for form in ({}, {"form_token": ""}, {"form_token": other.token}, {"form_token": form_token("")}):
            assert admin.ask("POST", path_of(route), form).status == 403, (route.path, form)
    assert admin.get("/").status == 200, "not even signed out"
    assert admin.ask("POST", "/users", {"form_token": admin.token}, {"Content-Type": "text/plain"}).status == 415
    assert admin.ask("POST", "/users", {f"f{number}": "" for number in range(60)}).status == 400
    assert admin.ask("POST", "/users", {"form_token": "x" * 70_000}).status == 413
    assert admin.ask("PUT", "/users", {"form_token": admin.token}).status == 405


def test_signing_in_gives_a_new_cookie_that_scripts_cannot_read(site: PageSite) -> None:
    browser = site.browser()
    browser.get("/sign-in")
    before = browser.cookie
    assert browser.sign_in("viewer", goal="/cdrs?findings=with").location == "/cdrs?findings=with"
    assert browser.cookie != before
    for line in browser.seen:
        assert line.startswith("__Host-pncgate=")
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=Lax"} <= {part.strip() for part in line.split(";")}
    cookie = browser.cookie
    assert browser.post("/sign-out").location == "/sign-in"
    browser.cookie = cookie
    assert browser.get("/").status == 303, "the session is over, not only its cookie"


@pytest.mark.parametrize("goal", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nX: y", "/ä", "x"])
def test_signing_in_leads_nowhere_else(site: PageSite, goal: str) -> None:
    assert site.browser().sign_in("viewer", goal=goal).location == "/"


def test_a_wrong_password_and_a_wrong_name_are_told_alike(site: PageSite) -> None:
    told = []
    for name, password in (("viewer", "wrong"), ("nobody", PASSWORD), ("Ä" * 300, "x" * 5000), ("\ud800", "\ud800")):
        browser = site.browser()
        answer = browser.sign_in(name, password)
        assert answer.status == 403
        told.append(answer.text.replace(browser.token, "TOKEN"))
    assert len(set(told)) == 1
    assert "Name or password is not right." in told[0]
    assert site.browser().sign_in(" VIEWER ").status == 303, "names are compared without case"


def test_tries_are_counted_whoever_it_is(tmp_path: Path) -> None:
    from tests.hub.pages.site import make_site

    hub = make_site(tmp_path)
    hub.start()
    try:
        site = PageSite(hub)
        for name in ("viewer", "nobody"):
            statuses = [site.browser().sign_in(name, "not the password").status for _ in range(6)]
            assert statuses == [403] * 5 + [429]
        last = site.browser().sign_in("viewer")
        assert last.status == 429, "nor with the right one, for a while"
        assert int(last.headers["Retry-After"]) > 600
        assert site.browser().sign_in("admin").status == 303
    finally:
        assert hub.stop() == 0


def test_a_changed_role_or_password_ends_sessions(site: PageSite) -> None:
    admin = site.signed_in(Role.ADMIN)
    admin.get("/users")
    added = admin.post("/users", name="Nina", role="operator", password=PASSWORD)
    assert (added.status, added.location) == (303, "/users/nina")
    nina = site.browser()
    assert nina.sign_in("nina").status == 303
    assert admin.post("/users/nina/role", role="viewer").status == 303
    assert nina.get("/").status == 303
    assert nina.sign_in("nina").status == 303
    assert nina.get("/audit").status == 403
    changed = "another long password"
    assert nina.post("/account/password", old="wrong", new=changed, again=changed).status == 403
    assert nina.post("/account/password", old=PASSWORD, new=changed, again="x").status == 400
    assert nina.post("/account/password", old=PASSWORD, new="short", again="short").status == 400
    assert nina.post("/account/password", old=PASSWORD, new=changed, again=changed).status == 303
    assert nina.get("/").status == 303
    assert nina.sign_in("nina").status == 403
    assert nina.sign_in("nina", changed).status == 303
    assert admin.post("/users/nina/remove").status == 303
    assert nina.get("/").status == 303
    assert nina.sign_in("nina", changed).status == 403


def test_the_last_admin_stays(site: PageSite) -> None:
    admin = site.signed_in(Role.ADMIN)
    for act, form in (("role", {"role": "viewer"}), ("remove", {})):
        answer = admin.post(f"/users/admin/{act}", **form)
        assert answer.status == 409
        assert "only admin" in answer.text
    for form, code in (
        ({"name": "viewer", "role": "viewer", "password": PASSWORD}, "known-user"),
        ({"name": "a b", "role": "viewer", "password": PASSWORD}, "bad-name"),
        ({"name": "new", "role": "king", "password": PASSWORD}, "bad-role"),
        ({"name": "new", "role": "viewer", "password": "short"}, "bad-password"),
    ):
        answer = admin.post("/users", **form)
        assert (answer.status, code in answer.text) == (409, True)


def test_acts_stand_in_the_audit_log(site: PageSite) -> None:
    operator = site.signed_in(Role.OPERATOR)
    operator.get("/gateways/site-1/command")
    given = operator.post("/commands", gateway_id="site-1", charger_id="CP-1", evse_id="1", kind="unlock")
    assert given.status == 303
    command = operator.get(given.location)
    assert "UNLOCK_CONNECTOR" in command.text
    for wrong in ({"kind": ""}, {"charger_id": ""}, {"evse_id": "0"}, {"evse_id": "x"}):
        form = {"gateway_id": "site-1", "charger_id": "CP-1", "evse_id": "1", "kind": "unlock", **wrong}
        assert operator.post("/commands", **form).status == 400
    running = operator.get("/sessions?status=ACTIVE").text.partition('href="/sessions/')[2].partition('"')[0]
    assert operator.post(f"/sessions/{running}/stop").status == 303
    key = operator.get("/meter-keys?state=learned").text.partition('href="/meter-keys/')[2].partition('"')[0]
    assert "Confirm it" in operator.get(f"/meter-keys/{key}").text
    assert operator.post(f"/meter-keys/{key}/confirm", why="compared on site").status == 303
    assert operator.post(f"/meter-keys/{key}/confirm", why="again").status == 409
    log = operator.get("/audit?format=csv").text
    assert "confirm-meter-key" in log
    assert "learned,pinned" in log
    assert "site-1: UNLOCK_CONNECTOR CP-1" in log
    assert "site-1: STOP_SESSION CP-1" in log
    operator.get("/audit")
    assert "Every entry follows" in operator.post("/audit/verify").text
    status, _ = site.hub.api("PUT", "/api/v1/tokens", b'{"tokens": "none"}')
    assert status == 400
    _, found = site.hub.api("GET", "/api/v1/audit")
    last = found["entries"][-2:]
    assert [(one["who"], one["act"]) for one in last] == [("operator", "PUT /api/v1/tokens")] * 2
    assert last[1]["after"].startswith("refused: ")


def test_a_session_ends_by_itself(tmp_path: Path, terms: Terms) -> None:
    from hub.store.connection import open_writer

    at = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    with closing(open_writer(tmp_path / "hub.sqlite")) as connection:
        users.add_user(connection, "nina", Role.VIEWER, "hash", at)
        users.begin_session(connection, "nina", "id", at)
        late = at + users.IDLE
        found = users.session_user(connection, "id", late)
        assert found is not None
        assert (found[0].name, found[1]) == ("nina", True)
        assert users.session_user(connection, "id", late + users.SEEN_EVERY) is None
        assert users.session_user(connection, "other", at) is None
        moment = at
        while moment < at + users.ABSOLUTE:
            users.note_seen(connection, "id", moment)
            moment += users.IDLE / 2
        assert users.session_user(connection, "id", at + users.ABSOLUTE) is not None
        assert users.session_user(connection, "id", at + users.ABSOLUTE + users.SEEN_EVERY) is None
        for number in range(users.MAX_SESSIONS + 5):
            users.begin_session(connection, "nina", f"id-{number}", at)
        held = connection.execute("SELECT count(*) FROM user_sessions").fetchone()[0]
        assert held == users.MAX_SESSIONS
        assert audit.head(connection).number == 0

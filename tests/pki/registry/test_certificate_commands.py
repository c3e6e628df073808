"""Commands about certificates as an operator types them: what they do, what they say, what they refuse."""

from __future__ import annotations

import json
import re

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki.__main__ import main
from pki.pem import parse_chain_pem
from pki.profiles import PROFILE_NAMES, profile_named
from pki.service.commands.enrolment import enrolment_path
from pki.service.web.labels import profile_of
from tests.pki.registry.desk import Desk, csr, serial_of


def test_issue_for_a_request_and_for_a_new_key(desk: Desk) -> None:
    out = desk.folder / "cp.pem"
    request = csr(desk.folder / "cp.csr", "DE*PNC*E12345")
    said = desk.says("issue", "--profile", "iso15118-2-secc", "--request", request, "--out", out, "--why", "new")
    assert (said["authority"], said["serial"]) == ("cpo-sub2", serial_of(out))
    assert len(parse_chain_pem(out.read_bytes())) == 3
    made = desk.issued("DEABC000000077")
    assert made.with_suffix(".key").stat().st_mode & 0o777 == 0o600
    judged = CliRunner().invoke(main, ["verify", str(made), "--trust", str(desk.state / "trust")])
    assert judged.exit_code == 0, judged.output


def test_issue_refuses_and_leaves_no_file(desk: Desk) -> None:
    out, key = desk.folder / "x.pem", desk.folder / "x.key"
    request = csr(desk.folder / "x.csr", "DE*PNC*E12345")
    files = ("--out", out, "--key-out", key, "--why", "x")
    desk.refuses("emaid-format", "issue", "--common-name", "nobody", *files)
    desk.refuses("unknown-profile", "issue", "--profile", "x", "--common-name", "DEABC000000001", *files)
    desk.refuses("authority-unknown", "issue", "--ca", "x", "--common-name", "DEABC000000001", *files)
    desk.refuses("validity", "issue", "--days", "36500", "--common-name", "DEABC000000001", *files)
    desk.refuses("actor", "issue", "--common-name", "DEABC000000001", *files[:-1], " ")
    server = ("--profile", "backend-server", "--common-name", "srv")
    desk.refuses("names", "issue", *server, *files)
    desk.refuses("names", "issue", *server, "--dns", "a b", *files)
    desk.refuses("request", "issue", *server, "--ip", "1.2.3", *files)
    desk.refuses("key-kind", "issue", "--profile", "iso15118-20-secc", "--request", request, "--out", out, "--why", "x")
    secc = ("--profile", "iso15118-2-secc", "--request", request)
    desk.refuses("subject", "issue", *secc, "--common-name", "DE*PNC*E2", "--out", out, "--why", "x")
    desk.refuses("unwritable", "issue", "--request", request, "--out", desk.folder / "no" / "x.pem", "--why", "x")
    desk.refuses("unreadable", "issue", "--request", desk.folder / "no.csr", "--out", out, "--why", "x")
    desk.misused("issue", "--request", request)
    desk.misused("issue", "--common-name", "DEABC000000001", "--out", out, "--key-out", out, "--why", "x")
    assert not out.exists()
    assert not key.exists()
    made = desk.issued()
    desk.refuses("file-exists", "issue", "--common-name", "DEABC000000001", "--out", made, *files[2:])


def test_find_by_name_serial_number_fingerprint_and_file(desk: Desk) -> None:
    made = desk.issued("DEABC000000077")
    serial = serial_of(made)
    sha256 = desk.says("find", serial)[0]["sha256"]
    for what in ("DEABC000000077", "de-abc-000000077", serial, serial.upper(), sha256, made):
        assert [one["serial"] for one in desk.says("find", what)] == [serial]
    assert "good" in desk.does("find", serial)
    desk.does("find", serial, "--out", desk.folder / "again.pem")
    assert (desk.folder / "again.pem").read_bytes() == made.read_bytes()
    none = desk.run("find", "nobody", "--json")
    assert (none.exit_code, none.stdout) == (2, "[]\n")
    desk.refuses("certificate-unknown", "find", "nobody")
    desk.refuses("file-exists", "find", serial, "--out", made)
    desk.issued("DE-ABC-000000077")
    desk.refuses("certificate-unknown", "find", "DEABC000000077", "--out", desk.folder / "b.pem")


def test_what_people_write_is_no_markup(desk: Desk) -> None:
    name = "[bold]x[link=a]"
    desk.issued(name, "--profile", "backend-client")
    desk.does("revoke", "--identity", name, "--why", "[/x] \x1b[31m", "--who", "[link=a]b")
    assert name in desk.does("find", name)
    told = desk.does("audit")
    assert "[/x] \\x1b[31m" in told
    assert "\x1b" not in told
    desk.does("registrar", name, "--profile", "backend-client", "--prefix", "[/a]", "--why", "x")
    desk.does("registrar")


def test_revoke_by_file_serial_number_and_name(desk: Desk) -> None:
    first, second = desk.issued("DEABC000000071"), desk.issued("DEABC000000072")
    said = desk.says("revoke", first, "--reason", "keyCompromise", "--why", "stolen")
    assert said == {"certificates": [f"mo-sub2 {serial_of(first)}"], "lists": ["mo-sub2"], "waiting_for_approval": []}
    desk.does("revoke", "--serial", serial_of(second), "--reason", "certificateHold", "--why", "lost")
    desk.refuses("certificate-unknown", "revoke", "--identity", "DEABC000000071", "--release", "--why", "x")
    assert "released" in desk.does("revoke", "--identity", "de-abc-000000072", "--release", "--why", "found")
    desk.refuses("not-on-hold", "revoke", second, "--release", "--why", "again")
    desk.does("revoke", "--identity", "DEABC000000072", "--why", "ended")
    assert [one["reason"] for one in desk.says("find", "DEABC000000072")] == ["unspecified"]
    shown = desk.folder / "mo-sub2.crl"
    desk.does("crl", "mo-sub2", "--out", shown)
    listed = {f"{entry.serial_number:x}" for entry in x509.load_der_x509_crl(shown.read_bytes())}
    assert listed == {serial_of(first), serial_of(second)}


def test_revoke_refuses(desk: Desk) -> None:
    made = desk.issued()
    desk.does("revoke", made, "--why", "x")
    desk.refuses("revoked", "revoke", made, "--why", "x")
    desk.refuses("certificate-unknown", "revoke", "--serial", "12", "--why", "x")
    desk.refuses("certificate-unknown", "revoke", "--serial", "zz", "--why", "x")
    desk.refuses("certificate-unknown", "revoke", "--identity", "DEABC000000077", "--why", "x")
    desk.refuses("certificate-unknown", "revoke", desk.state / "trust" / "mo" / "mo.pem", "--why", "x")
    desk.refuses("reason", "revoke", "--identity", "mo-sub2", "--reason", "certificateHold", "--why", "x")
    desk.refuses("unreadable", "revoke", desk.folder / "no.pem", "--why", "x")
    desk.misused("revoke", made)
    desk.misused("revoke", made, "--serial", "1", "--why", "x")
    desk.misused("revoke", made, "--release", "--reason", "superseded", "--why", "x")


def test_register_and_its_code(desk: Desk) -> None:
    code = desk.folder / "site-1.code"
    site = ("--profile", "backend-client", "--common-name", "site-1", "--why", "x")
    told = desk.does("register", *site, "--code-file", code)
    assert code.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"([A-Z2-7]{6}-){3}[A-Z2-7]{6}\n", code.read_text())
    assert code.read_text().strip() not in told
    assert "https://127.0.0.1:8445/.well-known/est/backend/simpleenroll, " in told
    again = desk.says("register", *site)
    assert again["code"] not in (None, code.read_text().strip())
    charger = ("--profile", "iso15118-2-secc", "--common-name", "DEPNCE1", "--why", "x")
    assert desk.says("register", *charger, "--no-code") == {
        "profile": "iso15118-2-secc",
        "identity": "DE*PNC*E1",
        "code": None,
        "expires_at": None,
        "path": "/.well-known/est/cpo/simpleenroll/ISO15118-2",
    }
    names = ("--name", "srv.test", "--name", "::1")
    desk.does("register", "--profile", "backend-server", "--common-name", "srv", *names, "--why", "x")
    listed = {one["identity"]: one["names"] for one in desk.says("registrar")["identities"]}
    assert listed == {"site-1": [], "DE*PNC*E1": [], "srv": ["srv.test", "::1"]}
    desk.does("register", "--profile", "iso15118-2-secc", "--common-name", "DE*PNC*E1", "--remove", "--why", "x")


def test_every_profile_has_a_path_where_its_code_is_used() -> None:
    for name in PROFILE_NAMES:
        profile = profile_named(name)
        _, _, label, _, *version = enrolment_path(profile).removeprefix("/.").split("/")
        assert profile_of(label, *version) == profile


def test_register_refuses_before_a_code_is_lost(desk: Desk) -> None:
    client = ("--profile", "backend-client", "--common-name", "site-1", "--why", "x")
    code = desk.folder / "site-1.code"
    code.write_text("kept")
    entries = len(desk.does("audit", "--all", "--json").splitlines())
    desk.refuses("file-exists", "register", *client, "--code-file", code)
    desk.refuses("unwritable", "register", *client, "--code-file", desk.folder / "no" / "x.code")
    desk.refuses("evseid-format", "register", "--profile", "iso15118-2-secc", "--common-name", "x", "--why", "x")
    desk.refuses("names", "register", *client, "--name", "a.test")
    desk.refuses("identity-unknown", "register", *client, "--remove")
    desk.misused("register", *client, "--remove", "--code-file", desk.folder / "new.code")
    assert len(desk.does("audit", "--all", "--json").splitlines()) == entries


def test_registrar(desk: Desk) -> None:
    secc = ("--profile", "iso15118-2-secc", "--prefix", "depnce")
    desk.does("registrar", "site-1", *secc, "--daily", "20", "--why", "x")
    assert desk.says("registrar", "site-1")["registrars"] == [
        {"name": "site-1", "profile": "iso15118-2-secc", "prefix": "DE*PNC*E", "daily": 20}
    ]
    desk.refuses("prefix", "registrar", "site-1", "--profile", "backend-client", "--prefix", "", "--why", "x")
    desk.refuses("unknown-profile", "registrar", "site-1", "--profile", "x", "--prefix", "a", "--why", "x")
    desk.misused("registrar", "site-1", "--profile", "backend-client", "--prefix", "a")
    desk.misused("registrar", "site-1", "--prefix", "a", "--why", "x")
    desk.does("registrar", "site-1", "--remove", "--why", "x")
    desk.refuses("registrar", "registrar", "site-1", "--remove", "--why", "x")


def test_crl(desk: Desk) -> None:
    before = desk.says("crl", "mo-sub2")[0]["number"]
    assert desk.says("crl", "mo-sub2", "--publish")[0]["number"] > before
    assert desk.says("crl", "mo-sub2", "--delta")[0]["base"] == before
    out = desk.folder / "mo-sub2.crl"
    assert desk.does("crl", "mo-sub2", "--out", out).startswith(f"{out}: full list ")
    assert x509.load_der_x509_crl(out.read_bytes()).is_signature_valid(public_key_of(desk, "mo-sub2"))
    assert len(desk.says("crl")) == 25
    desk.refuses("authority-unknown", "crl", "nobody")
    desk.refuses("list-missing", "crl", "oem-root", "--delta", "--out", desk.folder / "delta.crl")
    desk.refuses("file-exists", "crl", "mo-sub2", "--out", out)
    desk.misused("crl", "--out", desk.folder / "a.crl")


def test_a_delta_list_is_shown_as_one(desk: Desk) -> None:
    held, lost = desk.issued("DEABC000000071"), desk.issued("DEABC000000072")
    desk.does("revoke", held, "--reason", "certificateHold", "--why", "x")
    desk.does("crl", "mo-sub2", "--publish")
    out = desk.folder / "delta"
    desk.does("revoke", held, "--release", "--why", "x")
    desk.does("revoke", lost, "--why", "x")
    desk.does("crl", "mo-sub2", "--delta", "--out", out)
    parsed = x509.load_der_x509_crl(out.read_bytes())
    base = parsed.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
    shown = CliRunner().invoke(main, ["show", str(out)]).stdout
    assert f"delta upon base {base}" in shown
    assert f"{serial_of(held)} released 20" in shown
    assert f"{serial_of(lost)} revoked 20" in shown
    said = json.loads(CliRunner().invoke(main, ["show", str(out), "--json"]).stdout)["crl"]
    assert (said["base"], said["number"]) == (base, desk.says("crl", "mo-sub2", "--delta")[0]["number"])
    states = {entry["serial"]: entry["state"] for entry in said["entries"]}
    assert states == {serial_of(held): "released", serial_of(lost): "revoked"}


def test_files_with_other_text_in_them_are_read(desk: Desk) -> None:
    made, wordy = desk.issued(), desk.folder / "wordy.pem"
    wordy.write_text(f"Certificate:\n    Version: 3\n{made.read_text()}")
    assert desk.says("find", wordy)[0]["serial"] == serial_of(made)
    desk.does("renew", "--certificate", wordy, "--out", desk.folder / "again.pem", "--why", "x")
    desk.does("revoke", wordy, "--why", "x")
    request = csr(desk.folder / "a.csr", "x")
    told = desk.refuses("malformed-pem", "find", request)
    assert f"{request}: this is a certificate request" in told
    broken = desk.folder / "broken.der"
    broken.write_bytes(b"\x30\x00")
    assert f": {broken}: " in desk.refuses("malformed-certificate", "revoke", broken, "--why", "x")


def public_key_of(desk: Desk, name: str) -> ec.EllipticCurvePublicKey:
    desk.does("find", name, "--out", desk.folder / f"{name}.pem")
    key = x509.load_pem_x509_certificate((desk.folder / f"{name}.pem").read_bytes()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_ocsp(desk: Desk) -> None:
    made, out = desk.issued(), desk.folder / "a.ocsp"
    assert desk.says("ocsp", "mo-sub2", serial_of(made), "--out", out)["status"] == "good"
    assert out.read_bytes()[:1] == b"\x30"
    unknown = desk.does("ocsp", "mo-sub2", "12:34", "--out", desk.folder / "b.ocsp")
    assert "mo-sub2 1234 is unknown" in unknown
    assert len(desk.says("ocsp")) == 25
    desk.does("ocsp", "--renew")
    before = desk.does("ocsp", "mo-sub2")
    assert desk.does("ocsp", "mo-sub2", "--renew") != before
    desk.refuses("authority-unknown", "ocsp", "nobody", "--renew")
    desk.refuses("certificate-unknown", "ocsp", "mo-sub2", "zz", "--out", desk.folder / "c.ocsp")
    desk.refuses("file-exists", "ocsp", "mo-sub2", "12", "--out", out)
    desk.misused("ocsp", "mo-sub2", "12")

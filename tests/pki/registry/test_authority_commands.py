"""Commands about authorities as an operator types them: founding, renewing, linking, approving, handing out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509

from pki.__main__ import main
from pki.pem import parse_chain_pem
from pki.service.files import load_trust
from tests.pki.registry.desk import LAB, Desk, offline, own, serial_of


def test_init_says_what_was_made_and_what_comes_next(desk: Desk) -> None:
    done = desk.does("init", "lab", state=desk.folder / "other")
    assert "the passphrase was made up" in done
    assert "pnc-pki serve --dir" in done
    assert (desk.folder / "other" / "passphrase").stat().st_mode & 0o777 == 0o600
    assert (desk.folder / "other").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("code", "text", "mode"),
    [
        ("passphrase", b"short\n", 0o600),
        ("passphrase", b"", 0o600),
        ("passphrase", b"a long passphrase\nand another line\n", 0o600),
        ("key-permissions", b"a long passphrase\n", 0o640),
        ("passphrase", None, 0o600),
    ],
)
def test_init_refuses_a_passphrase_that_is_none(desk: Desk, code: str, text: bytes | None, mode: int) -> None:
    path = desk.secret("x.pass", text, mode) if text is not None else desk.folder / "missing.pass"
    desk.refuses(code, "init", LAB, "--passphrase-file", path, state=desk.folder / "new")
    assert not (desk.folder / "new").exists()
    assert not [path for path in desk.folder.iterdir() if path.name.startswith(".new")]


def test_init_refuses_what_cannot_be_founded(desk: Desk) -> None:
    new = desk.folder / "new"
    desk.refuses("state-exists", "init", "lab")
    desk.refuses("template", "init", "nowhere.toml", state=new)
    desk.refuses("settings", "init", "lab", "--https", "nonsense", state=new)
    desk.refuses("publication", "init", "lab", "--publication", "nonsense", state=new)
    desk.misused("init", LAB)
    desk.misused("init", "lab", "--offline", desk.folder / "roots")
    broken = desk.folder / "broken.toml"
    broken.write_text(LAB.read_text().replace('root = "mo20"', 'root = "nobody"'))
    desk.refuses("declaration", "init", broken, "--passphrase-file", desk.secret("x.pass"), state=new)
    assert not new.exists()


def test_an_odd_passphrase_is_one_too(desk: Desk) -> None:
    folder = desk.folder / "odd"
    secret = desk.secret("odd.pass", b"\xff\xfe not a text at all\r\n")
    desk.does("init", LAB, "--passphrase-file", secret, state=folder)
    out = desk.folder / "a.pem"
    key = desk.folder / "a.key"
    desk.does("issue", "--common-name", "DEABC000000001", "--out", out, "--key-out", key, "--why", "x", state=folder)
    assert out.is_file()


def test_keys_of_roots_lie_apart_and_a_failed_init_leaves_none(desk: Desk) -> None:
    folder = own(desk, "own", *offline(desk))
    roots = {path.name for path in (desk.folder / "roots").iterdir()}
    assert roots == {f"{name}-root.key" for name in ("v2g", "mo", "oem", "v2g20", "mo20", "oem20")}
    assert not roots & {path.name for path in (folder / "keys").iterdir()}
    before = sorted(desk.folder.iterdir())
    secret = desk.folder / "online.pass"
    desk.refuses("key-exists", "init", LAB, "--passphrase-file", secret, *offline(desk), state=desk.folder / "again")
    (desk.folder / "loose").mkdir(mode=0o755)
    loose = ("--offline", desk.folder / "loose", "--offline-passphrase-file", secret)
    desk.refuses("key-permissions", "init", LAB, "--passphrase-file", secret, *loose, state=desk.folder / "again")
    (desk.folder / "loose").rmdir()
    assert sorted(desk.folder.iterdir()) == before


def test_renew_a_leaf_a_sub_authority_and_a_root(desk: Desk) -> None:
    made, again = desk.issued(), desk.folder / "again.pem"
    desk.does("renew", "--certificate", made, "--out", again, "--days", "10", "--why", "x")
    assert serial_of(again) != serial_of(made)
    assert "mo-sub2 is valid until" in desk.does("renew", "mo-sub2", "--why", "x")
    assert "mo-sub2-2 is valid until" in desk.does("renew", "mo-sub2", "--new-key", "--why", "x")
    told = desk.does("renew", "mo-root", "--why", "x", "--out", desk.folder / "root.pem")
    assert "everybody who trusts this root" in told
    assert (desk.state / "trust" / "mo" / "mo.pem").read_text().count("BEGIN CERTIFICATE") == 2
    desk.does("renew", "mo-root", "--new-key", "--why", "x")
    assert (desk.state / "trust" / "mo" / "mo-root-2.pem").is_file()
    found = {entry["name"]: entry["state"] for entry in desk.says("status")["authorities"]}
    assert (found["mo-root"], found["mo-root-2"], found["mo-sub2-2"]) == ("retired", "active", "active")
    assert "mo-root-2" in desk.says("ocsp")
    assert desk.says("ocsp")["mo-root-2"] is not None


def test_renew_refuses(desk: Desk) -> None:
    made = desk.issued()
    desk.refuses("authority-unknown", "renew", "nobody", "--why", "x")
    desk.refuses("validity", "renew", "mo-sub2", "--days", "36500", "--why", "x")
    desk.refuses("file-exists", "renew", "--certificate", made, "--out", made, "--why", "x")
    desk.refuses("place", "renew", "--certificate", first_sub(desk, made), "--out", desk.folder / "a.pem", "--why", "x")
    desk.does("renew", "mo-sub2", "--new-key", "--why", "x")
    desk.refuses("retired", "renew", "mo-sub2", "--why", "x")
    desk.does("revoke", made, "--why", "x")
    desk.refuses("revoked", "renew", "--certificate", made, "--out", desk.folder / "a.pem", "--why", "x")
    desk.misused("renew", "mo-sub2")
    desk.misused("renew", "mo-sub2", "--certificate", made, "--why", "x")


def test_renew_link_and_approve_say_in_json_what_was_made(desk: Desk) -> None:
    made, again = desk.issued(), desk.folder / "again.pem"
    said = desk.says("renew", "--certificate", made, "--out", again, "--why", "x")
    assert (said["authority"], said["serial"], said["out"]) == ("mo-sub2", serial_of(again), str(again))
    said = desk.says("renew", "mo-sub2", "--new-key", "--why", "x")
    assert (said["authority"], said["lists"]) == ("mo-sub2-2", ["mo-sub2-2"])
    assert x509.load_pem_x509_certificate(said["certificate"].encode()).serial_number == int(said["serial"], 16)
    out = desk.folder / "link.pem"
    said = desk.says("link", "v2g20-root", "mo20-root", "--out", out, "--why", "x")
    assert (said["authority"], said["serial"], "certificate" in said) == ("mo20-root", serial_of(out), False)


def test_what_waits_and_what_is_approved_is_said_in_json(desk: Desk) -> None:
    folder = own(desk, "own", "--two-person-roots")

    def says(*words: str) -> Any:
        return json.loads(desk.does(*words, "--why", "x", "--json", state=folder))

    (waiting,) = says("renew", "mo-root", "--who", "anna")["waiting_for_approval"]
    assert (waiting["number"], waiting["act"]["act"], waiting["why"]) == (1, "renew", "x")
    assert says("approve", "1", "--who", "ben")["authority"] == "mo-root"
    assert says("revoke", "--identity", "oem-sub1", "--who", "anna")["waiting_for_approval"][0]["number"] == 2
    assert says("approve", "2", "--who", "ben")["revoked"].startswith("oem-root ")
    says("link", "v2g20-root", "mo20-root", "--who", "anna")
    assert says("approve", "3", "--decline", "--who", "ben") == {"declined": 3}


def first_sub(desk: Desk, chain: Path) -> Path:
    path = desk.folder / "sub.der"
    path.write_bytes(parse_chain_pem(chain.read_bytes())[1])
    return path


def test_link(desk: Desk) -> None:
    out = desk.folder / "link.pem"
    desk.does("link", "v2g20-root", "mo20-root", "--out", out, "--why", "x")
    assert "BEGIN CERTIFICATE" in desk.does("link", "mo20-root", "v2g20-root", "--days", "10", "--why", "x")
    desk.refuses("depth", "link", "v2g-root", "mo-root", "--why", "x")
    desk.refuses("validity", "link", "v2g20-root", "mo20-root", "--days", "36500", "--why", "x")
    desk.refuses("file-exists", "link", "v2g20-root", "mo20-root", "--out", out, "--why", "x")
    linked = desk.says("find", out)[0]
    assert (linked["place"], linked["identity"]) == ("link", "mo20-root")
    desk.does("revoke", out, "--why", "x")


def test_approve_and_decline_with_the_roots_offline(desk: Desk) -> None:
    folder, keys = own(desk, "own", "--two-person-roots", *offline(desk)), offline(desk)
    told = desk.does("renew", "mo-root", "--new-key", "--why", "old", "--who", "anna", state=folder)
    assert told == "waits for a second person: pnc-pki approve 1\n"
    told = desk.does("status", state=folder)
    assert "\n1 waits for a second person: operator:anna (as " in told
    assert " UTC to renew mo-root with a new key: old. Somebody else approves it with pnc-pki approve 1" in told
    (waiting,) = json.loads(desk.does("status", "--json", state=folder))["waiting_for_approval"]
    assert list(waiting) == ["number", "act", "asked_by", "asked_at", "why"]
    assert waiting["act"] == {"act": "renew", "name": "mo-root", "new_key": True, "days": None}
    assert (waiting["number"], waiting["why"]) == (1, "old")
    assert waiting["asked_by"].startswith("operator:anna (as ")
    desk.refuses("same-person", "approve", "1", "--why", "x", "--who", "anna", *keys, state=folder)
    desk.refuses("key-missing", "approve", "1", "--why", "x", "--who", "ben", state=folder)
    assert "mo-root-2 is valid until" in desk.does("approve", "1", "--why", "x", "--who", "ben", *keys, state=folder)
    desk.refuses("approval-unknown", "approve", "1", "--why", "x", "--who", "ben", *keys, state=folder)
    assert (desk.folder / "roots" / "mo-root-2.key").is_file()
    assert not list((desk.folder / "roots").glob("*.ocsp-*"))
    desk.does("revoke", "--identity", "oem-sub1", "--reason", "superseded", "--why", "x", state=folder)
    assert " UTC to revoke what oem-root has certified under " in desk.does("status", state=folder)
    desk.does("approve", "2", "--decline", "--why", "no", "--who", "ben", state=folder)
    desk.refuses("approval-unknown", "approve", "2", "--why", "x", "--who", "ben", state=folder)
    desk.refuses("key-missing", "crl", "mo-root", "--publish", state=folder)
    desk.refuses("key-missing", "ocsp", "mo-root", "--renew", state=folder)
    desk.does("crl", "mo-root", "--publish", *keys, state=folder)
    desk.does("ocsp", "mo-root", "--renew", *keys, state=folder)
    every = desk.run("crl", "--publish", state=folder)
    assert every.exit_code == 0
    assert "the key of mo-root is not here" in every.stderr
    wrong = (*keys[:-1], desk.secret("wrong.pass", b"another passphrase\n"))
    desk.refuses("passphrase", "crl", "mo-root", "--publish", *wrong, state=folder)


def test_status(desk: Desk) -> None:
    assert "vehicle20-sub2" in desk.does("status")
    entries = {entry["name"]: entry for entry in desk.says("status")["authorities"]}
    assert entries["backend-root"]["issues"] == ["backend-server", "backend-client"]
    assert (entries["mo-sub2"]["issuer"], entries["mo-sub2"]["key"]) == ("mo-sub1", "here")
    desk.refuses("state-missing", "status", state=desk.folder / "nowhere")
    settings = desk.state / "pki.toml"
    settings.write_text(settings.read_text().replace("[codes]", "[codes]\nhuors = 3"))
    assert "huors" in desk.refuses("settings", "status")


@pytest.mark.parametrize("columns", [80, 120])
def test_status_can_be_read_on_a_narrow_screen(desk: Desk, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    folder = own(desk, "own", *offline(desk))
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = desk.does("status", state=folder).splitlines()
    assert max(map(len, lines)) <= columns
    assert not any("…" in line for line in lines)
    words = {line.split()[0]: line for line in lines[3:]}
    assert {entry["name"] for entry in json.loads(desk.does("status", "--json", state=folder))["authorities"]} < {
        *words
    }
    assert words["mo-root"].startswith("mo-root ")
    assert words["mo-sub1"].startswith("  mo-sub1 ")
    assert words["mo-sub2"].startswith("    mo-sub2 ")
    assert words["mo-sub2"].split()[1:3] == ["-2-contract", "active"]
    assert ["active," in words[name] for name in ("mo-root", "mo-sub1", "backend-root")] == [True, False, False]
    assert sum("key away" in line for line in lines) == 6
    until = desk.says("status")["authorities"][0]["not_after"][:10]
    assert until in words["mo-root"]
    names = [line.split()[0] for line in lines[3:]]
    assert names.index("mo-sub2") == names.index("mo-sub1") + 1


def test_a_pipe_without_a_width_keeps_lines_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    made = desk.issued()
    serial = serial_of(made)
    assert [line.count(serial) for line in desk.does("find", made).splitlines()] == [0, 0, 1, 0]


@pytest.mark.parametrize(("columns", "widest"), [("0", 24), ("1", 24), ("999999999999", 1000), ("wide", 1000)])
def test_an_odd_width_of_the_screen_is_no_error(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, columns: str, widest: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    told = desk.does("status")
    assert "…" not in told
    assert "vehicle20-sub2" in told or widest < 80


def test_nothing_to_compare_or_type_is_cut(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = desk.issued()
    serial, sha256 = serial_of(made), desk.says("find", made)[0]["sha256"]
    roots = desk.says("trust")
    desk.does("revoke", made, "--reason", "cessationOfOperation", "--why", "x")
    monkeypatch.setenv("COLUMNS", "80")
    for command, wanted in (
        (("find", made), [serial, "cessationOfOperation"]),
        (("audit",), [serial]),
        (("trust",), [root["sha256"] for root in roots]),
        (("ocsp",), []),
        (("crl",), []),
    ):
        told = desk.does(command[0], *command[1:])
        assert max(map(len, told.splitlines()[:-1])) <= 80
        assert "…" not in told
        assert all(value in column(told, value) for value in wanted), told
    assert len(sha256) == 64


def column(told: str, value: str) -> str:
    """The text of the column in which `value` begins, its folded lines put together."""
    lines = told.splitlines()
    for size in range(len(value), 0, -1):
        begun = [line for line in lines if value[:size] in line]
        if begun:
            at = begun[0].index(value[:size])
            return "".join(line[at : at + size] for line in lines[lines.index(begun[0]) :]).replace(" ", "")
    return ""


def test_a_loose_passphrase_or_a_missing_registry_is_told(desk: Desk) -> None:
    (desk.state / "passphrase").chmod(0o644)
    assert "chmod 600" in desk.refuses("key-permissions", "status")
    (desk.state / "passphrase").chmod(0o600)
    (desk.state / "registry.db").write_bytes(b"this is no database at all, but long enough to be read as one" * 20)
    desk.refuses("state-unusable", "status")
    (desk.state / "registry.db").unlink()
    desk.refuses("state-missing", "status")


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_told(desk: Desk) -> None:
    desk.state.chmod(0o500)
    try:
        desk.refuses("state-unusable", "status")
        desk.refuses("state-unusable", "init", "lab", state=desk.state / "inner")
    finally:
        desk.state.chmod(0o700)


def test_trust_is_what_verify_takes(desk: Desk) -> None:
    made, out = desk.issued(), desk.folder / "handed" / "out"
    shutil.rmtree(desk.state / "trust")
    assert len(desk.says("trust", "--out", out)) == 7
    judged = CliRunner().invoke(main, ["verify", str(made), "--trust", str(out)])
    assert judged.exit_code == 0, judged.output
    desk.does("renew", "mo-root", "--why", "x")
    assert [one["former"] for one in desk.says("trust", "--out", out) if one["authority"] == "mo-root"] == [False, True]
    assert "mo-root (former)" in desk.does("trust")
    assert load_trust(desk.state / "trust")
    (out / "stray.txt").write_text("x")
    desk.refuses("trust-file", "trust", "--out", out)


def test_init_shows_a_declaration_and_founds_nothing(desk: Desk) -> None:
    assert desk.does("init", "lab", "--show", state=desk.folder / "new") == LAB.read_text()
    desk.refuses("template", "init", "nowhere.toml", "--show", state=desk.folder / "new")
    assert not (desk.folder / "new").exists()

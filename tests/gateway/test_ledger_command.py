"""`pnc-gateway ledger`: what it shows, what it finds, proofs that hold without any database, and its exit codes."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.__main__ import main
from gateway.ledger.proof import RecordProof, parse_record_proof, verify_record_proof
from gateway.store.ledger import open_ledger
from gateway.store.receipts import LogTrouble, Trouble, note_trouble
from gateway.store.tree import log_key
from gateway.store.whitelist import open_whitelist
from tests.gateway.test_ledger_tree import CHAIN, HUB, add, receipt
from tests.parts import NOON
from wire.errors import WireError
from wire.records import encode
from wire.tree_head import TreeHeadError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gateway that stored 300 records, 290 of them countersigned."""
    folder = tmp_path_factory.mktemp("site")
    assert CliRunner().invoke(main, ["init", "--dir", str(folder), "--id", "site-1"]).exit_code == 0
    state = folder / "gateway-state"
    state.mkdir()
    ledger = open_ledger(state / "ledger.db", *CHAIN, NOON)
    add(ledger, 300)
    receipt(ledger, 290)
    ledger.close()
    open_whitelist(state / "whitelist.db")[0].close()
    return folder


def key_of(folder: Path) -> str:
    ledger = open_ledger(folder / "gateway-state" / "ledger.db", *CHAIN, NOON)
    try:
        return log_key(ledger).public_key
    finally:
        ledger.close()


def call(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    config = [] if "check" in arguments else ["--config", str(folder / "gateway.toml")]
    result = CliRunner().invoke(main, [*arguments, *config], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "site"))


def change(folder: Path, script: str) -> None:
    connection = sqlite3.connect(folder / "gateway-state" / "ledger.db")
    connection.executescript(script)
    connection.close()


def test_show_says_what_the_hub_vouches_for(made: Path) -> None:
    shown = json.loads(call(made, "ledger", "show", "--json").stdout)
    assert (shown["size"], shown["acked_seq"], shown["troubles"]) == (300, 290, [])
    assert (shown["log_key"], shown["hub_log_key"]) == (key_of(made), HUB.public_key)
    assert shown["receipt"]["signed"]["head"]["size"] == 290
    plain = call(made, "ledger", "show")
    assert plain.exit_code == 0
    for word in (shown["root"], shown["log_key"], HUB.public_key, "countersigned 290 records", "0 records without"):
        assert word in plain.stdout
    status = json.loads(call(made, "status", "--json").stdout)
    assert (status["countersigned_seq"], status["log_troubles"]) == (290, [])
    assert "countersigned by the hub up to 290" in call(made, "status").stdout


def test_trouble_is_shown_with_what_to_do_and_ends_with_1(copy: Path) -> None:
    ledger = open_ledger(copy / "gateway-state" / "ledger.db", *CHAIN, NOON)
    assert note_trouble(ledger, Trouble(kind=LogTrouble.REFUSED, message="another root", at=NOON))
    ledger.close()
    for command in (("ledger", "show"), ("ledger", "show", "--json"), ("status",), ("status", "--json")):
        result = call(copy, *command)
        assert result.exit_code == 1
        assert "another root" in result.stdout
        assert ("--json" in command) or "docs/operations.md, The ledger" in result.stdout


def test_damaged_tree_is_shown_with_all_the_rest(copy: Path) -> None:
    change(copy, "DELETE FROM tiles")
    result = call(copy, "ledger", "show")
    assert result.exit_code == 1
    assert "none: 0 of 1 tiles of level 1" in result.stdout
    assert "countersigned 290 records" in result.stdout


def test_whole_ledger_is_verified(made: Path) -> None:
    result = call(made, "ledger", "verify")
    assert result.exit_code == 0
    assert "whole: every hash, tile and receipt fits" in result.stdout
    assert "nobody but this box vouches for the 10 after it" in result.stdout
    assert json.loads(call(made, "ledger", "verify", "--json").stdout)["findings"] == []


def test_altered_ledger_ends_with_1_and_names_the_record(copy: Path) -> None:
    change(copy, "UPDATE records SET body = replace(body, 'line 99', 'line 98') WHERE seq = 100")
    result = call(copy, "ledger", "verify")
    assert result.exit_code == 1
    assert re.search(r"^100 +record-altered +the hash does not cover", result.stdout, re.M)
    assert "NOT WHOLE" in result.stdout
    shown = call(copy, "ledger", "verify", "--json")
    assert shown.exit_code == 1
    (finding,) = json.loads(shown.stdout)["findings"]
    assert (finding["fault"], finding["first"], finding["last"]) == ("record-altered", 100, 100)


def test_ledger_that_cannot_be_read_ends_with_2(copy: Path) -> None:
    path = copy / "gateway-state" / "ledger.db"
    for spoil in (lambda: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000), path.unlink):
        spoil()
        for command in ("show", "verify", "prove"):
            result = call(copy, "ledger", command, *(["5"] if command == "prove" else []))
            assert result.exit_code == 2
            assert result.stderr.startswith("pnc-gateway: ")
            assert "Traceback" not in result.stderr


# --- proofs


def proof(folder: Path, seq: int, *more: str) -> RecordProof:
    return parse_record_proof(call(folder, "ledger", "prove", str(seq), *more).stdout.encode())


@pytest.mark.parametrize("seq", [1, 256, 257, 290])
def test_proof_is_checked_without_any_database(made: Path, tmp_path: Path, seq: int) -> None:
    printed = call(made, "ledger", "prove", str(seq)).stdout
    (tmp_path / "proof.json").write_text(printed)
    result = call(made, "ledger", "check", str(tmp_path / "proof.json"))
    assert result.exit_code == 0
    assert f"holds: record {seq} of 290 in the log of gateway site-1" in result.stdout
    assert result.stdout.count("CLAIMED by the proof") == 2
    keys = ("--log-key", key_of(made), "--hub-key", HUB.public_key)
    known = call(made, "ledger", "check", "-", *keys, stdin=printed)
    assert known.exit_code == 0
    assert "CLAIMED" not in known.stdout
    told = json.loads(call(made, "ledger", "check", "-", *keys, "--json", stdin=printed).stdout)
    assert (told["holds"], told["seq"], told["log_key_claimed"], told["has_content"]) == (True, seq, False, True)


def test_proof_without_content_shows_nothing_of_it(made: Path) -> None:
    printed = call(made, "ledger", "prove", "7", "--without-content", "--json").stdout
    assert "line 6" not in printed
    assert "line 6" in call(made, "ledger", "prove", "7", "--json").stdout
    result = call(made, "ledger", "check", "-", stdin=printed)
    assert result.exit_code == 0
    assert "without its content" in result.stdout


@pytest.mark.parametrize(
    ("seq", "why"), [("291", "countersigned 290 records so far"), ("301", "there are 300 records")]
)
def test_what_is_not_countersigned_cannot_be_proven(made: Path, seq: str, why: str) -> None:
    result = call(made, "ledger", "prove", seq)
    assert (result.exit_code, result.stdout) == (1, "")
    assert why in result.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", "hello", '{"kind":"pncgate-record-proof"}', "\x00"])
def test_what_is_no_proof_ends_with_2(made: Path, text: str) -> None:
    result = call(made, "ledger", "check", "-", stdin=text)
    assert result.exit_code == 2
    assert result.stderr.startswith("pnc-gateway: record proof: ")


def test_every_changed_character_of_a_proof_is_found(made: Path) -> None:
    """One character of every kind of place: digits and letters of values; names of fields make it no proof."""
    whole = encode(proof(made, 200)).decode()
    keys = (key_of(made), HUB.public_key)
    verify_record_proof(parse_record_proof(whole.encode()), *keys)
    survived = []
    for place in range(len(whole)):
        other = "8" if whole[place] != "8" else "9"
        changed = whole[:place] + other + whole[place + 1 :]
        try:
            verify_record_proof(parse_record_proof(changed.encode()), *keys)
        except WireError:
            continue
        survived.append((place, changed[max(0, place - 20) : place + 5]))
    assert survived == []


@pytest.mark.parametrize("wrong", [0, 1])
def test_proof_under_another_key_does_not_hold(made: Path, wrong: int) -> None:
    keys = [key_of(made), HUB.public_key]
    keys[wrong] = "ab" * 32
    with pytest.raises(TreeHeadError):
        verify_record_proof(proof(made, 3), *keys)
    result = call(
        made,
        "ledger",
        "check",
        "-",
        ("--log-key", "--hub-key")[wrong],
        keys[wrong],
        stdin=encode(proof(made, 3)).decode(),
    )
    assert result.exit_code == 1
    assert "DOES NOT HOLD" in result.stdout


@pytest.mark.parametrize("option", ["--log-key", "--hub-key"])
def test_key_that_is_none_does_not_speak_against_a_proof(made: Path, option: str) -> None:
    printed = encode(proof(made, 3)).decode()
    for text in ("zz", "", "log.pub", key_of(made)[:-1]):
        result = call(made, "ledger", "check", "-", option, text, stdin=printed)
        assert result.exit_code == 2
        assert "expected 64 hex digits" in result.stderr
    shouted = call(made, "ledger", "check", "-", "--log-key", f" {key_of(made).upper()} ", stdin=printed)
    assert shouted.exit_code == 0

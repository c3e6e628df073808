"""`pnc-pki verify --ocsp` and the batch's `ocsps`: answers count there as lists do."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pki.__main__ import main
from pki.pem import encode_pem
from tests.pki.evidence_mint import DAY, HOUR, answer_of, list_of, long_list
from tests.pki.mint import AT, Branch, new_key

EXITS = {"accept": 0, "reject": 1, "malformed": 2, "no-evidence": 3}
WHOLE = ("leaf", "sub2", "sub1")


def answers(branch: Branch, status: str = "good", **changed: object) -> list[bytes]:
    """Answers about the whole path; `status` and what is changed are the leaf's."""
    leaf = answer_of(branch, status=status, **changed).make()
    return [leaf, *(answer_of(branch, which).make() for which in WHOLE[1:])]


def by_command(branch: Branch, folder: Path, ocsps: list[bytes], *options: str) -> dict[str, Any]:
    (folder / "trust").mkdir(exist_ok=True)
    (folder / "trust" / "root.pem").write_text(encode_pem(branch.anchor()))
    (folder / "chain.pem").write_text("".join(encode_pem(der) for der in branch.mint()))
    arguments = [
        "verify",
        str(folder / "chain.pem"),
        "--trust",
        str(folder / "trust"),
        "--at",
        AT.isoformat(),
        "--json",
    ]
    for at, der in enumerate(ocsps):
        (folder / f"{at}.ocsp").write_bytes(der)
        arguments += ["--ocsp", str(folder / f"{at}.ocsp")]
    ran = CliRunner().invoke(main, [*arguments, "--profile", "iso15118-2-contract", *options])
    said: dict[str, Any] = json.loads(ran.output)
    assert ran.exit_code == EXITS[said["verdict"]]
    return said


def by_batch(branch: Branch, folder: Path, ocsps: list[bytes], *options: str) -> dict[str, Any]:
    line = {
        "id": 1,
        "chain": [encode_pem(der) for der in branch.mint()],
        "trust": [encode_pem(branch.anchor())],
        "at": AT.isoformat(),
        "ocsps": [base64.b64encode(der).decode() for der in ocsps],
    }
    ran = CliRunner().invoke(main, ["verify", "--batch", *options], input=json.dumps(line) + "\n")
    assert ran.exit_code == 0
    said: dict[str, Any] = json.loads(ran.output)
    return said


@pytest.mark.parametrize("ask", [by_command, by_batch])
def test_answers_decide_as_lists_do(branch: Branch, tmp_path: Path, ask: Any) -> None:
    good = ask(branch, tmp_path, answers(branch), "--require-revocation")
    assert (good["verdict"], good["revocation"], good["findings"]) == ("accept", "good", [])
    revoked = ask(branch, tmp_path, answers(branch, "revoked"))
    assert (revoked["verdict"], revoked["code"], revoked["index"], revoked["revocation"]) == (
        "reject", "revoked", 0, "revoked"
    )  # fmt: skip
    old = {"this_update": AT - 3 * DAY, "produced_at": AT - 3 * DAY, "next_update": AT - HOUR}
    stale = ask(branch, tmp_path, answers(branch, **old), "--require-revocation")
    assert (stale["verdict"], stale["code"]) == ("no-evidence", "revocation-stale")
    forged = answers(branch, signing_key=new_key())
    for options, verdict in (((), "accept"), (("--require-revocation",), "no-evidence")):
        said = ask(branch, tmp_path, forged, *options)
        assert (said["verdict"], said["revocation"]) == (verdict, "unknown")
        assert [finding["code"] for finding in said["findings"]] == ["ocsp-unusable"]
    broken = ask(branch, tmp_path, [*answers(branch), answers(branch)[0] + b"\0"])
    assert (broken["verdict"], broken["code"], broken["index"]) == ("malformed", "malformed-ocsp", None)
    assert ("3.ocsp: " if ask is by_command else "OCSP answer 3: ") in broken["message"]


def test_list_that_cannot_be_read_is_named_by_its_file(branch: Branch, tmp_path: Path) -> None:
    (tmp_path / "crls").mkdir()
    for name, der in (("a", list_of(branch.sub2)), ("b", b"\x30\x00"), ("c", list_of(branch.sub1))):
        (tmp_path / "crls" / f"{name}.crl").write_bytes(der)
    said = by_command(branch, tmp_path, answers(branch), "--crl", str(tmp_path / "crls"))
    assert (said["verdict"], said["code"], said["index"]) == ("malformed", "malformed-crl", None)
    assert f"{tmp_path}/crls/b.crl: " in said["message"]


def test_a_long_list_is_taken_by_the_command(branch: Branch, tmp_path: Path) -> None:
    """100,000 entries; the million is measured in test_serials."""
    (tmp_path / "long.crl").write_bytes(long_list(branch.sub2, [*range(1, 100_000), branch.leaf.serial]))
    said = by_command(branch, tmp_path, [], "--crl", str(tmp_path / "long.crl"))
    assert (said["code"], said["index"]) == ("revoked", 0)

"""pnc-pki as a user meets it: exit codes, the JSON object, the batch, and one clear line for every mistake."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pki.__main__ import main
from pki.issue.lab import Lab
from pki.pem import encode_pem
from pki.service.files import write_lab
from tests.pki.mint import AT, CA_USAGE, Spec, name_of

WHEN = AT.isoformat().replace("+00:00", "Z")
CUT_OFF = b'{"id": "cut off", "chain": ["-----BEG'
KEYS = ["verdict", "code", "clause", "index", "message", "emaid", "revocation", "findings"]


@pytest.fixture(scope="module")
def folder(made_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab, written once; tests only read it."""
    path = tmp_path_factory.mktemp("command") / "lab"
    write_lab(made_lab, path)
    return path


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    found = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def verify_json(folder: Path, chain: str, *more: str | Path) -> tuple[int, dict[str, Any]]:
    found = run("verify", folder / chain, "--trust", folder / "trust", "--at", WHEN, "--json", *more)
    said = json.loads(found.stdout)
    assert list(said) == KEYS
    return found.exit_code, said


@pytest.mark.parametrize(
    ("name", "exit_code", "verdict", "code", "index"),
    [
        ("alice", 0, "accept", "accepted", None),
        ("carol", 0, "accept", "accepted", None),
        ("revoked", 1, "reject", "revoked", 0),
        ("expired", 1, "reject", "expired", 0),
        ("forged", 1, "reject", "signature", 2),
        ("forged-sub2", 1, "reject", "signature", 1),
    ],
)
def test_verify_of_each_lab_contract(
    folder: Path, name: str, exit_code: int, verdict: str, code: str, index: int | None
) -> None:
    found, said = verify_json(folder, f"contracts/{name}.pem", "--crl", folder / "crls", "--require-revocation")
    assert (found, said["verdict"], said["code"], said["index"]) == (exit_code, verdict, code, index)
    assert said["revocation"] == {"accept": "good"}.get(verdict, "revoked" if code == "revoked" else "unknown")
    assert all(set(finding) >= {"code", "severity", "clause", "index", "message"} for finding in said["findings"])


def test_verify_without_lists_reports_unknown_and_exits_3_on_demand(folder: Path) -> None:
    assert verify_json(folder, "contracts/alice.pem")[1]["revocation"] == "unknown"
    found, said = verify_json(folder, "contracts/alice.pem", "--require-revocation")
    assert (found, said["verdict"], said["code"]) == (3, "no-evidence", "revocation-unknown")


def test_verify_with_an_old_list_is_stale(folder: Path) -> None:
    later = ("--at", "2027-03-01T00:00:00Z", "--crl", folder / "crls")
    found, said = verify_json(folder, "contracts/alice.pem", *later)
    assert (found, said["revocation"]) == (0, "stale")
    assert verify_json(folder, "contracts/alice.pem", *later, "--require-revocation")[0] == 3
    assert verify_json(folder, "contracts/revoked.pem", *later)[1]["code"] == "revoked"


def test_verify_compares_the_claimed_emaid(folder: Path) -> None:
    assert verify_json(folder, "contracts/alice.pem", "--emaid", "de-abc-000000001-g")[0] == 0
    found, said = verify_json(folder, "contracts/alice.pem", "--emaid", "DEABC000000002")
    assert (found, said["code"], said["emaid"]) == (1, "emaid-mismatch", "DEABC000000001")


def test_an_ocsp_answer_is_not_silently_ignored(folder: Path, tmp_path: Path) -> None:
    answer = tmp_path / "answer.der"
    answer.write_bytes(b"\x30\x03\x0a\x01\x06")
    found, said = verify_json(folder, "contracts/alice.pem", "--ocsp", answer)
    assert (found, said["revocation"]) == (0, "unknown")
    assert [finding["code"] for finding in said["findings"]] == ["ocsp-unusable"]
    assert verify_json(folder, "contracts/alice.pem", "--ocsp", answer, "--require-revocation")[0] == 3


def test_trust_without_role_folders_counts_for_the_profile(folder: Path) -> None:
    assert verify_json(folder, "contracts/alice.pem", "--trust", folder / "trust" / "mo")[0] == 0
    found, said = verify_json(folder, "contracts/alice.pem", "--trust", folder / "trust" / "oem")
    assert (found, said["code"]) == (1, "anchor-unknown")


def test_other_profiles(folder: Path) -> None:
    for chain, profile in (("secc/secc-1.pem", "secc"), ("oem/car-1.pem", "oem"), ("cps/cps-1.pem", "cps")):
        assert verify_json(folder, chain, "--profile", f"iso15118-2-{profile}")[0] == 0
        assert verify_json(folder, chain)[0] == 1
    assert verify_json(folder, "secc/secc-1.pem")[1]["code"] in {"anchor-role", "key-usage"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.pem", "--trust", "{lab}/trust"], "No such file"),
        (["{lab}/contracts", "--trust", "{lab}/trust"], "directory"),
        (["{lab}/contracts/alice.key.pem", "--trust", "{lab}/trust"], "malformed-pem"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/nowhere"], "nowhere"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}"], "trust-file"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--crl", "{lab}/contracts/alice.pem"], "crl-file"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--ocsp", "none.der"], "none.der"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--at", "yesterday"], "malformed-instant"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--at", "2026-11-23"], "UTC offset"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--profile", "web"], "iso15118-2-contract"),
        (["{lab}/contracts/alice.pem"], "--trust"),
        ([], "--trust"),
        (["--batch", "--at", WHEN], "--batch"),
    ],
)
def test_unusable_input_exits_2_with_one_clear_line(folder: Path, arguments: list[str], told: str) -> None:
    found = run("verify", *(argument.replace("{lab}", str(folder)) for argument in arguments))
    assert found.exit_code == 2
    assert told in found.stderr
    assert "Traceback" not in found.output
    assert found.stdout == ""


def test_unusable_input_as_json(folder: Path) -> None:
    found, said = verify_json(folder, "contracts/alice.key.pem")
    assert (found, said["verdict"], said["code"]) == (2, "malformed", "malformed-pem")
    assert "PRIVATE" not in json.dumps(said)


def test_the_verdict_for_people(folder: Path) -> None:
    found = run("verify", folder / "contracts/expired.pem", "--trust", folder / "trust", "--at", WHEN)
    assert found.exit_code == 1
    assert found.stdout.startswith("reject expired: the contract leaf expired 2026-10-24")
    assert "V2G2-824" in found.stdout


def request(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "chain": [(folder / f"contracts/{name}.pem").read_text()],
        "trust": [(folder / "trust/mo/mo.pem").read_text()],
        "at": WHEN,
    } | more


def batch(*lines: Any, options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    text = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    found = run("verify", "--batch", *options, stdin=text)
    assert found.exit_code == 0, found.output
    return [json.loads(line) for line in found.stdout_bytes.decode("utf-8").splitlines()]


def test_batch_judges_each_line(folder: Path) -> None:
    crls = [encode_pem(path.read_bytes(), "X509 CRL") for path in sorted((folder / "crls").iterdir())]
    names = ["alice", "revoked", "expired", "forged", "forged-sub2"]
    said = batch(*(request(folder, name, crls=crls, comment="ignored") for name in names))
    assert [entry["id"] for entry in said] == names
    assert [entry["code"] for entry in said] == ["accepted", "revoked", "expired", "signature", "signature"]
    assert [entry["revocation"] for entry in said][:2] == ["good", "revoked"]
    assert all(set(entry) == {*KEYS, "id"} for entry in said)


def test_batch_takes_a_chain_in_pieces_and_the_optional_fields(folder: Path) -> None:
    whole = request(folder, "alice")
    blocks = [
        block + "-----END CERTIFICATE-----\n" for block in whole["chain"][0].split("-----END CERTIFICATE-----\n")[:-1]
    ]
    secc = request(folder, "alice", id=7, chain=[(folder / "secc/secc-1.pem").read_text()], profile="iso15118-2-secc")
    secc["trust"] = [(folder / "trust/v2g/v2g.pem").read_text()]
    ocsps = [base64.b64encode(b"\x30\x03\x0a\x01\x06").decode()]
    said = batch(
        whole | {"chain": blocks},
        secc,
        request(folder, "alice", id={"a": [1]}, emaid="DEABC000000002"),
        request(folder, "alice", id=None, ocsps=ocsps, emaid=None),
    )
    assert [entry["id"] for entry in said] == ["alice", 7, {"a": [1]}, None]
    assert [entry["code"] for entry in said] == ["accepted", "accepted", "emaid-mismatch", "accepted"]
    assert said[3]["findings"][0]["code"] == "ocsp-unusable"


def test_a_bad_line_never_stops_the_batch(folder: Path) -> None:
    good = request(folder, "alice")
    bad: list[Any] = [
        b"{",
        CUT_OFF,
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"id": "\xff", "chain": 1}',
        b'{"id": "\xff", "chain": [], "trust": [], "at": "x"}',
        b'{"id": "x", "id": 1e999, "chain": []}',
        {"id": "no chain", "trust": [], "at": WHEN},
        {"chain": [], "trust": [], "at": WHEN},
        good | {"id": "types", "chain": "text"},
        good | {"id": "chain", "chain": []},
        good | {"id": "chain2", "chain": ["\ud800"]},
        good | {"id": "pem", "chain": ["-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----"]},
        good | {"id": "trust", "trust": ["junk"]},
        good | {"id": "trust2", "trust": ["-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----"]},
        good | {"id": "at", "at": "yesterday"},
        good | {"id": "at2", "at": 5},
        good | {"id": "at3", "at": "2026-11-23T00:00:00"},
        good | {"id": "profile", "profile": "web"},
        good | {"id": "crls", "crls": ["junk"]},
        good | {"id": "crls2", "crls": ["-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----"]},
        good | {"id": "ocsps", "ocsps": ["!"]},
        good | {"id": "ocsps2", "ocsps": [base64.b64encode(bytes(20_000)).decode()]},
        good | {"id": "emaid", "emaid": 5},
    ]
    lines = [line for entry in bad for line in (entry, b"", good)]
    said = batch(*lines)
    assert said[2 * bad.index(CUT_OFF)]["id"] == "cut off"
    assert [entry["verdict"] for entry in said] == ["malformed", "accept"] * len(bad)
    for entry, answer in zip(bad, said[::2], strict=True):
        assert answer["code"] != "accepted"
        assert answer["message"]
        if isinstance(entry, dict):
            assert answer["id"] == entry.get("id")


def test_batch_without_anchors_rejects(folder: Path) -> None:
    (said,) = batch(request(folder, "alice", trust=[]))
    assert (said["verdict"], said["code"]) == ("reject", "anchor-unknown")
    sub1 = encode_pem(base64.b64decode("".join(request(folder, "alice")["chain"][0].split("-----")[10].split())))
    (said,) = batch(request(folder, "alice", trust=[sub1]))
    assert said["verdict"] == "reject"


def test_batch_demands_evidence_when_asked(folder: Path) -> None:
    (said,) = batch(request(folder, "alice"), options=("--require-revocation",))
    assert (said["verdict"], said["code"]) == ("no-evidence", "revocation-unknown")


def test_batch_answers_each_line_at_once(folder: Path) -> None:
    """A program that writes one line and waits gets its verdict while the input is still open."""
    command = [sys.executable, "-m", "pki", "verify", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name, code in (("alice", "accepted"), ("forged", "signature")):
            process.stdin.write(json.dumps(request(folder, name)).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["code"] == code
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_batch_from_a_file(folder: Path, tmp_path: Path) -> None:
    lines = tmp_path / "requests.jsonl"
    lines.write_text(json.dumps(request(folder, "alice")) + "\n")
    found = run("verify", "--batch", lines)
    assert json.loads(found.stdout)["code"] == "accepted"
    assert run("verify", "--batch", tmp_path / "none.jsonl").exit_code == 2


def test_lab_issue_and_verify_from_nothing(tmp_path: Path) -> None:
    lab = tmp_path / "made" / "lab"
    made = run("lab", "certs/lab.toml", "--out", lab, "--at", WHEN)
    assert (made.exit_code, made.stderr) == (0, "")
    assert run("lab", "certs/lab.toml", "--out", lab).exit_code == 2
    assert run("lab", "certs/lab.toml", "--out", lab, "--at", WHEN, "--force").exit_code == 0
    issued = run("issue", "--lab", lab, "--name", "dave", "--emaid", "DEABC000000042", "--at", WHEN)
    assert issued.exit_code == 0, issued.stderr
    assert verify_json(lab, "contracts/dave.pem", "--crl", lab / "crls", "--require-revocation")[0] == 0
    listed = json.loads((lab / "contracts/contracts.json").read_text())
    assert listed[-1]["emaid"] == "DEABC000000042"
    client = ("--profile", "backend-client", "--name", "site-3", "--common-name", "site-3")
    assert run("issue", "--lab", lab, *client, "--at", WHEN).exit_code == 0
    assert verify_json(lab, "backend/site-3.pem", "--profile", "backend-client")[0] == 0
    for wrong, told in (
        (("--name", "dave", "--emaid", "DEABC000000042"), "exists"),
        (("--name", "eve", "--emaid", "DEABC000000042A"), "check character"),
        (("--name", "../eve", "--emaid", "DEABC000000042"), "no file name"),
        (("--name", "eve", "--emaid", "DEABC000000042", "--days", "30000"), "issuer's life"),
        (("--name", "eve", "--emaid", "DEABC000000042", "--ca", "cpo-sub2"), "mo-sub2"),
        (("--name", "eve", "--emaid", "x", "--profile", "web"), "unknown-profile"),
        (("--name", "eve", "--emaid", "x", "--ip", "1.2.3"), "no IP address"),
    ):
        refused = run("issue", "--lab", lab, *wrong, "--at", WHEN)
        assert refused.exit_code == 2
        assert told in refused.stderr
        assert not (lab / "contracts/eve.pem").exists()


def test_lab_with_a_mistake_in_its_declaration(tmp_path: Path) -> None:
    wrong = tmp_path / "lab.toml"
    wrong.write_text(Path("certs/lab.toml").read_text().replace("crl_days", "crl_dayz"))
    found = run("lab", wrong, "--out", tmp_path / "lab")
    assert found.exit_code == 2
    assert "crl_dayz" in found.stderr
    assert not (tmp_path / "lab").exists()


def test_show_of_chains_lists_and_other_things(folder: Path, tmp_path: Path) -> None:
    shown = run("show", folder / "contracts/alice.pem").stdout
    assert shown.index("Sub-CA 1") < shown.index("Sub-CA 2") < shown.index("0: ")
    assert "DEABC000000001G" in shown
    assert "1 certificates" in run("show", folder / "backend/hub.pem").stdout
    assert "localhost" in run("show", folder / "backend/hub.pem").stdout
    listed = run("show", folder / "crls/mo-sub2.crl").stdout
    assert "entries 1" in listed
    as_pem = tmp_path / "list.pem"
    as_pem.write_text(encode_pem((folder / "crls/mo-sub2.crl").read_bytes(), "X509 CRL"))
    assert run("show", as_pem).stdout == listed
    for wrong in (folder / "contracts/alice.key.pem", folder / "contracts", tmp_path / "none"):
        assert run("show", wrong).exit_code == 2


def test_show_escapes_what_a_subject_writes_to_the_terminal(tmp_path: Path) -> None:
    loud = Spec(name_of("\x1b[31mred[/]"), True, None, CA_USAGE)
    path = tmp_path / "loud.pem"
    path.write_text(encode_pem(loud.mint(loud)))
    shown = run("show", path).stdout
    assert "\x1b" not in shown
    assert "\\x1b[31mred[/]" in shown

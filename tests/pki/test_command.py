"""pnc-pki as a user meets it: exit codes, the JSON object, the batch, and one clear line for every mistake."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pki.__main__ import main
from pki.issue.lab import Lab
from pki.pem import encode_pem
from pki.profiles import PROFILE_NAMES, Tolerance
from pki.service.files import write_lab
from pki.verify.remedies import REMEDIES
from tests.pki.mint import AT

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
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--at", "2026-11-23"], "2026-11-23T00:00:00Z"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--profile", "web"], "iso15118-2-contract"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--profile", "RFC5280"], "besides: auto, rfc5280"),
        (["{lab}/contracts/alice.pem"], "--trust"),
        ([], "--trust"),
        (["--batch", "--at", WHEN], "--batch"),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--profile", "rfc5280", "--emaid", "x"], "--emaid"),
        (
            ["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--profile", "rfc5280", "--policy", "ed448"],
            "--policy",
        ),
        (["{lab}/contracts/alice.pem", "--trust", "{lab}/trust", "--policy", "x"], "unknown-switch"),
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


def test_a_refusal_is_said_once(folder: Path) -> None:
    found = run("verify", folder / "contracts/forged.pem", "--trust", folder / "trust", "--at", WHEN)
    assert found.stdout.count("is not signed by") == 1
    assert found.stdout.splitlines()[1:] == ["revocation unknown"]


def test_every_switch_and_profile_stands_in_the_help() -> None:
    told = run("verify", "--help").stdout.split()
    assert {switch.value for switch in Tolerance} <= set(told)
    assert {*PROFILE_NAMES, "auto", "rfc5280"} <= set(told)


def test_profile_auto_tells_the_generation(folder: Path) -> None:
    for chain, profile in (("contracts/alice", "iso15118-2-contract"), ("contracts-20/dora", "iso15118-20-contract")):
        found, said = verify_json(folder, f"{chain}.pem", "--profile", "auto")
        assert (found, said["message"].split()[0]) == (0, profile)
    found, said = verify_json(folder, "secc-20/secc-20.pem", "--profile", "auto")
    assert (found, said["code"]) == (1, "extension")


def test_policy_switches_refuse_and_tolerate(folder: Path, tmp_path: Path) -> None:
    leaf, sub2, sub1 = (folder / "contracts/alice.pem").read_text().split("-----END CERTIFICATE-----\n")[:3]
    swapped = tmp_path / "swapped.pem"
    swapped.write_text("".join(f"{block}-----END CERTIFICATE-----\n" for block in (leaf, sub1, sub2)))
    found, said = verify_json(folder, str(swapped))
    assert (found, [(entry["code"], entry["switch"], entry["step"]) for entry in said["findings"]]) == (
        0,
        [("chain-order", "chain-order", 4)],
    )
    found, said = verify_json(folder, str(swapped), "--policy", "no-chain-order", "--policy", "dc-missing")
    assert (found, said["code"]) == (1, "chain-order")
    found, said = verify_json(folder, str(swapped), "--policy", "anything")
    assert (found, said["verdict"], said["code"]) == (2, "malformed", "unknown-switch")
    (line,) = batch(request(folder, "alice", chain=[swapped.read_text()]), options=("--policy", "no-chain-order"))
    assert line["code"] == "chain-order"


def explained(folder: Path, *arguments: str | Path) -> tuple[int, str]:
    found = run("verify", *arguments, "--trust", folder / "trust", "--at", WHEN, "--explain")
    assert found.stderr == ""
    assert not any(line.endswith(" ") for line in found.stdout.splitlines())
    return found.exit_code, found.stdout


def test_explain_tells_every_step_and_what_to_do(folder: Path) -> None:
    found, said = explained(folder, folder / "contracts/expired.pem")
    assert found == 1
    lines = said.splitlines()
    words = [line.split()[1] for line in lines if line[:2].strip().isdigit()]
    assert words == ["passed"] * 8 + ["refused"] + ["not"] * 3
    assert "      clause      ISO 15118-2 V2G2-824" in lines
    assert any(line.startswith("      certificate 0, DC=MO, CN=NLXYZ00A1B2C3D1") for line in lines)
    assert said.count(REMEDIES["expired"]) == 1
    found, said = explained(folder, folder / "contracts/alice.pem", "--crl", folder / "crls")
    assert (found, said.count("passed")) == (0, 11)
    assert "Nothing must be done." in said


def test_explain_of_unusable_input_and_of_rfc5280(folder: Path) -> None:
    found, said = explained(folder, folder / "contracts/alice.key.pem")
    assert found == 2
    assert " 1 refused" in said
    found, said = explained(folder, folder / "contracts/none.pem")
    assert (found, " 1 " in said) == (2, False)
    assert REMEDIES["unreadable"] in said
    found, said = explained(folder, folder / "contracts/alice.pem", "--profile", "rfc5280")
    assert (found, " 1 " in said) == (0, False)


def test_explain_as_json_has_the_verdict_the_remedy_and_the_steps(folder: Path) -> None:
    found = run(
        "verify", folder / "contracts/forged.pem", "--trust", folder / "trust", "--at", WHEN, "--json", "--explain"
    )
    said = json.loads(found.stdout)
    assert list(said) == [*KEYS, "remedy", "steps"]
    assert [step["step"] for step in said["steps"]] == list(range(1, 13))
    (cause,) = said["steps"][7]["findings"]
    assert set(cause) == {
        "code",
        "severity",
        "clause",
        "index",
        "certificate",
        "message",
        "expected",
        "found",
        "switch",
        "remedy",
    }
    assert (cause["code"], cause["index"], cause["remedy"]) == ("signature", 2, said["remedy"])


def test_batch_takes_profile_auto(folder: Path) -> None:
    dora = request(folder, "alice", chain=[(folder / "contracts-20/dora.pem").read_text()], profile="auto")
    dora["trust"] = [path.read_text() for path in sorted((folder / "trust/mo").iterdir())]
    said = batch(dora, request(folder, "alice", profile="auto"), request(folder, "alice", profile="auto", chain=[]))
    assert [entry["verdict"] for entry in said] == ["accept", "accept", "malformed"]


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
        assert process.wait(timeout=60) == 0


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


def test_profile_of_the_batch_holds_for_lines_that_name_none(folder: Path) -> None:
    line = {
        "id": 1,
        "chain": [(folder / "contracts" / "alice.pem").read_text()],
        "trust": [(folder / "trust" / "mo" / "mo.pem").read_text()],
        "at": WHEN,
    }
    answers = []
    for name in ("iso15118-2-contract", "iso15118-20-contract"):
        arguments = ["verify", "--batch", "--profile", name]
        done = CliRunner().invoke(main, arguments, input=json.dumps(line) + "\n")
        answers.append(json.loads(done.stdout)["verdict"])
    assert answers == ["accept", "reject"]


def test_line_with_anchors_beyond_all_measure_is_malformed(folder: Path) -> None:
    anchor = (folder / "trust" / "mo" / "mo.pem").read_text()
    line = {"id": 1, "chain": [anchor], "trust": [anchor] * 300, "at": "2026-11-23T00:00:00Z"}
    done = CliRunner().invoke(main, ["verify", "--batch"], input=json.dumps(line) + "\n")
    assert json.loads(done.stdout)["code"] == "size-limit"


@pytest.mark.parametrize(
    "text", ["2026-W48-1T12:00:00Z", "2026-11-23x12:00:00Z", "20261123T120000Z", "2026-11-23T12:00:00,5Z", "2026-11-23"]
)
def test_instant_in_another_form_than_rfc_3339_is_unusable(folder: Path, text: str) -> None:
    done = run("verify", folder / "contracts" / "alice.pem", "--trust", folder / "trust", "--at", text)
    assert done.exit_code == 2
    assert "is not an instant" in done.stderr


def test_pipe_among_the_anchors_is_refused_and_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mo").mkdir()
    os.mkfifo(tmp_path / "mo" / "a.pem")
    done = run("verify", folder / "contracts" / "alice.pem", "--trust", tmp_path, "--at", WHEN)
    assert done.exit_code == 2
    assert "not a regular file" in done.stderr

"""`pnc-pki pool`: an operator's way through the pools, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pki.pem import encode_pem
from pki.service.acts.publishing import publish
from pki.service.commands.pool import pool
from pki.service.pool.clients import authenticate
from pki.service.pool.own_pki import open_pools
from pki.service.pool.pools import Pools
from pki.service.pool.signing import generate_contract
from pki.service.registry import Registry
from pki.service.state_folder import open_registry
from pki.service.store.publications import ListKind, find_list
from tests.pki.pool.material import EMAID, PCID, TESTER, SetTime, Shop
from tests.pki.pool.test_pool_rules import wish

WHY = ["--why", "a test"]


def run(folder: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(pool, [*arguments, "--dir", str(folder)])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def real(founded_now: Path) -> Iterator[tuple[Path, Registry, Pools]]:
    """A state folder of this very day, for commands read the clock."""
    with open_registry(founded_now) as registry, open_pools(registry) as pools:
        yield founded_now, registry, pools


def test_a_client_is_added_and_its_secret_shown_once(real: tuple[Path, Registry, Pools]) -> None:
    folder, _, pools = real
    made = run(folder, "clients", "add", "maker", "--role", "oem", "--wmi", "wvw", *WHY, "--json")
    secret = json.loads(made.output)["client_secret"]
    assert authenticate(pools, "maker", secret).wmis == ("WVW",)
    listed = run(folder, "clients", "list", "--json")
    assert [client["client_id"] for client in json.loads(listed.output)] == ["maker"]
    assert secret not in run(folder, "clients", "list").output
    renewed = run(folder, "clients", "secret", "maker", *WHY)
    assert secret not in renewed.output
    refused = run(folder, "clients", "add", "maker", "--role", "oem", "--wmi", "wvw", *WHY, code=2)
    assert "client-exists" in refused.output
    gone = run(folder, "clients", "delete", "maker", *WHY, "--json")
    assert json.loads(gone.output) == {"deleted": "maker"}
    assert "client-unknown" in run(folder, "clients", "delete", "maker", *WHY, code=2).output


def test_cars_contracts_and_roots_are_shown_preferred_and_deleted(
    real: tuple[Path, Registry, Pools], tmp_path: Path
) -> None:
    folder, registry, pools = real
    shop = Shop(registry, pools, SetTime(registry.now()))
    car, operator = shop.car(), shop.operator()
    chain = tmp_path / "car.pem"
    chain.write_text("".join(encode_pem(der) for der in car.chain.chain))
    assert PCID in run(folder, "add", "vehicle", str(chain)).output
    for emaid in (EMAID, "DEABC00000000A"):
        asked = wish(car, emaid, begins=registry.now(), ends=registry.now() + (wish(car).ends - wish(car).begins))
        generate_contract(pools, asked, operator)
    preferred = run(folder, "default", PCID, "DEABC00000000A", *WHY, "--json")
    assert json.loads(preferred.output) == {"pcid": PCID, "default": "DEABC00000000A"}
    contracts = json.loads(run(folder, "list", "--json").output)
    assert [(entry["emaid"], entry["default"]) for entry in contracts] == [(EMAID, False), ("DEABC00000000A", True)]
    assert json.loads(run(folder, "list", "--pcid", PCID, "--emaid", EMAID, "--json").output)[0]["emaid"] == EMAID
    assert EMAID in run(folder, "list").output
    assert PCID in run(folder, "list", "vehicles").output
    assert json.loads(run(folder, "list", "vehicles", "--json").output) == [
        {"pcid": PCID, "generation": "iso15118-2", "contracts": 2}
    ]
    assert "deleted 1" in run(folder, "delete", "contract", EMAID, *WHY).output
    gone = run(folder, "delete", "vehicle", PCID, *WHY, "--json")
    assert json.loads(gone.output) == {"deleted": PCID, "contracts": 1}
    assert "vehicle-unknown" in run(folder, "delete", "vehicle", PCID, *WHY, code=2).output
    assert json.loads(run(folder, "purge", *WHY, "--json").output) == {"roots": 0, "vehicles": 0, "contracts": 0}
    assert "deleted 0 contracts" in run(folder, "purge", *WHY).output


def test_roots_are_listed_taken_out_and_put_back(real: tuple[Path, Registry, Pools]) -> None:
    folder, _, _ = real
    roots = json.loads(run(folder, "list", "roots", "--json").output)
    assert len(roots) == 6
    gone = next(root for root in roots if root["role"] == "mo")
    run(folder, "delete", "root", gone["id"], *WHY)
    assert "root-unknown" in run(folder, "delete", "root", gone["id"], *WHY, code=2).output
    files = sorted((folder / "trust" / "mo").iterdir())
    added = [run(folder, "add", "root", str(file), "--type", "mo", *WHY).output for file in files]
    assert any(gone["sha256"] in text for text in added)
    assert gone["sha256"][:8] in run(folder, "list", "roots").output.replace("\n", "")
    bad = run(folder, "add", "root", str(folder / "pki.toml"), "--type", "mo", *WHY, code=2)
    assert "malformed-pem" in bad.output


def test_a_foreign_list_is_evidence_and_an_older_one_is_not(real: tuple[Path, Registry, Pools], tmp_path: Path) -> None:
    folder, registry, pools = real
    old = registry_list(registry)
    publish(registry, TESTER, ["oem-sub2"])
    new = registry_list(registry)
    (tmp_path / "old.crl").write_bytes(old)
    (tmp_path / "new.crl").write_bytes(new)
    run(folder, "add", "crl", str(tmp_path / "old.crl"), *WHY)
    assert "SHA-256" in run(folder, "add", "crl", str(tmp_path / "new.crl"), *WHY).output
    assert "list-old" in run(folder, "add", "crl", str(tmp_path / "old.crl"), *WHY, code=2).output
    with pools.reading() as connection:
        assert [row[0] for row in connection.execute("SELECT der FROM foreign_list")] == [new]
    assert pools.evidence() is pools.evidence()


def registry_list(registry: Registry) -> bytes:
    """The current list of the makers' Sub2."""
    with registry.reading() as connection:
        found = find_list(connection, "oem-sub2", ListKind.FULL)
    assert found is not None
    return found.der


def test_a_wrong_folder_or_chain_is_told_in_one_line(tmp_path: Path, real: tuple[Path, Registry, Pools]) -> None:
    folder, _, _ = real
    assert "state-missing" in run(tmp_path, "list", code=2).output
    lonely = tmp_path / "lonely.pem"
    lonely.write_text("".join(encode_pem(der) for der in (b"\x30\x00",)))
    assert "one or two are needed" in run(folder, "add", "vehicle", str(lonely), code=2).output

"""What the registry makes, judged by the `openssl` program: chains, lists, deltas, answers of both generations."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from pki.issue.keys import generate_key
from pki.issue.lists import Reason
from pki.profiles import profile_named
from pki.service.acts.anchoring import write_anchors
from pki.service.acts.issuing import Issued, Wanted, issue
from pki.service.acts.publishing import refresh
from pki.service.acts.renewing import renew
from pki.service.acts.responding import answer_signer, standing
from pki.service.acts.revoking import revoke
from pki.service.registry import Actor, Registry
from pki.service.state_folder import open_registry
from pki.service.store.certificates import find_certificate
from pki.service.store.publications import ListKind, find_list

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl program on this machine")
BY = Actor(who="operator:anna", why="test")
_PEM, _HOUR = serialization.Encoding.PEM, timedelta(hours=1)
BRANCHES = {"iso15118-2-contract": "mo", "iso15118-20-contract": "mo20"}


@pytest.fixture(scope="module")
def lab_founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PKI of both generations, founded now."""
    folder = tmp_path_factory.mktemp("foreign") / "state"
    subprocess.run([sys.executable, "-m", "pki", "init", "lab", "--dir", str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture
def registry(lab_founded: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(Path(shutil.copytree(lab_founded, tmp_path / "state"))) as found:
        yield found


def openssl(*arguments: str | Path) -> str:
    """Everything that `openssl` says, its exit code first."""
    assert OPENSSL is not None
    done = subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, text=True, check=False)
    return f"{done.returncode} {done.stdout}{done.stderr}"


def issued(registry: Registry, profile: str, number: int) -> Issued:
    branch = profile_named(profile)
    held = registry.issuing_authority(branch)
    key = generate_key(held.certificate.key_kind).public_key()
    return issue(registry, Wanted(profile=branch, common_name=f"DEABC{number:09}", public_key=key), BY)


def verified(registry: Registry, made: Issued, folder: Path, *, deltas: bool = False) -> str:
    """What `openssl verify` says with the anchors and lists that the registry hands out."""
    shutil.rmtree(folder, ignore_errors=True)
    write_anchors(registry, folder / "trust")
    anchors = "".join(path.read_text() for path in sorted((folder / "trust").rglob("*.pem")))
    (folder / "anchors.pem").write_text(anchors)
    (folder / "leaf.pem").write_text(made.certificate.pem())
    (folder / "above.pem").write_text("".join(one.pem() for one in made.chain[1:]))
    texts = [x509.load_der_x509_crl(der) for der in lists(registry, deltas)]
    (folder / "lists.pem").write_bytes(b"".join(one.public_bytes(_PEM) for one in texts))
    flags = ["-use_deltas", "-extended_crl"] if deltas else []
    files = ["-CAfile", folder / "anchors.pem", "-untrusted", folder / "above.pem", "-CRLfile", folder / "lists.pem"]
    return openssl("verify", "-x509_strict", "-crl_check_all", *flags, *files, folder / "leaf.pem")


def lists(registry: Registry, deltas: bool) -> list[bytes]:
    kinds = (ListKind.FULL, ListKind.DELTA) if deltas else (ListKind.FULL,)
    with registry.reading() as connection:
        found = [find_list(connection, name, kind) for name in registry.authorities() for kind in kinds]
    return [one.der for one in found if one is not None]


def ended(registry: Registry, made: Issued, reason: Reason) -> None:
    with registry.reading() as connection:
        held = find_certificate(connection, made.authority, made.certificate.serial)
    assert held is not None
    revoke(registry, held, reason, BY)
    refresh(registry, BY)


@pytest.mark.parametrize("profile", BRANCHES)
def test_chains_and_lists_are_good_for_openssl(registry: Registry, profile: str, tmp_path: Path) -> None:
    good, bad = issued(registry, profile, 1), issued(registry, profile, 2)
    ended(registry, bad, Reason.KEY_COMPROMISE)
    assert verified(registry, good, tmp_path / "a").startswith("0 "), verified(registry, good, tmp_path / "a")
    assert "certificate revoked" in verified(registry, bad, tmp_path / "a")
    assert verified(registry, good, tmp_path / "a", deltas=True).startswith("0 ")
    assert "certificate revoked" in verified(registry, bad, tmp_path / "a", deltas=True)


@pytest.mark.parametrize("profile", BRANCHES)
@pytest.mark.parametrize("new_key", [False, True])
def test_after_a_renewal_of_the_whole_branch_old_and_new_are_good(
    registry: Registry, profile: str, new_key: bool, tmp_path: Path
) -> None:
    old, stem = issued(registry, profile, 1), BRANCHES[profile]
    for step in ("root", "sub1", "sub2"):
        renew(registry, f"{stem}-{step}", BY, new_key=new_key)
    refresh(registry, BY)
    new = issued(registry, profile, 2)
    for made in (old, new):
        assert verified(registry, made, tmp_path / "a").startswith("0 "), verified(registry, made, tmp_path / "a")
    ended(registry, old, Reason.SUPERSEDED)
    assert "certificate revoked" in verified(registry, old, tmp_path / "a")
    assert verified(registry, new, tmp_path / "a").startswith("0 ")


@pytest.mark.parametrize("profile", BRANCHES)
def test_answers_of_the_responders_are_good_for_openssl(registry: Registry, profile: str, tmp_path: Path) -> None:
    good, bad = issued(registry, profile, 1), issued(registry, profile, 2)
    ended(registry, bad, Reason.KEY_COMPROMISE)
    root = registry.authority(good.authority).root
    (tmp_path / "root.pem").write_text(root.pem())
    (tmp_path / "issuer.pem").write_text(good.chain[1].pem())
    (tmp_path / "above.pem").write_text("".join(one.pem() for one in good.chain[1:]))
    for made, said in ((good, ": good"), (bad, ": revoked")):
        (tmp_path / "leaf.pem").write_text(made.certificate.pem())
        (tmp_path / "answer.der").write_bytes(answer(registry, made))
        told = openssl(
            *("ocsp", "-no_nonce", "-sha1", "-issuer", tmp_path / "issuer.pem", "-cert", tmp_path / "leaf.pem"),
            *("-respin", tmp_path / "answer.der", "-CAfile", tmp_path / "root.pem"),
            *("-verify_other", tmp_path / "above.pem"),
        )
        assert "Response verify OK" in told, told
        assert said in told, told
    found = ocsp.load_der_ocsp_response((tmp_path / "answer.der").read_bytes())
    assert found.revocation_reason is x509.ReasonFlags.key_compromise
    assert isinstance(found.hash_algorithm, hashes.SHA1)


def answer(registry: Registry, made: Issued) -> bytes:
    signer, now = answer_signer(registry, made.authority), datetime.now(UTC).replace(microsecond=0)
    serial = made.certificate.serial
    said = standing(registry, made.authority, serial)
    return signer.answer(serial, said, this_update=now, next_update=now + _HOUR)

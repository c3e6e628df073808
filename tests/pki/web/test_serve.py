"""`pnc-pki serve` as a program: what it says, how it ends, and what it does by itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pki.service.state_folder import open_registry
from pki.service.web.own_certificate import renew_own_certificate
from tests.pki_service import PKIService, copy_pki


def serve(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it until it ends by itself."""
    command = [sys.executable, "-m", "pki", "serve", "--dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_without_a_state_folder_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = serve(tmp_path / "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "`pnc-pki init` makes a state folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_address_that_is_taken_ends_it_with_one_line(founded: Path, tmp_path: Path) -> None:
    folder = copy_pki(founded, tmp_path / "pki-state")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = folder / "pki.toml"
        port = taken.getsockname()[1]
        settings.write_text(settings.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        done = serve(folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("pnc-pki: cannot-listen: https cannot listen at 127.0.0.1:")
    assert "Traceback" not in done.stderr


def test_it_stops_when_told_and_says_so(founded: Path, tmp_path: Path) -> None:
    running = PKIService(copy_pki(founded, tmp_path / "pki-state")).start()
    assert running.stop() == 0
    assert running.wait_for("stopped")["level"] == "info"
    assert running.errors == b""


def test_a_folder_is_served_once(own_service: PKIService) -> None:
    done = serve(own_service.folder)
    assert done.returncode == 2
    assert "state-in-use" in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_that_could_not_sign_are_told_at_the_start(founded: Path, tmp_path: Path) -> None:
    folder = copy_pki(founded, tmp_path / "pki-state")
    (folder / "keys" / "mo-sub2.key").write_text("nonsense")
    (folder / "keys" / "cpo-sub2.key").unlink()
    running = PKIService(folder).start()
    running.stop()
    told = {line["authority"]: line["code"] for line in running.lines if line["event"] == "key-unusable"}
    assert told == {"mo-sub2": "key-store", "cpo-sub2": "key-missing"}


def test_an_empty_registry_is_no_registry(founded: Path, tmp_path: Path) -> None:
    folder = copy_pki(founded, tmp_path / "pki-state")
    (folder / "registry.db").write_bytes(b"")
    done = serve(folder)
    assert done.returncode == 2
    assert "restore a backup" in done.stderr


def test_nothing_secret_and_nothing_a_peer_sent_is_in_the_log(own_service: PKIService) -> None:
    code = own_service.code("backend-client", "gw-log")
    for user, word in (("gw-log", code + "x"), ("INFO:root:forged", "secret-word")):
        own_service.enrol("simpleenroll", b"0", "-u", f"{user}:{word}")
    own_service.curl("/ca/%0aforged.pem", "-H", "Authorization: Basic c2VjcmV0LXdvcmQ6eA==", listener="http")
    own_service.stop()
    log = "\n".join(json.dumps(line) for line in own_service.lines)
    assert '"refused"' in log
    for secret in (code, "secret-word", (own_service.folder / "passphrase").read_text().strip()):
        assert secret not in log


@pytest.mark.parametrize(("days", "renewed"), [(200, False), (250, True)])
def test_its_own_certificate_is_renewed_in_time_for_the_same_key(
    founded: Path, tmp_path: Path, days: int, renewed: bool
) -> None:
    folder = copy_pki(founded, tmp_path / "pki-state")
    path = folder / "tls" / "server.pem"
    before = x509.load_pem_x509_certificate(path.read_bytes())
    with open_registry(folder, now=lambda: datetime.now(UTC) + timedelta(days=days)) as registry:
        made = renew_own_certificate(registry)
    after = x509.load_pem_x509_certificate(path.read_bytes())
    assert (made is not None) is renewed
    assert (after != before) is renewed
    assert after.public_key() == before.public_key()
    names = x509.SubjectAlternativeName
    kept = [each.extensions.get_extension_for_class(names).value for each in (before, after)]
    assert kept[0] == kept[1]
    assert sorted(os.listdir(path.parent)) == sorted(os.listdir(founded / "tls"))

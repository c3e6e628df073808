"""The gateway's own pair on disk: whole whenever one looks, read by nobody else, refused when something is wrong."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.enrol.identity import load_identity, save_identity
from gateway.errors import EnrolmentError
from pki.issue.keys import encode_key_pem, generate_key
from tests.gateway.rough_pki import Papers, leaf

ROOT = Path(__file__).parent.parent.parent


def test_what_is_saved_is_loaded_and_only_its_owner_reads_it(tmp_path: Path, papers: Papers) -> None:
    path = tmp_path / "new" / "identity.pem"
    certificate, key = leaf(papers.backend, "site-1")
    before = os.umask(0)
    try:
        save_identity(path, key, (certificate,))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = load_identity(path)
    assert found.chain == (certificate,)
    assert found.due_at(1.0) == certificate.not_after
    other, other_key = leaf(papers.backend, "site-1")
    assert save_identity(path, other_key, (other,)).leaf == other
    assert load_identity(path).leaf == other
    assert {file.name for file in path.parent.iterdir()} == {"identity.pem", "identity.pem.lock"}


def test_what_a_killed_writer_left_is_removed(tmp_path: Path, papers: Papers) -> None:
    path = tmp_path / "identity.pem"
    (tmp_path / ".identity.pem-abc").write_text("half a key")
    certificate, key = leaf(papers.backend, "site-1")
    save_identity(path, key, (certificate,))
    assert not (tmp_path / ".identity.pem-abc").exists()


def refused(path: Path, code: str, named: str) -> None:
    with pytest.raises(EnrolmentError) as error:
        load_identity(path)
    assert error.value.code == code
    assert named in str(error.value)
    assert str(path) in str(error.value)


def test_what_cannot_be_used_is_named(tmp_path: Path, papers: Papers) -> None:
    path = tmp_path / "identity.pem"
    refused(path, "not-enrolled", "pnc-gateway enrol")
    certificate, key = leaf(papers.backend, "site-1")
    save_identity(path, key, (certificate,))
    path.chmod(0o640)
    refused(path, "identity-unusable", "chmod 600")
    path.chmod(0o600)
    path.write_bytes(encode_key_pem(generate_key()) + certificate.pem().encode())
    refused(path, "identity-unusable", "not that of the certificate")
    path.write_bytes(encode_key_pem(key))
    refused(path, "identity-unusable", "PEM")
    path.write_bytes(b"x" * 70_000)
    refused(path, "identity-unusable", "pnc-gateway enrol")
    path.unlink()
    path.mkdir()
    refused(path, "identity-unusable", "directory")
    with pytest.raises(EnrolmentError) as unwritable:
        save_identity(path, key, (certificate,))
    assert unwritable.value.code == "identity-unwritable"


WRITER = """
import sys
from pathlib import Path
from gateway.enrol.identity import save_identity
from tests.gateway.rough_pki import Papers, leaf
papers = Papers()
pairs = [leaf(papers.backend, "site-1") for _ in range(8)]
print("ready", flush=True)
while True:
    for certificate, key in pairs:
        save_identity(Path(sys.argv[1]), key, (certificate,))
        print("saved", flush=True)
"""


def test_kill_9_in_the_middle_of_writing_leaves_a_whole_pair(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    for round_ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        assert writer.stdout is not None
        with writer.stdout as lines:
            for _ in range(3 + 7 * round_):
                assert lines.readline().strip() in ("ready", "saved")
            writer.send_signal(signal.SIGKILL)
            writer.wait(timeout=60)
        assert load_identity(path).leaf.parsed.subject

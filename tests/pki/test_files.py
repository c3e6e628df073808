"""Trust, CRLs and labs on disk: what is read, what is refused by name, and that a lab appears whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pki.errors import TrustError
from pki.issue.lab import Lab, LabFile
from pki.pem import encode_pem, parse_chain_pem
from pki.profiles import AnchorRole
from pki.service.files import load_crls, load_trust, write_file, write_lab


@pytest.fixture
def folder(made_lab: Lab, tmp_path: Path) -> Path:
    """The lab, written."""
    write_lab(made_lab, tmp_path / "lab")
    return tmp_path / "lab"


def test_a_written_lab_has_its_modes_and_leaves_nothing_beside(made_lab: Lab, folder: Path) -> None:
    for name, file in made_lab.files.items():
        path = folder / name
        assert path.read_bytes() == file.content
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == file.mode & 0o077
    assert [entry.name for entry in folder.parent.iterdir()] == ["lab"]


def test_a_lab_is_replaced_only_by_force_and_nothing_else_ever(made_lab: Lab, folder: Path) -> None:
    stray = folder / "stray.txt"
    stray.write_text("kept")
    with pytest.raises(TrustError) as caught:
        write_lab(made_lab, folder)
    assert caught.value.code == "lab-exists"
    assert stray.exists()
    write_lab(made_lab, folder, force=True)
    assert not stray.exists()
    assert [entry.name for entry in folder.parent.iterdir()] == ["lab"]
    other = folder.parent / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(TrustError):
        write_lab(made_lab, other, force=True)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_a_lab_that_cannot_be_written_leaves_nothing(tmp_path: Path, made_lab: Lab) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustError) as caught:
        write_lab(made_lab, tmp_path / "file" / "lab")
    assert caught.value.code == "unwritable"
    clash = Lab({"a": LabFile(b"", 0o644), "a/b": LabFile(b"", 0o644)}, made_lab.made_at)
    with pytest.raises(TrustError):
        write_lab(clash, tmp_path / "lab")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_trust_by_role(folder: Path) -> None:
    store = load_trust(folder / "trust")
    assert {role: len(store.anchors(role)) for role in AnchorRole} == {
        AnchorRole.V2G: 2,
        AnchorRole.MO: 3,
        AnchorRole.OEM: 2,
        AnchorRole.PE: 0,
        AnchorRole.BACKEND: 1,
    }


def test_trust_in_der_in_bundles_and_without_roles(folder: Path) -> None:
    trust = folder / "trust"
    mo = (trust / "mo" / "mo.pem").read_text()
    (trust / "mo" / "again.der").write_bytes(parse_chain_pem(mo)[0])
    (trust / "v2g" / "bundle.crt").write_text(mo + (trust / "v2g" / "v2g.pem").read_text())
    store = load_trust(trust)
    assert (len(store.anchors(AnchorRole.MO)), len(store.anchors(AnchorRole.V2G))) == (3, 3)
    flat = load_trust(trust / "mo", [AnchorRole.MO, AnchorRole.V2G])
    assert flat.anchors(AnchorRole.MO) == flat.anchors(AnchorRole.V2G) == store.anchors(AnchorRole.MO)


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("csms/root.pem", None, "trust-folder"),
        ("mo/readme.txt", b"hello", "trust-file"),
        ("mo/junk.pem", b"hello", "trust-file"),
        ("mo/junk.der", b"\x30\x03\x02\x01\x01", "trust-file"),
        ("mo/empty.pem", b"", "trust-file"),
        ("mo/large.pem", bytes(300_000), "unreadable"),
        ("root.pem", None, "trust-file"),
        ("mo/deeper/root.pem", None, "trust-file"),
    ],
)
def test_what_does_not_belong_into_a_trust_folder_is_named(
    folder: Path, path: str, content: bytes | None, code: str
) -> None:
    stray = folder / "trust" / path
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes((folder / "trust" / "mo" / "mo.pem").read_bytes() if content is None else content)
    with pytest.raises(TrustError) as caught:
        load_trust(folder / "trust")
    assert caught.value.code == code
    named = stray.parent if code == "trust-folder" or stray.parent.name == "deeper" else stray
    assert str(named) in str(caught.value)


def test_an_intermediate_never_becomes_an_anchor(folder: Path) -> None:
    sub1 = parse_chain_pem((folder / "contracts" / "alice.pem").read_bytes())[2]
    (folder / "trust" / "mo" / "sub1.pem").write_text(encode_pem(sub1))
    with pytest.raises(TrustError, match="not a root") as caught:
        load_trust(folder / "trust")
    assert caught.value.code == "trust-file"


def test_no_anchor_at_all_and_no_folder_are_errors(tmp_path: Path) -> None:
    (tmp_path / "mo").mkdir()
    for path, code in ((tmp_path, "trust-empty"), (tmp_path / "nowhere", "trust-folder")):
        with pytest.raises(TrustError) as caught:
            load_trust(path)
        assert caught.value.code == code


def test_lists_from_files_and_folders_in_der_and_pem(folder: Path) -> None:
    held = load_crls([folder / "crls"])
    assert len(held) == 28
    one = (folder / "crls" / "mo-sub2.crl").read_bytes()
    (folder / "list.pem").write_text(encode_pem(one, "X509 CRL") * 2)
    assert load_crls([folder / "list.pem", folder / "crls" / "mo-sub2.crl"]) == [one, one, one]
    (folder / "crls" / "notes.md").write_text("hello")
    for wrong, code in (
        (folder / "crls", "crl-file"),
        (folder / "contracts" / "alice.pem", "crl-file"),
        (folder / "none.crl", "unreadable"),
    ):
        with pytest.raises(TrustError) as caught:
            load_crls([wrong])
        assert caught.value.code == code


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    write_file(tmp_path / "key.pem", LabFile(b"first", 0o600))
    with pytest.raises(TrustError) as caught:
        write_file(tmp_path / "key.pem", LabFile(b"second", 0o600))
    assert caught.value.code == "unwritable"
    assert (tmp_path / "key.pem").read_bytes() == b"first"
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600

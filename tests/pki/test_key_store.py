"""Keys in encrypted files: what is kept comes back, and whatever others could read is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pki.certificate import KeyKind
from pki.errors import IssueError, KeyStoreError
from pki.issue.keys import (
    encode_encrypted_key,
    encode_key_pem,
    generate_key,
    key_kind_of,
    parse_encrypted_key,
    public_key_der,
)
from pki.service.key_store import FileKeyStore, KeyStore, read_credential, read_passphrase

KINDS = (KeyKind.P256, KeyKind.P521, KeyKind.ED448)
WORD = b"correct horse battery staple"


@pytest.fixture
def store(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", WORD)


def refused(act: Callable[[], object]) -> KeyStoreError:
    with pytest.raises(KeyStoreError) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_an_encrypted_key_comes_back_with_its_passphrase_only(kind: KeyKind) -> None:
    key = generate_key(kind)
    text = encode_encrypted_key(key, WORD)
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    again = parse_encrypted_key(text, WORD)
    assert (key_kind_of(again), public_key_der(again)) == (kind, public_key_der(key))
    for wrong in (WORD + b"!", b"x", WORD.upper()):
        with pytest.raises(IssueError) as caught:
            parse_encrypted_key(text, wrong)
        assert caught.value.code == "passphrase"


def test_texts_that_hold_no_encrypted_key() -> None:
    text = encode_encrypted_key(generate_key(), WORD)
    for wrong in (b"", b"junk", encode_key_pem(generate_key()), text + text, text[:-10]):
        with pytest.raises(IssueError) as caught:
            parse_encrypted_key(wrong, WORD)
        assert caught.value.code == "malformed-key"
    for word in (b"", bytes(1024)):
        with pytest.raises(IssueError) as caught:
            encode_encrypted_key(generate_key(), word)
        assert caught.value.code == "passphrase"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_created_is_loaded(store: FileKeyStore, kind: KeyKind) -> None:
    held: KeyStore = store
    key = held.create("v2g-root", kind)
    assert public_key_der(held.load("v2g-root")) == public_key_der(key)
    assert held.names() == ("v2g-root",)
    assert public_key_der(FileKeyStore(store.folder, WORD).load("v2g-root")) == public_key_der(key)


def test_files_are_the_owners_alone_and_nothing_else_is_left(store: FileKeyStore) -> None:
    store.create("mo-sub2", KeyKind.P256)
    store.create("cpo.sub1", KeyKind.P256)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert sorted(os.listdir(store.folder)) == ["cpo.sub1.key", "mo-sub2.key"]
    for file in store.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"ENCRYPTED" in file.read_bytes()
    assert store.names() == ("cpo.sub1", "mo-sub2")


def test_a_key_is_never_replaced(store: FileKeyStore) -> None:
    before = public_key_der(store.create("root", KeyKind.P256))
    assert refused(lambda: store.create("root", KeyKind.P256)).code == "key-exists"
    assert public_key_der(store.load("root")) == before
    (store.folder / "link.key").symlink_to(store.folder / "elsewhere")
    assert refused(lambda: store.create("link", KeyKind.P256)).code == "key-exists"
    assert not (store.folder / "elsewhere").exists()


@pytest.mark.parametrize("name", ["", ".hidden", "../root", "a/b", "a\0b", "a" * 65, "ä", "a b"])
def test_names_that_are_none(store: FileKeyStore, name: str) -> None:
    assert refused(lambda: store.create(name, KeyKind.P256)).code == "key-name"
    assert refused(lambda: store.load(name)).code == "key-name"


def test_a_wrong_passphrase_is_told_as_such(store: FileKeyStore) -> None:
    store.create("root", KeyKind.P256)
    error = refused(lambda: FileKeyStore(store.folder, WORD.upper()).load("root"))
    assert (error.code, "root.key: the passphrase does not open" in str(error)) == ("passphrase", True)


def test_a_missing_and_a_damaged_key(store: FileKeyStore) -> None:
    assert store.names() == ()
    assert refused(lambda: store.load("root")).code == "key-missing"
    store.create("other", KeyKind.P256)
    error = refused(lambda: store.load("root"))
    assert (error.code, "holds 1 others" in str(error)) == ("key-missing", True)
    store.create("root", KeyKind.P256)
    path = store.folder / "root.key"
    text = path.read_bytes()
    path.write_bytes(text[:-30])
    assert refused(lambda: store.load("root")).code == "key-store"
    path.write_bytes(bytes(20_000))
    assert refused(lambda: store.load("root")).code == "key-store"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o610])
def test_a_key_that_others_could_read_is_not_used(store: FileKeyStore, mode: int) -> None:
    store.create("root", KeyKind.P256)
    (store.folder / "root.key").chmod(mode)
    error = refused(lambda: store.load("root"))
    assert (error.code, f"mode {mode:04o}" in str(error), "chmod 600" in str(error)) == ("key-permissions", True, True)


@pytest.mark.parametrize("mode", [0o701, 0o750, 0o755, 0o777])
def test_a_folder_that_is_open_to_others_is_not_used(store: FileKeyStore, mode: int) -> None:
    store.create("root", KeyKind.P256)
    store.folder.chmod(mode)
    acts: list[Callable[[], object]] = [
        lambda: store.load("root"),
        lambda: store.create("other", KeyKind.P256),
        store.names,
    ]
    for act in acts:
        error = refused(act)
        assert (error.code, "chmod 700" in str(error)) == ("key-permissions", True)


def test_symbolic_links_are_not_followed(store: FileKeyStore, tmp_path: Path) -> None:
    store.create("root", KeyKind.P256)
    (store.folder / "copy.key").symlink_to("root.key")
    error = refused(lambda: store.load("copy"))
    assert (error.code, "symbolic link" in str(error)) == ("key-permissions", True)
    (tmp_path / "linked").symlink_to(store.folder)
    assert refused(lambda: FileKeyStore(tmp_path / "linked", WORD).names()).code == "key-permissions"
    assert refused(lambda: FileKeyStore(tmp_path / "linked", WORD).create("a", KeyKind.P256)).code == "key-permissions"
    os.mkfifo(store.folder / "pipe.key", 0o600)
    assert refused(lambda: store.load("pipe")).code == "key-store"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_key_of_another_user_is_not_used(store: FileKeyStore) -> None:
    store.create("root", KeyKind.P256)
    os.chown(store.folder / "root.key", 4711, 4711)
    error = refused(lambda: store.load("root"))
    assert (error.code, "belongs to user 4711" in str(error)) == ("key-permissions", True)


def test_a_store_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "keys"):
        store = FileKeyStore(folder, WORD)
        assert refused(lambda store=store: store.create("root", KeyKind.P256)).code == "key-store"
        assert refused(store.names).code == "key-store"
    FileKeyStore(tmp_path / "new" / "keys", WORD).create("root", KeyKind.P256)
    assert stat.S_IMODE((tmp_path / "new" / "keys").stat().st_mode) == 0o700


def test_a_key_made_elsewhere_is_kept(store: FileKeyStore) -> None:
    key = generate_key(KeyKind.P521)
    store.keep("root", key)
    assert public_key_der(store.load("root")) == public_key_der(key)
    assert refused(lambda: store.keep("root", key)).code == "key-exists"


def test_a_short_passphrase_keeps_nothing(tmp_path: Path) -> None:
    error = refused(lambda: FileKeyStore(tmp_path / "keys", b"elevenchars"))
    assert (error.code, "11 characters, at least 12" in str(error)) == ("passphrase", True)


def private(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_passphrase_is_one_line_of_a_private_file(tmp_path: Path, ending: bytes) -> None:
    path = private(tmp_path / "passphrase", WORD + ending)
    assert read_passphrase(path) == WORD
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_credential("passphrase", environment) == WORD
    path.chmod(0o440)
    assert read_credential("passphrase", environment) == WORD
    assert refused(lambda: read_passphrase(path)).code == "key-permissions"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"a\0b"])
def test_contents_that_are_no_passphrase(tmp_path: Path, content: bytes) -> None:
    path = private(tmp_path / "passphrase", content)
    assert refused(lambda: read_passphrase(path)).code == "passphrase"


def test_passphrases_that_are_nowhere_or_for_all_to_read(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    path = private(tmp_path / "open", WORD, 0o604)
    (tmp_path / "link").symlink_to(path)
    for name, known, code in (
        ("a", {}, "passphrase"),
        ("a", environment, "passphrase"),
        ("", environment, "passphrase"),
        ("../a", environment, "passphrase"),
        ("open", environment, "key-permissions"),
        ("link", environment, "key-permissions"),
    ):
        assert refused(lambda name=name, known=known: read_credential(name, known)).code == code
    assert refused(lambda: read_passphrase(tmp_path / "none")).code == "passphrase"
    assert refused(lambda: read_passphrase(tmp_path / "link")).code == "key-permissions"
    assert refused(lambda: read_passphrase(private(tmp_path / "long", bytes(2000)))).code == "key-store"
    assert refused(lambda: read_passphrase(tmp_path)).code == "key-store"

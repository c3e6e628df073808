"""Passwords of charging stations: what proves an identity, and what does not."""

from __future__ import annotations

import base64

import pytest

from gateway.chargers.credentials import PasswordHash, proven_hash

SALT = bytes(range(16))
HEX = "0123456789abcdef0123456789abcdef01234567"
PASSWORDS = {
    "cp-1": PasswordHash.of(b"secret:with:colons", SALT),
    "cp-hex": PasswordHash.of(HEX.encode(), SALT),
    "cp-upper": PasswordHash.of(HEX.upper().encode(), SALT),
    "cp-raw": PasswordHash.of(b"\xff\xfe\x00raw", SALT),
    "cp-empty": PasswordHash.of(b"", SALT),
}


def check_basic(header: str | None, charger_id: str) -> bool:
    held = [PASSWORDS[charger_id.casefold()]] if charger_id.casefold() in PASSWORDS else []
    return proven_hash(header, charger_id, held) is not None


def basic(user: bytes, password: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(user + b':' + password).decode()}"


@pytest.mark.parametrize(
    ("header", "charger_id"),
    [
        (basic(b"CP-1", b"secret:with:colons"), "CP-1"),
        (basic(b"cp-1", b"secret:with:colons", "bAsIc"), "CP-1"),
        (basic(b"CP-HEX", HEX.encode()), "CP-HEX"),
        (basic(b"CP-HEX", bytes.fromhex(HEX)), "CP-HEX"),
        (basic(b"CP-UPPER", bytes.fromhex(HEX)), "CP-UPPER"),
        (basic(b"CP-RAW", b"\xff\xfe\x00raw"), "CP-RAW"),
        (basic(b"CP-EMPTY", b""), "CP-EMPTY"),
    ],
)
def test_who_knows_the_password_is_the_station(header: str, charger_id: str) -> None:
    assert check_basic(header, charger_id)


GOOD = base64.b64encode(b"CP-1:secret:with:colons").decode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        f"Bearer {GOOD}",
        f"Digest {GOOD}",
        GOOD,
        f"Basic {GOOD}x",
        f"Basic {GOOD[:-3]}",
        f"Basic {GOOD} {GOOD}",
        "Basic \udcff\udcfe",
        "Basic é",
        f"Basic {base64.b64encode(b'CP-1').decode()}",
        basic(b"CP-1", b"secret"),
        basic(b"CP-1", b"secret:with:colons "),
        basic(b"CP-1", b""),
        basic(b"CP-2", b"secret:with:colons"),
        basic(b"CP-HEX", HEX.encode()),
        basic(b"", b"secret:with:colons"),
        basic(b"\xff\xfe", b"secret:with:colons"),
        basic(b"CP-1\x00", b"secret:with:colons"),
    ],
)
def test_anything_else_is_nobody(header: str | None) -> None:
    assert not check_basic(header, "CP-1")


@pytest.mark.parametrize("password", [b"", b"\0" * 16, HEX.encode()])
def test_unknown_identity_has_no_password(password: bytes) -> None:
    assert not check_basic(basic(b"CP-9", password), "CP-9")


def test_hex_of_another_case_than_configured_is_one_secret_only_as_bytes() -> None:
    """A 1.6 station sends the bytes; text is compared as it stands."""
    assert not check_basic(basic(b"CP-HEX", HEX.upper().encode()), "CP-HEX")


def test_any_good_password_proves_and_which_one_is_told() -> None:
    old, new = PasswordHash.of(b"old", SALT), PasswordHash.of(b"new", SALT)
    assert proven_hash(basic(b"CP-1", b"old"), "CP-1", [old, new]) is old
    assert proven_hash(basic(b"CP-1", b"new"), "CP-1", [old, new]) is new
    assert proven_hash(basic(b"CP-1", b"other"), "CP-1", [old, new]) is None


def test_hash_is_read_back_as_written() -> None:
    made = PasswordHash.of(b"word", SALT)
    assert PasswordHash.parse(str(made)) == made


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "sha256$<salt>$<hash>"),
        ("sha256$00", "sha256$<salt>$<hash>"),
        ("md5$" + "00" * 8 + "$" + "00" * 32, "sha256$<salt>$<hash>"),
        ("sha256$" + "0g" * 8 + "$" + "00" * 32, "not hex"),
        ("sha256$" + "٠٠" * 8 + "$" + "00" * 32, "not hex"),
        ("sha256$" + "00" * 7 + "$" + "00" * 32, "at least 8 bytes"),
        ("sha256$" + "00" * 8 + "$" + "00" * 31, "hash of 32"),
        ("sha256$" + "00" * 8 + "$" + "00" * 32 + "$", "sha256$<salt>$<hash>"),
    ],
)
def test_what_is_no_hash_says_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        PasswordHash.parse(text)
    assert problem in str(refused.value)

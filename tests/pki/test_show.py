"""Show: trees and bars for anything that is put into it, and nothing that a certificate says reaches the terminal."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from rich.cells import cell_len
from rich.console import Console

from pki.__main__ import main
from pki.certificate import parse_certificate
from pki.issue.keys import generate_key, signing_hash
from pki.issue.lab import Lab
from pki.pem import encode_pem, parse_chain_pem
from pki.service.bars import Life, ValidityBars
from pki.service.files import write_lab
from pki.service.second_reading import disagreement, read_again
from pki.service.show import chain_tree
from tests.pki.mint import AT, CA_USAGE, Branch, Spec, name_of
from tests.pki.spoil import serial_octets, twice_key_usage, version_1

NOW = datetime(2026, 11, 23, tzinfo=UTC)
YEAR = timedelta(days=365)
WHEN = AT.isoformat()


@pytest.fixture(scope="module")
def folder(made_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab, written once; tests only read it."""
    path = tmp_path_factory.mktemp("show") / "lab"
    write_lab(made_lab, path)
    return path


def show(path: Path, *arguments: str) -> Result:
    found = CliRunner().invoke(main, ["show", str(path), *arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def drawn(lives: list[Life], *, width: int = 80, encoding: str = "utf-8", at: datetime = NOW) -> list[str]:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding), width=width)
    console.print(ValidityBars(lives, at))
    console.file.flush()
    return raw.getvalue().decode(encoding).splitlines()


def test_chains_lists_and_other_things(folder: Path, tmp_path: Path) -> None:
    shown = show(folder / "contracts/alice.pem").stdout
    tree = shown[shown.index("3 certificates") :]
    assert tree.index("Sub-CA 1") < tree.index("Sub-CA 2") < tree.index("0: ")
    assert "DEABC000000001G" in shown
    assert "1 certificate;" in show(folder / "backend/hub.pem").stdout
    assert "localhost" in show(folder / "backend/hub.pem").stdout
    listed = show(folder / "crls/mo-sub2.crl").stdout
    assert "entries 1" in listed
    as_pem = tmp_path / "list.pem"
    as_pem.write_text(encode_pem((folder / "crls/mo-sub2.crl").read_bytes(), "X509 CRL"))
    assert show(as_pem).stdout == listed
    for wrong in (folder / "contracts/alice.key.pem", folder / "contracts", tmp_path / "none"):
        found = show(wrong)
        assert (found.exit_code, found.stdout) == (2, "")
    assert show(folder / "contracts/alice.pem", "--at", "soon").exit_code == 2


def test_certificates_as_json(folder: Path, tmp_path: Path) -> None:
    path = folder / "contracts/alice.pem"
    leaf, *_ = map(parse_certificate, parse_chain_pem(path.read_bytes()))
    said = json.loads(show(path, "--json").stdout)["certificates"]
    assert [entry["index"] for entry in said] == [0, 1, 2]
    assert (said[0]["serial"], said[0]["sha256"], said[0]["ca"]) == (f"{leaf.serial:x}", leaf.sha256, False)
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x30\x00")
    found = show(junk, "--json")
    (entry,) = json.loads(found.stdout)["certificates"]
    assert (found.exit_code, entry["code"]) == (2, "malformed-certificate")


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(main, ["--version"]).stdout
    assert told == f"pnc-pki, version {version('pncgate')}\n"


def test_text_around_the_blocks_is_passed_over(folder: Path, tmp_path: Path) -> None:
    plain = folder / "contracts/alice.pem"
    blocks = [encode_pem(der) for der in parse_chain_pem(plain.read_bytes())]
    wordy = tmp_path / "wordy.pem"
    fake = "subject=CN = x -----BEGIN CERTIFICATE-----\n"
    wordy.write_text("".join(f"{fake}issuer=CN = Zürich\n\n{block}\n" for block in blocks))
    assert show(wordy, "--at", WHEN).stdout == show(plain, "--at", WHEN).stdout
    close = tmp_path / "close.pem"
    close.write_text("".join(block.rstrip() for block in blocks))
    assert show(close, "--at", WHEN).stdout == show(plain, "--at", WHEN).stdout
    linted = [CliRunner().invoke(main, ["lint", str(path)]) for path in (plain, wordy)]
    assert linted[0].stdout == linted[1].stdout
    verified = CliRunner().invoke(main, ["verify", str(wordy), "--trust", str(folder / "trust"), "--at", WHEN])
    assert (verified.exit_code, "malformed-pem" in verified.stderr) == (2, True)


def test_what_is_no_certificate_is_told_as_what_it_is(folder: Path, tmp_path: Path) -> None:
    key = generate_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, signing_hash(key))
    answer = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    der, pem = serialization.Encoding.DER, serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for content, told in (
        (request.public_bytes(pem), "this is a certificate request; openssl req -text shows it"),
        (request.public_bytes(der), "this is a certificate request; openssl req -text shows it"),
        (key.private_bytes(pem, *plain), "this is a private key"),
        (key.private_bytes(der, *plain), "this is a private key"),
        (answer.public_bytes(der), "this is an OCSP answer"),
        (b"hello", "no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nMA==\n", "a PEM block of CERTIFICATE does not end"),
        (encode_pem(b"0").encode() * 65, "more than 64 PEM blocks"),
    ):
        path = tmp_path / "thing"
        path.write_bytes(content)
        for command in ("show", "lint"):
            found = CliRunner().invoke(main, [command, str(path)])
            assert (found.exit_code, found.stdout) == (2, "")
            assert f": {path}: {told}" in found.stderr
    path.write_bytes(b"\x30\x00")
    assert f": {path}: " in CliRunner().invoke(main, ["lint", str(path)]).stderr


def test_a_list_is_known_by_its_content(folder: Path, tmp_path: Path) -> None:
    listed = folder / "crls/mo-sub2.crl"
    path = tmp_path / "list.der"
    path.write_bytes(listed.read_bytes())
    assert show(path).stdout == show(listed).stdout
    assert "delta" not in show(path).stdout
    assert "this is a list of revoked certificates" in CliRunner().invoke(main, ["lint", str(path)]).stderr


def test_the_bars_share_an_axis_and_mark_the_instant(folder: Path) -> None:
    lines = show(folder / "contracts/expired.pem", "--at", WHEN).stdout.splitlines()
    bars = lines[1:4]
    assert [bar.split()[0] for bar in bars] == ["2", "1", "0"]
    assert len({bar.index("│") for bar in bars}) == 1
    assert bars[0].index("│") == lines[4].index("^")
    assert f"now {AT:%Y-%m-%d}" in lines[4]
    assert "expired 2026-10-24" in bars[2]
    assert "until 20" in bars[0]


def test_states_of_a_life() -> None:
    lives = [
        Life("past", NOW - 3 * YEAR, NOW - YEAR),
        Life("present", NOW - YEAR, NOW + YEAR),
        Life("future", NOW + YEAR, NOW + 2 * YEAR),
        Life("never", NOW + YEAR, NOW - YEAR),
        Life("last second", NOW - YEAR, NOW),
    ]
    heading, *bars, foot = drawn(lives)
    assert [bar.split()[-2:] for bar in bars] == [
        ["expired", "2025-11-23"],
        ["until", "2027-11-23"],
        ["from", "2027-11-23"],
        ["never", "valid"],
        ["until", "2026-11-23"],
    ]
    assert "█" not in bars[0]
    assert "░" in bars[0]
    assert "░" in bars[1]
    assert "█" in bars[1]
    assert "░" not in bars[2]
    assert "░" not in bars[3]
    assert "█" not in bars[3]
    assert heading.split() == ["2023-11-24", "2028-11-22"]
    assert foot.strip() in ("^ now 2026-11-23", "now 2026-11-23 ^")


def test_a_life_without_end_does_not_flatten_the_others() -> None:
    lives = [
        Life("root", datetime(1950, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        Life("leaf", NOW - YEAR, NOW + 3 * YEAR),
    ]
    _, root, leaf, _ = drawn(lives)
    assert root.count("◀") == root.count("▶") == 1
    assert leaf.count("█") > 20
    (alone,) = drawn(lives[:1])[1:2]
    assert "│" in alone


@pytest.mark.parametrize("width", [50, 80, 120, 240])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_screen(width: int, encoding: str) -> None:
    label = "0 " + ("電動車充電" * 20 if encoding == "utf-8" else "name " * 30)
    lines = drawn([Life(label, NOW - YEAR, NOW + YEAR), Life("1 b", NOW, NOW)], width=width, encoding=encoding)
    assert len(lines) == 4
    assert max(cell_len(line) for line in lines) <= width
    assert ("=" in lines[1]) == (encoding == "ascii")


def test_no_lives_draw_nothing() -> None:
    assert drawn([]) == []


HOSTILE = {
    "escape": ("\x1b[31mred[/]", "\\x1b[31mred[/]"),
    "markup": ("[bold]name[/bold][link=x]", "[bold]name[/bold][link=x]"),
    "line feeds": ("a\r\nb\tc", "\\r\\nb\\tc"),
    "right to left": ("abc\u202edef", "abc\\u202edef"),
    "zero width": ("ab\u200bc", "ab\\u200bc"),
    "wide": ("電動車" * 6, "電動車"),
    "emoji": (":smile: \U0001f600", ":smile:"),
}


@pytest.mark.parametrize(("name", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_subject_does_not_write_to_the_terminal(tmp_path: Path, name: str, told: str) -> None:
    loud = Spec(name_of(name), True, None, CA_USAGE)
    path = tmp_path / "loud.pem"
    path.write_text(encode_pem(loud.mint(loud)))
    for command in ("show", "lint"):
        found = CliRunner().invoke(main, [command, str(path)])
        assert found.exception is None or isinstance(found.exception, SystemExit)
        assert told in found.stdout
        assert all(character.isprintable() or character == "\n" for character in found.stdout)


def test_a_name_that_the_terminal_cannot_spell_is_escaped(tmp_path: Path) -> None:
    foreign = Spec(name_of("Zürich 電動車"), True, None, CA_USAGE)
    path = tmp_path / "foreign.pem"
    path.write_text(encode_pem(foreign.mint(foreign)))
    for command in ("show", "lint"):
        found = CliRunner(charset="ascii").invoke(main, [command, str(path)])
        assert found.exception is None or isinstance(found.exception, SystemExit)
        assert "Z\\xfcrich" in found.stdout


def test_what_cannot_be_read_is_shown_by_the_second_parser(tmp_path: Path, branch: Branch) -> None:
    branch.leaf.surgery = twice_key_usage
    leaf, sub2, sub1 = branch.mint()
    path = tmp_path / "chain.pem"
    path.write_text("".join(encode_pem(der) for der in (leaf, sub2, sub1)))
    found = show(path)
    assert found.exit_code == 2
    assert "0: duplicate-extension: extension 2.5.29.15 appears twice" in found.stdout
    assert "a second parser reads" in found.stdout
    assert "DEABC000000001G" in found.stdout
    assert "1: CN=Sub2" in found.stdout


@pytest.mark.parametrize(
    "junk", [b"\x30\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30" + b"\x30\x80" * 2000, b"\x30\x82\x10"]
)
def test_junk_is_named_and_never_a_traceback(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "junk.der"
    path.write_bytes(junk)
    found = show(path)
    assert found.exit_code == 2
    assert "0: " in found.stdout


def test_both_parsers_read_the_whole_lab_alike(made_lab: Lab) -> None:
    chains = [
        parse_chain_pem(file.content)
        for path, file in made_lab.files.items()
        if path.endswith(".pem") and not path.endswith(".key.pem")
    ]
    certificates = [parse_certificate(der) for chain in chains for der in chain]
    assert len(certificates) > 50
    assert {disagreement(certificate) for certificate in certificates} == {None}
    assert all(read_again(entry.der).serial == entry.serial for entry in certificates[:5])


def test_what_both_parsers_read_differently_is_said(branch: Branch) -> None:
    good = parse_certificate(branch.leaf.mint(branch.sub2))
    changed = msgspec.structs.replace(good, serial=good.serial + 1, not_after=good.not_after + YEAR)
    assert disagreement(changed) == "a second parser reads another serial, not_after"
    cut = msgspec.structs.replace(good, der=good.der[:-1])
    assert (disagreement(cut) or "").startswith("a second parser cannot read it")
    assert "a second parser" in "".join(str(node.label) for node in chain_tree([changed]).children[0].children)


def test_the_second_parser_reads_what_ours_refuses(branch: Branch) -> None:
    branch.leaf.surgery = serial_octets(b"\0")
    assert read_again(branch.leaf.mint(branch.sub2)).serial == 0
    branch.leaf.surgery = version_1
    assert "DEABC000000001G" in read_again(branch.leaf.mint(branch.sub2)).subject

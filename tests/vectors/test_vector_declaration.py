"""Making conformance vectors: the command, mistakes in a declaration, and keys that anybody can compute again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa

from pki.__main__ import main
from pki.certificate import parse_certificate
from pki.errors import DeclarationError
from pki.issue.vectors import build_vectors, parse_vector_file, parse_vectors
from pki.issue.vectors_keys import HashName, KeyForm, derive_key, public_key_der, sign
from pki.pem import parse_chain_pem

CASES = (Path(__file__).parents[2] / "certs" / "vectors" / "cases.toml").read_text()
HEAD = CASES[: CASES.index("[[group]]")]


def declared(*cases: str, head: str = HEAD) -> bytes:
    """The real suites and branches, with these cases for -2 only."""
    listed = ",\n".join(f'{{ id = "case-{number}", title = "x", {case} }}' for number, case in enumerate(cases))
    return f'{head}\n[[group]]\ntitle = "x"\nfile = "x"\nin = ["2"]\ncases = [\n{listed}\n]\n'.encode()


def test_the_command_makes_files_once_and_replaces_them_on_demand(tmp_path: Path) -> None:
    declaration, folder = tmp_path / "cases.toml", tmp_path / "deep" / "made"
    declaration.write_bytes(declared('expect = "accepted"'))
    ran = CliRunner().invoke(main, ["lab", str(declaration), "--vectors", str(folder)])
    assert (ran.exit_code, ran.stdout) == (0, f"1 files in {folder}\n")
    (path,) = folder.iterdir()
    first = path.read_bytes()
    assert [case.id for case in parse_vector_file(first).cases] == ["iso15118-2/case-0"]
    ran = CliRunner().invoke(main, ["lab", str(declaration), "--vectors", str(folder)])
    assert (ran.exit_code, "vectors-exist" in ran.stderr) == (2, True)
    path.write_bytes(b"older")
    (folder / "README.md").write_text("stays")
    ran = CliRunner().invoke(main, ["lab", str(declaration), "--vectors", str(folder), "--force"])
    assert (ran.exit_code, path.read_bytes()) == (0, first)
    assert sorted(entry.name for entry in folder.iterdir()) == ["README.md", path.name]


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    declaration, taken = tmp_path / "cases.toml", tmp_path / "taken"
    declaration.write_bytes(declared('expect = "accepted"'))
    taken.write_text("a file")
    for arguments, told in (
        (["--vectors", str(taken)], "unwritable"),
        (["--vectors", str(tmp_path / "x"), "--at", "2026-11-23T00:00:00Z"], "instants themselves"),
    ):
        ran = CliRunner().invoke(main, ["lab", str(declaration), *arguments])
        assert (ran.exit_code, told in ran.stderr) == (2, True), ran.stderr
    declaration.write_text("at = ")
    ran = CliRunner().invoke(main, ["lab", str(declaration), "--vectors", str(tmp_path / "x")])
    assert (ran.exit_code, "declaration" in ran.stderr) == (2, True)


MISTAKES = [
    ('expect = "acepted"', "no code 'acepted'"),
    ('expect = "accepted", in = ["3"]', "no suite '3'"),
    ('expect = "accepted", emad = "x"', "unknown field `emad`"),
    ('expect = "accepted", role = "vehicle"', "branch 2.vehicle: trust"),
    ('expect = "accepted", chain = ["leaf", "sub3"]', "no certificate 'sub3'"),
    ('expect = "accepted", with.sub3 = { like = "sub4" }, chain = ["sub3"]', "no certificate 'sub4'"),
    (
        'expect = "accepted", with.a = { like = "b" }, with.b = { like = "a" }, chain = ["a"]',
        "no certificate 'a' to make 'b' from",
    ),
    ('expect = "accepted", with.sub1.issuer = "leaf"', "stands above itself"),
    ('expect = "accepted", with.leaf.dais = [1, 2]', "unknown field `dais`"),
    ('expect = "accepted", with.leaf.add = ["nothing"]', "no extension 'nothing'"),
    ('expect = "accepted", with.leaf = { key_form = "ed448", point = "compressed" }', "no compressed key"),
    ('expect = "accepted", with.leaf.days = [0, 99999999]', "too large"),
    ('expect = "accepted", crls = ["nobody"]', "no certificate 'nobody'"),
]


@pytest.mark.parametrize(("case", "told"), MISTAKES, ids=[told for _, told in MISTAKES])
def test_a_mistake_is_named_with_its_case(case: str, told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        build_vectors(parse_vectors(declared(case)))
    assert caught.value.code == "declaration"
    assert told in str(caught.value)


def test_a_case_is_declared_once_and_the_instant_is_aware() -> None:
    twice = declared('expect = "accepted"') + b'[[group]]\ntitle = "x"\nfile = "y"\n'
    twice += b'cases = [{ id = "case-0", title = "x", expect = "accepted" }]\n'
    naive = declared('expect = "accepted"', head=HEAD.replace("12:00:00Z", "12:00:00", 1))
    for text, told in ((twice, "declared twice"), (naive, "UTC offset")):
        with pytest.raises(DeclarationError, match=told):
            parse_vectors(text)


def test_a_copy_of_a_copy_begins_as_the_first_one() -> None:
    made = build_vectors(
        parse_vectors(
            declared(
                'with.a = { like = "sub2", cn = "A" }, with.b = { like = "a", path_length = 1 },'
                ' chain = ["a", "b"], expect = "accepted"'
            )
        )
    )
    (file,) = made.values()
    chain = parse_chain_pem("".join(parse_vector_file(file).cases[0].chain))
    first, second = (parse_certificate(der) for der in chain)
    assert (first.subject_der, first.issuer_der) == (second.subject_der, second.issuer_der)
    assert (first.basic_constraints.path_length, second.basic_constraints.path_length) == (0, 1)
    assert first.spki_der != second.spki_der


def test_a_file_that_holds_no_vectors_is_refused() -> None:
    with pytest.raises(DeclarationError) as caught:
        parse_vector_file(b'{"format": 1}')
    assert caught.value.code == "vectors"


# SHA-256 over the SubjectPublicKeyInfo, so that other seeds, names or libraries cannot change the keys unseen.
KEYS = {
    KeyForm.P256: "cda0beb28759468e",
    KeyForm.P521: "6f1fd8a064bf2da1",
    KeyForm.ED448: "006345c41a271575",
    KeyForm.P384: "6cf22ecf09ccb954",
    KeyForm.K256: "ce9fd9eaef81858c",
    KeyForm.ED25519: "ed6f172e471d85c3",
    KeyForm.RSA: "c83dfae344a3d823",
}


@pytest.mark.parametrize("form", list(KeyForm))
def test_keys_and_signatures_are_the_same_each_time(form: KeyForm) -> None:
    key = derive_key("seed", "name", form)
    assert hashlib.sha256(public_key_der(key)).hexdigest()[:16] == KEYS[form]
    assert public_key_der(derive_key("seed", "other", form)) != public_key_der(key)
    assert sign(key, HashName.SHA256, b"message") == sign(key, HashName.SHA256, b"message")
    if isinstance(key, rsa.RSAPrivateKey):
        assert key.key_size == 2048

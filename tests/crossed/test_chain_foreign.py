"""Our chains before foreign judges: the openssl command, pyOpenSSL, and a TLS handshake of the standard library."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import crypto

from pki.issue.lab import build_lab, parse_declaration
from pki.pem import encode_pem
from pki.service.files import write_lab

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASES = [
    ("contracts/alice", "mo/mo", True),
    ("contracts/bob", "mo/mo", True),
    ("contracts/carol", "mo/mo", True),
    ("secc/secc-1", "v2g/v2g", True),
    ("cps/cps-1", "v2g/v2g", True),
    ("oem/car-1", "oem/oem", True),
    ("contracts/revoked", "mo/mo", False),
    ("contracts/expired", "mo/mo", False),
    ("contracts/forged", "mo/mo", False),
    ("contracts/forged-sub2", "mo/mo", False),
    ("contracts-20/dora", "mo/mo20", True),
    ("contracts-448/emil", "mo/mo448", True),
    ("secc-20/secc-20", "v2g/v2g20", True),
    ("cps-20/cps-20", "v2g/v2g20", True),
    ("oem-20/car-20", "oem/oem20", True),
    ("vehicle-20/vehicle-20", "oem/oem20", True),
    ("contracts-20/revoked-20", "mo/mo20", False),
    ("contracts-20/forged-20", "mo/mo20", False),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab, made at AT."""
    path = tmp_path_factory.mktemp("foreign") / "lab"
    declared = parse_declaration((Path(__file__).parents[2] / "certs" / "lab.toml").read_bytes())
    write_lab(build_lab(declared, AT), path)
    return path


@pytest.mark.parametrize(("name", "root", "good"), CASES, ids=[case[0] for case in CASES])
def test_openssl_command_agrees(folder: Path, tmp_path: Path, name: str, root: str, good: bool) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command on this machine: the foreign judgement of our chains did not take place")
    blocks = (folder / f"{name}.pem").read_text().split("-----END CERTIFICATE-----\n")[:-1]
    leaf, *subs = [block + "-----END CERTIFICATE-----\n" for block in blocks]
    (tmp_path / "leaf.pem").write_text(leaf)
    (tmp_path / "subs.pem").write_text("".join(subs))
    lists = "".join(encode_pem(path.read_bytes(), "X509 CRL") for path in sorted((folder / "crls").iterdir()))
    (tmp_path / "lists.pem").write_text(lists)
    command = [openssl, "verify", "-x509_strict", "-crl_check_all", "-attime", str(int(AT.timestamp())), "-no-CApath"]
    command += ["-CAfile", str(folder / f"trust/{root}.pem"), "-CRLfile", str(tmp_path / "lists.pem")]
    command += ["-untrusted", str(tmp_path / "subs.pem"), str(tmp_path / "leaf.pem")]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode == 0) == good, said.stdout + said.stderr
    if "revoked" in name:
        assert "revoked" in said.stdout + said.stderr


@pytest.mark.parametrize(("name", "root", "good"), CASES, ids=[case[0] for case in CASES])
def test_pyopenssl_agrees(folder: Path, name: str, root: str, good: bool) -> None:
    def load(text: str) -> crypto.X509:
        return crypto.load_certificate(crypto.FILETYPE_PEM, text.encode())

    blocks = (folder / f"{name}.pem").read_text().split("-----END CERTIFICATE-----\n")[:-1]
    leaf, *subs = [load(block + "-----END CERTIFICATE-----\n") for block in blocks]
    store = crypto.X509Store()
    store.add_cert(load((folder / f"trust/{root}.pem").read_text()))
    for path in sorted((folder / "crls").iterdir()):
        store.add_crl(x509.load_der_x509_crl(path.read_bytes()))
    store.set_flags(
        crypto.X509StoreFlags.X509_STRICT | crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL
    )
    store.set_time(AT)
    context = crypto.X509StoreContext(store, leaf, subs)
    if good:
        context.verify_certificate()
        return
    with pytest.raises(crypto.X509StoreContextError):
        context.verify_certificate()


def test_backend_certificates_make_a_mutual_tls_connection(tmp_path: Path) -> None:
    """Strict checks on both sides; made now, because a TLS library has a clock of its own."""
    declared = parse_declaration((Path(__file__).parents[2] / "certs" / "lab.toml").read_bytes())
    write_lab(build_lab(declared, datetime.now(UTC)), tmp_path / "lab")
    backend = tmp_path / "lab" / "backend"
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(backend / "hub.pem", backend / "hub.key.pem")
    server_side.load_verify_locations(backend / "ca.pem")
    server_side.verify_mode = ssl.CERT_REQUIRED
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(backend / "ca.pem")
    client_side.load_cert_chain(backend / "site-1.pem", backend / "site-1.key.pem")
    for side in (server_side, client_side):
        side.verify_flags |= ssl.VERIFY_X509_STRICT
    seen = handshake(client_side, server_side)
    assert (("commonName", "site-1"),) in seen
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.load_verify_locations(tmp_path / "lab/trust/mo/mo.pem")
    with pytest.raises(ssl.SSLError):
        handshake(stranger, server_side)


def handshake(client_side: ssl.SSLContext, server_side: ssl.SSLContext) -> tuple[object, ...]:
    """The subject of the client as the server saw it, after a handshake through memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert not waiting
    certificate = server.getpeercert()
    assert certificate is not None
    return tuple(certificate["subject"])

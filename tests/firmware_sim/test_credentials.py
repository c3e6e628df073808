"""A charger's certificates: what it asks with, and what it takes."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firmware_sim.credentials import V2G, Credentials
from firmware_sim.dialect import Dialect
from firmware_sim.errors import ChargerError, StateError
from firmware_sim.ocpp16 import OCPP16
from firmware_sim.ocpp201 import OCPP201
from tests.gateway.rough_pki import Papers, leaf
from wire.ocpp.frames import Call
from wire.ocpp.pnc16 import VENDOR_ID

EVSE = "DE*PNC*E000001"
DIALECTS: list[Callable[[], Dialect]] = [OCPP201, OCPP16]


@pytest.fixture(scope="module")
def papers() -> Papers:
    return Papers()


def brought(dialect: Dialect, chain: str) -> Call:
    """The CALL that brings a chain."""
    inner = {"certificateChain": chain}
    if dialect.version == "2.0.1":
        return Call(message_id="1", action="CertificateSigned", payload=json.dumps(inner).encode())
    outer = {"vendorId": VENDOR_ID, "messageId": "CertificateSigned", "data": json.dumps(inner)}
    return Call(message_id="1", action="DataTransfer", payload=json.dumps(outer).encode())


def said(dialect: Dialect, answer: object) -> str:
    assert isinstance(answer, dict)
    found = answer if dialect.version == "2.0.1" else json.loads(str(answer["data"]))
    return str(found["status"])


@pytest.mark.parametrize("make", DIALECTS)
def test_chain_for_its_own_key_is_taken_and_nothing_else(
    make: Callable[[], Dialect], tmp_path: Path, papers: Papers
) -> None:
    dialect = make()

    async def run() -> None:
        requests: list[x509.CertificateSigningRequest] = []

        async def ask(action: str, payload: object) -> bytes:
            fields = json.loads(json.dumps(payload))
            inner = fields if dialect.version == "2.0.1" else json.loads(fields["data"])
            requests.append(x509.load_pem_x509_csr(inner["csr"].encode()))
            asyncio.get_running_loop().call_soon(bring)
            accepted = {"status": "Accepted"}
            wrapped = accepted | {"data": json.dumps(accepted)}
            return json.dumps(accepted if dialect.version == "2.0.1" else wrapped).encode()

        def bring() -> None:
            key = requests[-1].public_key()
            good, _ = leaf(papers.cpo2, EVSE, public_key=key, domain_component="CPO")  # type: ignore[arg-type]
            strange, _ = leaf(papers.cpo2, EVSE, domain_component="CPO")
            subs = [each.pem() for each in papers.cpo2.sent]
            for bad in (
                "",
                "no PEM",
                strange.pem() + "".join(subs),
                good.pem() + "".join(reversed(subs)),
                good.pem() + papers.mo2.certificate.pem(),
            ):
                assert said(dialect, credentials.called(brought(dialect, bad))) == "Rejected"
            assert said(dialect, credentials.called(brought(dialect, good.pem() + "".join(subs)))) == "Accepted"

        credentials = Credentials("CP-1", tmp_path, dialect, ask)
        with pytest.raises(StateError):
            credentials.chain()
        chain = await credentials.sign(EVSE, V2G)
        assert [len(chain), requests[0].is_signature_valid] == [3, True]
        assert credentials.answered == ["Rejected"] * 5 + ["Accepted"]
        path = tmp_path / "credentials.pem"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = load_pem_private_key(path.read_bytes(), None)
        assert key.public_key() == chain[0].public_key()

    asyncio.run(asyncio.wait_for(run(), 100))


@pytest.mark.parametrize("make", DIALECTS)
def test_other_calls_are_not_its_business(make: Callable[[], Dialect], tmp_path: Path) -> None:
    async def nobody(action: str, payload: object) -> bytes:
        raise AssertionError(action)

    credentials = Credentials("CP-1", tmp_path, make(), nobody)
    assert credentials.called(Call(message_id="1", action="Reset", payload=b"{}")) is None
    foreign = b'{"vendorId":"x","messageId":"CertificateSigned","data":"{}"}'
    found = credentials.called(Call(message_id="1", action="DataTransfer", payload=foreign))
    assert found is None


@pytest.mark.parametrize(
    ("status", "code"), [("Rejected", "rejected"), ("Accepted", "timeout"), (None, "unreadable-answer")]
)
def test_what_does_not_come_is_said(status: str | None, code: str, tmp_path: Path) -> None:
    async def ask(action: str, payload: object) -> bytes:
        return json.dumps({} if status is None else {"status": status}).encode()

    async def run() -> None:
        credentials = Credentials("CP-1", tmp_path, OCPP201(), ask)
        with pytest.raises(ChargerError) as error:
            await credentials.sign(EVSE, V2G, timeout_s=0.01)
        assert error.value.code == code

    asyncio.run(run())

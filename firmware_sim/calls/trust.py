"""The certificates a charger holds of others: InstallCertificate, GetInstalledCertificateIds, DeleteCertificate.

1.6 has them twice: as messages for the charger's own security (Improved Security for OCPP 1.6-J, M03 to M05), and
wrapped in DataTransfer for Plug & Charge. Source: OCPP 2.0.1 Part 2 M03 to M05.
"""

from __future__ import annotations

from itertools import pairwise

from firmware_sim.calls.reading import Read, Table, owed, status
from firmware_sim.credentials import Credentials
from firmware_sim.errors import StateError
from firmware_sim.holdings import Holdings
from firmware_sim.roots import USES, hash_data

_NAMES_16 = {"CentralSystemRootCertificate": "CSMSRootCertificate"}
"""What 1.6 calls a use otherwise."""


class _Install(Read, frozen=True, kw_only=True):
    certificate_type: str
    certificate: str


class _Hashes(Read, frozen=True, kw_only=True):
    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


class _Delete(Read, frozen=True, kw_only=True):
    certificate_hash_data: _Hashes


class _Listed16(Read, frozen=True, kw_only=True):
    certificate_type: str


class _Listed(Read, frozen=True, kw_only=True):
    certificate_type: tuple[str, ...] = ()


def tables(holdings: Holdings, credentials: Credentials) -> tuple[Table, Table]:
    """The entries for 1.6 and for 2.x; those of 2.x are also what 1.6 wraps."""
    answers = _Trust(holdings, credentials)
    both = {
        "InstallCertificate": owed(_Install, answers.install),
        "DeleteCertificate": owed(_Delete, answers.delete),
    }
    in_16 = {"GetInstalledCertificateIds": owed(_Listed16, answers.listed16)}
    in_2x = {"GetInstalledCertificateIds": owed(_Listed, answers.listed)}
    return {**both, **in_16}, {**both, **in_2x}


class _Trust:
    def __init__(self, holdings: Holdings, credentials: Credentials) -> None:
        self._roots, self._credentials = holdings.roots, credentials

    def install(self, request: _Install) -> dict[str, object]:
        use = _NAMES_16.get(request.certificate_type, request.certificate_type)
        if use not in USES:
            return status("Rejected")
        return status(self._roots.install(use, request.certificate))

    def delete(self, request: _Delete) -> dict[str, object]:
        named = request.certificate_hash_data
        wanted = {
            "hashAlgorithm": named.hash_algorithm,
            "issuerNameHash": named.issuer_name_hash,
            "issuerKeyHash": named.issuer_key_hash,
            "serialNumber": named.serial_number,
        }
        return status(self._roots.delete(wanted))

    def listed16(self, request: _Listed16) -> dict[str, object]:
        use = _NAMES_16.get(request.certificate_type, request.certificate_type)
        found = [hash_data(each, each) for _, each in self._roots.held((use,))]
        return status("Accepted", certificateHashData=found) if found else status("NotFound")

    def listed(self, request: _Listed) -> dict[str, object]:
        wanted = request.certificate_type
        found: list[dict[str, object]] = [
            {"certificateType": use, "certificateHashData": hash_data(each, each)}
            for use, each in self._roots.held(tuple(use for use in wanted if use in USES) or ("",) if wanted else ())
        ]
        if not wanted or "V2GCertificateChain" in wanted:
            found += self._own_chain()
        return status("Accepted", certificateHashDataChain=found) if found else status("NotFound")

    def _own_chain(self) -> list[dict[str, object]]:
        """The V2G certificate with its sub-CAs, each named by the one above it; the last by itself is no root."""
        try:
            chain = self._credentials.chain()
        except StateError:
            return []
        named = [hash_data(below, above) for below, above in pairwise(chain)]
        if not named:
            return []
        entry: dict[str, object] = {"certificateType": "V2GCertificateChain", "certificateHashData": named[0]}
        return [entry | {"childCertificateHashData": named[1:5]} if named[1:] else entry]

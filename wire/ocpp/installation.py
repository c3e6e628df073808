"""A car's request for contract certificates, read more widely than the schemas: its EXI is opaque, and one that is
longer than a schema allows is still a car's.

The EXI of an ISO 15118-2 response with certificates of 800 bytes has 7200 characters, and 1.6 has room for 5600; so
what is too long is counted, and relayed all the same.

Source: OCPP 2.0.1 and 2.1 Part 2 M01, M02; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.ocpp.payload import Camel, String50, String255

EXI_MAX = {"1.6": (5600, 5600), "2.0.1": (5600, 7500), "2.1": (11_000, 17_000)}
"""Characters of exiRequest and exiResponse by the schemas of each version."""


class Get15118EVCertificate(Camel, frozen=True, kw_only=True):
    """The request of every version. `prioritized_emaids` and `maximum_contract_certificate_chains` are of 2.1, and only
    there in a session of ISO 15118-20."""

    iso15118_schema_version: String50 = msgspec.field(name="iso15118SchemaVersion")
    action: str
    exi_request: str
    maximum_contract_certificate_chains: Annotated[int, msgspec.Meta(ge=0)] | None = None
    prioritized_emaids: Annotated[tuple[String255, ...], msgspec.Meta(max_length=8)] = msgspec.field(
        default=(), name="prioritizedEMAIDs"
    )

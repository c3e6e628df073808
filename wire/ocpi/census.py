"""What is spoken of OCPI, module by module and side by side: the table that docs/ocpi.md and its tests are made from.

Rules
1. A row is one side (interface) of one module; `methods` is what OCPI gives it, in the versions of the row.
2. `served` is what our hub answers there, `called` what it calls at a partner's; both are parts of `methods`. Who
   builds a side writes it here with the tests that show it; without tests nothing counts as spoken.
3. `roles` are the parties that stand on that side; a hub stands on both sides of every functional module.

Source: OCPI 2.3.0 version_information_endpoint (ModuleID), and each module's interfaces.
"""

from __future__ import annotations

from dataclasses import dataclass

from wire.ocpi.types import InterfaceRole, Module, Role, Version

VERSIONS = "versions"
"""The module that no list of modules has: where versions and their endpoints are asked for."""
BOTH = (Version.V2_2_1, Version.V2_3_0)
_SENDER, _RECEIVER = InterfaceRole.SENDER, InterfaceRole.RECEIVER


@dataclass(frozen=True, slots=True)
class Row:
    """One side of a module. `tests` are files below the project's root."""

    module: str
    side: InterfaceRole
    roles: tuple[Role, ...]
    methods: tuple[str, ...]
    served: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    versions: tuple[Version, ...] = BOTH
    note: str = ""


_CPO, _EMSP, _ALL = (Role.CPO,), (Role.EMSP,), tuple(role for role in Role if role is not Role.HUB)
_REGISTERING = ("tests/hub/ocpi/test_registration.py", "tests/hub/ocpi/test_hub_platform.py")
_AT_CPO, _AT_EMSP = ("tests/hub/ocpi/test_cpo_platform.py",), ("tests/hub/ocpi/test_emsp_platform.py",)
_AT_HUB = ("tests/hub/ocpi/test_hub_platform.py", "tests/hub/ocpi/test_hub_between.py")
_ABROAD, _PUSHED = ("tests/hub/ocpi/test_abroad.py",), ("tests/hub/ocpi/test_pushes_and_pulls.py",)
_ALL_FOUR = ("GET", "POST", "PUT", "DELETE")
_OWNED = ("GET", "PUT", "PATCH")
TABLE: tuple[Row, ...] = (
    Row(VERSIONS, _SENDER, _ALL, ("GET",), served=("GET",), called=("GET",), tests=_REGISTERING),
    Row(
        Module.CREDENTIALS,
        _SENDER,
        _ALL,
        _ALL_FOUR,
        served=_ALL_FOUR,
        called=("POST", "PUT", "DELETE"),
        tests=_REGISTERING,
        note="one side; its role is not looked at",
    ),
    Row(
        Module.HUB_CLIENT_INFO,
        _SENDER,
        (Role.HUB,),
        ("GET",),
        served=("GET",),
        called=("GET",),
        tests=(*_AT_HUB, *_ABROAD),
    ),
    Row(
        Module.HUB_CLIENT_INFO,
        _RECEIVER,
        _ALL,
        ("GET", "PUT"),
        served=("GET", "PUT"),
        called=("PUT",),
        tests=_AT_HUB,
    ),
    Row(
        Module.TOKENS,
        _SENDER,
        _EMSP,
        ("GET", "POST"),
        served=("GET", "POST"),
        called=("GET", "POST"),
        tests=(*_AT_EMSP, *_ABROAD, *_PUSHED),
        note="POST is the real-time authorization",
    ),
    Row(Module.TOKENS, _RECEIVER, _CPO, _OWNED, served=_OWNED, called=_OWNED, tests=(*_AT_CPO, *_ABROAD)),
    Row(Module.LOCATIONS, _SENDER, _CPO, ("GET",), served=("GET",), called=("GET",), tests=(*_AT_CPO, *_ABROAD)),
    Row(
        Module.LOCATIONS,
        _RECEIVER,
        (Role.EMSP, Role.NSP),
        _OWNED,
        served=_OWNED,
        called=("PUT",),
        tests=(*_AT_EMSP, *_ABROAD),
    ),
    Row(Module.TARIFFS, _SENDER, _CPO, ("GET",), served=("GET",), called=("GET",), tests=(*_AT_CPO, *_ABROAD)),
    Row(
        Module.TARIFFS,
        _RECEIVER,
        _EMSP,
        ("GET", "PUT", "DELETE"),
        served=("GET", "PUT", "DELETE"),
        called=("PUT",),
        tests=(*_AT_EMSP, *_ABROAD),
    ),
    Row(
        Module.SESSIONS,
        _SENDER,
        _CPO,
        ("GET", "PUT"),
        served=("GET", "PUT"),
        called=("GET",),
        tests=(*_AT_CPO, *_ABROAD),
        note="PUT sets a driver's charging preferences; answered NOT_POSSIBLE",
    ),
    Row(Module.SESSIONS, _RECEIVER, _EMSP, _OWNED, served=_OWNED, called=_OWNED, tests=(*_AT_EMSP, *_PUSHED)),
    Row(Module.CDRS, _SENDER, _CPO, ("GET",), served=("GET",), called=("GET",), tests=(*_AT_CPO, *_ABROAD)),
    Row(
        Module.CDRS,
        _RECEIVER,
        _EMSP,
        ("GET", "POST"),
        served=("GET", "POST"),
        called=("POST",),
        tests=(*_AT_EMSP, *_PUSHED),
    ),
    Row(
        Module.COMMANDS,
        _SENDER,
        _EMSP,
        ("POST",),
        served=("POST",),
        called=("POST",),
        tests=(*_AT_CPO, *_AT_EMSP),
        note="results, at the response_url of a command",
    ),
    Row(Module.COMMANDS, _RECEIVER, _CPO, ("POST",), served=("POST",), called=("POST",), tests=(*_AT_CPO, *_ABROAD)),
    Row(
        Module.CHARGING_PROFILES,
        _SENDER,
        (Role.EMSP, Role.SCSP),
        ("POST", "PUT"),
        served=("POST",),
        tests=_AT_EMSP,
        note="results and active profiles",
    ),
    Row(
        Module.CHARGING_PROFILES,
        _RECEIVER,
        _CPO,
        ("GET", "PUT", "DELETE"),
        served=("GET", "PUT", "DELETE"),
        tests=_AT_CPO,
        note="answered NOT_SUPPORTED",
    ),
    Row(Module.INVOICE_RECONCILIATION, _SENDER, (Role.CPO, Role.EMSP), ("GET",), versions=(Version.V2_3_0,)),
    Row(
        Module.INVOICE_RECONCILIATION,
        _RECEIVER,
        (Role.CPO, Role.EMSP),
        ("GET", "POST", "PUT", "DELETE"),
        versions=(Version.V2_3_0,),
        note="edition 2; CPO with reverse billing",
    ),
)
"""All sides of all modules."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is otherwise in 2.2.1, on the way to it and from it (wire.ocpi.v221)."""

    topic: str
    down: str
    up: str


_AS_IT_IS = "as it is"
DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "prices",
        "one amount with VAT, the sum of all taxes; names, rates and accounts of taxes are lost",
        "one tax, named VAT",
    ),
    Difference("`min_price`, `max_price`", "other names", "other names"),
    Difference(
        "`tax_included`",
        "NO and N/A are said by `vat`. YES: prices are divided by 1 + `vat`, to four decimals; without a `vat` the "
        "tariff is refused, and left out of a CDR",
        "NO where a component has `vat`, else N/A",
    ),
    Difference(
        "token types",
        "EMAID, and unknown ones, are OTHER; a partner that asks for OTHER is answered for EMAID too",
        _AS_IT_IS,
    ),
    Difference(
        "locations",
        "no `help_phone`, `parking_places`, `parking`, `accepted_service_providers`, `capabilities` of connectors; no "
        "values that its enumerations do not have; no MCS and SAE_J3400 connectors, nor EVSEs with these only",
        _AS_IT_IS,
    ),
    Difference(
        "hubs",
        "role HUB, alone; its parties are in HubClientInfo",
        "`hub_party_id`; the hub's business details stand in `roles` as OTHER",
    ),
    Difference("invoice reconciliation", "refused: there is no such module", "-"),
)
"""All differences that there are between the documents of the two versions."""

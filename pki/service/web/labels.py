"""EST labels: which profile a path asks for.

A label names the role of the certificate as OPCP has it, with a word of the operator's own before it if he likes
(`acme-cpo`); `backend` and `server` are ours: TLS client certificates of gateways and chargers, and TLS servers. The
generation comes with the path or the query; without either it is ISO 15118-2, for vehicles ISO 15118-20. No label at
all means `backend`.

Source: RFC 7030 3.2.2; OPCP 1.0.0 est.v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from pki.errors import UnknownProfile
from pki.profile import Generation, Profile
from pki.profiles import profile_named
from pki.public_key import KeyKind
from pki.service.web.problems import Problem, shown

DEFAULT_LABEL = "backend"
ROLES: Mapping[str, str] = MappingProxyType(
    {"cpo": "secc", "mo": "contract", "oem": "oem", "cps": "cps", "veh": "vehicle"}
)
OWN: Mapping[str, str] = MappingProxyType({"backend": "backend-client", "server": "backend-server"})
LABEL_PATTERN = r"([A-Za-z0-9_]{1,32}-)?(mo|cpo|oem|cps|veh)|backend|server"
ISO_VERSIONS: Mapping[str, Generation] = MappingProxyType(
    {"ISO15118-2": Generation.ISO_2, "ISO15118-20": Generation.ISO_20}
)
NAMESPACES: Mapping[str, Generation] = MappingProxyType(
    {
        "urn:iso:15118:2:2013:MsgDef": Generation.ISO_2,
        # OPCP writes the namespace of -20 with either year; the third is what is spoken on the wire.
        "urn:iso:15118:20:2020:MsgDef": Generation.ISO_20,
        "urn:iso:15118:20:2022:MsgDef": Generation.ISO_20,
        "urn:iso:std:iso:15118:-20:CommonMessages": Generation.ISO_20,
    }
)
ALGORITHMS: Mapping[str, KeyKind] = MappingProxyType(
    {kind.value: kind for kind in (KeyKind.P256, KeyKind.P521, KeyKind.ED448)}
)
_LABEL = re.compile(LABEL_PATTERN)


def profile_of(label: str | None, iso_version: str | None = None, namespace: str | None = None) -> Profile:
    """The profile that a label asks for, of the generation that path or query name.

    Raises:
        Problem: 404 "label-unknown"; 400 "generation" for a version or namespace that is not known, that contradict
            each other, or for which there is no such role.
    """
    label = DEFAULT_LABEL if label is None else label
    if _LABEL.fullmatch(label) is None:
        raise Problem(
            404,
            "label-unknown",
            f"no EST label {shown(label)}",
            clause="RFC 7030 3.2.2",
            remedy=f"Use one of {', '.join((*ROLES, *OWN))}; a word and a hyphen may stand before the first five.",
        )
    generation = _generation(iso_version, namespace)
    if label in OWN:
        return profile_named(OWN[label])
    role = ROLES[label.rpartition("-")[2]]
    wanted = generation or (Generation.ISO_20 if role == "vehicle" else Generation.ISO_2)
    try:
        return profile_named(f"{wanted.value}-{role}")
    except UnknownProfile as error:
        raise Problem(400, "generation", f"{wanted.value} has no certificate of label {shown(label)}") from error


def _generation(iso_version: str | None, namespace: str | None) -> Generation | None:
    found: set[Generation] = set()
    for text, known, what in ((iso_version, ISO_VERSIONS, "version"), (namespace, NAMESPACES, "namespace")):
        if text is None:
            continue
        if text not in known:
            raise Problem(
                400,
                "generation",
                f"{what} {shown(text)} is not known",
                remedy=f"Use one of {', '.join(known)}, or leave it out.",
            )
        found.add(known[text])
    if len(found) > 1:
        raise Problem(400, "generation", "path and query name different generations", remedy="Name one of them.")
    return found.pop() if found else None

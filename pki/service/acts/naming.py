"""Names as operators write them: what they identify, how they begin, and under which names a TLS server answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from pki.errors import IssueError
from pki.issue.request import NAMES_CAP, identifier_for
from pki.profile import SERVER_AUTHENTICATION, CommonName, Generation, Profile
from pki.profiles import PROFILE_NAMES, profile_named
from pki.verify.trust_list import SIGNER_NAME

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}")
_HOST_MAX = 253
_PREFIX_MAX = 64
_HYPHENED = frozenset({CommonName.EMAID, CommonName.SECCID})


def identities_named(text: str) -> tuple[str, ...]:
    """Every identity that a text may stand for: itself, and its normal form by each profile's grammar."""
    found = dict.fromkeys((text,))
    for name in PROFILE_NAMES:
        try:
            found[identifier_for(profile_named(name), text)] = None
        except IssueError:
            continue
    return tuple(found)


def require_unreserved(identity: str) -> None:
    """Return if a name may be asked for.

    Raises:
        IssueError: "name-reserved": who signs lists of roots is known by its name alone, so it is given to nobody else.
    """
    if identity == SIGNER_NAME:
        raise IssueError("name-reserved", f"{identity!a} is the service's own name: it signs the list of roots")


def normal_prefix(profile: Profile, prefix: str) -> str:
    """How the normal forms of the names begin that begin with `prefix`, however it is spelt: `de-abc` is `DEABC` of an
    EMAID, `DEPNCE1` is `DE*PNC*E1` of an EVSEID.

    Raises:
        IssueError: "prefix": empty, which would be everybody, longer than 64 characters, or not printable ASCII.
    """
    usable = 1 <= len(prefix) <= _PREFIX_MAX and prefix.isascii() and prefix.isprintable() and prefix == prefix.strip()
    if profile.common_name is CommonName.FREE or not usable:
        found = prefix
    elif profile.common_name is CommonName.EVSEID:
        found = _evse_prefix(prefix.upper())
    else:
        found = prefix.upper().replace("-", "") if profile.common_name in _HYPHENED else prefix.upper()
    if not usable or not found:
        raise IssueError("prefix", f"{prefix[:_PREFIX_MAX]!a} is not how a name begins: 1 to {_PREFIX_MAX} characters")
    return found


def server_names(profile: Profile, names: Iterable[str]) -> tuple[str, ...]:
    """The DNS names and IP addresses of a TLS server, in their one spelling, each once.

    Raises:
        IssueError: "names": the profile's certificates carry none, a text is neither, or there are more than 16.
    """
    found = tuple(dict.fromkeys(_server_name(name) for name in names))
    if found and not carries_names(profile):
        raise IssueError("names", f"certificates of {profile.name} carry no DNS names and addresses")
    if len(found) > NAMES_CAP:
        raise IssueError("names", f"{len(found)} names, at most {NAMES_CAP}")
    return found


def carries_names(profile: Profile) -> bool:
    """Whether certificates of the profile say under which names and addresses a server answers."""
    return profile.generation is Generation.BACKEND and SERVER_AUTHENTICATION in profile.extended_key_usage


def _evse_prefix(text: str) -> str:
    """`CC*OOO*...` as far as it is there."""
    country, rest = text[:2], text[2:].removeprefix("*")
    operator, outlet = rest[:3], rest[3:].removeprefix("*")
    if not operator:
        return text[:3]
    if not outlet:
        return f"{country}*{operator}" + ("*" if len(rest) > len(operator) else "")
    return f"{country}*{operator}*{outlet}"


def _server_name(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    # A last label of digits would be an address to some programs (RFC 3696 2).
    if len(text) > _HOST_MAX or not _HOST.fullmatch(text) or text.rpartition(".")[2].isdigit():
        message = f"{text[:_PREFIX_MAX]!a} is neither a DNS name nor an IP address"
        raise IssueError("names", message, clause="RFC 1123 2.1")
    return text.lower()

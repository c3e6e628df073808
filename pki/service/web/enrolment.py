"""Who is given which certificate: decided in the thread of the registry, every refusal noted in the audit log.

1. A registered name with its one-time code (HTTP Basic): the first certificate of that name.
2. A TLS client certificate of this registry: the next one of the same profile and subject.
3. The same, of a registrar (a gateway): certificates for others whose names it may ask for, so many a day.
Everything else is refused. Whatever the request asks for beside key and name is ignored: the profile decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pki.errors import IssueError
from pki.issue.request import CheckedRequest, identifier_for, verify_request
from pki.profile import Profile
from pki.profiles import profile_named
from pki.public_key import KeyKind
from pki.service.acts.issuing import Issued, enrol_again, enrol_for, enrol_with_code
from pki.service.registry import Actor, Registry
from pki.service.web.clients import Client, verify_client
from pki.service.web.labels import DEFAULT_LABEL, profile_of
from pki.service.web.problems import Problem, shown
from pki.service.web.refusals import RefusalLog, caller_of

REGISTRAR_PROFILE = "backend-client"
"""Registrars are known by the common name of such a certificate; the same name in one of another role is nobody's."""
_STATUS = {
    "request-size": 413,
    "quota": 429,
    "key-reused": 409,
    "revoked": 403,
    "certificate-unknown": 403,
    "subject-changed": 403,
    "registrar": 403,
}
_QUOTA_RETRY_S = 3600
_REMEDIES = {
    "proof-of-possession": "Sign the request with the private key whose public key it holds.",
    "key-kind": "Ask csrattrs which keys are taken, and make such a one.",
    "signature-algorithm": "Ask csrattrs which signature goes with the key.",
    "malformed-request": "Send one PKCS#10 request in DER, in base64.",
    "request-size": "Send a request with a key and a name only.",
    "key-reused": "Make a new key pair on this device.",
    "registrar": "Ask the operator of this PKI to let this gateway ask for that name.",
    "quota": "Wait, or ask the operator of this PKI for a higher number.",
    "revoked": "Enrol again with a one-time code from the operator of this PKI.",
    "subject-changed": "Ask for the subject of the certificate that is shown.",
    "subject": "Put one common name into the subject: the name that is registered.",
}
_NO_CODE = "no such enrolment code for that name: it is wrong, used, or ran out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One enrolment as it arrived. `profile` None: that of the certificate that is shown. `body` is base64,
    `certificate` the DER that was shown in the handshake, `user` and `code` are those of HTTP Basic."""

    profile: Profile | None
    body: bytes
    again: bool
    certificate: bytes | None
    user: str | None
    code: str | None
    peer: str

    @property
    def act(self) -> str:
        """What the audit log calls it."""
        return "simplereenroll" if self.again else "simpleenroll"


class Enrolment:
    """Decides, issues, and notes what it refuses. Its methods run in one thread, that of the registry."""

    def __init__(self, registry: Registry, refusals: RefusalLog, decode: Callable[[bytes], bytes]) -> None:
        """`decode` makes the DER request of a body."""
        self._registry, self._refusals, self._decode = registry, refusals, decode

    def enrol(self, asked: Asked) -> Issued:
        """The certificate that was asked for, committed.

        Raises:
            Problem: every refusal; it is in the audit log.
            StateError, KeyStoreError: the registry or a key cannot be used; nothing was issued.
        """
        who = f"peer {asked.peer}"
        if asked.user is not None:
            who = f"{shown(asked.user)} at {asked.peer}"
        try:
            client = None if asked.certificate is None else verify_client(self._registry, asked.certificate)
            if client is not None and asked.code is None:
                who = client.who
            return self._decided(asked, client)
        except Problem as problem:
            self._note(who, asked, problem)
            raise
        except IssueError as error:
            self._note(who, asked, error)
            raise _problem(error, authenticated=asked.code is None) from error

    def _decided(self, asked: Asked, client: Client | None) -> Issued:
        profile = asked.profile
        if profile is None:
            profile = profile_of(DEFAULT_LABEL) if client is None else profile_named(client.held.profile)
        if asked.code is None and client is None:
            raise Problem(
                401,
                "not-authenticated",
                "neither a one-time code nor a client certificate was shown",
                clause="RFC 7030 3.3",
                remedy="Send the registered name and its one-time code by HTTP Basic, or connect with a certificate.",
            )
        request = verify_request(self._decode(asked.body), kinds=self._kinds(profile))
        if client is not None and asked.code is None:
            return self._next(asked, profile, request, client)
        return self._first(asked, profile, request)

    def _first(self, asked: Asked, profile: Profile, request: CheckedRequest) -> Issued:
        """By a one-time code."""
        identity, user = identifier_for(profile, request.common_name), asked.user or ""
        try:
            same = identifier_for(profile, user) == identity
        except IssueError:
            same = False
        if not same:
            raise Problem(
                403,
                "foreign-subject",
                f"the request names {request.common_name!a}, the code is presented for {shown(user)}",
                clause="RFC 7030 4.2.1",
                remedy="Ask for the name that the code was made for.",
            )
        actor = Actor(who=f"{profile.name} {identity}", why=f"{asked.act} with a code, from {asked.peer}")
        return enrol_with_code(self._registry, profile, request, asked.code or "", actor)

    def _next(self, asked: Asked, profile: Profile, request: CheckedRequest, client: Client) -> Issued:
        """By a certificate: the client's own next one, or one for another."""
        actor = Actor(who=client.who, why=f"{asked.act} with certificate {client.held.serial:x}, from {asked.peer}")
        own = client.held.profile == profile.name
        if own and identifier_for(profile, request.common_name) == client.held.identity:
            return enrol_again(self._registry, request, client.certificate, actor)
        if client.held.profile != REGISTRAR_PROFILE:
            raise Problem(
                403,
                "subject-changed",
                f"a certificate of {client.who} gives the next one of the same profile and subject only; "
                f"asked for was {profile.name} {request.common_name!a}",
                clause="RFC 7030 4.2.2",
                remedy=_REMEDIES["subject-changed"],
            )
        return enrol_for(self._registry, client.common_name, profile, request, actor)

    def _kinds(self, profile: Profile) -> set[KeyKind]:
        held = self._registry.authorities().values()
        kinds = {each.certificate.key_kind for each in held if each.active and profile.name in each.row.issues}
        if not kinds:
            raise Problem(404, "no-authority", f"no authority of this service signs {profile.name}")
        return kinds

    def _note(self, who: str, asked: Asked, error: Problem | IssueError) -> None:
        subject = "unknown profile" if asked.profile is None else asked.profile.name
        caller = caller_of(asked.peer, asked.certificate)
        self._refusals.note(caller, Actor(who=who, why=f"{asked.act} from {asked.peer}"), asked.act, subject, error)


def _problem(error: IssueError, *, authenticated: bool) -> Problem:
    """A refusal of the registry, for the client. Whether a name is registered is not told to whoever has no code."""
    if not authenticated and error.code in ("enrolment-code", "identity-unknown"):
        return Problem(
            401,
            "enrolment-code",
            _NO_CODE,
            clause="RFC 7030 3.2.3",
            remedy="Ask the operator of this PKI for a new code.",
        )
    return Problem(
        _STATUS.get(error.code, 400),
        error.code,
        str(error),
        clause=error.clause,
        remedy=_REMEDIES.get(error.code),
        retry_after_s=_QUOTA_RETRY_S if error.code == "quota" else None,
    )

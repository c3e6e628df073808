"""The law of the registry: whatever is issued, revoked, put on hold, released, renewed and published, in any order, the
published lists, the standing for OCSP and the verifier say what a simple model says; and a delta laid upon its base is
the complete list of its number."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pki.errors import IssueError
from pki.issue.answers import OCSPStatus
from pki.issue.lists import Reason
from pki.service.acts.issuing import Issued
from pki.service.acts.publishing import publish, refresh
from pki.service.acts.renewing import renew
from pki.service.acts.responding import standing
from pki.service.acts.revoking import release, revoke
from pki.service.registry import Registry
from pki.service.store.audit import first_broken
from pki.service.store.certificates import Held, find_certificate
from pki.service.store.publications import ListKind, find_list
from tests.pki.registry.house import BY, Clock, contract, copy_of, found_small, judged, opened

_FOUNDED = Path(tempfile.mkdtemp(prefix="registry-laws-")) / "state"
_HOLD = Reason.CERTIFICATE_HOLD
_REASONS = (_HOLD, None, _HOLD, None, Reason.UNSPECIFIED, Reason.KEY_COMPROMISE)
"""None: released."""
_BRANCH = ("mo-root", "mo-sub1", "mo-sub2")


@dataclass(eq=False)
class Known:
    """What the model knows of one certificate; `reason` None is good."""

    made: Issued
    reason: Reason | None = None


def teardown_module() -> None:
    shutil.rmtree(_FOUNDED.parent, ignore_errors=True)


class RegistryWalk(RuleBasedStateMachine):
    """A walk through the life of a contract branch."""

    @initialize()
    def begin(self) -> None:
        if not _FOUNDED.exists():
            found_small(_FOUNDED)
        self.folder = Path(tempfile.mkdtemp(prefix="registry-walk-"))
        self.clock = Clock()
        self.registry: Registry = opened(copy_of(_FOUNDED, self.folder / "state"), self.clock)
        self.known: list[Known] = []
        self.complete: dict[tuple[str, int], dict[int, str]] = {}
        self.newest = {"mo-root": "mo-root", "mo-sub1": "mo-sub1", "mo-sub2": "mo-sub2"}
        self.issue()
        # What is complete at the beginning is the base of what comes.
        self.published = True

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.folder)

    @rule()
    def issue(self) -> None:
        self.known.append(Known(contract(self.registry, 100 + len(self.known))))

    @rule(pick=st.integers(0, 1), reason=st.sampled_from(_REASONS), at_once=st.sampled_from((True, True, False)))
    def change(self, pick: int, reason: Reason | None, at_once: bool) -> None:
        """Revoke one of the last, put it on hold, or release it (no reason); what may not be is refused."""
        which = self.known[-1 - pick % len(self.known)]
        if reason is None:
            may_be = which.reason is _HOLD
        else:
            may_be = which.reason is None or (which.reason is _HOLD and reason is not which.reason)
        if not may_be:
            with pytest.raises(
                IssueError, match="only a certificate that is on hold" if reason is None else "it is revoked"
            ):
                self._change(which, reason)
            return
        self._change(which, reason)
        which.reason, self.published = reason, False
        if at_once:
            refresh(self.registry, BY)
            self.published = True

    @rule(name=st.sampled_from(_BRANCH), new_key=st.booleans())
    def renew(self, name: str, new_key: bool) -> None:
        self.newest[name] = renew(self.registry, self.newest[name], BY, new_key=new_key)
        self.published = False

    @rule(hours=st.integers(0, 30))
    def wait(self, hours: int) -> None:
        self.clock.move(timedelta(hours=hours))
        self.published = self.published and hours == 0

    @rule(every=st.booleans())
    def publish(self, every: bool) -> None:
        if every:
            publish(self.registry, BY)
        refresh(self.registry, BY)
        assert refresh(self.registry, BY).made == ()
        self.published = True

    @invariant()
    def the_standing_is_that_of_the_model(self) -> None:
        for one in self.known:
            found = standing(self.registry, one.made.authority, one.made.certificate.serial)
            assert found.status is (OCSPStatus.GOOD if one.reason is None else OCSPStatus.REVOKED)
            assert one.reason in (None, found.reason)

    @precondition(lambda self: self.published)
    @invariant()
    def the_lists_and_the_verifier_say_the_same(self) -> None:
        for name in self.registry.authorities():
            expected = {
                one.made.certificate.serial: one.reason.value
                for one in self.known
                if one.reason is not None and one.made.authority == name
            }
            listed = self._list(name, ListKind.FULL)
            assert listed is not None
            number, _, entries = listed
            ours = {serial: reason for serial, reason in entries.items() if serial not in self._founded()}
            assert ours == expected
            self.complete[name, number] = entries
            self._check_delta(name, number, entries)
        for one in self.known:
            assert judged(self.registry, one.made.chain) == ("accepted" if one.reason is None else "revoked")
        with self.registry.reading() as connection:
            assert first_broken(connection) is None

    def _check_delta(self, name: str, number: int, entries: dict[int, str]) -> None:
        delta = self._list(name, ListKind.DELTA)
        if delta is None or delta[0] != number or (name, delta[1]) not in self.complete:
            return
        laid = dict(self.complete[name, delta[1]])
        for serial, reason in delta[2].items():
            if reason == Reason.REMOVE_FROM_CRL.value:
                laid.pop(serial, None)
            else:
                laid[serial] = reason
        assert laid == entries

    def _change(self, which: Known, reason: Reason | None) -> None:
        if reason is None:
            release(self.registry, self._row(which), BY)
        else:
            revoke(self.registry, self._row(which), reason, BY)

    def _row(self, which: Known) -> Held:
        with self.registry.reading() as connection:
            found = find_certificate(connection, which.made.authority, which.made.certificate.serial)
        assert found is not None
        return found

    def _founded(self) -> set[int]:
        """What was revoked when the PKI was founded."""
        with self.registry.reading() as connection:
            rows = connection.execute("SELECT serial FROM certificate WHERE identity = 'DEABC000000003'").fetchall()
        return {int.from_bytes(serial) for (serial,) in rows}

    def _list(self, name: str, kind: ListKind) -> tuple[int, int, dict[int, str]] | None:
        """Number, base (0: complete) and entries as `cryptography` reads them."""
        with self.registry.reading() as connection:
            found = find_list(connection, name, kind)
        if found is None:
            return None
        made = x509.load_der_x509_crl(found.der)
        number = made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        assert number == found.number
        return number, found.base or 0, {entry.serial_number: _reason(entry) for entry in made}


def _reason(entry: x509.RevokedCertificate) -> str:
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            return str(extension.value.reason.value)
    return Reason.UNSPECIFIED.value


TestRegistryWalk = RegistryWalk.TestCase
TestRegistryWalk.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)

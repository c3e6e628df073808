"""What can go wrong in the hub.

HubError                       anything below; carries a stable kebab-case `code`
 +- ConfigError                hub.toml cannot be used; names the key, the line and what is expected
 +- StoreError                 the database cannot be opened, read or written; nothing was stored
 |   +- StalePosition          the position changed between judging a batch and committing it; judge again
 |   +- Stopped                a snapshot of the token list is not made to its end (hub.store.snapshots)
 +- ListTooLong                more tokens than a gateway of an earlier version takes (hub.store.whitelist)
 +- TooManyCommands            too many commands wait for a gateway already; nothing was stored
 +- TooManyAnnounced           a gateway announced more than is kept; nothing was stored (hub.store.announced)
 +- TreeMismatch               a batch's tree head is not that of the log held; nothing was stored (hub.tree)
 +- LogKeyError                the key that countersigns tree heads cannot be used (hub.log_key)
 +- EvidenceRefused            no evidence file can be made of a session; the code says why
 +- EvidenceUnusable           a file is no evidence file, or not a whole one
 +- BadUser                    a user cannot be added, changed or removed; the code says why (hub.store.users)
 +- BadPassword                a password is too short or too long (hub.passwords)
 +- AuditBroken                the audit log is not the one that was written (hub.store.audit)
 +- NoSuchKey                  no such meter key, or it is in no state for what was asked (hub.store.meter_keys)
 +- NoSuchGap                  a ticket for missing numbers that is not open (hub.store.meter_pages)
 +- NotDecided                 a CDR that an operator cannot decide about, or take back (hub.reconcile.judge)
 +- AgreementRefused           an agreement, a rate or a period that cannot be (hub.settlement.agreements)
 +- NotClosed                  a period that cannot be closed, or an invoice that is not there (hub.store.settlements)
 +- DisputeRefused             what may not be done in a dispute (hub.disputes)
 +- ListenError                a server cannot listen or its certificates cannot be used (hub.web.server)
 +- Problem                    a request to be answered with an RFC 9457 problem body (hub.web.problems)
"""

from __future__ import annotations


class HubError(Exception):
    """Raised when the hub cannot do what was asked; `code` is for machines, `str(error)` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ConfigError(HubError):
    """Raised when the configuration cannot be used; the message starts with the file and, where known, the line."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-config", message)


class StoreError(HubError):
    """Raised when the database refuses; the caller's work was not stored."""

    def __init__(self, message: str, code: str = "store-failed") -> None:
        super().__init__(code, message)


class StalePosition(StoreError):
    """Raised when a batch was judged against a position that is no longer the gateway's position, or with a log key
    that is not the one pinned by now. `judged` and `store` end the sentence: "at position 0", "stands at 1"."""

    def __init__(self, gateway_id: str, judged: str, store: str) -> None:
        super().__init__(f"gateway {gateway_id}: the batch was judged {judged}, the store {store}", "stale-position")


class ListTooLong(HubError):
    """Raised when the list does not fit into one answer."""

    def __init__(self, message: str) -> None:
        super().__init__("list-too-long", message)


class TooManyCommands(HubError):
    """Raised when no further command is taken for a gateway."""

    def __init__(self, message: str) -> None:
        super().__init__("too-many-commands", message)


class EvidenceRefused(HubError):
    """Raised when there is no evidence file to be had: `not-settled`, `erased`, `no-tree-head`, `too-large`."""


class EvidenceUnusable(HubError):
    """Raised when bytes are no evidence file that could be verified."""

    def __init__(self, message: str) -> None:
        super().__init__("no-evidence-file", message)

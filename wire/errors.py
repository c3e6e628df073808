"""What can go wrong with bytes from a peer.

WireError                      anything below; carries a stable kebab-case `code`
 +- MalformedValue             bytes that are not the value they should be; names where and what
 +- FrameError                 an OCPP-J frame that cannot be answered as a CALL (wire.ocpp.frames)
 +- CallRejected               a CALL to be answered with CALLERROR; carries the OCPP error code
 +- SyncProtocolError          an event the sync state table does not allow (wire.sync)
 +- MeterRecordError           a meter record or a meter key that cannot be read (wire.meter)
 +- KeyListError               a list of meter keys that cannot be imported (wire.meter.key_list)
 +- MeterExportError           meter records that another party's format cannot carry (wire.meter.export)
 +- ProofError                 a Merkle proof that proves nothing: a log was cut, altered, or is another (wire.merkle)
 +- ListError                  a part, delta or head of the token list that must not be taken (wire.whitelist)
 +- BadEvidenceQuestion        what is asked for can be no evidence of revocation (wire.revocation)
 +- HostRefused                a URL of a host that may not be asked (wire.allowed_hosts)
 +- OCPIRefused                an OCPI request, URL or object that a rule refuses, with the status to answer
 +- PricingError               a tariff or a timeline that no price can be made of (wire.ocpi.pricing)
 +- TreeHeadError              a signature that does not stand behind a tree head (wire.tree_head)
"""

from __future__ import annotations


class WireError(Exception):
    """Raised when bytes from a peer break a rule of the protocol they claim to be.

    `code` is stable and kebab-case, for machines; `str(error)` names what, where and what was expected, for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class MalformedValue(WireError):
    """Raised when bytes do not decode to the value they claim to be; `where` is a JSON path (`$.records[3].seq`)."""

    def __init__(self, what: str, where: str, message: str) -> None:
        super().__init__("malformed-value", f"{what}: {message} (at {where})")
        self.what, self.where = what, where


class MeterRecordError(WireError):
    """Raised when bytes cannot be read as a meter record or key; `where` is a JSON pointer or a section's name."""

    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(code, f"{message} (at {where})")
        self.where = where


class OCPIRefused(WireError):
    """Raised when OCPI's rules refuse what a partner sent, or what is to be sent to one.

    `status` is the OCPI status code to answer with, `http` the HTTP status beside it; `where` is a JSON pointer, a
    header, or a parameter.
    """

    def __init__(self, code: str, where: str, message: str, *, status: int = 2001, http: int = 200) -> None:
        super().__init__(code, f"{message} (at {where})")
        self.where, self.status, self.http = where, status, http


class PricingError(WireError):
    """Raised when a tariff or what a session was cannot be priced; `where` names the part, `$.elements[2]...`."""

    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(code, f"{message} (at {where})")
        self.where = where


class MeterExportError(WireError):
    """Raised when meter records cannot be put into another party's format; nothing is shortened to make them fit."""

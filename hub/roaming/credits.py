"""What a credit CDR may take back: one CDR that is held, of the same party, and exactly its total_cost.

Source: OCPI 2.3.0 mod_cdrs (Credit CDRs).
"""

from __future__ import annotations

from decimal import Decimal

from hub.store import objects as store
from hub.store.engine import Connection
from wire.errors import OCPIRefused
from wire.ocpi.document import view
from wire.ocpi.keys import ci_key
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import Module, Price


def require_credit_right(connection: Connection, cdr: Cdr) -> None:
    """Raises OCPIRefused for a credit CDR that takes back nothing, or not exactly what it names."""
    if not cdr.credit:
        if cdr.credit_reference_id is not None:
            raise OCPIRefused("bad-credit", "/credit", "a credit_reference_id is for a CDR with credit true only")
        return
    if cdr.credit_reference_id is None:
        raise OCPIRefused("bad-credit", "/credit_reference_id", "a credit CDR names the one that it takes back")
    held = store.object_of(connection, Module.CDRS, cdr.owner, ci_key(cdr.credit_reference_id))
    if held is None:
        message = f"no CDR {cdr.credit_reference_id!r} of {cdr.owner} is held"
        raise OCPIRefused("bad-credit", "/credit_reference_id", message)
    credited = view(held.document, Cdr, "held CDR")
    if credited.credit:
        raise OCPIRefused("bad-credit", "/credit_reference_id", "a credit CDR is not taken back itself")
    if _sums(cdr.total_cost) != tuple(-amount for amount in _sums(credited.total_cost)):
        message = f"expected the negative of {credited.total_cost.before_taxes}, found {cdr.total_cost.before_taxes}"
        raise OCPIRefused("bad-credit", "/total_cost", message)


def _sums(price: Price) -> tuple[Decimal, Decimal]:
    return price.before_taxes, price.after_taxes

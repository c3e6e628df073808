"""What a gateway says of itself, checked: whose it is, which epoch, numbers that fit; and the alarm for the rest."""

from __future__ import annotations

import logging
import re

from hub.store.chains import Chain, Conflict
from hub.store.deriving import Appended
from hub.web.problems import Problem
from wire.errors import MalformedValue

_log = logging.getLogger(__name__)

LARGEST = 2**63 - 1
_EPOCH = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def require_own(gateway_id: str, named: str) -> None:
    """Return if a body names the gateway whose certificate came with it. Raises Problem (403)."""
    if named != gateway_id:
        detail = f"the certificate is of gateway {gateway_id}, the body names {named[:64]!a}"
        raise Problem(403, "foreign-gateway", detail)


def chain_named(gateway_id: str, epoch: str, what: str) -> Chain:
    """The chain of an epoch. Raises MalformedValue."""
    if _EPOCH.fullmatch(epoch) is None:
        message = f"expected 1 to 64 of letters, digits, '.', '_', ':', '-', found {epoch[:80]!a}"
        raise MalformedValue(what, "$.epoch", message)
    return Chain(gateway_id, epoch)


def require_range(what: str, where: str, number: int, least: int) -> None:
    """Return if the database can hold a number. Raises MalformedValue."""
    if not least <= number < LARGEST:
        raise MalformedValue(what, where, f"expected {least} to {LARGEST - 1}, found a number outside")


def tell_conflict(chain: Chain, conflict: Conflict) -> None:
    """Raise the alarm in the log."""
    fields = {
        "gateway_id": chain.gateway_id,
        "epoch": chain.epoch,
        "seq": conflict.seq,
        "kind": conflict.kind,
        "held_hash": conflict.held_hash,
        "offered_hash": conflict.offered_hash,
    }
    if conflict.reason is not None:
        fields["reason"] = conflict.reason
    _log.error("conflict", extra={"fields": fields})


def tell_news(chain: Chain, news: Appended) -> None:
    """Raise the alarms for what is news about records that were taken into the books."""
    for conflict in news.differing:
        tell_conflict(chain, conflict)
    for key in news.quarantined:
        alarm = {"gateway_id": chain.gateway_id, "of": str(key), "fingerprint": key.fingerprint}
        _log.error("meter-key-quarantined", extra={"fields": alarm})

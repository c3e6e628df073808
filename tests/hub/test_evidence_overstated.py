"""A hub that has the right keys and says too much: what its file adds to what the records say is noticed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from hub.errors import EvidenceUnusable
from hub.evidence.container import CONTENT, PAGE, SEAL, unpack
from hub.evidence.content import Check, Step, StepOutcome
from hub.evidence.page import render_page
from hub.evidence.verify import verify_evidence
from tests.hub.conftest import T0
from tests.hub.evidence_site import EvidenceSite, broken_content, broken_steps, content_of, evidence_site, forged
from wire.ids import session_id
from wire.meter.record import ReadingReason
from wire.records import Decision, PriceComponent, TariffDimension, Verdict

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = evidence_site(tmp_path_factory.mktemp("hub"))
    id_ = made.session("t1", T0, "10.000", "14.200")
    made.send()
    data = made.evidence(id_).data
    made.connection.close()
    return data


def test_a_bill_names_one_price_for_one_thing(good: bytes) -> None:
    cdr = content_of(good).cdr
    cheap = PriceComponent(type=TariffDimension.ENERGY, price=Decimal("0.10"))
    two = msgspec.structs.replace(cdr, price_components=(cheap, *cdr.price_components))
    assert broken_content(verify_evidence(forged(good, cdr=two))) == {"bill"}


def test_one_log_stands_there_once(good: bytes) -> None:
    chains = content_of(good).chains
    assert "records" in broken_content(verify_evidence(forged(good, chains=(*chains, *chains))))


def test_steps_that_nobody_did_are_not_told_of(good: bytes) -> None:
    checks = content_of(good).checks
    invented = Check(step=Step.KEYS, outcome=StepOutcome.HOLDS, details=("compared with the authority's register",))
    for more in ((*checks, invented), (checks[2], *checks)):
        assert broken_steps(verify_evidence(forged(good, checks=more))) == {"members"}


def test_what_was_found_is_told_in_the_words_of_whoever_finds_it(good: bytes) -> None:
    first, *others = content_of(good).checks
    praised = msgspec.structs.replace(first, details=("certified by the authority",))
    report = verify_evidence(forged(good, checks=(praised, *others)))
    assert report.holds
    assert report.verdict.startswith("consistent, not proven: step 2 (members)")
    assert "in other words than this program what was found: step 3 (records)" in report.steps[1].details[0]


def test_members_that_lie_in_one_another_are_refused() -> None:
    """A file of 100 KB that would be 10 MB in memory."""
    names = [f"records/{number:04}.bin" for number in range(1, 100)]
    inside, listed = b"\0" * 100_000, list[tuple[str, int, int]]()
    for name in reversed(names):
        listed.append((name, zlib.crc32(inside), len(inside)))
        inside = _local(name, inside) + inside
    entries = [(name, crc, size, len(inside) - size - 30 - len(name)) for name, crc, size in reversed(listed)]
    for name in (CONTENT, PAGE, SEAL):
        entries.append((name, zlib.crc32(b"{}"), 2, len(inside)))
        inside += _local(name, b"{}") + b"{}"
    directory = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, crc, size, size, len(name), 0, 0, 0, 0, 0, offset)
        + name.encode()
        for name, crc, size, offset in entries
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(inside), 0)
    with pytest.raises(EvidenceUnusable, match="the members are larger than the file"):
        verify_evidence(inside + directory + end)


def _local(name: str, content: bytes) -> bytes:
    size = len(content)
    header = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, zlib.crc32(content), size, size, len(name), 0)
    return header + name.encode()


def test_a_time_that_the_meters_zone_does_not_have_is_shown_as_it_is(tmp_path: Path) -> None:
    """A station whose clock was never set, and a meter west of Greenwich."""
    site, west = evidence_site(tmp_path), timezone(-timedelta(hours=5))
    id_ = site.session("t1", T0.astimezone(west), "10.000", "14.200")
    site.send()
    evidence = content_of(site.evidence(id_).data)
    never_set = msgspec.structs.replace(evidence.cdr, start_date_time=datetime(1, 1, 1, tzinfo=UTC))
    page = render_page(msgspec.structs.replace(evidence, cdr=never_set), {}, "").decode()
    assert "1-01-01</span> 00:00:00 UTC" in page
    assert '2026-11-23</span> 05:30:00 <span class="id">UTC-05:00' in page
    site.connection.close()


def test_an_amount_is_written_out_for_a_driver(tmp_path: Path) -> None:
    """40 kWh are 4E+1 to who computes."""
    site = evidence_site(tmp_path)
    id_ = site.session("t1", T0, "10", "50")
    site.send()
    page = unpack(site.evidence(id_).data)[PAGE].decode()
    assert "40 kWh x 0.49 + 0.50 for the session = 20.10 EUR" in page
    assert "4E+1" not in page
    site.connection.close()


# --- a refusal is no permission ---------------------------------------------------------------------------------------


def _refused(uid: str, at: datetime, site: EvidenceSite) -> Decision:
    return site.charger.decision(uid, at, Verdict.BLOCKED, reason="blocked-by-list")


def _charge(site: EvidenceSite, at: datetime, first: Decision | None = None, last: Decision | None = None) -> Check:
    """Step 7 for a session that begins at `at`, with the decisions that its first and last message carry."""
    stop, event = at + HALF_AN_HOUR, site.charger.event
    event("Started", "t1", at, "10.000", decision=first, signed=site.meter.sign(ReadingReason.BEGIN, at, "10.000"))
    event("Ended", "t1", stop, "14.200", decision=last, signed=site.meter.sign(ReadingReason.END, stop, "14.200"))
    site.send()
    file = site.evidence(session_id(site.chain.gateway_id, site.charger.charger_id, "t1"))
    return next(check for check in verify_evidence(file.data).steps if check.step is Step.DECISION)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[EvidenceSite]:
    made = evidence_site(tmp_path)
    yield made
    made.connection.close()


def test_a_refusal_takes_back_the_decision_before_it(site: EvidenceSite) -> None:
    """Blocked between the card and the plug; the station charged all the same."""
    site.charger.decide(site.charger.decision("04A1", T0))
    site.charger.decide(_refused("04A1", T0 + timedelta(minutes=5), site))
    step = _charge(site, T0 + timedelta(minutes=6))
    assert step.outcome is StepOutcome.OPEN
    assert step.details[0].startswith("record 2: Blocked at 2026-11-23 10:05:00 UTC")


def test_a_session_whose_own_message_was_refused_was_not_allowed_before(site: EvidenceSite) -> None:
    site.charger.decide(site.charger.decision("04A1", T0))
    start = T0 + timedelta(minutes=50)
    step = _charge(site, start, _refused("04A1", start, site))
    assert step.outcome is StepOutcome.OPEN
    assert "no decision is known that let this token charge, as the bill says" in step.details


def test_a_decision_at_the_end_does_not_hide_the_refusal_at_the_begin(site: EvidenceSite) -> None:
    step = _charge(site, T0, _refused("04A1", T0, site), site.charger.decision("04A1", T0 + HALF_AN_HOUR))
    assert step.outcome is StepOutcome.OPEN
    assert step.details[0].startswith("record 1: Blocked")


def test_a_card_that_was_taken_the_second_time_is_allowed(site: EvidenceSite) -> None:
    site.charger.decide(_refused("04A1", T0, site))
    site.charger.decide(site.charger.decision("04A1", T0 + timedelta(minutes=1)))
    step = _charge(site, T0 + timedelta(minutes=2))
    assert (step.outcome, len(step.details)) == (StepOutcome.HOLDS, 1)

"""An evidence file holds as it was made, and no byte of it can be changed, nor any of it exchanged, without notice."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.errors import EvidenceUnusable
from hub.evidence.container import CONTENT, PAGE, SEAL, pack, sealed, unpack
from hub.evidence.content import Step, StepOutcome
from hub.evidence.verify import GivenKeys, verify_evidence
from tests.hub.conftest import T0, MeterDouble
from tests.hub.evidence_site import (
    HUB,
    LATER,
    LOG,
    STRANGER,
    EvidenceSite,
    broken_content,
    broken_steps,
    content_of,
    evidence_site,
    forged,
    with_members,
    with_records,
)
from wire.chain import RecordKind, chain_hash
from wire.ids import session_id
from wire.meter.keys import public_key_of
from wire.meter.record import ReadingReason
from wire.records import Basis, Price
from wire.settling.billing import billed
from wire.settling.tariffs import EnergyPrice, short_form
from wire.settling.timeline import Course

ALL_BUT_KEYS = [step for step in Step if step is not Step.KEYS]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvidenceSite]:
    """Two sessions of one driver and one of another, a log that went on after them."""
    made = evidence_site(tmp_path_factory.mktemp("hub"))
    made.ids = [
        made.session("t1", T0, "10.000", "14.200"),
        made.session("t2", T0 + timedelta(hours=2), "14.200", "20.100"),
        made.session("t3", T0 + timedelta(hours=4), "20.100", "21.000", uid="04B2"),
    ]
    made.send()
    made.session("t4", T0 + timedelta(hours=6), "21.000", "22.000")
    made.send()
    yield made
    made.connection.close()


@pytest.mark.parametrize("last", [4, 3, 2])
def test_a_decision_of_the_log_that_this_one_continues_is_in_the_file(tmp_path: Path, last: int) -> None:
    """The card was shown, the gateway's store was damaged, and the station told of the session afterwards."""
    site = evidence_site(tmp_path)
    decided = site.charger.decision("04A1", T0)
    site.charger.decide(site.charger.decision("04B2", T0))
    site.charger.decide(site.charger.decision("04A1", T0 - timedelta(minutes=1)))
    site.charger.decide(decided)
    site.charger.decide(site.charger.decision("04A1", T0 + timedelta(minutes=1)))
    site.send()
    for number in range(2):
        site.begin_epoch(f"e{number + 2}", last if number == 0 else 1)
        site.send()
    at = T0 + timedelta(minutes=2)
    repeated = site.charger.decision("04A1", at, basis=Basis.EARLIER_DECISION)
    begin, end = (site.meter.sign(reason, at, "1.000") for reason in (ReadingReason.BEGIN, ReadingReason.END))
    site.charger.event("Started", "t1", at, "1.000", decision=repeated, signed=begin)
    site.charger.event("Ended", "t1", at, "1.000", signed=end)
    site.send()
    data = site.evidence(session_id("site-1", site.charger.charger_id, "t1")).data
    assert [(each.epoch, len(each.records)) for each in content_of(data).chains] == [("e1", 1), ("e3", 2)]
    assert [each.record.seq for each in content_of(data).chains[0].records] == [last]
    assert broken_steps(verify_evidence(data)) == set()
    site.connection.close()


@pytest.fixture(scope="module")
def good(site: EvidenceSite) -> bytes:
    return site.evidence(site.ids[0]).data


@pytest.fixture(scope="module")
def other(site: EvidenceSite) -> bytes:
    """The file of another driver's session on the same charger."""
    return site.evidence(site.ids[2]).data


def meter_keys(site: EvidenceSite) -> Any:
    return (public_key_of(site.meter.key.public_key()),)


def test_a_file_holds_with_the_keys_of_its_signers(site: EvidenceSite, good: bytes) -> None:
    given = GivenKeys(hub=frozenset({HUB.public_key}), log=frozenset({LOG.public_key}), meter=meter_keys(site))
    report = verify_evidence(good, given)
    assert [check.outcome for check in report.steps] == [StepOutcome.HOLDS] * 9, report
    assert report.verdict == "holds, with the keys that were given"
    assert report.session_id == site.ids[0]


def test_without_keys_it_says_whose_words_they_are(good: bytes) -> None:
    report = verify_evidence(good)
    assert report.holds
    assert report.verdict == "consistent; keys as the file names them"
    assert [check.step for check in report.steps if check.outcome is StepOutcome.OPEN] == [Step.KEYS]
    partly = verify_evidence(good, GivenKeys(hub=frozenset({HUB.public_key})))
    assert partly.verdict == "consistent; compared with given keys: hub; as the file names them: log, meter"


@pytest.mark.parametrize("role", ["hub", "log", "meter"])
def test_another_key_than_the_given_one_breaks_the_last_step(good: bytes, role: str) -> None:
    strange: dict[str, Any] = {
        "hub": frozenset({STRANGER.public_key}),
        "log": frozenset({STRANGER.public_key}),
        "meter": (public_key_of(MeterDouble().key.public_key()),),
    }
    report = verify_evidence(good, GivenKeys(**{role: strange[role]}))
    assert broken_steps(report) == {"keys"}
    assert not report.holds


def test_the_same_evidence_has_the_same_bytes(site: EvidenceSite, good: bytes) -> None:
    assert site.evidence(site.ids[0]).data == good
    assert pack(unpack(good)) == good


def test_every_kind_of_byte_counts(good: bytes) -> None:
    """Bytes of every member, and of the container around and between them; a flipped one never passes."""
    places = set[int]()
    chosen = random.Random(6)
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        for member in file.infolist():
            start = member.header_offset
            places |= {start + offset for offset in (0, 4, 6, 10, 14, 18, 26, 30)}
            inside = start + 30 + len(member.filename)
            places |= {inside, inside + member.file_size - 1}
            places |= {inside + chosen.randrange(member.file_size) for _ in range(6)}
        places |= {file.start_dir + offset for offset in (0, 4, 10, 12, 16, 20, 28, 36, 38, 42)}
    places |= {len(good) - offset for offset in (1, 3, 6, 10, 14, 18, 22)}
    for place in sorted(places):
        changed = bytearray(good)
        changed[place] ^= 1 << chosen.randrange(8)
        try:
            report = verify_evidence(bytes(changed))
        except EvidenceUnusable:
            continue
        assert not report.holds, f"byte {place} of {len(good)}"


@pytest.mark.parametrize("spoil", [b"", b"PK", b"\0" * 100, b"not a zip"])
def test_what_is_no_file_of_ours_is_unusable(spoil: bytes) -> None:
    with pytest.raises(EvidenceUnusable):
        verify_evidence(spoil)


def test_what_is_cut_or_longer_is_noticed(good: bytes) -> None:
    for data in (good[:-1], good[: len(good) // 2], good[1:]):
        with pytest.raises(EvidenceUnusable):
            verify_evidence(data)
    for data in (good + b"x", b"x" + good):
        try:
            assert "container" in broken_steps(verify_evidence(data))
        except EvidenceUnusable:
            pass


def test_a_container_with_anything_else_in_it_is_refused(good: bytes) -> None:
    def packed(names: list[str], method: int = zipfile.ZIP_STORED) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", method) as file:
            for name in names:
                file.writestr(name, b"\0" * 1_000_000)
        return made.getvalue()

    for data, why in (
        (packed([CONTENT, PAGE, SEAL, "../../etc/passwd"]), "belongs to no evidence file"),
        (packed([CONTENT, PAGE, SEAL, "records/../x"]), "belongs to no evidence file"),
        (packed([CONTENT, PAGE, SEAL], zipfile.ZIP_DEFLATED), "compressed"),
        (packed([CONTENT, PAGE]), "seal.json missing"),
    ):
        with pytest.raises(EvidenceUnusable, match=why):
            verify_evidence(data)
    with pytest.warns(UserWarning, match="Duplicate name"):
        doubled = packed([CONTENT, PAGE, SEAL, PAGE])
    with pytest.raises(EvidenceUnusable, match="each once"):
        verify_evidence(doubled)


def test_another_version_is_unusable(good: bytes) -> None:
    with pytest.raises(EvidenceUnusable, match="version 2"):
        verify_evidence(forged(good, version=2))


def test_whatever_a_file_says_it_is_answered(good: bytes) -> None:
    """Values of every kind at places all over the content, sealed by a hub that does such things."""
    chosen, content = random.Random(66), msgspec.json.decode(unpack(good)[CONTENT])
    strange = (
        None,
        -1,
        10**40,
        10**400,
        "",
        "x",
        [],
        {},
        True,
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    )
    for path in chosen.sample(list(_places(content, ())), 60):
        spoilt = msgspec.json.decode(msgspec.json.encode(content))
        inside = spoilt
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = chosen.choice(strange)
        members = {**unpack(good), CONTENT: msgspec.json.encode(spoilt)}
        del members[SEAL]
        try:
            report = verify_evidence(pack(sealed(members, HUB, LATER)))
        except EvidenceUnusable:
            continue
        assert not report.holds, path


def test_numbers_that_fill_the_memory_are_refused(good: bytes) -> None:
    members = unpack(good)
    endless = members[CONTENT].replace(b'"total_energy":4.2', b'"total_energy":1e999999999')
    assert endless != members[CONTENT]
    with pytest.raises(EvidenceUnusable, match="more than 40 digits"):
        verify_evidence(pack({**members, CONTENT: endless}))


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where anything stands in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from _places(item, (*path, key))


# --- what somebody forges who has no key of the hub -------------------------------------------------------------------


def test_an_altered_price_breaks_the_seal_or_is_a_strangers(good: bytes) -> None:
    cdr = content_of(good).cdr
    course = Course(begin=cdr.start_date_time, end=cdr.end_date_time, energy_wh=cdr.total_energy * 1000)
    cheaper = billed(cdr, course, short_form(EnergyPrice("EUR", Decimal("0.10"), Decimal(0))), UTC, None)
    assert cheaper.total_cost.before_taxes == Decimal("0.42")
    assert broken_content(verify_evidence(forged(good, key=None, cdr=cheaper))) == {"container"}
    assert broken_content(verify_evidence(forged(good, key=STRANGER, cdr=cheaper))) == {"container"}


def test_a_countersignature_by_another_key_is_noticed(good: bytes) -> None:
    chain = content_of(good).chains[0]
    newest = msgspec.structs.replace(chain.newest, countersignature=STRANGER.countersign(chain.newest.signed, LATER))
    changed = (msgspec.structs.replace(chain, newest=newest),)
    assert broken_content(verify_evidence(forged(good, chains=changed))) == {"container"}
    report = verify_evidence(forged(good, key=STRANGER, chains=changed), GivenKeys(hub=frozenset({HUB.public_key})))
    assert broken_content(report) == {"keys"}


# --- what a hub forges, which seals it with its own key ---------------------------------------------------------------


def test_another_total_than_price_times_energy_is_noticed(good: bytes) -> None:
    cdr = content_of(good).cdr
    dearer = msgspec.structs.replace(cdr, total_cost=Price(before_taxes=Decimal("9.99")))
    assert broken_content(verify_evidence(forged(good, cdr=dearer))) == {"bill"}


@pytest.mark.parametrize(
    "change", [{"total_energy": Decimal("5")}, {"total_time": Decimal("1")}, {"charger_id": "CP-9"}, {"id": "x"}]
)
def test_another_bill_than_the_records_give_is_noticed(good: bytes, change: dict[str, Any]) -> None:
    cdr = msgspec.structs.replace(content_of(good).cdr, **change)
    assert "bill" in broken_content(verify_evidence(forged(good, cdr=cdr)))


def test_what_does_not_hold_is_not_said_to_hold_as_well(good: bytes) -> None:
    mine = content_of(good)
    cdr = msgspec.structs.replace(mine.cdr, total_energy=Decimal("0.5"))
    session = msgspec.structs.replace(mine.session, kwh=Decimal("0.5"))
    report = verify_evidence(with_members(forged(good, cdr=cdr, session=session), {PAGE: b"<html>"}))
    members, bill = report.steps[Step.MEMBERS.number - 1], report.steps[Step.BILL.number - 1]
    assert "index.html does not say what evidence.json says" in members.details
    assert "index.html says what evidence.json says" not in members.details
    assert "the session follows from the records" not in report.steps[Step.SESSION.number - 1].details
    assert not any("kWh x" in text for text in bill.details)


def test_a_record_of_another_session_is_noticed(good: bytes, other: bytes) -> None:
    mine, theirs = content_of(good), content_of(other)
    swapped = (*mine.chains[0].records[:-1], theirs.chains[0].records[-1])
    assert {"records", "session", "bill"} <= broken_content(
        verify_evidence(forged(good, chains=with_records(mine, swapped)))
    )


def test_a_decision_about_another_token_is_noticed(good: bytes, other: bytes) -> None:
    mine, theirs = content_of(good), content_of(other)
    swapped = tuple(sorted((*mine.chains[0].records[1:], theirs.chains[0].records[0]), key=lambda one: one.record.seq))
    report = verify_evidence(forged(good, chains=with_records(mine, swapped)))
    assert broken_content(report) == {"decision"}
    assert "another token" in next(check for check in report.steps if check.step is Step.DECISION).details[0]


def test_without_its_decision_a_session_is_not_allowed(good: bytes) -> None:
    mine = content_of(good)
    assert mine.chains[0].records[0].record.kind is RecordKind.DECISION
    report = verify_evidence(forged(good, chains=with_records(mine, mine.chains[0].records[1:])))
    assert broken_content(report) == {"decision"}


@pytest.mark.parametrize("left_out", [1, 2, 3])
def test_a_record_that_is_left_out_is_noticed(good: bytes, left_out: int) -> None:
    mine = content_of(good)
    kept = tuple(one for place, one in enumerate(mine.chains[0].records) if place != left_out)
    assert "session" in broken_content(verify_evidence(forged(good, chains=with_records(mine, kept))))


def test_what_is_missing_may_be_said_but_not_kept_quiet(good: bytes) -> None:
    mine = content_of(good)
    kept = tuple(one for place, one in enumerate(mine.chains[0].records) if place != 2)
    said = forged(
        good, chains=with_records(mine, kept), missing=("messages of the charger with the sequence numbers 1",)
    )
    report = verify_evidence(said)
    assert report.steps[5].outcome is StepOutcome.OPEN
    assert "members" in broken_steps(report)  # the page still says that nothing is missing
    checks = tuple(check for check in report.steps if check.step in {one.step for one in mine.checks})
    honest = forged(
        good,
        chains=with_records(mine, kept),
        missing=("messages of the charger with the sequence numbers 1",),
        checks=checks,
    )
    assert verify_evidence(honest).verdict.startswith("consistent, not proven: step 6 (session)")


def test_a_record_that_was_rewritten_is_not_in_the_log(good: bytes) -> None:
    mine = content_of(good)
    last = mine.chains[0].records[-1]
    body = last.record.body.replace("14.200", "44.200")
    record = msgspec.structs.replace(last.record, body=body)
    for rewritten in (
        record,
        msgspec.structs.replace(record, hash=chain_hash(mine.gateway_id, "e1", last.prev_hash, record)),
    ):
        records = (*mine.chains[0].records[:-1], msgspec.structs.replace(last, record=rewritten))
        broken = broken_content(verify_evidence(forged(good, chains=with_records(mine, records))))
        assert broken & {"records", "log"}


def test_a_head_of_another_log_is_noticed(good: bytes) -> None:
    chain = content_of(good).chains[0]
    head = chain.newest.signed.head
    for strange in (
        STRANGER.sign_head(head),
        LOG.sign_head(msgspec.structs.replace(head, epoch="e2")),
        LOG.sign_head(msgspec.structs.replace(head, root="00" * 32)),
    ):
        newest = msgspec.structs.replace(chain.newest, signed=strange, countersignature=HUB.countersign(strange, LATER))
        report = verify_evidence(forged(good, chains=(msgspec.structs.replace(chain, newest=newest),)))
        assert broken_content(report) == {"log"}


def test_a_whole_other_log_is_only_found_with_its_key(good: bytes) -> None:
    chain = content_of(good).chains[0]
    heads = {}
    for name in ("covering", "newest"):
        signed = STRANGER.sign_head(getattr(chain, name).signed.head)
        heads[name] = msgspec.structs.replace(
            getattr(chain, name), signed=signed, countersignature=HUB.countersign(signed, LATER)
        )
    data = forged(good, chains=(msgspec.structs.replace(chain, **heads),))
    assert verify_evidence(data).holds
    assert broken_content(verify_evidence(data, GivenKeys(log=frozenset({LOG.public_key})))) == {"keys"}


def test_a_meter_key_that_did_not_sign_is_noticed(good: bytes) -> None:
    key = public_key_of(MeterDouble().key.public_key())
    keys = tuple(msgspec.structs.replace(row, public_key=key.spki.hex()) for row in content_of(good).keys)
    assert {"meter", "bill"} <= broken_content(verify_evidence(forged(good, keys=keys)))


def test_a_better_verdict_than_found_is_noticed(site: EvidenceSite, good: bytes) -> None:
    texts = content_of(good).texts
    other_page = msgspec.structs.replace(texts[0], seqs=(9,))
    assert broken_content(verify_evidence(forged(good, texts=(other_page, *texts[1:])))) == {"meter"}
    more = msgspec.structs.replace(content_of(good).outcome, energy_wh=Decimal("4300"))
    assert broken_content(verify_evidence(forged(good, outcome=more))) == {"session"}


def test_page_and_texts_say_what_the_content_says(good: bytes) -> None:
    members = unpack(good)
    for name in (PAGE, "records/0001.ocmf"):
        spoilt = members[name].replace(b"14.2", b"14.3").replace(b"10.0", b"10.1")
        assert spoilt != members[name]
        assert broken_steps(verify_evidence(with_members(good, {name: spoilt}))) == {"members"}
    assert broken_steps(verify_evidence(with_members(good, {"records/0003.ocmf": b"OCMF|"}))) == {"members"}
    spaced = members[CONTENT].replace(b'{"version":1', b'{ "version":1', 1)
    assert broken_steps(verify_evidence(forged(good, content=spaced))) == {"members"}
    without = {name: content for name, content in members.items() if name not in ("records/0002.ocmf", SEAL)}
    assert broken_steps(verify_evidence(pack(sealed(without, HUB, LATER)))) == {"members"}


def test_a_page_of_another_edition_is_left_to_the_seal(good: bytes) -> None:
    report = verify_evidence(forged(good, edition=99))
    assert report.steps[1].outcome is StepOutcome.OPEN
    assert report.holds

"""The page of an evidence file: whole, alone, and harmless whatever stands in the records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.evidence.container import PAGE, VALUES, unpack
from hub.evidence.content import Check, Step, StepOutcome
from hub.evidence.page import EDITION, render_page
from hub.evidence.wording import plain_words
from tests.hub.conftest import T0, MeterDouble
from tests.hub.evidence_site import EvidenceSite, content_of, evidence_site
from wire.meter.registry import KeyOrigin, KeyState

HOSTILE = "</p><script>alert(1)</script>\"'&\u202e\x1b[2J{{ 7*7 }}"
VOID = {"meta", "br", "link", "img", "input", "hr"}
CHANGE = "the bytes changed: raise EDITION in hub/evidence/page.py, then put the new digest here"
DIGESTS = {
    1: "0f49b4a6756252764be9a688d1b9d302d2f8ab688a7b5817806d13472717600c",
    2: "742dab8cbb1183cf1ad7b4c94c6ef251ece4e4a5d39de54315bf6972e3520f39",
    3: "b2967c6c2e558f77664ee08be236ed39c59ddc547b448d3271f94570c23e4b94",
    4: "ac7a8db48ab14ded18e92799acd1cfcf7c73cccc14220d4669d43f9c2d92a7ad",
}
"""By edition, the SHA-256 of what is made of the values below. An earlier edition is never given again."""


class Outline(HTMLParser):
    """What a page consists of; fails where tags do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def outline(page: bytes) -> Outline:
    found = Outline()
    found.feed(page.decode())
    found.close()
    assert found.open == []
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvidenceSite]:
    meter = MeterDouble(key=ec.derive_private_key(7, ec.SECP256R1()))
    made = evidence_site(tmp_path_factory.mktemp("hub"), meter=meter)
    made.ids = [made.session("t1", T0, "10.000", "14.200")]
    made.send()
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def file(site: EvidenceSite) -> bytes:
    return site.evidence(site.ids[0]).data


def test_it_tells_a_driver_what_matters(site: EvidenceSite, file: bytes) -> None:
    text = " ".join(" ".join(outline(unpack(file)[PAGE]).text).split())
    for words in (
        f"Session {site.ids[0]}",
        "Everything fits",
        "2026-11-23 10:00:00 UTC until 2026-11-23 10:30:00 UTC",
        "Charging station CP-1",
        "30 min 0 s by the meter's clock",
        "contract 04A1 card 04A1 (RFID)",
        "4.2 kWh signed by the meter",
        "2.558 EUR before taxes, not rounded",
        "begin 10.000 kWh",
        "end 14.200 kWh",
        "0.49 EUR per kWh",
        "Session fee once 0.50 EUR",
        "Did the meter sign its readings? Yes.",
        content_of(file).keys[0].public_key,
        unpack(file)["records/0001.ocmf"].decode(),
        "Ask Lab Energy, help@lab.example and name the session",
    ):
        assert words in text, words


def test_it_needs_and_asks_for_nothing_else(file: bytes) -> None:
    page = unpack(file)[PAGE]
    tags = outline(page).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    names = {name for _, attributes in tags for name in attributes}
    assert names <= {"lang", "charset", "name", "content", "http-equiv", "class", "aria-hidden", "colspan", "id"} | {
        "href",
        "data-label",
    }
    ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
    assert {attributes["href"] for tag, attributes in tags if tag == "a"} == {f"#{id_}" for id_ in ids}
    assert re.search(rb"url\(|@import|https?:|//", page) is None
    assert b"default-src 'none'" in page
    assert b"prefers-color-scheme: dark" in page
    assert b"@media print" in page


def test_hostile_words_stay_words(file: bytes) -> None:
    evidence = content_of(file)
    session = msgspec.structs.replace(evidence.session, charger_id=HOSTILE, id=HOSTILE, gateway_id=HOSTILE)
    cdr = msgspec.structs.replace(evidence.cdr, currency=HOSTILE, findings=(HOSTILE,))
    checks = (Check(step=Step.METER, outcome=StepOutcome.BROKEN, details=(HOSTILE,)),)
    evidence = msgspec.structs.replace(
        evidence, session=session, cdr=cdr, checks=checks, issuer=HOSTILE, program=HOSTILE
    )
    page = render_page(evidence, {"records/0001.ocmf": HOSTILE.encode(), "records/0002.ocmf": b"\xff"}, HOSTILE)
    found = outline(page)
    assert "script" not in {tag for tag, _ in found.tags}
    assert not {"\u202e", "\x1b"} & set(page.decode())
    assert b"\\u202e" in page
    assert b"{{ 7*7 }}" in page
    assert any("take the member of this file" in words for words in found.text)


def test_colours_are_never_alone(file: bytes) -> None:
    evidence = content_of(file)
    checks = tuple(
        Check(step=step, outcome=outcome, details=("x",))
        for step, outcome in zip((Step.LOG, Step.METER, Step.BILL), StepOutcome, strict=True)
    )
    page = render_page(msgspec.structs.replace(evidence, checks=checks), {}, "").decode()
    for outcome, word in zip(StepOutcome, ("Yes.", "Not proven.", "No."), strict=True):
        assert re.search(rf'<li class="{outcome.value}">.*{re.escape(word)}', page)
        assert f".{outcome.value} .mark::before {{ content:" in page
    assert "This does not fit" in page


def test_what_nobody_signed_is_said(tmp_path: Path) -> None:
    site = evidence_site(tmp_path)
    site.charger.meter = None
    site.charger.decide(site.charger.decision("04A1", T0))
    for kind, at, kwh in (("Started", 0, "1.0"), ("Ended", 600, "2.0")):
        site.charger.event(kind, "t1", T0.replace(minute=at // 60), kwh)
    site.send()
    id_ = site.connection.execute("SELECT id FROM sessions").fetchone()[0]
    text = " ".join(outline(unpack(site.evidence(id_).data)[PAGE]).text)
    assert "No signed reading counts" in text
    assert "not signed by the meter" in text
    assert "Nothing speaks against it, but not everything is proven" in text
    site.connection.close()


def test_a_key_that_is_known_in_two_ways_is_shown_once_by_the_better(file: bytes) -> None:
    (row,) = content_of(file).keys
    learned = msgspec.structs.replace(row, state=KeyState.LEARNED, source=KeyOrigin.OCPP_FIELD)
    texts = {name: content for name, content in unpack(file).items() if name.startswith("records/")}
    both = msgspec.structs.replace(content_of(file), keys=(learned, row))
    said = outline(render_page(both, texts, "digest")).text
    assert said.count("Public key of the meter") == 1
    assert not any("nobody has confirmed" in text for text in said)


def test_findings_of_one_kind_are_told_once_beside_the_price(file: bytes) -> None:
    mine = content_of(file)
    findings = ("key-learned: the begin [hold]", "gap: 3 [note]", "key-learned: the end [hold]")
    cdr = msgspec.structs.replace(mine.cdr, findings=findings)
    texts = {name: content for name, content in unpack(file).items() if name.startswith("records/")}
    told = outline(render_page(msgspec.structs.replace(mine, cdr=cdr), texts, "digest")).text
    said = " ".join(" ".join(told).split())
    assert said.count("The bill says of itself") == 2
    assert "before it counts, and 1 more like it" in said
    assert "3 (gap)" in said


@pytest.mark.parametrize(
    ("told", "words", "code"),
    [
        ("the bill itself says: gap: 3 [hold]", "the bill itself says: 3; somebody has to look at it", "gap"),
        (
            "key-learned: the begin [hold]",
            "nobody has compared it with the meter yet; somebody",
            "key-learned: the begin",
        ),
        (
            "record 3: Accepted at 10:00, hub-allowed, by whitelist",
            "record 3: allowed at 10:00: the card",
            "hub-allowed",
        ),
        ("record 3: Blocked at 10:00, blocked, by hub", "record 3: refused at 10:00", "blocked, hub"),
        (
            "a.ocmf (T1, begin): signed by meter M-1, byte for byte",
            "signed by meter M-1, and nothing",
            "a.ocmf (T1, begin)",
        ),
        ("settled since the bill was made: key-learned: x [hold]", "with the meter yet", "key-learned: x"),
        ("currency: the bill says EUR, the records say CHF", "currency: the bill says EUR, the records say CHF", ""),
    ],
)
def test_codes_are_told_by_their_meaning(told: str, words: str, code: str) -> None:
    plain = plain_words(told)
    assert words in plain.words
    assert plain.code.startswith(code)
    assert "[hold]" not in plain.words


def test_a_page_that_changes_is_of_another_edition(file: bytes) -> None:
    """A verifier compares page and values.xml with those it makes itself: one edition always gives the same bytes."""
    checks = tuple(Check(step=step, outcome=StepOutcome.HOLDS, details=("x",)) for step in list(Step)[2:8])
    evidence = msgspec.structs.replace(content_of(file), program="pncgate", checks=checks)
    texts = {name: content for name, content in unpack(file).items() if name.startswith("records/")}
    made = render_page(evidence, texts, "digest") + unpack(file)[VALUES]
    assert DIGESTS[EDITION] == hashlib.sha256(made).hexdigest(), CHANGE

"""Ten thousand sessions with tampering planted in them: every case is found and named, and nothing else is found.

`pytest -s` or `python -m tests.laws.tampered_history` shows the table.
"""

from __future__ import annotations

import pytest

from tests.laws.tampered_history import CASES, KINDS, Outcome, make_history, outcome


@pytest.fixture(scope="module")
def found() -> Outcome:
    return outcome(make_history(seed=20261123))


def test_every_planted_case_is_found_and_named(found: Outcome) -> None:
    print(f"\n{found}")
    assert found.sessions >= 10_000
    assert found.rows == tuple((kind.name, kind.code, CASES, CASES) for kind in KINDS)
    assert found.missed == ()


def test_nothing_is_found_on_any_other_session(found: Outcome) -> None:
    assert found.false_alarms == ()


def test_an_untouched_history_has_no_findings() -> None:
    clean = outcome(make_history(seed=7, meters=20, rounds=25, cases=0))
    assert (clean.sessions, clean.missed, clean.false_alarms) == (500, (), ())

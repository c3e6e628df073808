"""docs/settlement.md says what there is: its commands are commands, its table of disputes is the table."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from hub.__main__ import main
from hub.disputes import TRANSITIONS, Act, DisputeState

PAGE = (Path(__file__).parents[2] / "docs" / "settlement.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
TYPED = [line for line in BLOCKS.splitlines() if line.startswith("pnc-hub ")]


@pytest.mark.parametrize("line", TYPED)
def test_every_command_is_one(line: str, tmp_path: Path) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    if any(param.name == "token_file" for param in command.params):
        words += ["--token-file", str(tmp_path / "token")]
    command.make_context(command.name, words)


def test_the_table_of_disputes_is_the_table() -> None:
    told = set()
    for states, who, acts, _then in re.findall(
        r"^\| (opened.*?|accepted) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE
    ):
        for state in states.split(", "):
            told |= {(state, act.split(", with")[0], who) for act in acts.replace(", with a reason", "").split(", ")}
    words = {frozenset({"opener", "respondent"}): "both sides"}
    expected = set()
    for (state, act), (sides, _) in TRANSITIONS.items():
        names = frozenset(side.value for side in sides)
        expected.add((state.value, act.value, words.get(names) or next(iter(names))))
    assert told == expected
    assert {state for state, _ in TRANSITIONS} == {DisputeState.OPENED, DisputeState.ACCEPTED}
    assert Act.OPEN not in {act for _, act in TRANSITIONS}

"""Every mistake in a configuration is named with its line, its key and the nearest key that exists."""

from __future__ import annotations

from enum import StrEnum

import msgspec
import pytest

from wire.toml import Table, TOMLError, parse_toml


class Kind(StrEnum):
    AC = "ac"
    DC = "dc"


class Connector(Table, frozen=True, kw_only=True):
    id: int
    kind: Kind = Kind.AC


class Charger(Table, frozen=True, kw_only=True):
    id: str
    connector: tuple[Connector, ...] = ()


class Site(Table, frozen=True, kw_only=True):
    name: str
    port: int = 1
    hosts: tuple[str, ...] = ()


class Settings(Table, frozen=True, kw_only=True):
    site: Site
    charger: tuple[Charger, ...] = ()
    party: dict[str, Site] = msgspec.field(default_factory=dict)


TWO_CHARGERS = """[site]
name = "north"

[[charger]]
id = "a"
[[charger.connector]]
id = 1

[[charger]]  # the second
id = "b"
[[charger.connector]]
id = 1
[[charger.connector]]
id = 2
"""


def test_what_is_right_is_read() -> None:
    settings = parse_toml(Settings, TWO_CHARGERS, "site.toml")
    assert [charger.id for charger in settings.charger] == ["a", "b"]
    assert [connector.id for connector in settings.charger[1].connector] == [1, 2]
    assert settings.site == Site(name="north")


UNKNOWN_KEYS = [
    ("[site]\nnam = 1\n", 2, "`nam` in [site]; did you mean `name`?"),
    ('[site]\nname = "x"\n[stie]\nport = 1', 3, "`stie`; did you mean `site`?"),
    ('site = {name = "x", prot = 5}', 1, "`prot` in [site]; did you mean `port`?"),
    ('site.name = "x"\nsite.prot = 5', 2, "`prot` in [site]; did you mean `port`?"),
    ('[site]\r\nname = "x"\r\nprot = 5\r\n', 3, "`prot` in [site]; did you mean `port`?"),
    ('["site"]\nname = "x"\n"prot" = 5', 3, "`prot` in [site]; did you mean `port`?"),
    ('[site]\nname = """\nprot = 1\n"""\n# prot = 2\nprot = 3', 6, "`prot` in [site]; did you mean `port`?"),
    ('[site]\nname = "x\\u2028"\n\nzzz = 5', 4, "`zzz` in [site]; known keys here: hosts, name, port"),
    (TWO_CHARGERS + 'knd = "dc"', 15, "`knd` in [charger[1].connector[1]]; did you mean `kind`?"),
    (
        'charger = [\n  {id = "a"},\n  {idd = "b"},\n]\n[site]\nname = "x"',
        1,
        "`idd` in [charger[1]]; did you mean `id`?",
    ),
    ('[site]\nname = "x"\n[party.one]\nname = "y"\nprot = 3', 5, "`prot` in [party[...]]; did you mean `port`?"),
]


@pytest.mark.parametrize(("text", "line", "named"), UNKNOWN_KEYS)
def test_unknown_key_is_named_with_its_line_and_the_nearest_key(text: str, line: int, named: str) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(Settings, text, "site.toml")
    assert str(caught.value) == f"site.toml, line {line}: unknown key {named}"
    assert (caught.value.line, caught.value.code) == (line, "bad-configuration")


class Wait(Table, frozen=True, kw_only=True, tag_field="do", tag="wait"):
    seconds: int
    until: str = ""


class Charge(Table, frozen=True, kw_only=True, tag_field="do", tag="charge"):
    charger: str
    secret: str = ""
    power_kw: int = 22


class Day(Table, frozen=True, kw_only=True):
    step: tuple[Wait | Charge, ...] = ()
    named: dict[str, Wait | Charge] = msgspec.field(default_factory=dict)
    last: Wait | Charge | None = None


TAGGED_KEYS = [
    ('[[step]]\ndo = "charge"\ncharger = "a"\npower = 3', 4, "`power` in [step[0]]; did you mean `power_kw`?"),
    (
        '[[step]]\ndo = "wait"\nseconds = 1\n[[step]]\ndo = "charge"\nseconds = 1',
        6,
        "`seconds` in [step[1]]; known keys here: charger, do, power_kw, secret",
    ),
    ('[[step]]\ndo = "charge"\nxyzzy = 1', 3, "`xyzzy` in [step[0]]; known keys here: charger, do, power_kw, secret"),
    ('last = { do = "charge", xyzzy = 1 }', 1, "`xyzzy` in [last]; known keys here: charger, do, power_kw, secret"),
]


@pytest.mark.parametrize(("text", "line", "named"), TAGGED_KEYS)
def test_a_table_with_a_tag_is_compared_with_the_keys_of_that_tag(text: str, line: int, named: str) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(Day, text, "day.toml")
    assert str(caught.value) == f"day.toml, line {line}: unknown key {named}"


def test_under_a_name_that_is_not_told_the_tag_is_not_known() -> None:
    """The error does not say which entry of the mapping it means; the keys of the first tag are shown."""
    with pytest.raises(
        TOMLError, match=r"unknown key `xyzzy` in \[named\[...\]\]; known keys here: do, seconds, until"
    ):
        parse_toml(Day, '[named.one]\ndo = "wait"\nseconds = 1\nxyzzy = 1', "day.toml")


WRONG_VALUES = [
    ("site = 1", 1, "`site`: Expected `object`, got `int`"),
    ('[site]\nport = "x"\nname = "y"', 2, "`site.port`: Expected `int`, got `str`"),
    ('[site]\nname = 1979-05-27\nport = "x"', 2, "`site.name`: Expected `str`, got `date`"),
    ('[site]\nname = "x"\nhosts = [\n  "a",\n  5,\n]\n', 3, "`site.hosts[1]`: Expected `str`, got `int`"),
    (TWO_CHARGERS.replace("id = 2", 'id = "2"'), 14, "`charger[1].connector[1].id`: Expected `int`, got `str`"),
    (TWO_CHARGERS + 'kind = "x - at `y`"', 15, "`charger[1].connector[1].kind`: Invalid enum value 'x - at `y`'"),
]


@pytest.mark.parametrize(("text", "line", "named"), WRONG_VALUES)
def test_wrong_value_is_named_with_its_line_and_path(text: str, line: int, named: str) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(Settings, text, "site.toml")
    assert str(caught.value) == f"site.toml, line {line}: {named}"


MISSING_KEYS = [
    ("", None, "key `site` is missing"),
    ("\n[site]\nport = 5", 2, "key `name` is missing in [site]"),
    (TWO_CHARGERS.replace('id = "b"\n', ""), 9, "key `id` is missing in [charger[1]]"),
    (TWO_CHARGERS.replace("id = 2", ""), 13, "key `id` is missing in [charger[1].connector[1]]"),
]


@pytest.mark.parametrize(("text", "line", "named"), MISSING_KEYS)
def test_missing_key_is_named_with_the_line_of_its_table(text: str, line: int | None, named: str) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(Settings, text, "site.toml")
    assert (caught.value.line, str(caught.value).partition(": ")[2]) == (line, named)


def test_a_place_that_cannot_be_told_is_not_guessed() -> None:
    """Two parties hold a `port`; the error does not say which of them is wrong, so no line is claimed."""
    text = '[site]\nname = "x"\n[party.one]\nname = "a"\nport = 1\n[party.two]\nname = "b"\nport = "2"'
    with pytest.raises(TOMLError, match=r"^site.toml: `party\[...\].port`: Expected `int`, got `str`$") as caught:
        parse_toml(Settings, text, "site.toml")
    assert caught.value.line is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[site]\nname = "x"\nbad\n', 3),
        ('[site]\nname = "x"\nbad', 3),
        ("\n[site", 2),
        ('\n\na = """\nnever\nclosed\n', 3),
        ('[site]\nname = "x"\nname = "y"', 3),
        ("x = 2026-13-45", 1),
        ('name = "a\x00"', 1),
        ('x = "\\ud800"', 1),
        ("y = 1\nx = " + "9" * 5000, 2),
        ("y = 1\nx = " + "[" * 5000, 2),
    ],
)
def test_text_that_is_not_toml_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(TOMLError, match="not valid TOML: ") as caught:
        parse_toml(Settings, text, "site.toml")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"site.toml, line {line}: ")


def test_the_line_is_found_in_a_long_file() -> None:
    text = '[site]\nname = "x"\n' + "".join(f'[[charger]]\nid = "{n}"\n' for n in range(1000))
    with pytest.raises(TOMLError, match=r"line 1805: unknown key `idd` in \[charger\[900\]\]"):
        parse_toml(Settings, text.replace('id = "900"', 'id = "900"\nidd = 1'), "site.toml")

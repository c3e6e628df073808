"""Reading one JSON object of a record field by field; what is not as it should be becomes a deviation, not an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from wire.meter.json_text import parse_number
from wire.meter.record import Deviation, DeviationClass

T = TypeVar("T")

_MOST_SHOWN = 40


def printable(text: str) -> str:
    """`text` for a message: quoted, ASCII, at most 40 characters of it."""
    return ascii(text[:_MOST_SHOWN])


def is_plain_name(key: str) -> bool:
    """Whether a field's name may be shown as it is: printable, without halves of surrogates, at most 40 characters."""
    return len(key) <= _MOST_SHOWN and key.isprintable()


class DeviationLog:
    """Collects deviations while one record is read; keeps at most 100 and says when there were more. `has_escapes`: a
    section holds `\\u` escapes, the only way in which half of a surrogate pair can come into a text."""

    __slots__ = ("_found", "has_escapes")

    _LIMIT = 100

    def __init__(self) -> None:
        self._found: list[Deviation] = []
        self.has_escapes = False

    def add(self, code: str, pointer: str, message: str, deviation_class: DeviationClass = DeviationClass.SPEC) -> None:
        """Note one deviation; dropped beyond the limit."""
        if len(self._found) < self._LIMIT:
            self._found.append(Deviation(code=code, pointer=pointer, deviation_class=deviation_class, message=message))
        elif len(self._found) == self._LIMIT:
            message = f"more than {self._LIMIT} deviations; the rest are not listed"
            self._found.append(
                Deviation(
                    code="many-deviations", pointer="/payload", deviation_class=DeviationClass.ADVISORY, message=message
                )
            )

    def found(self) -> tuple[Deviation, ...]:
        """Everything noted so far, in order."""
        return tuple(self._found)


class Fields:
    """The members of one object at `pointer`. `texts` are those that are strings, and of `text_keys` also the numbers,
    as text and with a deviation; anything else that stands at a key of `text_keys` is noted and absent."""

    __slots__ = ("_log", "members", "pointer", "texts")

    def __init__(
        self, members: Mapping[str, object], text_keys: frozenset[str], pointer: str, log: DeviationLog
    ) -> None:
        self.members, self.pointer, self._log = members, pointer, log
        texts: dict[str, str] = {}
        self.texts = texts
        for key, value in members.items():
            if isinstance(value, str):
                texts[key] = value
            elif key in text_keys:
                self.note("wrong-type", key, "expected a string")
                if isinstance(value, Decimal):
                    texts[key] = str(value)
        if log.has_escapes:
            self._drop_half_characters()

    def _drop_half_characters(self) -> None:
        for key, value in tuple(self.texts.items()):
            if any("\ud800" <= character <= "\udfff" for character in value):
                self.note("lone-surrogate", key, "half of a surrogate pair is no text")
                del self.texts[key]

    def note(self, code: str, key: str, message: str, kind: DeviationClass = DeviationClass.SPEC) -> None:
        """A deviation at `key`."""
        self._log.add(code, f"{self.pointer}/{key}", message, kind)

    def advise(self, code: str, key: str, message: str) -> None:
        """A deviation at `key` that breaks good practice only."""
        self._log.add(code, f"{self.pointer}/{key}", message, DeviationClass.ADVISORY)

    def known(self, key: str, values: frozenset[str]) -> str | None:
        """The text at `key`, kept as written; a deviation when it is not of `values`."""
        text = self.texts.get(key)
        if text is not None and text not in values:
            self.note("unknown-value", key, f"{printable(text)} is not a value of {key}")
        return text

    def choice(self, key: str, values: Mapping[str, T]) -> T | None:
        """What the text at `key` stands for in `values`; any other text is a deviation and None."""
        text = self.texts.get(key)
        if text is None:
            return None
        found = values.get(text)
        if found is None:
            self.note("unknown-value", key, f"{printable(text)} is not a value of {key}")
        return found

    def number(self, key: str) -> Decimal | None:
        """The number at `key`, digits kept; a string that spells one is read too, with a deviation."""
        value = self.members.get(key)
        if isinstance(value, Decimal) or (value is None and key not in self.members):
            return value
        number = parse_number(value) if isinstance(value, str) else None
        message = "expected a JSON number" + ("; the string is read as one" if number is not None else "")
        self.note("value-not-a-number", key, message)
        return number

    def note_unknown(self, keys: Iterable[str]) -> None:
        """An advisory deviation for each of `keys`: the format has no such field here."""
        for key in keys:
            self._log.add(
                "unknown-key", self.pointer, f"there is no field {printable(key)} here", DeviationClass.ADVISORY
            )

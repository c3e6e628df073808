"""XML as stations and the transparency software write it: a small tree, and nothing that a document can make grow.

Read with the standard library's expat alone. A document type declaration is refused as soon as it begins, so no entity
can be declared: none expands, and none is fetched. What is left is bounded by the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from wire.errors import MeterRecordError

MAX_XML_BYTES = 512 * 1024
MAX_DEPTH = 32
MAX_ELEMENTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element: its name without prefix, its attributes by their names as written, its children in order, and the
    text that stood directly in it, untrimmed (line ends normalised to LF, as XML demands)."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """All text directly inside this element."""
        return "".join(self.pieces)

    def child(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def all_named(self, name: str) -> Iterator[Element]:
        """Every element of that name in here, this one included, in the order of the document."""
        if self.name == name:
            yield self
        for child in self.children:
            yield from child.all_named(name)


def parse_xml(data: bytes, where: str) -> Element:
    """The root element of the document `data`; at most 512 KiB, 32 elements deep, 20,000 elements. `where` names the
    document in errors.

    Raises:
        MeterRecordError: `too-large`, `not-xml`, `xml-doctype`, `too-deep`, `too-many-elements`.
    """
    if len(data) > MAX_XML_BYTES:
        raise MeterRecordError("too-large", where, f"{len(data)} bytes; at most {MAX_XML_BYTES}")
    reader = _Reader(where)
    try:
        return reader.read(data)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise MeterRecordError("not-xml", where, f"not well-formed XML: {error}") from error


class _Reader:
    """One reading of one document: the handlers that expat calls, and the elements that are open."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._open: list[Element] = []
        self._root: Element | None = None
        self._count = 0

    def read(self, data: bytes) -> Element:
        """The root element; raises what expat raises for text that is not well-formed."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(data, True)
        if self._root is None:
            raise ValueError("no element")
        return self._root

    def _doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> NoReturn:
        raise MeterRecordError("xml-doctype", self._where, "a document type declaration is not accepted")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise MeterRecordError("too-many-elements", self._where, f"more than {MAX_ELEMENTS} elements")
        if len(self._open) >= MAX_DEPTH:
            raise MeterRecordError("too-deep", self._where, f"elements nested more than {MAX_DEPTH} deep")
        element = Element(name=name.rpartition(":")[2], attributes=attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].pieces.append(text)

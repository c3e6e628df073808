"""The shape of OCPI's values, read from their types once, so that documents can be walked as their types say.

`softened` reads what is always borne: an instant without an offset is UTC, a whole number may be written as `300.0`,
and what the prose of mod_sessions calls RESERVED is RESERVATION.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from inspect import get_annotations
from typing import Any

import msgspec
from msgspec import inspect


class Kind(Enum):
    """What stands at a place of a document."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole number"
    BOOLEAN = "true or false"
    INSTANT = "DateTime"
    WORD = "word"
    LIST = "list"
    OBJECT = "object"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is expected at a place: the words of a closed enumeration, the items of a list, the struct of an object."""

    kind: Kind
    words: frozenset[str] = frozenset()
    items: Shape | None = None
    struct: type[msgspec.Struct] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object by its name in JSON; a list that is required must hold something (cardinality `+`)."""

    name: str
    shape: Shape
    required: bool
    owner: type[msgspec.Struct]
    """The struct that declares it: the one that was asked for, or what it is made from."""


_KINDS: Mapping[type[inspect.Type], Kind] = {
    inspect.StrType: Kind.TEXT,
    inspect.DecimalType: Kind.NUMBER,
    inspect.IntType: Kind.WHOLE,
    inspect.BoolType: Kind.BOOLEAN,
    inspect.DateTimeType: Kind.INSTANT,
}
SYNONYMS: Mapping[str, str] = {"RESERVED": "RESERVATION"}
"""Words that OCPI's prose has beside those of its tables; only where the table does not have them."""
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)


@cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of a struct, in its order."""
    told = inspect.type_info(struct)
    assert isinstance(told, inspect.StructType)
    return tuple(
        Field(field.encode_name, _shape(field.type), field.required, _declaring(struct, field.name))
        for field in told.fields
    )


@cache
def shape_of(type_: Any) -> Shape:
    """The shape of a struct, or of a list of them (`tuple[Token, ...]`)."""
    return _shape(inspect.type_info(type_))


def walked(document: object, type_: Any, change: Callable[[Shape, Any], Any]) -> Any:
    """`document` with `change(shape, value)` in the place of every value that is no object and no list; fields that
    the type does not have stay as they are. What should be an object or a list and is none is changed as a whole."""
    return _walked(document, shape_of(type_), change)


def softened(document: object, type_: Any) -> Any:
    """`document` as a value of the type can be made from it, as far as the rules of this module go."""
    return walked(document, type_, _soften)


def _walked(value: Any, shape: Shape, change: Callable[[Shape, Any], Any]) -> Any:
    if shape.struct is not None and isinstance(value, dict):
        given = {f.name: _walked(value[f.name], f.shape, change) for f in fields_of(shape.struct) if f.name in value}
        return value | given
    if shape.items is not None and isinstance(value, list):
        return [_walked(item, shape.items, change) for item in value]
    return change(shape, value)


def _soften(shape: Shape, value: Any) -> Any:
    if shape.kind is Kind.INSTANT and isinstance(value, str) and _NAIVE.fullmatch(value):
        return f"{value}Z"
    if shape.kind is Kind.WHOLE and isinstance(value, Decimal) and -(2**63) < value < 2**63 and value == int(value):
        return int(value)
    if shape.kind is Kind.WORD and isinstance(value, str) and value not in shape.words:
        return SYNONYMS.get(value, value)
    return value


def _declaring(struct: type[msgspec.Struct], name: str) -> type[msgspec.Struct]:
    return next(one for one in reversed(struct.__mro__) if name in get_annotations(one))


def _shape(told: inspect.Type) -> Shape:
    if isinstance(told, inspect.UnionType):
        [one] = [part for part in told.types if not isinstance(part, inspect.NoneType)]
        return _shape(one)
    if isinstance(told, inspect.Metadata):
        return _shape(told.type)
    if isinstance(told, inspect.StructType):
        return Shape(Kind.OBJECT, struct=told.cls)
    if isinstance(told, inspect.VarTupleType | inspect.ListType):
        return Shape(Kind.LIST, items=_shape(told.item_type))
    if isinstance(told, inspect.EnumType):
        return Shape(Kind.WORD, words=frozenset(str(word.value) for word in told.cls))
    return Shape(_KINDS.get(type(told), Kind.ANY))

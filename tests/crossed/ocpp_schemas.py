"""The JSON schemas of the `ocpp` package beside our types: what differs, and instances made from a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from random import Random
from types import ModuleType
from typing import Any

import jsonschema
import msgspec

from wire.ocpp import v16, v21, v201
from wire.ocpp.payload import Message

Schema = dict[str, Any]
VERSIONS: dict[str, ModuleType] = {"v16": v16, "v201": v201, "v21": v21}


@dataclass(frozen=True, slots=True)
class Described:
    """A message of the package and our type for it."""

    version: str
    name: str
    schema: Schema
    type: type[Message]

    def __str__(self) -> str:
        return f"{self.version}-{self.name}"

    @property
    def validator(self) -> Any:
        return _validator(self.version, self.name)


@cache
def described() -> tuple[Described, ...]:
    """Every schema of the package for which there is a type here."""
    return tuple(found for found in _all() if found.type is not Message)


@cache
def untyped() -> frozenset[str]:
    """The schemas of the package for which there is no type here."""
    return frozenset(str(found) for found in _all() if found.type is Message)


def _all() -> Iterator[Described]:
    for version, module in VERSIONS.items():
        for file in sorted(files(f"ocpp.{version}").joinpath("schemas").iterdir(), key=lambda each: each.name):
            name = file.name.removesuffix(".json")
            ours = name.removesuffix("Request") if not name.endswith("Response") else f"{name[:-8]}Answer"
            schema = json.loads(file.read_text("utf-8-sig"))
            yield Described(version, name, schema, getattr(module, ours, Message))


@cache
def _validator(version: str, name: str) -> Any:
    (schema,) = (each.schema for each in described() if (each.version, each.name) == (version, name))
    return jsonschema.validators.validator_for(schema)(schema)


def resolved(schema: Schema, root: Schema) -> Schema:
    """What a $ref means."""
    if "$ref" not in schema:
        return schema
    found: Schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
    return found


# --- what differs -----------------------------------------------------------------------------------------------------


def differences(schema: Schema, root: Schema, ours: msgspec.inspect.Type, path: str) -> Iterator[str]:
    """Each difference between a schema and our type: where, what the schema has, what we have."""
    schema = resolved(schema, root)
    if isinstance(ours, msgspec.inspect.Metadata):
        ours = ours.type
    if isinstance(ours, msgspec.inspect.UnionType):
        (ours,) = (part for part in ours.types if not isinstance(part, msgspec.inspect.NoneType))
    if isinstance(ours, msgspec.inspect.StructType):
        yield from _fields(schema, root, ours, path)
    elif isinstance(ours, msgspec.inspect.VarTupleType):
        yield from _other(path, _bounds(schema, "minItems", "maxItems"), (ours.min_length, ours.max_length))
        yield from _other(path, schema.get("type"), "array")
        yield from differences(schema["items"], root, ours.item_type, f"{path}[]")
    else:
        yield from _other(path, _leaf(schema), _our_leaf(ours))


def _fields(schema: Schema, root: Schema, ours: msgspec.inspect.StructType, path: str) -> Iterator[str]:
    yield from _other(
        path, schema.get("additionalProperties", True), not ours.cls.__struct_config__.forbid_unknown_fields
    )
    properties, held = schema.get("properties", {}), {field.encode_name: field for field in ours.fields}
    yield from _other(path, set(properties), set(held))
    required = {name for name, field in held.items() if field.required}
    yield from _other(f"{path} required", set(schema.get("required", ())), required)
    for name in properties.keys() & held.keys():
        yield from differences(properties[name], root, held[name].type, f"{path}.{name}")


def _other(path: str, theirs: object, ours: object) -> Iterator[str]:
    if theirs != ours:
        yield f"{path}: {theirs!r}, here {ours!r}"


def _bounds(schema: Schema, low: str, high: str) -> tuple[object, object]:
    return schema.get(low), schema.get(high)


def _leaf(schema: Schema) -> tuple[object, ...]:
    kind = schema.get("type")
    if "enum" in schema:
        return "enum", frozenset(schema["enum"])
    if kind == "string" and schema.get("format") == "date-time":
        return ("instant",)
    if kind == "string":
        return "string", schema.get("maxLength")
    if kind in ("integer", "number"):
        return kind, *_bounds(schema, "minimum", "maximum"), schema.get("multipleOf")
    return (kind or "any",)


def _our_leaf(ours: msgspec.inspect.Type) -> tuple[object, ...]:
    match ours:
        case msgspec.inspect.LiteralType(values):
            return "enum", frozenset(values)
        case msgspec.inspect.DateTimeType(tz=True):
            return ("instant",)
        case msgspec.inspect.StrType():
            return "string", ours.max_length
        case msgspec.inspect.IntType():
            return "integer", ours.ge, ours.le, ours.multiple_of
        case msgspec.inspect.DecimalType():
            return "number", None, None, None
        case msgspec.inspect.BoolType():
            return ("boolean",)
        case msgspec.inspect.RawType():
            return ("any",)
    return (type(ours).__name__,)


# --- instances --------------------------------------------------------------------------------------------------------

STAMP = "2026-03-01T12:00:00Z"
NOT_OURS = frozenset({"Hertz"})
"""Words that the package adds to an enumeration of 1.6."""


def instance(schema: Schema, root: Schema, chance: Random, share: float) -> Any:
    """A value that the schema takes, with this share of the optional fields."""
    schema = resolved(schema, root)
    if "enum" in schema:
        return chance.choice([word for word in schema["enum"] if word not in NOT_OURS])
    match schema.get("type"):
        case "object" if "properties" in schema or not schema.get("additionalProperties", True):
            properties, required = schema.get("properties", {}), schema.get("required", ())
            names = [name for name in properties if name in required or chance.random() < share]
            return {name: instance(properties[name], root, chance, share) for name in names}
        case "object" | None:
            return {"vendorId": "V", "held": [1, None, {"x": 1.25}]}
        case "array":
            least = max(schema.get("minItems", 1), 1)
            count = chance.randint(least, min(schema.get("maxItems", least + 1), least + 1))
            return [instance(schema["items"], root, chance, share) for _ in range(count)]
        case "string" if schema.get("format") == "date-time":
            return STAMP
        case "string":
            longest = schema.get("maxLength", 60)
            return chance.choice(["", "x", 'é"\\\n☃', "y" * longest])[:longest]
        case "integer":
            low = int(schema.get("minimum", -5))
            return chance.randint(low, int(schema.get("maximum", low + 2**20)))
        case "number":
            low, high = Decimal(schema.get("minimum", -50)), Decimal(schema.get("maximum", 90))
            return float(low + (high - low) * chance.randint(0, 10) / 10)
        case "boolean":
            return chance.random() < 0.5
    raise AssertionError(f"no instance of {schema}")


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A value that no schema takes, and what was done to it."""

    value: Any
    what: str


def spoiled(value: Any, schema: Schema, root: Schema, chance: Random, path: str = "$") -> Spoiled:
    """`value` with one thing changed that `schema` forbids; customData and data of any type stay as they are."""
    schema = resolved(schema, root)
    if isinstance(value, dict) and schema.get("properties"):
        known = [name for name in value if name != "customData" and name in schema["properties"]]
        typed = [name for name in known if "type" in resolved(schema["properties"][name], root)]
        deeper = chance.choice(typed or [""])
        if deeper and chance.random() < 0.8:
            found = spoiled(value[deeper], schema["properties"][deeper], root, chance, f"{path}.{deeper}")
            return Spoiled(value | {deeper: found.value}, found.what)
        required = [name for name in schema.get("required", ()) if name in value]
        if required and chance.random() < 0.5:
            gone = chance.choice(required)
            return Spoiled({name: held for name, held in value.items() if name != gone}, f"{path}: {gone} is missing")
        return Spoiled(value | {"notOfTheSchema": 1}, f"{path}: a field too many")
    if isinstance(value, list) and value and "items" in schema and chance.random() < 0.6:
        found = spoiled(value[0], schema["items"], root, chance, f"{path}[0]")
        return Spoiled([found.value, *value[1:]], found.what)
    way = chance.choice(_ways(value, schema))
    return Spoiled(way, f"{path}: {json.dumps(way)[:60]}")


def _ways(value: Any, schema: Schema) -> list[Any]:
    """What may stand in place of a value, and is wrong there."""
    ways: list[Any] = [None, {"an": "object"} if not isinstance(value, dict) else 5, [[]]]
    match value:
        case str():
            ways += [5, True]
            ways += ["NoSuchWord", ""] if "enum" in schema else []
            ways += ["z" * (schema["maxLength"] + 1)] * 3 if "maxLength" in schema else []
        case bool():
            ways += ["true", 1]
        case int() | float():
            ways += ["7", True]
            if schema["type"] == "integer":
                ways += [1.5]
                ways += [schema["minimum"] - 1] if "minimum" in schema else []
                ways += [schema["maximum"] + 1] if "maximum" in schema else []
        case list():
            ways += [value[0]] if not isinstance(value[0], list) else []
            ways += [[]] if schema.get("minItems", 0) > 0 else []
            ways += [value * (schema["maxItems"] + 1)] * 2 if "maxItems" in schema else []
    return ways

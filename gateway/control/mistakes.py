"""Says what is wrong with what was typed: the option or argument by its name, and in plain words."""

from __future__ import annotations

import re

import click
import msgspec

from gateway.wording import plain_mistake
from wire.errors import MalformedValue

_STEP = re.compile(r"[A-Za-z0-9_]+")
_TYPED_AS = {
    "authorization_reference": "reference",
    "message_id": "number",
    "message_timeout_s": "message_timeout",
    "hash_algorithm": "algorithm",
    "customer_identifier": "identifier",
    "end_at": "until",
    "total_cost": "total",
    "signing_certificate": "certificate",
    "certificate": "file",
    "variable": "names",
    "variable_instance": "names",
    "component": "names",
    "component_instance": "names",
    "value": "settings",
    "timeout_s": "timeout",
}
"""What stands for a field of a command where its option has another name."""
_PATTERNS = {
    "currency": "write three capital letters, as in EUR",
    "action": "write letters and digits only, as in TriggerMessage",
    "hash_algorithm": "write SHA256, SHA384 or SHA512",
}


def mistake(error: MalformedValue, typed: click.Command) -> str:
    """What is wrong in the command that was typed."""
    steps = [step for step in _STEP.findall(error.where) if not step.isdigit()]
    field = steps[-1] if steps else ""
    said = plain_mistake(error)
    if "matching regex" in said and field in _PATTERNS:
        said = _PATTERNS[field]
    return f"{_option(typed, steps)}: {said}"


def _option(typed: click.Command, steps: list[str]) -> str:
    """The option or argument that the field comes from, as it is typed; the field itself when there is none."""
    field = steps[-1] if steps else ""
    names = [field, field.removesuffix("_id"), _TYPED_AS.get(field, ""), *reversed(steps[:-1])]
    by_name = {parameter.name: parameter for parameter in typed.params}
    for name in names:
        parameter = by_name.get(name) or by_name.get(f"{name}_")
        if isinstance(parameter, click.Option):
            return parameter.opts[0]
        if parameter is not None:
            return parameter.make_metavar(click.Context(typed)).strip("[].") or field
    return field.replace("_", " ")


def no_json(error: msgspec.DecodeError) -> str:
    """Why a text is no JSON, in plain words."""
    said = str(error)
    if "truncated" in said:
        return "is no JSON: it ends too early"
    return "is no JSON: " + said.removeprefix("JSON is malformed: ")

"""Dataclass instances and pydantic models as JSON that their types read back as equals."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, cast

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

# First as the type says, then by alias, for types that read nothing else.
_NAMINGS: tuple[dict[str, Any], ...] = ({}, {"by_alias": True})


class UnequalDumpError(Exception):
    """The type of an instance would not read its dump back as an equal one.

    Attributes:
        field: the field that would be another, if it is known.
        reason: what is wrong, without the value, which may be a secret.
    """

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


def is_model(value: object) -> bool:
    """Whether it is an instance of a dataclass or of a pydantic model."""
    if isinstance(value, type):
        return False
    return dataclasses.is_dataclass(value) or isinstance(value, BaseModel)


def dump(value: object) -> Any:  # noqa: ANN401 - plain JSON data
    """Return JSON data from which the value's type makes an equal instance.

    Costs a serialization, a validation and a comparison. Names are those of the fields, or their
    aliases where the type reads nothing else.

    Raises:
        UnequalDumpError: there is no such dump.

    """
    first: UnequalDumpError | None = None
    for naming in _NAMINGS:
        try:
            return _dump(value, naming)
        except UnequalDumpError as error:
            first = first or error
    raise cast("UnequalDumpError", first)


def _dump(value: object, naming: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        adapter = _adapter(type(value))
        dumped = adapter.dump_python(value, mode="json", warnings="error", **naming)
        again = adapter.validate_json(orjson.dumps(dumped))
        field = _difference(value, again)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or None
        msg = f"its type does not read its dump back: {problem['msg']}"
        raise UnequalDumpError(msg, where) from None
    except Exception as error:
        # Schemas, serializers, validators and comparisons are the caller's own code.
        lines = str(error).splitlines() or [type(error).__name__]
        raise UnequalDumpError(f"has no JSON dump: {lines[0]}") from error
    if field is not None:
        msg = "would come back as another value; store what it stands for as plain data"
        raise UnequalDumpError(msg, field)
    return dumped


@lru_cache(maxsize=256)
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _difference(one: object, other: object) -> str | None:
    """Return the first field in which two instances differ, "" for the whole; None if in none."""
    if type(one) is not type(other):
        return ""
    if one == other:
        return None
    if not is_model(one):
        return ""
    for name in _field_names(one):
        if _difference(getattr(one, name, None), getattr(other, name, None)) is not None:
            return name
    # Alike in all fields: unequal by private attributes or a comparison of their own, if they have
    # one and are not merely two objects.
    return "" if type(one).__eq__ is not object.__eq__ else None


def _field_names(value: object) -> list[str]:
    if isinstance(value, BaseModel):
        return [*type(value).model_fields, *(value.model_extra or {})]
    return [field.name for field in dataclasses.fields(cast("Any", value))]

"""Filters by the fields of values: equality, and operators with the order of each type's own.

Numbers are ordered as numbers and texts as texts (by their characters' code points, so that dates
and times in ISO 8601 are in their order). What can't be compared, as a text with a number or
anything with null, is neither greater nor less.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.persistence.values.codec import encode
from lionagi_qe.persistence.values.paths import MISSING, parse_path, value_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Also of LangGraph's filters, which compare otherwise.
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_EQUALITY = ("$eq", "$ne")
_MEMBERSHIP = ("$in", "$nin")
OPERATORS = (*_EQUALITY, *ORDER, *_MEMBERSHIP)


def check_filter(wanted: object) -> dict[str, Any]:
    """Return a filter ({path: value or {operator: operand}}), or raise InvalidArgumentError."""
    if wanted is None:
        return {}
    if not isinstance(wanted, Mapping):
        msg = f"filter {wanted!r}: give a dict of fields, as {{'file': 'auth.py'}}"
        raise InvalidArgumentError(msg)
    fields = dict(cast("Mapping[Any, Any]", wanted))
    for path, want in fields.items():
        if not isinstance(path, str):
            msg = f"filter {wanted!r}: {path!r} is no name of a field"
            raise InvalidArgumentError(msg)
        if path.startswith("$") and not (path == "$" or path.startswith(("$.", "$["))):
            msg = (
                f"filter {wanted!r}: {path!r} stands where a field's name does; every field has to "
                "meet its condition, and operators go inside of one, as {'runs': {'$gt': 3}}; for "
                f"other conditions give a function of the value; a field of that name is '$.{path}'"
            )
            raise InvalidArgumentError(msg)
        parse_path(path)
        operators = operators_in(want)
        for name, operand in operators:
            _check_operator(path, name, operand)
        if not operators:
            check_operand(path, want)
    return fields


def _check_operator(path: str, name: str, operand: object) -> None:
    if name not in OPERATORS:
        msg = f"filter on {path!r}: operator {name!r} is unknown; known are {', '.join(OPERATORS)}"
        raise InvalidArgumentError(msg)
    if name in _MEMBERSHIP and not isinstance(operand, list | tuple | set | frozenset):
        msg = f"filter on {path!r}: {name} wants a list, not {operand!r}"
        raise InvalidArgumentError(msg)
    operands = cast("Iterable[object]", operand) if name in _MEMBERSHIP else [operand]
    for each in operands:
        check_operand(path, each)


def check_operand(path: str, operand: object) -> None:
    """Raise InvalidArgumentError for what no value is equal to, as a datetime."""
    try:
        encode(operand)
    except InvalidValueError as error:
        msg = f"filter on {path!r}: would find nothing, since values are JSON: {error}"
        raise InvalidArgumentError(msg) from error


def operators_in(wanted: object) -> list[tuple[str, Any]]:
    """Return the operators of a field's filter; none if it is a value to be equal to."""
    if not isinstance(wanted, dict):
        return []
    fields = cast("dict[str, Any]", wanted)
    if any(isinstance(name, str) and name.startswith("$") for name in fields):  # pyright: ignore[reportUnnecessaryIsInstance]
        return list(fields.items())
    return []


def meets(value: Any, wanted: Mapping[str, Any]) -> bool:  # noqa: ANN401 - JSON data
    """Return whether a value has every field as the (checked) filter wants it.

    A field that isn't there equals nothing, not even None, and differs from all.
    """
    for path, want in wanted.items():
        found = value_at(value, path)
        operators = operators_in(want)
        if not operators:
            if not equal(found, want):
                return False
        elif not all(applies(found, name, operand) for name, operand in operators):
            return False
    return True


def applies(found: Any, name: str, operand: Any) -> bool:  # noqa: ANN401 - JSON data
    """Return whether an operator holds between what was found (or MISSING) and its operand."""
    if name == "$eq":
        return equal(found, operand)
    if name == "$ne":
        return not equal(found, operand)
    if name == "$in":
        return any(equal(found, each) for each in operand)
    if name == "$nin":
        return not any(equal(found, each) for each in operand)
    return is_ordered(found, operand) and ORDER[name](found, operand)


def is_ordered(found: object, operand: object) -> bool:
    """Return whether two values are of one type that has an order."""
    if isinstance(found, bool) or isinstance(operand, bool):
        return isinstance(found, bool) and isinstance(operand, bool)
    numbers = isinstance(found, int | float) and isinstance(operand, int | float)
    return numbers or (isinstance(found, str) and isinstance(operand, str))


def equal(found: object, wanted: object) -> bool:
    """Return whether two values are equal as JSON: 1 equals 1.0, and neither equals True."""
    if found is MISSING or isinstance(found, bool) is not isinstance(wanted, bool):
        return False
    if isinstance(wanted, tuple):
        return found == list(cast("tuple[Any, ...]", wanted))
    return found == wanted

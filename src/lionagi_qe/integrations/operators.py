"""LangGraph's search filters: equality, and the operators $eq, $ne, $gt, $gte, $lt and $lte.

Two texts compare as texts (so do dates in ISO 8601), by code points; else both are numbers, or
texts of numbers. ``"at.file"`` is the field ``file`` of the field ``at``, unless a field has that
very name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.persistence.values.filters import ORDER, check_operand

if TYPE_CHECKING:
    from collections.abc import Mapping


_KNOWN = ("$eq", "$ne", *sorted(ORDER))
# What others join conditions by, as the name of a field.
_JOINING = {"$and", "$or", "$nor", "$not"}


def check_filter(wanted: Mapping[str, Any]) -> None:
    """Raise ValueError for what no item could be compared with, whether there are items or not."""
    for name, want in wanted.items():
        if name in _JOINING or name in _KNOWN:
            raise ValueError(
                f"filter {name!r} stands where a field's name does: all fields must meet their "
                "conditions, and operators go inside of one, as {'runs': {'$gt': 3}}; search for "
                "each alternative by itself"
            )
        if isinstance(want, dict):
            _check_condition(cast("dict[str, Any]", want))


def check_operands(wanted: Mapping[str, Any]) -> None:
    """Raise InvalidArgumentError for what no value in JSON is equal to or compares with."""
    for name, want in wanted.items():
        check_operand(name, want)


def _check_condition(wanted: dict[str, Any]) -> None:
    if not any(name.startswith("$") for name in wanted):
        check_filter(wanted)
        return
    for name in wanted:
        if name not in _KNOWN:
            raise ValueError(_unknown(name))


def _unknown(name: str) -> str:
    return f"filter operator {name!r}: known are {', '.join(_KNOWN)}"


def matches_filter(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether an item's value has every field as the filter wants it.

    ValueError for an operator that LangGraph does not know.
    """
    return all(_matches(_field(value, name), want) for name, want in wanted.items())


def _field(value: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - JSON data
    if path in value or "." not in path:
        return value.get(path)
    found: Any = value
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)  # pyright: ignore[reportUnknownVariableType]
    return found  # pyright: ignore[reportUnknownVariableType]


def _matches(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON data
    if isinstance(wanted, dict):
        fields: dict[str, Any] = wanted
        if any(name.startswith("$") for name in fields):
            return all(_applies(found, name, operand) for name, operand in fields.items())
        return isinstance(found, dict) and matches_filter(found, fields)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(wanted, list | tuple):
        items: list[Any] = list(wanted)  # pyright: ignore[reportUnknownArgumentType]
        return (
            isinstance(found, list)
            and len(found) == len(items)  # pyright: ignore[reportUnknownArgumentType]
            and all(map(_matches, found, items))  # pyright: ignore[reportUnknownArgumentType]
        )
    return found == wanted


def _applies(found: Any, name: str, operand: Any) -> bool:  # noqa: ANN401 - JSON data
    if name == "$eq":
        return found == operand
    if name == "$ne":
        return found != operand
    if name not in ORDER:
        raise ValueError(_unknown(name))
    if isinstance(found, str) and isinstance(operand, str):
        return ORDER[name](found, operand)
    try:
        return ORDER[name](float(found), float(operand))
    except (TypeError, ValueError):
        # Missing, or no number: it is neither greater nor less.
        return False

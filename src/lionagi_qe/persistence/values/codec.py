"""Values to JSON bytes and back, such that what comes back equals what went in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson

from lionagi_qe.errors import (
    DecryptionError,
    InvalidArgumentError,
    InvalidValueError,
    ValueTooLargeError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import TypeAdapter

# orjson's own limit, so that its encoder checks it for us.
MAX_DEPTH = 254
MAX_VALUE_BYTES = 16 * 1024 * 1024
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1

_T = TypeVar("_T")
_SCALARS = (str, int, bool, type(None))
# Of a path in a message; what lies between is left out.
_MOST_STEPS = 20
# What orjson would turn into something else without a word is left to us.
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def encode(value: object, max_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """Return ``value`` as JSON.

    Raises InvalidValueError naming the path of what would not come back equal, and
    ValueTooLargeError above ``max_bytes``. Plain data costs one encoding, one decoding and one
    comparison, all in C; only what does not survive them is walked in Python.
    """
    try:
        payload = orjson.dumps(value, option=_OPTIONS)
        same = type(value) in _SCALARS or orjson.loads(payload) == value
    except (ValueError, TypeError, RecursionError):
        same, payload = False, b""
    if not same:
        payload = orjson.dumps(_plain(value), option=_OPTIONS)
    if len(payload) > max_bytes:
        msg = (
            f"value of {len(payload)} bytes of JSON: the limit is {max_bytes}; "
            "split it over several keys or raise max_value_bytes"
        )
        raise ValueTooLargeError(msg)
    return payload


def _plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` as plain JSON data, or raise naming the path of what can't be."""
    return _walk(value, [])


def _walk(value: object, path: list[str | int]) -> Any:  # noqa: ANN401, PLR0911 - any JSON value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str.__str__(value), path)
    if isinstance(value, int):
        return _integer(int.__int__(value), path)
    if isinstance(value, float):
        return _number(float.__float__(value), path)
    if len(path) >= MAX_DEPTH:
        raise _invalid(path, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        members = cast("dict[object, object]", value)
        return {_name(key, path): _walk(item, [*path, str(key)]) for key, item in members.items()}
    if isinstance(value, list) or type(value) is tuple:
        items = cast("list[object]", value)
        return [_walk(item, [*path, at]) for at, item in enumerate(items)]
    return _walk(_model(value, path), path)


def _model(value: object, path: list[str | int]) -> object:
    """Return the JSON dump of a dataclass instance or pydantic model."""
    from lionagi_qe.persistence.values import models

    kind = type(value).__name__
    if not models.is_model(value):
        raise _invalid(path, f"{kind} is not JSON; {_advice(kind)}")
    try:
        return models.dump(value)
    except models.UnequalDumpError as error:
        where = [*path, error.field] if error.field else path
        raise _invalid(where, f"{kind} {error.reason}") from error


def _advice(kind: str) -> str:
    advice = {
        "datetime": "store value.isoformat()",
        "date": "store value.isoformat()",
        "time": "store value.isoformat()",
        "bytes": "store base64.b64encode(value).decode()",
        "set": "store sorted(value)",
        "frozenset": "store sorted(value)",
        "UUID": "store str(value)",
        "Decimal": "store str(value)",
        "SecretStr": "a secret does not belong into a memory; store what names it",
        "SecretBytes": "a secret does not belong into a memory; store what names it",
    }
    return advice.get(kind, "store plain data, a dataclass or a pydantic model")


def _name(key: object, path: list[str | int]) -> str:
    if not isinstance(key, str):
        msg = f"the dict key {key!r} is {type(key).__name__}; JSON keeps only str keys"
        raise _invalid(path, msg)
    return _text(str.__str__(key), [*path, key])


def _text(text: str, path: list[str | int]) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(path, "the string holds a lone surrogate, which has no UTF-8") from error
    return text


def _integer(number: int, path: list[str | int]) -> int:
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise _invalid(path, "the integer does not fit 64 bits; store it as a string")
    return number


def _number(number: float, path: list[str | int]) -> float:
    if not math.isfinite(number):
        raise _invalid(path, f"{number} is not JSON; store None or a string")
    return number


def _invalid(path: list[str | int], reason: str) -> InvalidValueError:
    steps = list(_steps(path))
    if len(steps) > _MOST_STEPS:
        steps[_MOST_STEPS // 2 : -_MOST_STEPS // 2] = ["..."]
    return InvalidValueError(f"value at {''.join(steps)}: {reason}")


def _steps(path: list[str | int]) -> Iterator[str]:
    yield "$"
    for step in path:
        if isinstance(step, int):
            yield f"[{step}]"
        elif step.isidentifier():
            yield f".{step}"
        else:
            yield f"[{step!r}]"


def decode(payload: bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that a payload encodes; DecryptionError if it is sealed by a key."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        if payload[:1] in {"~", b"~"}:
            msg = (
                "what is stored is sealed: open the memory with keys=KeyRing.from_env(), or with "
                "?keys=VARIABLE in its URL"
            )
            raise DecryptionError(msg) from error
        raise


def canonical(payload: bytes | str) -> bytes:
    """Return the one encoding of the value that ``payload`` encodes: names sorted, no spaces."""
    return orjson.dumps(orjson.loads(payload), option=orjson.OPT_SORT_KEYS)


def decode_as(payload: bytes | str, as_type: type[_T]) -> _T:
    """Return the value validated as ``as_type`` (anything pydantic can validate).

    Raises InvalidValueError when the stored value does not fit the type.
    """
    from pydantic import TypeAdapter

    return validated(TypeAdapter(as_type), payload, as_type)


def validated(adapter: TypeAdapter[_T], payload: bytes | str, as_type: object) -> _T:
    """Return the value as ``adapter`` makes it of the payload; as ``decode_as`` otherwise."""
    from pydantic import ValidationError

    try:
        return adapter.validate_json(payload)
    except ValidationError as error:
        # What is sealed fits no type.
        decode(payload)
        details = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or '$'}: {item['msg']}" for item in error.errors()
        )
        msg = f"the stored value is not a {getattr(as_type, '__name__', as_type)}: {details}"
        raise InvalidValueError(msg) from error
    except Exception as error:
        # Validators are the type's own code.
        kind = getattr(as_type, "__name__", as_type)
        msg = f"the stored value is not a {kind}: its validation raised {type(error).__name__}"
        raise InvalidValueError(msg) from error


def check_number(amount: object) -> int | float:
    """Return ``amount`` if it can be added: an int of 64 bits or a finite float, not a bool."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        msg = f"amount {amount!r}: increment takes an int or a float, not {type(amount).__name__}"
        raise InvalidArgumentError(msg)
    if isinstance(amount, float) and not math.isfinite(amount):
        msg = f"amount {amount!r}: increment takes a finite number"
        raise InvalidArgumentError(msg)
    if isinstance(amount, int) and not -(2**63) <= amount < 2**63:
        msg = f"amount {amount!r}: increment takes integers of 64 bits"
        raise InvalidArgumentError(msg)
    return amount

"""Values: what comes back equals what went in, or storing it was refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from lionagi_qe.errors import InvalidValueError, ValueTooLargeError
from lionagi_qe.testing.conformance.base import Conformance, Connect

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory

DEEPEST = 254


class Login(BaseModel):
    """A model with a secret, whose dump would be asterisks."""

    name: str
    password: SecretStr


class User(BaseModel):
    """A model that reads its field by another name."""

    user_name: str = Field(alias="userName")


@dataclasses.dataclass
class Gap:
    """A value of a user's own type."""

    path: str
    lines: list[int]


class Plan(BaseModel):
    """Another one, with a nested dataclass and a date."""

    name: str
    gaps: list[Gap] = []
    due: dt.date | None = None


class _Color(enum.StrEnum):
    RED = "red"


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


EXACT: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.0,
    -0.0,
    0.1,
    1e-320,
    1.7976931348623157e308,
    2**53 + 1,
    -(2**63),
    2**64 - 1,
    "",
    "a",
    "\x00\x01\n\t\x7f\u2028\ufeff",
    "é日本😀",
    "\\\"'%_{}",
    [],
    {},
    [[], {}, [[]]],
    {"": 1, "a/b": 2, "\x00": 3, "é": 4},
    {"1": 1, "1.0": 1.0, "true": True},
    [1, 1.0, True, "1", None],
    {"a": {"b": {"c": [1, {"d": None}]}}},
    ["x" * 10_000] * 10,
]
REFUSED: list[tuple[Any, str]] = [
    ({"gaps": [1, 2, 3, {"when": {1, 2}}]}, r"\$\.gaps\[3\]\.when"),
    (math.nan, r"\$:"),
    ([math.inf], r"\$\[0\]"),
    ({"a": -math.inf}, r"\$\.a"),
    (b"bytes", r"\$:"),
    ({"a": [bytearray(b"x")]}, r"\$\.a\[0\]"),
    ({1: "one"}, r"\$: the dict key 1 is int"),
    ({"a": {None: 1}}, r"\$\.a: the dict key None"),
    ({True: 1}, r"\$: the dict key True"),
    ({(1, 2): 1}, r"\$: the dict key"),
    (2**64, r"\$:"),
    ([-(2**63) - 1], r"\$\[0\]"),
    ("\ud800", r"\$:"),
    ({"a b": ["\udfff"]}, r"\$\['a b'\]\[0\]"),
    ({"\ud800": 1}, "surrogate"),
    (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), r"\$:.*isoformat"),
    ({"d": dt.date(2026, 1, 1)}, r"\$\.d"),
    (uuid.UUID(int=1), r"\$:"),
    ([decimal.Decimal(1)], r"\$\[0\]"),
    (object(), r"\$:"),
    ([1j], r"\$\[0\]"),
    (lambda: None, r"\$:"),
    (Gap, r"\$:"),
    (_nested(DEEPEST + 1), "nested deeper than 254"),
]


def _short(value: Any) -> str:
    """Name a case the same in every process: without the address of an object."""
    return ascii(value).split(" at 0x")[0][:30]


class ValuesConformance(Conformance):
    """What can be stored, and how it comes back."""

    @pytest.mark.parametrize("value", EXACT, ids=_short)
    async def test_values_come_back_equal_and_of_the_same_type(
        self, memory: Memory, other: Memory, value: Any
    ) -> None:
        await memory.store("aqe/v", value)
        for back in (
            await other.retrieve("aqe/v"),
            (await other.search("aqe/v"))["aqe/v"],
            (await other.retrieve_many(["aqe/v"]))["aqe/v"],
            (await anext(other.scan("aqe/"))).value,
        ):
            assert back == value
            assert repr(back) == repr(value)

    async def test_the_deepest_nesting_allowed_comes_back(self, memory: Memory) -> None:
        value = _nested(DEEPEST)
        await memory.store("aqe/deep", value)
        assert await memory.retrieve("aqe/deep") == value

    @pytest.mark.parametrize(("value", "path"), REFUSED, ids=_short)
    async def test_what_would_change_is_refused_naming_the_path(
        self, memory: Memory, value: Any, path: str
    ) -> None:
        revision = await memory.store("aqe/v", "before")
        with pytest.raises(InvalidValueError, match=path) as caught:
            await memory.store("aqe/v", value)
        assert isinstance(caught.value, ValueError)
        with pytest.raises(InvalidValueError, match=path):
            await memory.store_many({"aqe/fine": 1, "aqe/v": value})
        entry = await memory.entry("aqe/v")
        assert entry is not None
        assert (entry.value, entry.revision) == ("before", revision)
        assert not await memory.exists("aqe/fine")

    async def test_tuples_come_back_as_lists(self, memory: Memory) -> None:
        await memory.store("aqe/v", {"pair": (1, (2, 3))})
        assert await memory.retrieve("aqe/v") == {"pair": [1, [2, 3]]}

    async def test_str_and_int_subclasses_come_back_as_plain_ones(self, memory: Memory) -> None:
        await memory.store("aqe/v", {"color": _Color.RED})
        back = await memory.retrieve("aqe/v")
        assert back == {"color": "red"}
        assert type(back["color"]) is str

    async def test_a_model_that_would_come_back_as_another_is_refused(self, memory: Memory) -> None:
        with pytest.raises(InvalidValueError, match=r"\$\.password") as caught:
            await memory.store("aqe/a", Login(name="a", password=SecretStr("hunter2")))
        assert "hunter2" not in str(caught.value)
        with pytest.raises(InvalidValueError, match=r"\$\[0\]\.password"):
            await memory.store("aqe/a", [{"password": SecretStr("hunter2")}])
        assert await memory.retrieve("aqe/a") is None

    async def test_a_model_with_aliases_comes_back_through_as_type(self, memory: Memory) -> None:
        user = User(userName="ann")
        await memory.store("aqe/a", user)
        assert await memory.retrieve("aqe/a", as_type=User) == user

    async def test_models_come_back_as_their_dump_or_through_as_type(self, memory: Memory) -> None:
        plan = Plan(name="v1", gaps=[Gap("a.py", [1, 2])], due=dt.date(2026, 1, 2))
        await memory.store("aqe/plan", plan)
        assert await memory.retrieve("aqe/plan") == {
            "name": "v1",
            "gaps": [{"path": "a.py", "lines": [1, 2]}],
            "due": "2026-01-02",
        }
        assert await memory.retrieve("aqe/plan", as_type=Plan) == plan
        await memory.store("aqe/gaps", [Gap("b.py", [3])])
        assert await memory.retrieve("aqe/gaps", as_type=list[Gap]) == [Gap("b.py", [3])]
        assert await memory.retrieve("aqe/missing", as_type=Plan) is None

    async def test_a_value_that_does_not_fit_as_type_is_told(self, memory: Memory) -> None:
        await memory.store("aqe/plan", {"name": 7})
        with pytest.raises(InvalidValueError, match=r"Plan.*name"):
            await memory.retrieve("aqe/plan", as_type=Plan)

    async def test_the_value_is_the_one_at_the_time_of_the_call(self, memory: Memory) -> None:
        value = {"n": 1}
        await memory.store("aqe/v", value)
        value["n"] = 2
        back = await memory.retrieve("aqe/v")
        assert back == {"n": 1}
        back["n"] = 3
        assert await memory.retrieve("aqe/v") == {"n": 1}

    async def test_a_value_above_the_limit_is_refused(
        self, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        memory = await opened.enter_async_context(connect(fleet=fleet, max_value_bytes=100))
        await memory.store("aqe/v", "x" * 98)
        with pytest.raises(ValueTooLargeError, match="100"):
            await memory.store("aqe/v", "x" * 99)
        with pytest.raises(ValueTooLargeError):
            await memory.update("aqe/v", lambda _: "x" * 99)
        assert await memory.retrieve("aqe/v") == "x" * 98

    async def test_a_value_of_sixteen_mebibytes_comes_back(self, memory: Memory) -> None:
        value = "é" * (8 * 1024 * 1024 - 1)
        await memory.store("aqe/big", value)
        assert await memory.retrieve("aqe/big") == value
        with pytest.raises(ValueTooLargeError):
            await memory.store("aqe/big", value + "é")

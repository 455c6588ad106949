"""Models: what their own type reads back equal is stored, all else is refused by its path."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import uuid
from collections import OrderedDict
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    computed_field,
    field_serializer,
    field_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.persistence.values.codec import decode_as, encode

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1


class Aliased(BaseModel):
    user_name: str = Field(alias="userName")


class OneWay(BaseModel):
    name: str = Field(validation_alias="read", serialization_alias="written")


class Choices(BaseModel):
    name: str = Field(validation_alias=AliasChoices("a", "b"))


class Login(BaseModel):
    name: str
    password: SecretStr


class Token(BaseModel):
    token: SecretBytes


class Excluded(BaseModel):
    name: str
    hidden: int = Field(default=0, exclude=True)


class Computed(BaseModel):
    side: int

    @computed_field
    @property
    def area(self) -> int:
        return self.side**2


class StrictComputed(Computed):
    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Private(BaseModel):
    name: str
    _seen: int = PrivateAttr(default=0)


class Kinds(BaseModel):
    colour: Colour
    names: set[str]
    frozen: frozenset[int]
    pair: tuple[int, str]
    by_number: dict[int, str]
    at: dt.datetime
    wait: dt.timedelta
    price: decimal.Decimal
    id: uuid.UUID
    path: pathlib.Path
    url: AnyUrl
    ordered: OrderedDict[str, int]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Box(BaseModel, Generic[T]):
    content: T


class Base(BaseModel):
    name: str


class Derived(Base):
    more: int


class Holder(BaseModel):
    one: Base


class AnyHolder(BaseModel):
    one: SerializeAsAny[Base]


class Anything(BaseModel):
    content: Any


class Rounding(BaseModel):
    ratio: float

    @field_serializer("ratio")
    def short(self, ratio: float) -> str:
        return f"{ratio:.1f}"


class Shouting(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def louder(cls, name: str) -> str:
        return name + "!"


class Broken(BaseModel):
    name: str

    @field_serializer("name")
    def fail(self, name: str) -> str:
        raise ZeroDivisionError


Numbers = RootModel[list[int]]


@dataclasses.dataclass
class Later:
    name: str
    total: int = dataclasses.field(init=False, default=0)


@dataclasses.dataclass(eq=False)
class Identity:
    names: list[str]


@dataclasses.dataclass
class WithInit:
    name: str
    seed: dataclasses.InitVar[int] = 0

    def __post_init__(self, seed: int) -> None:
        self.name += str(seed)


@dataclasses.dataclass
class Odd:
    content: object()  # type: ignore[valid-type]


@pydantic_dataclass
class Validated:
    number: int


def later(total: int) -> Later:
    instance = Later("a")
    instance.total = total
    return instance


def private(seen: int) -> Private:
    instance = Private(name="a")
    instance._seen = seen
    return instance


EQUAL = {
    "alias": Aliased(userName="ann"),
    "excluded, as by default": Excluded(name="a"),
    "computed": Computed(side=3),
    "extra fields": Open(anything=[1]),
    "private, as by default": private(0),
    "kinds": Kinds(
        colour=Colour.RED,
        names={"a", "b"},
        frozen=frozenset({1, 2}),
        pair=(1, "a"),
        by_number={1: "a"},
        at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        wait=dt.timedelta(seconds=1.5),
        price=decimal.Decimal("1.10"),
        id=uuid.UUID(int=7),
        path=pathlib.Path("a/b"),
        url=AnyUrl("https://example.org/a?b=c"),
        ordered=OrderedDict(a=1),
    ),
    "union": Owner(pet=Dog(tricks=["sit"])),
    "generic": Box[int](content=3),
    "a type's own field": Holder(one=Base(name="a")),
    "anything": Anything(content={"a": [1, 2.5, None]}),
    "root": Numbers([1, 2]),
    "dataclass": later(0),
    "without equality": Identity(["a"]),
    "pydantic dataclass": Validated(3),
}
REFUSED = {
    "secret": (Login(name="a", password=SecretStr("hunter2")), "$.password"),
    "secret bytes": (Token(token=SecretBytes(b"hunter2")), "$.token"),
    "serialized under one name, read by another": (OneWay(read="a"), "$.read"),
    "read by choices": (Choices(a="a"), "$.a"),
    "excluded": (Excluded(name="a", hidden=3), "$.hidden"),
    "computed, and no extra allowed": (StrictComputed(side=3), "$.area"),
    "private": (private(3), "$"),
    "a subclass where the base is declared": (Holder(one=Derived(name="a", more=1)), "$.one"),
    "a subclass, dumped whole": (AnyHolder(one=Derived(name="a", more=1)), "$.one"),
    "a tuple where anything is allowed": (Anything(content=(1, 2)), "$.content"),
    "a set where anything is allowed": (Anything(content={1}), "$.content"),
    "bytes where anything is allowed": (Anything(content=b"a"), "$.content"),
    "rounded": (Rounding(ratio=0.123), "$.ratio"),
    "changed by its validator": (Shouting(name="a"), "$.name"),
    "a serializer that fails": (Broken(name="a"), "$"),
    "not by its init": (later(3), "$.total"),
    "an init's own argument": (WithInit("a", 3), "$.name"),
    "a field of no type": (Odd(1), "$"),
    "a bare URL": ([AnyUrl("https://example.org")], "$[0]"),
    "a bare secret": ({"password": SecretStr("hunter2")}, "$.password"),
    "a model's class": ({"type": Base}, "$.type"),
    "a dataclass": ({"type": Later}, "$.type"),
}


@pytest.mark.parametrize("name", EQUAL)
def test_a_model_that_its_type_reads_back_equal_is_stored(name: str) -> None:
    value = EQUAL[name]
    back = decode_as(encode(value), type(value))
    if name == "without equality":
        assert vars(back) == vars(value)
    else:
        assert back == value
    # Also where it lies deeper.
    assert json.loads(encode({"in": [value]})) == {"in": [json.loads(encode(value))]}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_would_come_back_as_another_is_refused_by_path(name: str) -> None:
    value, path = REFUSED[name]
    with pytest.raises(InvalidValueError) as caught:
        encode(value)
    assert str(caught.value).startswith(f"value at {path}: ")
    assert "hunter2" not in str(caught.value)

"""Who takes part in a benchmark: our memory, a plain driver, another project's store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping


class Kind(StrEnum):
    """What a contender is to us."""

    OURS = "ours"
    DRIVER = "driver"
    PEER = "peer"


class NotOfferedError(AqeError):
    """A contender can't do what a row of the benchmark asks for."""


class Contender(ABC):
    """One way to keep JSON under keys. What it takes and gives back are Python values.

    Attributes:
        name: how the report calls it.
        kind: the first DRIVER is what all others are compared with.
        package: the distribution whose version the report tells.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    package: ClassVar[str]

    @classmethod
    def version(cls) -> str:
        """Return the version of the package that does the work."""
        return version(cls.package)

    def offers(self, call: str) -> bool:
        """Whether it has a call of its own for this."""
        return getattr(type(self), call) is not getattr(Contender, call)

    @abstractmethod
    async def open(self) -> None:
        """Connect, and make the tables it needs."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect; what was stored is removed with the arena."""

    def store(self, key: str, value: Mapping[str, Any]) -> Awaitable[object]:
        """Store one value, acknowledged by the server."""
        raise self._not_offered("store", key, value)

    def retrieve(self, key: str) -> Awaitable[Any]:
        """Return one value, decoded."""
        raise self._not_offered("retrieve", key)

    def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> Awaitable[object]:
        """Store many values in one call."""
        raise self._not_offered("store_many", items)

    def search(self, prefix: str) -> Awaitable[Mapping[str, Any]]:
        """Return all entries whose keys start with ``prefix``, values decoded."""
        raise self._not_offered("search", prefix)

    async def put_job(self, payload: Mapping[str, Any]) -> None:
        """Put a job on the queue."""
        raise self._not_offered("put_job", payload)

    async def do_jobs(self, count: int, concurrency: int) -> None:
        """Claim so many jobs and acknowledge each; at most ``concurrency`` in hand at once."""
        raise self._not_offered("do_jobs", count, concurrency)

    def _not_offered(self, call: str, *arguments: object) -> NotOfferedError:
        asked = ", ".join(map(repr, arguments))
        return NotOfferedError(f"{self.name} has no {call}; asked for {call}({asked})")

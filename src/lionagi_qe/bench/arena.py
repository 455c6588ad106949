"""Where contenders meet: one server, a corner of it of their own, removed in the end."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from lionagi_qe.bench.contender import Contender


class Arena(ABC):
    """A corner of a server: ``async with`` makes it and removes it with all that was stored.

    Attributes:
        backend: "postgresql", "redis" or "sqlite".
        token: a name that nobody else uses; everything that is made on the server bears it.
    """

    backend: str

    def __init__(self) -> None:
        self.token = f"aqe_bench_{secrets.token_hex(4)}"

    @abstractmethod
    async def enter(self) -> None:
        """Make the corner; raises the package's errors."""

    @abstractmethod
    async def leave(self) -> None:
        """Remove it and all that is in it."""

    @property
    @abstractmethod
    def memory_url(self) -> str:
        """Where memories are inside the arena, if their fleets' names begin with the token."""

    @abstractmethod
    def contenders(self) -> list[Contender]:
        """Return those that can take part: ours, the plain driver, and peers that are installed."""

    async def settle(self) -> None:  # noqa: B027 - most servers need nothing
        """Let the server do what it does anyway some time after much was stored."""

    @abstractmethod
    async def describe(self) -> dict[str, Any]:
        """Tell the server's version and what its durability hangs on."""

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.leave()

"""Changes that count as made once so many replicas have them, too (WAIT)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis import exceptions

from lionagi_qe.errors import OutcomeUnknownError
from lionagi_qe.persistence.redis.sending import telling_loss

if TYPE_CHECKING:
    import redis.asyncio as driver


_SCRIPTS = frozenset({"EVAL", "EVALSHA"})


@dataclass(frozen=True, slots=True)
class Wait:
    """How many replicas must have a change.

    It waits for them without an end of its own: the call's deadline is the end.

    Attributes:
        replicas: how many.
        packed: the command, as it is sent.
    """

    replicas: int
    packed: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Pack the command once for all calls."""
        object.__setattr__(self, "packed", _pack("WAIT", self.replicas, 0))

    def check(self, told: int | Exception, where: str) -> None:
        """Raise OutcomeUnknownError if ``told``, what WAIT came to, isn't as many replicas."""
        if isinstance(told, int) and told >= self.replicas:
            return
        reached = told if isinstance(told, Exception) else f"{told} have it"
        msg = (
            f"{where}: the change was applied, but not by as many replicas as wait_replicas="
            f"{self.replicas} says ({reached}); if another server takes over, it may be lost; "
            "read the entry to find out"
        )
        raise OutcomeUnknownError(msg)


async def exchange(
    connection: driver.Connection, words: tuple[Any, ...], wait: Wait, *, asking: bool = False
) -> tuple[Any, int | Exception]:
    """Send a change and WAIT in one go; return the answer, and what WAIT came to.

    WAIT waits for what its own connection wrote. A script that finds all done, as the repeat of one
    whose answer was lost does, writes nothing, though what it found may be here alone; so a change
    of nothing is sent along, and all before it is waited for.

    Where the change is refused, the connection is closed and the error raised: there is nothing to
    wait for, and WAIT might do so for long.
    """
    before = [_pack("ASKING")] if asking else []
    # Of a script the fourth word is the shard's counter, a key that it may always write.
    mark = [*before, _pack("INCRBY", words[3], 0)] if words[0] in _SCRIPTS else []
    packed = b"".join([*before, _pack(*words), *mark, wait.packed])
    await telling_loss(connection.send_packed_command([packed]))
    try:
        for _ in before:
            await connection.read_response()
        answer = await connection.read_response()
    except exceptions.ResponseError:
        await connection.disconnect(nowait=True)
        raise
    told: Any = None
    for _ in (*mark, wait):
        try:
            told = await connection.read_response()
        except exceptions.ResponseError as error:
            told = error
    if isinstance(told, Exception):
        # The server is a primary no more: another is to be looked for.
        await connection.disconnect(nowait=True)
    return answer, told


async def ask(connection: driver.Connection, words: tuple[Any, ...], *, asking: bool) -> Any:  # noqa: ANN401
    """Send a command that changes nothing, and return its answer."""
    before = [_pack("ASKING")] if asking else []
    await telling_loss(connection.send_packed_command([b"".join([*before, _pack(*words)])]))
    for _ in before:
        await connection.read_response()
    return await connection.read_response()


def _pack(*words: Any) -> bytes:  # noqa: ANN401 - what the driver can send
    return pack_command(words)

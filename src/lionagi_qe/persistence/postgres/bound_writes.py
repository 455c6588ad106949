"""What a role that is bound to a part of a fleet writes, and how it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lionagi_qe.errors import AccessDeniedError
from lionagi_qe.persistence.contract.records import Sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.postgres.session import PostgresSession

# Keys of an atomic batch that a refusal names.
_MOST_NAMED = 5


class Write(Protocol):
    """Applies operations in one statement; the server refuses all of them, or none."""

    async def __call__(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """See Backend.write."""
        ...


async def write_or_refuse(
    session: PostgresSession, write: Write, operations: Sequence[Operation], *, atomic: bool
) -> list[Result]:
    """Write; what the role may not do is refused to its caller, not to others in the batch.

    A batch that holds something of that kind is written again in halves.
    """
    try:
        return await write(operations, atomic=atomic)
    except AccessDeniedError:
        keys = ", ".join(repr(operation.key) for operation in operations[:_MOST_NAMED])
        refusal = session.refused(f"changing {keys}")
        if atomic:
            raise refusal from None
        if len(operations) == 1:
            return [refusal]
    half = len(operations) // 2
    return [
        result
        for part in (operations[:half], operations[half:])
        for result in await write_or_refuse(session, write, part, atomic=False)
    ]


async def bury_expired(session: PostgresSession, limit: int) -> Sweep:
    """Turn expired entries into tombstones that the role may write."""
    async with session.connection(mutates=True) as connection:
        expired = await connection.fetchval(session.sql["bury_expired"], session.fleet, limit)
    return Sweep(expired, more=expired == limit)


async def may_bury(session: PostgresSession) -> bool:
    """Return whether the role may change entries at all."""
    async with session.connection() as connection:
        return await connection.fetchval(
            "SELECT has_table_privilege($1, 'UPDATE')", f"{session.sql.schema}.entries"
        )

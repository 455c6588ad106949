"""Texts of jobs in PostgreSQL, exchanged for the same sealed anew."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from lionagi_qe.persistence.postgres.columns import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.sealed_texts import TextExchange
    from lionagi_qe.persistence.postgres.session import PostgresSession


async def exchange(session: PostgresSession, queue: str, exchanges: Sequence[TextExchange]) -> int:
    """Exchange texts that are as they were read; return how many. One statement a kind of text."""
    exchanged = 0
    ordered = sorted(exchanges, key=lambda each: (each.text, each.job_id))
    async with session.connection(mutates=True) as connection:
        for text, group in groupby(ordered, key=lambda each: each.text):
            rows = [
                (each.job_id, each.old.decode(), each.new.decode(), each.before)[
                    : 4 if text in {"before", "member"} else 3
                ]
                for each in group
            ]
            statement = session.sql[f"exchange_{text}"]
            exchanged += await connection.fetchval(
                statement, session.fleet, queue, *columns(rows, len(rows[0]))
            )
    return exchanged

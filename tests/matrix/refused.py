"""Servers that are too old are refused on opening. Run by the matrix, on such servers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.errors import ConfigurationError
from lionagi_qe.testing.servers import available_postgres_servers, available_redis_servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.servers import PostgresServer, RedisServer

_POSTGRES = available_postgres_servers()[0].version
_REDIS = available_redis_servers()[0].version
OLD = [
    pytest.param("own_postgres", "PostgreSQL 12", "needs 13", id="postgresql"),
    pytest.param("own_redis", "Redis 5", "needs 6.2", id="redis"),
]


@pytest.mark.parametrize(
    ("fixture", "told", "wanted"),
    [each for each, old in zip(OLD, (_POSTGRES < "13", _REDIS < "6.2"), strict=True) if old],
)
async def test_a_server_that_is_too_old_is_refused_with_what_to_do(
    fixture: str, told: str, wanted: str, request: pytest.FixtureRequest
) -> None:
    start: Callable[[], PostgresServer | RedisServer] = request.getfixturevalue(fixture)
    server = start()
    with pytest.raises(ConfigurationError, match=f"{told}.*{wanted}.*Nothing was changed"):
        await open_memory(server.url).open()

"""Memories where servers, roles and URLs set what nobody here thought of."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence import PostgresMemory
from lionagi_qe.persistence.postgres.connection import PINNED
from lionagi_qe.testing.conformance.numbers import NumbersConformance
from lionagi_qe.testing.conformance.transactions import TransactionConformance
from lionagi_qe.testing.conformance.values import ValuesConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lionagi_qe.testing.conformance import Connect
    from lionagi_qe.testing.servers import RedisServer

pytestmark = pytest.mark.integration

# What a role may have that is not our own; each changes what some statement means or does.
ROLE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere",
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "standard_conforming_strings": "off",
    "escape_string_warning": "on",
    "backslash_quote": "off",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "row_security": "on",
    "quote_all_identifiers": "on",
    "client_encoding": "LATIN1",
    "synchronous_commit": "off",
    "lc_messages": "C",
}
# What a URL of Redis may say of how the driver reads answers.
URL = "protocol=3&decode_responses=true&encoding=utf-16&encoding_errors=ignore&legacy_responses=1"


@pytest.fixture(scope="module")
def odd_postgres_url(postgres_server: Any) -> Iterator[str]:
    """The URL of a database for a role with all of these settings."""
    role = f"odd_{uuid.uuid4().hex[:12]}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'odd'")
    try:
        for name, value in ROLE.items():
            postgres_server.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
        # Dropped before the role that owns what is in it.
        with postgres_server.fresh_database() as url:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2]
            yield urlunsplit(parts._replace(netloc=f"{role}:odd@{host}"))
    finally:
        postgres_server.execute(f"DROP ROLE {role}")


@pytest.mark.postgres
class TestOddRole(NumbersConformance, TransactionConformance):
    @pytest.fixture
    def connect(self, odd_postgres_url: str) -> Connect:
        return partial(open_memory, odd_postgres_url)


@pytest.mark.redis
class TestOddRedisUrl(ValuesConformance, TransactionConformance):
    @pytest.fixture
    def connect(self, redis_url: str) -> Connect:
        return partial(open_memory, f"{redis_url}?{URL}")


@pytest.mark.postgres
@pytest.mark.parametrize("name", PINNED)
async def test_a_callers_pool_with_a_setting_that_breaks_calls_is_refused(
    postgres_url: str, name: str
) -> None:
    odd = {"default_transaction_isolation": "repeatable read", "extra_float_digits": "0"}
    value = odd.get(name, "off" if PINNED[name] == "on" else "on")
    async with asyncpg.create_pool(
        postgres_url, min_size=1, max_size=1, server_settings={name: value}
    ) as pool:
        memory = PostgresMemory(pool=pool)
        with pytest.raises(errors.ConfigurationError, match=rf"{name} is .* has to be") as caught:
            await memory.open()
        assert PINNED[name] in str(caught.value)
        await memory.close()


@pytest.mark.parametrize(
    "option", ["max_connections=1", "parser_class=x", "single_connection_client=1", "colour=red"]
)
async def test_an_option_that_no_redis_url_can_say_is_refused(option: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=option.partition("=")[0]):
        open_memory(f"redis://127.0.0.1:6379/0?{option}")


async def test_a_user_who_may_not_look_at_the_server_has_a_memory_all_the_same(
    own_redis: Callable[..., RedisServer],
) -> None:
    server = own_redis()
    server.execute("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-info", "-config")
    await _works_unseen(server.url.replace("//", "//app:word@"))


async def test_a_server_without_info_and_config_keeps_a_memory_all_the_same(
    own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = own_redis(settings=_without("INFO", "CONFIG", folder=tmp_path))
    await _works_unseen(server.url)


async def _works_unseen(url: str) -> None:
    async with open_memory(url) as memory:
        assert await memory.store("aqe/odd/user", 1) > 0
        assert (await memory.get_stats())["total_keys"] == 1
        told = await memory.describe()
        assert told["durability"].startswith("unknown")
        assert told["aof_enabled"] is None


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("EVAL", "has no command EVAL"),
        ("EVALSHA", "has no command EVALSHA"),
        ("ZADD", "a command that a memory's scripts need"),
    ],
)
async def test_a_server_without_a_command_that_is_needed_says_so_and_shows_no_value(
    own_redis: Callable[..., RedisServer], tmp_path: Path, command: str, told: str
) -> None:
    server = own_redis(settings=_without(command, folder=tmp_path))
    with pytest.raises(errors.AqeError) as caught:
        async with open_memory(server.url) as memory:
            await memory.store("aqe/odd/hidden", "a word that nobody else should see")
    assert isinstance(caught.value, errors.ConfigurationError)
    assert told in str(caught.value)
    assert "word" not in str(caught.value)


def _without(*commands: str, folder: Path) -> dict[str, str]:
    """Return settings of a server on which these commands are switched off."""
    folder.chmod(0o755)
    file = folder / "without.conf"
    file.write_text("".join(f'rename-command {command} ""\n' for command in commands))
    return {"include": str(file)}

"""What a memory's repr tells: where it lies, and never a secret. No server is needed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import AqeError, KeyRing, PostgresMemory, RedisMemory, SqliteMemory, open_memory
from lionagi_qe.persistence.redis.sentinel import Sentinels

if TYPE_CHECKING:
    from pathlib import Path

END = ", fleet 'default', not opened>"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "SqliteMemory on SQLite, private"),
        ("sqlite:////tmp/a b/ü%20x.db", "SqliteMemory on SQLite at /tmp/a b/ü x.db"),
        (
            "postgresql://u:s3cret@h:5432/db?schema=mine&application_name=x",
            "PostgresMemory on PostgreSQL at h:5432/db, schema mine",
        ),
        (
            "postgresql://u:s3cret@a:5432,b:5433/db",
            "PostgresMemory on PostgreSQL at a:5432,b:5433/db, schema lionagi_qe",
        ),
        (
            "postgresql://u:s3cret@[::1]:5432/db",
            "PostgresMemory on PostgreSQL at [::1]:5432/db, schema lionagi_qe",
        ),
        (
            "postgresql:///db?host=/run/pg&user=u&password=s3cret",
            "PostgresMemory on PostgreSQL at /run/pg/db, schema lionagi_qe",
        ),
        (
            "postgresql://?host=h&dbname=db&password=s3cret",
            "PostgresMemory on PostgreSQL at h/db, schema lionagi_qe",
        ),
        ("redis://:s3cret@h:6379/0", "RedisMemory on Redis at h:6379"),
        ("redis://u:s3cr%2Fet@h:6379/3", "RedisMemory on Redis at h:6379, database 3"),
        ("rediss://h/0?password=s3cret", "RedisMemory on Redis at h:6379"),
        ("redis+cluster://u:s3cret@h:7000", "RedisMemory on Redis Cluster at h:7000"),
        (
            "redis+sentinel://u:s3cret@a:26379,b:26379/prime/2?sentinel_password=s3cret",
            "RedisMemory on Redis 'prime' of the Sentinels at a:26379,b:26379, database 2",
        ),
    ],
)
def test_of_a_url_it_tells_the_place_alone(url: str, shown: str) -> None:
    assert repr(open_memory(url)) == f"<{shown}{END}"


@pytest.mark.parametrize("secret", ["s3cret", "s%2F3cret", "s%403cret", "s:3cret", "s&3cret"])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:{}@h/db",
        "postgresql://h/db?password={}",
        "postgresql://h/db?user=u&passfile={}",
        "redis://:{}@h/0",
        "redis://{}@h/0",
        "redis://h/0?username=u&password={}",
        "redis+cluster://u:{}@h:7000",
        "redis+sentinel://u:{}@h:26379/prime",
        "redis+sentinel://h:26379/prime?sentinel_username=u&sentinel_password={}",
    ],
)
def test_no_part_of_a_password_is_shown(url: str, secret: str) -> None:
    told: list[str] = []
    try:
        memory = open_memory(url.format(secret))
        told += [repr(memory), repr(memory.scoped("part", read=["aqe/*"]))]
    except AqeError as refused:
        told.append(str(refused))
    assert "3cret" not in "".join(told)


def test_what_was_given_by_arguments_is_not_shown_either(tmp_path: Path) -> None:
    server = RedisMemory("h", 1, 2, "s3cret", username="u", connection={"client_name": "s3cret"})
    assert repr(server) == f"<RedisMemory on Redis at h:1, database 2{END}"
    asked = Sentinels([("a", 1)], "prime", "u", "s3cret")
    assert repr(RedisMemory(sentinels=asked, password="s3cret")) == (
        f"<RedisMemory on Redis 'prime' of the Sentinels at a:1{END}"
    )
    socket = RedisMemory.from_url("unix:///run/redis.sock?db=1&password=s3cret")
    assert repr(socket) == f"<RedisMemory on Redis at /run/redis.sock, database 1{END}"
    pool = PostgresMemory(pool=object())
    assert repr(pool) == f"<PostgresMemory on PostgreSQL, schema lionagi_qe{END}"
    assert str(tmp_path / "m.db") in repr(SqliteMemory(tmp_path / "m.db"))


def test_settings_that_change_what_calls_do_are_told() -> None:
    keys = KeyRing.parse(KeyRing.generate("2026-11"))
    memory = open_memory(
        "sqlite:////tmp/m.db",
        cache="redis://:s3cret@h:6379/1",
        keys=keys,
        default_ttl=timedelta(minutes=1),
        fleet="a-team",
    )
    assert repr(memory) == (
        "<HybridMemory on SQLite at /tmp/m.db, cached by Redis at h:6379, database 1, "
        "fleet 'a-team', encrypted, default_ttl 60 s, not opened>"
    )

"""Users that Redis itself binds to a fleet, also where they go around the library."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio
import redis.asyncio as driver
from redis import exceptions

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import Lease, WorkQueue
from lionagi_qe.persistence import grants
from lionagi_qe.persistence.redis import acl
from lionagi_qe.testing.servers import RedisSentinels, RedisServer, available_redis_servers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from lionagi_qe.persistence import Memory

pytestmark = [pytest.mark.integration, pytest.mark.redis]

FLAVOURS = [server.flavour for server in available_redis_servers()]
# What a bound user tries by itself, and is refused. {o} is a key of another fleet.
REFUSED = (
    "GET {o}",
    "MGET {m} {o}",
    "SET {o} x",
    "DEL {o}",
    "EVAL return(redis.call('GET','{o}')) 0",
    "EVAL return(redis.call('GET',KEYS[1])) 1 {o}",
    "EVAL return(redis.call('KEYS','*')) 0",
    "EVAL return(redis.call('FLUSHALL')) 0",
    "EVAL return(redis.call('PUBLISH','aqe:{other}:q:x','x')) 0",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "SELECT 1",
    "MOVE {m} 1",
    "COPY {m} {o}",
    "RENAME {m} {o}",
    "SORT {m} BY aqe:{other}:*",
    "CONFIG GET *",
    "CONFIG SET dir /tmp",
    "ACL LIST",
    "ACL SETUSER me +@all",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "DEBUG OBJECT {m}",
    "MONITOR",
    "SLOWLOG GET",
    "SHUTDOWN NOSAVE",
    "REPLICAOF NO ONE",
    "BGREWRITEAOF",
    "SAVE",
    "DUMP {m}",
    "MODULE LIST",
    "SUBSCRIBE aqe:{other}:q:x",
    "PSUBSCRIBE *",
    "PUBLISH aqe:{other}:q:x x",
    "OBJECT FREQ {o}",
    "MEMORY USAGE {o}",
    "EXISTS {o}",
)


# In scripts, what is an option and no command.
WORDS = {"KEEPTTL", "LIMIT", "PX", "WITHSCORES", "XX"}


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Generator[RedisServer]:
    with RedisServer(request.param, appendfsync=None) as started:
        yield started


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{place}"))


@pytest.fixture
def fleet() -> str:
    return f"grants-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def user() -> str:
    return f"user-{uuid.uuid4().hex[:8]}"


@pytest_asyncio.fixture
async def owner(server: RedisServer, fleet: str) -> AsyncGenerator[Memory]:
    async with (
        open_memory(server.url, fleet=fleet, cleanup_interval=None) as memory,
        open_memory(server.url, fleet="other") as other,
    ):
        await memory.store("aqe/ours", 1)
        await other.store("aqe/secret", "of another fleet")
        yield memory


@pytest_asyncio.fixture
async def url(owner: Memory, server: RedisServer, user: str) -> str:
    granted = await grants.grant(owner, user, write=["*"])
    assert granted.password is not None
    return as_user(server.url, user, granted.password)


@pytest_asyncio.fixture
async def reader_url(owner: Memory, server: RedisServer, user: str) -> str:
    granted = await grants.grant(owner, user, read=["*"])
    assert granted.password is not None
    return as_user(server.url, user, granted.password)


async def test_a_bound_user_goes_around_the_library_in_vain(
    url: str, fleet: str, server: RedisServer
) -> None:
    before = server.execute("ACL", "LIST")
    for line in REFUSED:
        words = [
            word.replace("{o}", "aqe:{other}:e:aqe/secret").replace("{m}", f"aqe:{{{fleet}}}:meta")
            for word in line.split(" ")
        ]
        client = driver.Redis.from_url(url, protocol=2)
        try:
            with pytest.raises(exceptions.ResponseError) as refused:
                await client.execute_command(*words)
        finally:
            await client.aclose()
        text = str(refused.value)
        assert re.search("permission|NOPERM|The user executing|not allowed", text), line

        assert "of another fleet" not in text
    assert server.execute("ACL", "LIST") == before
    assert server.execute("GET", "aqe:{other}:e:aqe/secret")


async def test_a_bound_user_does_all_in_its_fleet_and_opens_no_other(
    url: str, fleet: str, owner: Memory
) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        assert await memory.retrieve("aqe/ours") == 1
        await memory.store("aqe/mine", 2, ttl=60)
        await WorkQueue(memory, "q").put(1)
        assert len(await WorkQueue(memory, "q").claim()) == 1
        async with Lease(memory, "l") as lease:
            await memory.store("aqe/fenced", 3, fence=lease)
        await memory.cleanup_expired()
        assert (await memory.get_stats())["total_keys"] == 3
        assert "unknown" in (await memory.describe())["maxmemory_policy"]
        async with memory.watch(since="start") as changes:
            assert (await anext(changes)).key == "aqe/ours"
    assert await owner.retrieve("aqe/mine") == 2
    for migrate in (True, False):
        other = open_memory(url, fleet="other", migrate=migrate)
        with pytest.raises(errors.AccessDeniedError, match=r"permission|NOPERM"):
            await other.open()
        await other.close()


async def test_a_reader_changes_nothing(reader_url: str, fleet: str, owner: Memory) -> None:
    async with open_memory(reader_url, fleet=fleet, cleanup_interval=None) as memory:
        assert await memory.search("*") == {"aqe/ours": 1}
        assert (await memory.get_stats())["total_keys"] == 1
        async with memory.watch(since="start") as changes:
            assert (await anext(changes)).key == "aqe/ours"
        with pytest.raises(errors.AccessDeniedError):
            await memory.store("aqe/x", 1)
        with pytest.raises(errors.AccessDeniedError):
            await memory.delete("aqe/ours")
        with pytest.raises(errors.AccessDeniedError):
            await WorkQueue(memory, "q").put(1)
        with pytest.raises(errors.AccessDeniedError):
            await Lease(memory, "l").try_acquire()
    assert await owner.search("*") == {"aqe/ours": 1}


async def test_the_server_is_told_no_password_and_keeps_its_digest(
    owner: Memory, server: RedisServer, user: str
) -> None:
    password = secrets.token_hex(16)
    granted = await grants.grant(owner, user, write=["*"], password=password)
    assert granted.password is None
    assert password not in repr(granted)
    found = str(server.execute("ACL", "LIST"))
    assert hashlib.sha256(password.encode()).hexdigest() in found
    made = await grants.grant(owner, user, write=["*"])
    assert made.password is not None
    assert made.password not in repr(made)
    with pytest.raises(errors.AccessDeniedError):
        await open_memory(as_user(server.url, user, password), fleet=owner.fleet).open()


async def test_grants_are_listed_replaced_and_revoked(
    url: str, owner: Memory, fleet: str, server: RedisServer, user: str
) -> None:
    assert [each.role for each in await grants.grants(owner)] == [user]
    await grants.grant(owner, user, read=["*"])
    (found,) = await grants.grants(owner)
    assert (found.read, found.write) == (("*",), ())
    assert await grants.revoke(owner, user)
    assert not await grants.revoke(owner, user)
    assert await grants.grants(owner) == []
    with pytest.raises(errors.AccessDeniedError):
        await open_memory(url, fleet=fleet).open()
    assert server.execute("ACL", "GETUSER", user) is None


async def test_what_redis_can_not_enforce_is_refused_with_the_reason(
    owner: Memory, server: RedisServer, user: str
) -> None:
    asked: list[dict[str, Any]] = [
        {"read": ["aqe/a/*"]},
        {"write": ["aqe/a"]},
        {"queues": ["q"], "read": ["*"]},
    ]
    for parts in asked:
        with pytest.raises(errors.ConfigurationError, match="bind a user to a fleet, and not to"):
            await grants.grant(owner, user, **parts)
    for name in ("default", "a b", "a\x00b"):
        with pytest.raises(errors.InvalidArgumentError):
            await grants.grant(owner, name, write=["*"])
    with pytest.raises(errors.InvalidArgumentError, match="shorter than 16"):
        await grants.grant(owner, user, write=["*"], password="short")
    server.execute("ACL", "SETUSER", "theirs", "on", "nopass", "~*", "+@all")
    with pytest.raises(errors.ConfigurationError, match="user 'theirs' is there"):
        await grants.grant(owner, "theirs", write=["*"])
    assert not await grants.revoke(owner, "theirs")
    assert server.execute("ACL", "DELUSER", "theirs") == 1


async def test_who_may_not_grant_is_refused(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        with pytest.raises(errors.AccessDeniedError):
            await grants.grant(memory, "another", write=["*"])


async def test_users_last_where_the_server_has_a_file_for_them_and_else_that_is_told(
    own_redis: Any, owner: Memory, tmp_path: Path, user: str
) -> None:
    granted = await grants.grant(owner, user, write=["*"])
    door, note = granted.notes
    assert "whoever names no user is let in as 'default', without a password" in door
    assert note.startswith("the server keeps no file of its users (aclfile)")
    file = tmp_path / "users.acl"
    file.touch()
    with_file = own_redis(settings={"aclfile": str(file)})
    async with open_memory(with_file.url) as memory:
        granted = await grants.grant(memory, user, write=["*"])
    assert granted.notes == [door]
    assert granted.password is not None
    with_file.stop()
    with_file.start()
    async with open_memory(as_user(with_file.url, user, granted.password)) as memory:
        await memory.store("aqe/x", 1)


async def test_a_user_of_another_database_may_select_it(
    server: RedisServer, fleet: str, user: str
) -> None:
    url = server.url.removesuffix("/0") + "/7"
    async with open_memory(url, fleet=fleet) as memory:
        granted = await grants.grant(memory, user, write=["*"])
        assert granted.password is not None
    async with open_memory(as_user(url, user, granted.password), fleet=fleet) as memory:
        await memory.store("aqe/x", 1)


def test_users_have_the_commands_that_scripts_call_and_few_others() -> None:
    called: set[str] = set()
    for file in resources.files("lionagi_qe.persistence.redis").joinpath("lua").iterdir():
        # Some are called by a variable, so that each word in capitals counts.
        called |= set(re.findall(r"'([A-Z]{2,})'", file.read_text())) - WORDS
    ours = {*acl.READING, *acl.WRITING}
    assert {name.lower() for name in called} <= ours, "decide in redis/acl.py on what is new"
    # What is sent without a script, and what clients and drivers say to begin with.
    beside = {name for name in ours if name not in {each.lower() for each in called}}
    assert beside == {
        "asking", "client|setinfo", "client|setname", "cluster|slots", "command", "eval",
        "evalsha", "hsetnx", "info", "mget", "ping", "role", "subscribe", "wait",
    }  # fmt: skip
    assert not {*acl.READING} & {*acl.WRITING}


async def test_every_node_of_a_cluster_knows_the_user(redis_cluster_url: str) -> None:
    name = f"user-{uuid.uuid4().hex[:8]}"
    async with open_memory(redis_cluster_url, fleet=name) as memory:
        await memory.store("aqe/ours", 1)
        granted = await grants.grant(memory, name, write=["*"])
        assert granted.password is not None
        url = as_user(redis_cluster_url, name, granted.password)
        async with open_memory(url, fleet=name) as bound:
            await bound.store_many({f"aqe/{at}": at for at in range(64)})
            assert (await bound.get_stats())["total_keys"] == 65
        cluster = driver.RedisCluster.from_url(url.replace("redis+cluster", "redis"))
        await cluster.initialize()
        nodes = cluster.get_nodes()
        await cluster.aclose()
        assert len(nodes) > 1
        for node in nodes:
            place = as_user(f"redis://{node.host}:{node.port}", name, granted.password)
            client = driver.Redis.from_url(place, protocol=2)
            with pytest.raises(exceptions.NoPermissionError):
                await client.get("aqe:{other/0}:e:aqe/secret")
            with pytest.raises(exceptions.NoPermissionError):
                await client.keys()
            await client.aclose()
        assert await grants.revoke(memory, name)
        with pytest.raises(errors.AccessDeniedError):
            await open_memory(url, fleet=name).open()


async def test_a_user_lasts_through_a_failover_that_sentinels_see_to() -> None:
    user = f"user-{uuid.uuid4().hex[:8]}"
    with RedisSentinels("redis-8", password="pri/mary", sentinel_password="sen@tinel") as servers:
        async with open_memory(servers.url) as memory:
            granted = await grants.grant(memory, user, write=["*"])
        assert granted.password is not None
        (note,) = granted.notes
        assert "aclfile" in note
        servers.switch_over()
        async with open_memory(as_user(servers.url, user, granted.password)) as bound:
            await bound.store("aqe/x", 1)
            assert await bound.search("*") == {"aqe/x": 1}

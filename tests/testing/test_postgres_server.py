"""Our own PostgreSQL servers: every one that this machine has, and the one found by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from lionagi_qe.testing.servers import (
    ExternalPostgres,
    PostgresServer,
    ServerNotFoundError,
    ServerStartError,
    available_postgres_servers,
    find_postgres,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.fixture(params=available_postgres_servers(), ids=lambda found: found.name, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with PostgresServer(request.param) as server:
        yield server


def test_the_running_version_is_the_one_listed(
    server: PostgresServer, request: pytest.FixtureRequest
) -> None:
    listed = request.node.callspec.params["server"]
    assert server.version == listed.version


def test_settings_are_the_defaults_but_for_the_connections(server: PostgresServer) -> None:
    told = {
        name: server.execute(f"SHOW {name}")
        for name in ("fsync", "synchronous_commit", "max_connections", "listen_addresses")
    }
    assert told == {
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
        "listen_addresses": "127.0.0.1",
    }


def test_what_was_committed_survives_a_kill_and_the_port_stays(server: PostgresServer) -> None:
    before = server.port
    with server.fresh_database() as url:
        database = ExternalPostgres(url)
        database.execute("CREATE TABLE kept (x integer)")
        database.execute("INSERT INTO kept VALUES (42)")
        server.kill()
        assert not server.running()
        assert not server.answers()
        server.start()
        assert server.port == before
        assert database.execute("SELECT x FROM kept") == "42"


def test_restart_keeps_data_and_port(server: PostgresServer) -> None:
    before = server.port
    with server.fresh_database() as url:
        database = ExternalPostgres(url)
        database.execute("CREATE TABLE kept AS SELECT 7 AS x")
        server.restart()
        assert server.port == before
        assert database.execute("SELECT x FROM kept") == "7"


async def test_paused_it_holds_connections_and_answers_nothing(server: PostgresServer) -> None:
    connection = await asyncpg.connect(server.url)
    server.pause()
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT 1", timeout=0.2)
    assert server.running()
    assert not server.answers()
    server.resume()
    assert server.answers()
    connection.terminate()


async def test_a_wrong_password_is_refused(server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url.replace(":aqe@", ":wrong@"))


def test_fresh_databases_are_empty_and_apart_and_dropped(server: PostgresServer) -> None:
    with server.fresh_database() as one, server.fresh_database() as other:
        ExternalPostgres(one).execute("CREATE TABLE mine (x integer)")
        assert ExternalPostgres(other).execute("SELECT to_regclass('mine')") == "None"
        assert ExternalPostgres(other).execute("SHOW server_encoding") == "UTF8"
    left = server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'aqe_test_%'")
    assert left == "0"


async def test_a_fresh_database_is_dropped_though_connections_are_open(
    server: PostgresServer,
) -> None:
    with server.fresh_database() as url:
        connection = await asyncpg.connect(url)
    with pytest.raises(asyncpg.PostgresError):
        await connection.fetchval("SELECT 1")
    connection.terminate()


def test_settings_can_be_given() -> None:
    with PostgresServer(settings={"max_connections": "7"}) as server:
        assert server.execute("SHOW max_connections") == "7"


def test_a_setting_that_it_refuses_is_quoted_from_its_log() -> None:
    server = PostgresServer(settings={"max_connections": "many"})
    with pytest.raises(ServerStartError, match="max_connections"):
        server.start()


def test_a_folder_without_the_programs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerNotFoundError, match=str(tmp_path)):
        PostgresServer(tmp_path).start()


def test_a_url_in_the_environment_comes_first_and_its_server_is_left_running(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_POSTGRES_URL", server.url)
    with find_postgres() as found:
        assert isinstance(found, ExternalPostgres)
        assert found.version == server.version
        with found.fresh_database() as url:
            assert ExternalPostgres(url).execute("SELECT 1") == "1"
    assert server.answers()

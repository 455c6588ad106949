"""docker-compose-test.yml and the schema that it mounts."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml

from lionagi_qe import PostgresMemory
from lionagi_qe.coordination import Lease, WorkQueue

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose-test.yml"
SCHEMA = ROOT / "docker" / "schema.sql"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


@pytest.mark.parametrize(
    ("name", "image", "port"),
    [
        ("postgres", "postgres:15-alpine", "127.0.0.1:5433:5432"),
        ("redis", "redis:7-alpine", "127.0.0.1:6380:6379"),
    ],
)
def test_images_and_ports_are_the_specified_ones(
    services: dict[str, Any], name: str, image: str, port: str
) -> None:
    assert services[name]["image"] == image
    assert services[name]["ports"] == [port]


def test_each_service_has_a_health_check_and_the_network_of_its_own(
    services: dict[str, Any],
) -> None:
    networks = yaml.safe_load(COMPOSE.read_text())["networks"]
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert set(service["networks"]) <= set(networks)
    assert services["postgres"]["healthcheck"]["test"][1:3] == ["pg_isready", "--host=127.0.0.1"]
    assert services["redis"]["healthcheck"]["test"][1:] == ["redis-cli", "ping"]


def test_redis_keeps_an_append_only_file_on_a_volume(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "redis-data:/data" in services["redis"]["volumes"]


def test_mounted_files_exist_and_named_volumes_are_declared(services: dict[str, Any]) -> None:
    declared = yaml.safe_load(COMPOSE.read_text())["volumes"]
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith(".") else source in declared
    mounted = "./docker/schema.sql:/docker-entrypoint-initdb.d/schema.sql:ro"
    assert mounted in services["postgres"]["volumes"]


def test_the_schema_file_is_what_the_migrations_give() -> None:
    program = runpy.run_path(str(ROOT / "docker" / "generate_schema.py"))
    assert SCHEMA.read_text() == program["generated"](), "run: make schema"


@pytest.mark.integration
@pytest.mark.postgres
async def test_whoever_may_only_change_rows_works_in_a_database_made_from_the_schema_file(
    postgres_server: Any,
) -> None:
    """With the rights that the guide names, for a role of this test's own."""
    role = f"app_{os.urandom(4).hex()}"
    guide = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    (grants,) = re.findall(r"^```sql\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    with postgres_server.fresh_database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute(SCHEMA.read_text())
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'own'")
        await connection.execute(grants.replace(" TO app;", f" TO {role};"))
        parts = urlsplit(url)
        own = parts._replace(netloc=f"{role}:own@{parts.netloc.rpartition('@')[2]}").geturl()
        try:
            async with PostgresMemory(own, cleanup_interval=None) as memory:
                await memory.store("aqe/test/schema", {"ready": True}, ttl=0.01)
                await memory.store_many({f"aqe/test/{at}": at for at in range(10)})
                assert await memory.increment("aqe/test/n") == 1
                assert await memory.retrieve("aqe/test/3") == 3
                async with Lease(memory, "leader") as lease, memory.transaction(fence=lease) as tx:
                    tx.delete("aqe/test/3")
                queue = WorkQueue(memory, "jobs")
                await queue.put(1)
                (job,) = await queue.claim()
                await job.ack(2)
                await memory.clear_partition("default")
                await memory.cleanup_expired()
        finally:
            await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
            await connection.close()

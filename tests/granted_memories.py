"""Memories that a role or user opens which the server itself binds to a fleet, for suites."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from lionagi_qe import open_memory
from lionagi_qe.persistence import grants
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.servers.statement import execute

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from lionagi_qe.testing.conformance import Connect

PASSWORD = secrets.token_hex(16)


def as_user(url: str, user: str) -> str:
    """Return the URL by which a user that was granted something connects."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{PASSWORD}@{place}"))


async def _grant(url: str, role: str, fleet: str) -> None:
    named = () if "redis" in url else ("*",)
    password = PASSWORD if "redis" in url else None
    async with open_memory(url, fleet=fleet, cleanup_interval=None) as memory:
        await grants.grant(
            memory, role, read=["*"], write=["*"], queues=named, leases=named, password=password
        )


async def _revoke(url: str, role: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet, cleanup_interval=None) as memory:
        await grants.revoke(memory, role)


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Run it on a loop of its own, which the test's own knows nothing of."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


class Granted(Conformance):
    """Each test has a fleet of its own, and opens it as a role that was granted all of it."""

    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> str:
        """Return the URL of the memory, as who may grant."""
        raise NotImplementedError(request)

    @pytest.fixture
    def role(self) -> str:
        """Name a role that is to be bound."""
        return f"aqe_{uuid.uuid4().hex[:12]}"

    @pytest.fixture
    def fleet(self, url: str, role: str) -> Generator[str]:
        """Make a fleet, and grant the role all of it."""
        name = f"granted-{uuid.uuid4().hex[:12]}"
        _apart(_grant(url, role, name))
        yield name
        _apart(_revoke(url, role, name))

    @pytest.fixture
    def connect(self, url: str, role: str) -> Connect:
        """Return what opens the memory as the role."""
        return partial(open_memory, as_user(url, role))


@pytest.fixture(scope="module")
def granting_url(postgres_server: Any) -> Generator[str]:
    """Make a database in which row-level security is on; the URL of its owner."""
    with postgres_server.fresh_database() as fresh:
        # Before PostgreSQL 15 everybody may create there, and a grant is refused.
        execute(fresh, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        yield fresh


@pytest.fixture(scope="module")
def granted_role(postgres_server: Any, granting_url: str) -> Generator[str]:
    """Make a role that owns nothing."""
    name = f"aqe_{uuid.uuid4().hex[:12]}"
    postgres_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    assert granting_url
    postgres_server.execute(f"DROP ROLE {name}")


class OnPostgres(Granted):
    """A role of PostgreSQL."""

    @pytest.fixture
    def url(self, granting_url: str) -> str:
        """Return the URL of the tables' owner."""
        return granting_url

    @pytest.fixture
    def role(self, granted_role: str) -> str:
        """Name the role that is there."""
        return granted_role


class OnRedis(Granted):
    """A user of Redis."""

    @pytest.fixture
    def url(self, redis_url: str) -> str:
        """Return the URL of its administrator."""
        return redis_url


class OnCluster(Granted):
    """A user of a Redis Cluster; keys that begin alike can change in one step."""

    @pytest.fixture
    def url(self, redis_cluster_url: str) -> str:
        """Return the URL of its administrator."""
        return f"{redis_cluster_url}?colocate=1"

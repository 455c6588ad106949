"""A database of PostgreSQL with a memory in it, and roles that connect by themselves."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe.persistence import Memory

SECRET = "aqe/agents/other/secret"


class Roles:
    """Makes roles on a server, and connects as them.

    Args:
        url: of a database, as its owner.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.made: list[str] = []

    async def make(self, options: str = "LOGIN", name: str = "") -> str:
        """Make a role; every one has its name for password."""
        name = name or f"aqe_role_{secrets.token_hex(4)}"
        quoted = '"' + name.replace('"', '""') + '"'
        password = name.replace("\\", "\\\\").replace("'", "''")
        # As every database is from PostgreSQL 15 on; before, grants ask for it.
        await self.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await self.execute(f"CREATE ROLE {quoted} {options} PASSWORD E'{password}'")
        self.made.append(quoted)
        return name

    def url_of(self, role: str) -> str:
        """Return the URL by which the role connects."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        name = quote(role, safe="")
        return urlunsplit(parts._replace(netloc=f"{name}:{name}@{place}"))

    def memory(self, role: str, **settings: Any) -> Memory:
        """Return a memory that the role opens."""
        return open_memory(self.url_of(role), cleanup_interval=None, **settings)

    @asynccontextmanager
    async def attacker(self, role: str) -> AsyncGenerator[Any]:
        """Connect as the role with no library of ours between."""
        connection = await asyncpg.connect(self.url_of(role))
        try:
            yield connection
        finally:
            await connection.close()

    async def execute(self, *statements: str) -> None:
        """Run statements as the owner."""
        connection = await asyncpg.connect(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Ask as the owner."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def drop(self) -> None:
        """Drop the roles."""
        for name in reversed(self.made):
            await self.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")

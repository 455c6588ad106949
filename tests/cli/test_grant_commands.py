"""``aqe memory grant``, ``revoke`` and ``grants`` as a user calls them."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests import programs

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PASSWORD = secrets.token_hex(16)


def aqe(
    *arguments: str, given: str = "", env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Call the command in a process of its own; return exit code, output and complaints."""
    return programs.call(*programs.AQE, "memory", *arguments, given=given, env=env or {})


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{place}"))


async def seed(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        await memory.store_many({"aqe/plans/1": 1, "aqe/secret": 2})


@pytest.fixture
def postgres(postgres_server: Any) -> Generator[tuple[str, str]]:
    """Make a database with a memory, and a role; the URL of the owner, and the role's name."""
    role = f"aqe_{secrets.token_hex(4)}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    with postgres_server.fresh_database() as url:
        asyncio.run(seed(url, "default"))
        yield url, role
    postgres_server.execute(f"DROP ROLE {role}")


@pytest.mark.postgres
def test_a_role_of_postgresql_is_bound_listed_and_let_go(postgres: tuple[str, str]) -> None:
    url, role = postgres
    parts = (
        "--read",
        "aqe/plans/*",
        "--write",
        "aqe/agents/7/*",
        "--write",
        "aqe/x",
        "--queues",
        "q",
    )
    code, told, complaint = aqe("grant", url, role, *parts)
    assert (code, complaint) == (0, "")
    assert (
        told == f"{role}, fleet default: read aqe/plans/*; write aqe/agents/7/* aqe/x; queues q\n"
    )
    assert aqe("grants", url) == (0, told, "")
    assert aqe("grants", "-", env={"LIONAGI_QE_MEMORY": url}) == (0, told, "")
    (found,) = json.loads(aqe("grants", url, "--json")[1])
    assert (found["role"], found["read"], found["leases"]) == (role, ["aqe/plans/*"], [])
    theirs = as_user(url, role, PASSWORD)
    assert aqe("ls", "--memory", theirs)[:2] == (0, "aqe/plans/1\n")
    code, _, complaint = aqe("set", "aqe/secret", "3", "--memory", theirs)
    assert code == 3
    assert "changing 'aqe/secret': the server does not let this role do that" in complaint
    assert PASSWORD not in complaint
    assert aqe("revoke", url, role)[0] == 0
    code, _, complaint = aqe("revoke", url, role)
    assert (code, complaint) == (1, f"aqe: {role}: had no grant in fleet default\n")
    code, _, complaint = aqe("grant", url, "nobody-there", "--read", "*")
    assert code == 2
    assert "there is no role 'nobody-there'; make it first: CREATE ROLE" in complaint
    code, _, complaint = aqe("grant", url, role)
    assert (code, "a grant of nothing" in complaint) == (2, True)
    assert aqe("grant", url, role, "--read-only")[0] == 2


@pytest.mark.postgres
def test_doctor_and_stats_go_on_for_a_bound_role(postgres: tuple[str, str]) -> None:
    url, role = postgres
    assert aqe("grant", url, role, "--read", "aqe/plans/*")[0] == 0
    theirs = as_user(url, role, PASSWORD)
    stats = json.loads(aqe("stats", "--json", "--memory", theirs)[1])
    assert stats["total_keys"] == 1
    code, told, complaint = programs.call(*programs.AQE, "doctor", theirs)
    assert code == 0, complaint
    assert "Traceback" not in complaint
    assert "this user may not write aqe/doctor/*" in told
    assert "fit for use" in told


@pytest.mark.redis
def test_a_user_of_redis_is_made_with_a_password_that_no_argument_has(redis_url: str) -> None:
    fleet, user = (f"cli-{secrets.token_hex(4)}" for _ in range(2))
    asyncio.run(seed(redis_url, fleet))
    place = ("--fleet", fleet)
    code, told, _ = aqe("grant", redis_url, user, *place, "--json")
    assert code == 0
    made = json.loads(told)
    assert (made["read"], made["write"]) == (["*"], ["*"])
    theirs = as_user(redis_url, user, made["password"])
    assert aqe("set", "aqe/mine", "1", "--memory", theirs, *place)[0] == 0
    # Given by the caller, it is told nowhere.
    for arguments, given, env in (
        (("--password-env", "SECRET_OF_USER"), "", {"SECRET_OF_USER": PASSWORD}),
        (("--password-stdin",), f"{PASSWORD}\n", {}),
    ):
        code, told, complaint = aqe(
            "grant", redis_url, user, *place, "--read-only", *arguments, given=given, env=env
        )
        assert code == 0
        assert told == f"{user}, fleet {fleet}: read *\n"
        assert "note: the server keeps no file of its users" in complaint
        assert PASSWORD not in told + complaint
    theirs = as_user(redis_url, user, PASSWORD)
    assert aqe("ls", "--memory", theirs, *place)[1] == "aqe/mine\naqe/plans/1\naqe/secret\n"
    code, _, complaint = aqe("set", "aqe/mine", "2", "--memory", theirs, *place)
    assert code == 3
    assert PASSWORD not in complaint
    code, _, complaint = aqe("grant", redis_url, user, *place, "--read", "aqe/plans/*")
    assert code == 2
    assert "can bind a user to a fleet, and not to patterns in it" in complaint
    assert aqe("grant", redis_url, user, *place, "--password-env", "NO_SUCH_VARIABLE")[0] == 2
    assert aqe("revoke", redis_url, user, *place)[0] == 0
    assert aqe("grants", redis_url, *place) == (0, "", "")


def test_a_file_has_no_roles_and_that_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    asyncio.run(seed(url, "default"))
    code, _, complaint = aqe("grant", url, "seven", "--read", "*")
    assert code == 2
    assert "sqlite: has no roles that could be granted anything" in complaint

"""Roles that PostgreSQL itself binds to parts of a fleet, also where they go around the library."""

# ruff: noqa: S608 - attackers write their SQL themselves

from __future__ import annotations

import asyncio
import io
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio
from tests.security.postgres_roles import SECRET, Roles

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import Lease, WorkQueue
from lionagi_qe.persistence import grants
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.postgres import policies
from lionagi_qe.persistence.values.glob import compile_glob, server_expression
from lionagi_qe.persistence.watch import START
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from lionagi_qe.persistence import Memory

pytestmark = [pytest.mark.integration, pytest.mark.postgres]

OWN = "aqe/agents/seven"
# What a role that is bound tries to do by itself, and is refused; {n} is the fleet's number.
REFUSED = {
    "read the log of changes": "SELECT keys FROM lionagi_qe.changes",
    "read what copies arranged": "SELECT key FROM lionagi_qe.copy_places",
    "read an index": "SELECT key FROM lionagi_qe.index_documents",
    "forge a change's time": "INSERT INTO lionagi_qe.changes (fleet, keys, changed) "
    "VALUES ({n}, 'aqe/x', '9999999999')",
    "log in another fleet": "INSERT INTO lionagi_qe.changes (fleet, keys) VALUES ({n} + 1, 'x')",
    "pretend that a change is to come": "UPDATE lionagi_qe.entries SET changed = '9999999999'",
    "forge a revision": "UPDATE lionagi_qe.entries SET revision = 9223372036854775807",
    "name what is no key": "UPDATE lionagi_qe.entries SET key = key || E'\\x01y'",
    "name an empty segment": "UPDATE lionagi_qe.entries SET key = key || '//y'",
    "name too long a key": "UPDATE lionagi_qe.entries SET key = key || repeat('y', 512)",
    "empty the entries": "TRUNCATE lionagi_qe.entries",
    "delete without a trace": "DELETE FROM lionagi_qe.entries",
    "put the revisions back": "SELECT setval('lionagi_qe.revisions', 1)",
    "put the sweep off": "UPDATE lionagi_qe.fleets SET swept_at = 'infinity'",
    "make a fleet": "INSERT INTO lionagi_qe.fleets (name) VALUES ('mine')",
    "forge a migration": "UPDATE lionagi_qe.schema_migrations SET checksum = ''",
    "overwrite another's entry": "INSERT INTO lionagi_qe.entries VALUES ({n}, "
    f"'{SECRET}', '1', 'default', 1, now(), now()) ON CONFLICT (fleet, key) DO UPDATE "
    "SET value = excluded.value",
    "learn whether an entry exists": "INSERT INTO lionagi_qe.entries VALUES ({n}, "
    f"'{SECRET}', '1', 'default', 1, now(), now()) ON CONFLICT DO NOTHING",
    "give away its own entry": f"UPDATE lionagi_qe.entries SET key = '{SECRET}' "
    f"WHERE key = '{OWN}/mine'",
    "change the fleet of its own": "UPDATE lionagi_qe.entries SET fleet = {n} + 1 "
    f"WHERE key = '{OWN}/mine'",
    "put a job elsewhere": "INSERT INTO lionagi_qe.jobs (fleet, queue, id, state, priority, "
    "max_attempts, payload, created_at, due_at) VALUES ({n}, 'theirs', 'x', 1, 0, 1, '1', now(), "
    "now())",
    "move a job elsewhere": "UPDATE lionagi_qe.jobs SET queue = 'theirs'",
    "name a queue": "INSERT INTO lionagi_qe.queues VALUES ({n}, 'theirs-too')",
    "take a lease": "INSERT INTO lionagi_qe.leases VALUES ({n}, 'theirs', 1, 'me', 'infinity')",
    "become the owner": "SET ROLE {owner}",
    "turn policies off": "ALTER TABLE lionagi_qe.entries DISABLE ROW LEVEL SECURITY",
    "see past policies": "SET row_security = off; SELECT * FROM lionagi_qe.entries",
    "make a function": "CREATE FUNCTION lionagi_qe.learn(text, integer) RETURNS text "
    "LANGUAGE sql AS 'SELECT 1'",
    "exchange a function": "CREATE OR REPLACE FUNCTION lionagi_qe.learn(stored text, steps text) "
    "RETURNS text LANGUAGE sql AS 'SELECT 1'",
    "watch by a trigger": "CREATE TRIGGER t AFTER INSERT ON lionagi_qe.entries "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "read what the planner knows": "SELECT * FROM pg_statistic",
}
# What may be looked at, and shows nothing of others.
SHOWS_NOTHING = {
    "another's entry": f"SELECT FROM lionagi_qe.entries WHERE key = '{SECRET}'",
    "another fleet": "SELECT FROM lionagi_qe.fleets WHERE id <> {n}",
    "another's job": "SELECT FROM lionagi_qe.jobs WHERE queue = 'theirs'",
    "another's queue": "SELECT FROM lionagi_qe.queues WHERE name = 'theirs'",
    "another's lease": "SELECT FROM lionagi_qe.leases WHERE name = 'theirs'",
    "statistics": "SELECT FROM pg_stats WHERE schemaname = 'lionagi_qe' "
    "AND tablename <> 'schema_migrations'",
    "an update of all": "UPDATE lionagi_qe.entries SET value = '0' "
    f"WHERE key = '{SECRET}' RETURNING 1",
    "a lock of all": f"SELECT FROM lionagi_qe.entries WHERE key = '{SECRET}' FOR UPDATE",
    "a function of ours": "SELECT FROM lionagi_qe.page_by_key({n}, "
    f"'{SECRET}', '{SECRET}0', 10, true)",
    "a claim": "SELECT FROM lionagi_qe.claim_jobs({n}, 'theirs', 1, 1000, '') WHERE id IS NOT NULL",
    "dead jobs": "SELECT FROM lionagi_qe.revive_jobs({n}, 'theirs', ARRAY['x']) AS r WHERE r > 0",
}


@pytest.fixture(scope="module")
def url(postgres_server: Any) -> Generator[str]:
    with postgres_server.fresh_database() as fresh:
        yield fresh


@pytest_asyncio.fixture
async def roles(url: str) -> AsyncGenerator[Roles]:
    made = Roles(url)
    yield made
    await made.drop()


@pytest.fixture
def fleet() -> str:
    return f"grants-{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def owner(url: str, fleet: str) -> AsyncGenerator[Memory]:
    async with open_memory(url, fleet=fleet, cleanup_interval=None) as memory:
        await memory.store(SECRET, {"of": "another"})
        await memory.store("aqe/plans/one", {"of": "all"})
        await WorkQueue(memory, "theirs").put("not yours")
        yield memory


@pytest_asyncio.fixture
async def role(owner: Memory, roles: Roles) -> str:
    name = await roles.make()
    await grants.grant(
        owner, name, read=["aqe/plans/*"], write=[f"{OWN}/*"], queues=["mine-*"], leases=["mine-*"]
    )
    return name


@pytest_asyncio.fixture
async def bound(role: str, roles: Roles, fleet: str) -> AsyncGenerator[Memory]:
    async with roles.memory(role, fleet=fleet) as memory:
        yield memory


async def refusal_of(attacker: Any, statement: str) -> str | None:
    try:
        await attacker.execute(statement)
    except asyncpg.InsufficientPrivilegeError as refused:
        return str(refused)
    return None


def number_of(memory: Memory) -> int:
    backend: Any = parts_of(memory).backend
    return backend.session.fleet


async def test_a_bound_role_reads_and_changes_what_it_was_granted(
    bound: Memory, owner: Memory
) -> None:
    await bound.store(f"{OWN}/mine", 1)
    assert await bound.increment(f"{OWN}/count", 2) == 2
    assert await bound.retrieve("aqe/plans/one") == {"of": "all"}
    assert await bound.list_keys() == [f"{OWN}/count", f"{OWN}/mine", "aqe/plans/one"]
    assert (await bound.get_stats())["total_keys"] == 3
    assert await bound.delete(f"{OWN}/mine")
    assert not await owner.exists(f"{OWN}/mine")
    assert (await bound.describe())["schema"] == "lionagi_qe"


async def test_what_it_was_not_granted_is_not_there_for_it(bound: Memory, owner: Memory) -> None:
    assert await bound.retrieve(SECRET) is None
    assert await bound.search("*") == {"aqe/plans/one": {"of": "all"}}
    assert await bound.list_keys("aqe/agents/") == []
    assert not await bound.delete(SECRET)
    assert await bound.clear_partition("default") == 0
    queue = WorkQueue(bound, "theirs")
    assert await queue.claim() == []
    assert (await queue.stats()).ready == 0
    assert await owner.exists(SECRET)
    assert await owner.exists("aqe/plans/one")


@pytest.mark.parametrize("key", [SECRET, "aqe/agents/other/none", "aqe/plans/one"])
async def test_a_change_beyond_it_is_refused_alike_whether_it_exists(
    bound: Memory, key: str
) -> None:
    with pytest.raises(errors.AccessDeniedError) as refused:
        await bound.store(key, 1)
    assert repr(key) in str(refused.value)
    assert (
        str(refused.value)
        .replace(key, "?")
        .endswith(
            "changing '?': the server does not let this role do that; nothing was changed. "
            "The owner of the tables can: aqe memory grant"
        )
    )


async def test_one_callers_refusal_is_no_others_in_the_same_batch(
    bound: Memory, owner: Memory
) -> None:
    async def store(at: int) -> object:
        key = f"aqe/agents/{'other' if at % 10 == 3 else 'seven'}/{at}"
        try:
            return await bound.store(key, at)
        except errors.AccessDeniedError as refusal:
            return refusal

    results = await asyncio.gather(*map(store, range(60)))
    refused = [at for at, result in enumerate(results) if not isinstance(result, int)]
    assert refused == list(range(3, 60, 10))
    assert len(await owner.list_keys(f"{OWN}/")) == 54


async def test_queues_leases_fences_and_transactions_hold_to_it(
    bound: Memory, owner: Memory
) -> None:
    queue = WorkQueue(bound, "mine-1")
    await queue.put({"work": 1})
    (job,) = await queue.claim()
    async with Lease(bound, "mine-1") as lease:
        await bound.store(f"{OWN}/fenced", 1, fence=lease)
        with pytest.raises(errors.AccessDeniedError):
            await bound.store(SECRET, 1, fence=lease)
        async with bound.transaction(fence=lease) as step:
            step.store(f"{OWN}/done", 1)
            await job.ack(transaction=step)
    with pytest.raises(errors.AccessDeniedError, match="queue 'theirs': the server"):
        await WorkQueue(bound, "theirs").put(1)
    with pytest.raises(errors.AccessDeniedError, match="lease 'theirs'"):
        await Lease(bound, "theirs").try_acquire()
    step = bound.transaction()
    step.store(f"{OWN}/half", 1)
    step.store(SECRET, 1)
    with pytest.raises(errors.AccessDeniedError, match=f"transaction on '{OWN}/half', '{SECRET}':"):
        async with step:
            pass
    assert not await owner.exists(f"{OWN}/half")
    assert await owner.retrieve(SECRET) == {"of": "another"}
    assert await parts_of(bound).jobs.queues() == ["mine-1"]


async def test_a_sweep_by_a_bound_role_is_of_its_own_alone(bound: Memory, owner: Memory) -> None:
    await bound.store(f"{OWN}/brief", 1, ttl=0.05)
    await owner.store("aqe/agents/other/brief", 1, ttl=0.05)

    async def expired() -> bool:
        return (await owner.get_stats())["total_expired"] == 2

    await until(expired)
    assert await bound.cleanup_expired() == 1
    assert await owner.cleanup_expired() == 1
    # Nobody elects who looks after a part; the fleet's own turn is left to who can see to all.
    assert await parts_of(bound).backend.claim_sweep(60_000)
    assert await parts_of(owner).backend.claim_sweep(60_000)


async def test_what_needs_all_of_the_fleet_is_refused_and_says_so(bound: Memory) -> None:
    with pytest.raises(errors.AccessDeniedError, match="watching changes, or copying, needs all"):
        await anext(bound.watch())
    with pytest.raises(errors.AccessDeniedError, match="recall needs all of the fleet"):
        await parts_of(bound).backend.indexes.position("x")  # type: ignore[attr-defined]


async def test_a_bound_role_that_goes_around_the_library_is_refused(
    bound: Memory, owner: Memory, role: str, roles: Roles
) -> None:
    await bound.store(f"{OWN}/mine", 1)
    await WorkQueue(bound, "mine-1").put(1)
    (found,) = await roles.fetch("SELECT current_user AS name")
    async with roles.attacker(role) as attacker:
        for attack, text in REFUSED.items():
            statement = text.format(n=number_of(owner), owner=found["name"])
            told = await refusal_of(attacker, statement)
            assert told is not None, f"could {attack}: {statement}"
            assert "of another" not in told, attack
            assert "DETAIL" not in told, attack
            await attacker.execute("RESET ALL")
    assert await owner.retrieve(SECRET) == {"of": "another"}


async def test_a_bound_role_that_goes_around_the_library_is_shown_nothing(
    role: str, owner: Memory, roles: Roles
) -> None:
    await roles.execute("ANALYZE")
    async with Lease(owner, "theirs"), roles.attacker(role) as attacker:
        for name, statement in SHOWS_NOTHING.items():
            assert await attacker.fetch(statement.format(n=number_of(owner))) == [], name
        assert await attacker.fetchval("SELECT count(*) FROM lionagi_qe.entries") == 1
        copied = io.BytesIO()
        await attacker.copy_from_table("entries", schema_name="lionagi_qe", output=copied)
        assert copied.getvalue().count(b"\n") == 1


async def test_a_predicate_that_tells_is_not_shown_rows_of_others(
    role: str, owner: Memory, roles: Roles
) -> None:
    seen: list[str] = []
    async with roles.attacker(role) as attacker:

        def heard(_: object, message: Any) -> None:
            seen.append(message.message)

        attacker.add_log_listener(heard)
        await attacker.execute(
            "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$"
        )
        await attacker.fetch("SELECT FROM lionagi_qe.entries WHERE pg_temp.tell(key)")
        # Division by zero where a row of another would be looked at.
        await attacker.fetch(
            f"SELECT FROM lionagi_qe.entries WHERE 1 / (key <> '{SECRET}')::int = 1"
        )
    assert seen == ["saw aqe/plans/one"]
    assert await owner.exists(SECRET)


async def test_temporary_tables_take_no_place_of_ours(
    role: str, bound: Memory, owner: Memory, roles: Roles
) -> None:
    async with roles.attacker(role) as attacker:
        await attacker.execute("CREATE TEMPORARY TABLE entries AS SELECT 1 AS fleet")
        await attacker.execute("SET search_path = pg_temp, lionagi_qe")
        assert await attacker.fetch(
            "SELECT FROM lionagi_qe.page_by_key($1, '', 'b', 10, true)", number_of(owner)
        )
        await bound.store(f"{OWN}/x", 1)
    assert await owner.retrieve(f"{OWN}/x") == 1


async def test_members_of_a_bound_role_are_bound(
    role: str, owner: Memory, roles: Roles, fleet: str
) -> None:
    member = await roles.make()
    await roles.execute(f'GRANT "{role}" TO "{member}"')
    async with roles.memory(member, fleet=fleet) as memory:
        assert await memory.list_keys() == ["aqe/plans/one"]
        await memory.store(f"{OWN}/of-a-member", 1)
        with pytest.raises(errors.AccessDeniedError):
            await memory.store(SECRET, 1)
    assert await owner.exists(f"{OWN}/of-a-member")


async def test_a_grant_replaces_and_a_revocation_ends_what_was_granted(
    owner: Memory, role: str, roles: Roles, fleet: str
) -> None:
    await grants.grant(owner, role, read=[f"{OWN}/*"])
    (found,) = await grants.grants(owner)
    assert (found.role, found.read, found.write) == (role, (f"{OWN}/*",), ())
    async with roles.memory(role, fleet=fleet) as memory:
        assert await memory.list_keys() == []
        with pytest.raises(errors.AccessDeniedError):
            await memory.store(f"{OWN}/x", 1)
        with pytest.raises(errors.AccessDeniedError):
            await WorkQueue(memory, "mine-1").put(1)
    async with roles.memory(role, fleet=fleet) as memory:
        assert await memory.retrieve(f"{OWN}/x") is None
        assert await grants.revoke(owner, role)
        # At once, for who is connected.
        with pytest.raises(errors.AccessDeniedError):
            await memory.retrieve(f"{OWN}/x")
    assert not await grants.revoke(owner, role)
    assert await grants.grants(owner) == []
    with pytest.raises(errors.AccessDeniedError):
        await roles.memory(role, fleet=fleet).open()


async def test_granting_while_a_memory_is_in_use_costs_no_call(owner: Memory, role: str) -> None:
    ended = asyncio.Event()

    async def use(at: int) -> int:
        calls = 0
        while not ended.is_set():
            await owner.store(f"aqe/busy/{at}", calls, ttl=0.01)
            await WorkQueue(owner, "busy").put(calls)
            await owner.cleanup_expired()
            calls += 1
        return calls

    users = [asyncio.create_task(use(at)) for at in range(4)]
    for _ in range(5):
        await grants.grant(owner, role, read=["aqe/busy/*"])
        assert await grants.revoke(owner, role)
    ended.set()
    assert all(await asyncio.gather(*users))


async def test_a_role_has_grants_in_several_fleets(
    owner: Memory, role: str, roles: Roles, url: str, fleet: str
) -> None:
    second = f"{fleet}-2"
    async with open_memory(url, fleet=second) as other:
        await other.store(f"{OWN}/x", 2)
        await grants.grant(other, role, read=[f"{OWN}/*"])
        async with roles.memory(role, fleet=second) as memory:
            assert await memory.search("*") == {f"{OWN}/x": 2}
            with pytest.raises(errors.AccessDeniedError):
                await memory.store(f"{OWN}/x", 3)
        await grants.revoke(other, role)
        with pytest.raises(errors.AccessDeniedError, match=f"has no grant for fleet '{second}'"):
            await roles.memory(role, fleet=second).open()
    async with roles.memory(role, fleet=fleet) as memory:
        await memory.store(f"{OWN}/x", 1)
    assert await owner.exists(f"{OWN}/x")


async def test_a_bound_role_makes_and_migrates_nothing_and_is_told_who_can(
    postgres_server: Any,
) -> None:
    with postgres_server.fresh_database() as url:
        roles = Roles(url)
        async with open_memory(url) as memory:
            name = await roles.make()
            await grants.grant(memory, name, read=["*"])
        await roles.execute("DELETE FROM lionagi_qe.schema_migrations WHERE version = 4")
        old = roles.memory(name)
        with pytest.raises(errors.SchemaMissingError, match="lacks migration 0004") as lacking:
            await old.open()
        assert "have the owner of the tables do it, then grant again" in str(
            getattr(lacking.value, "__notes__", "")
        )
        await old.close()
        await roles.drop()


# Who can't be bound: what was done before ({r} is the role), what undoes it, and what is told.
UNBINDABLE = (
    ('ALTER ROLE "{r}" SUPERUSER', "", "it is a superuser"),
    ('ALTER ROLE "{r}" BYPASSRLS', "", "it is BYPASSRLS"),
    ('ALTER ROLE "{r}" CREATEROLE', "", "it is CREATEROLE"),
    ('ALTER ROLE "{r}" REPLICATION', "", "it is REPLICATION"),
    ('GRANT pg_read_all_data TO "{r}"', "", "a member of pg_read_all_data"),
    ('GRANT CREATE ON SCHEMA public TO "{r}"', "", "it may create in schema public"),
    ('GRANT CREATE ON SCHEMA lionagi_qe TO "{r}"', "", "it may create in schema lionagi_qe"),
    ('ALTER TABLE lionagi_qe.copies OWNER TO "{r}"', "", "it is an owner of"),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA lionagi_qe GRANT SELECT ON TABLES TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA lionagi_qe REVOKE SELECT ON TABLES FROM PUBLIC",
        "new tables are given to PUBLIC",
    ),
    (
        "GRANT SELECT (key) ON lionagi_qe.entries TO PUBLIC",
        "REVOKE SELECT (key) ON lionagi_qe.entries FROM PUBLIC",
        "PUBLIC has privileges on entries",
    ),
    (
        "CREATE POLICY theirs ON lionagi_qe.entries USING (true)",
        "DROP POLICY theirs ON lionagi_qe.entries",
        "policy theirs on entries shows it rows",
    ),
)


async def test_a_role_that_the_server_would_not_bind_is_refused(postgres_server: Any) -> None:
    with postgres_server.fresh_database() as url:
        roles = Roles(url)
        async with open_memory(url) as memory:
            for before, after, reason in UNBINDABLE:
                known = await roles.fetch("SELECT FROM pg_roles WHERE rolname = 'pg_read_all_data'")
                if "pg_read_all_data" in before and not known:
                    # PostgreSQL 13 has no such role.
                    continue
                name = await roles.make()
                await roles.execute(before.format(r=name))
                with pytest.raises(errors.ConfigurationError, match=reason):
                    await grants.grant(memory, name, read=["*"])
                await roles.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER", after or "SELECT")
            assert await grants.grants(memory) == []
            assert not await roles.fetch("SELECT FROM pg_class WHERE relrowsecurity")
        await roles.drop()


async def test_roles_with_privileges_by_hand_go_on_and_are_named(postgres_server: Any) -> None:
    with postgres_server.fresh_database() as url:
        roles = Roles(url)
        async with open_memory(url) as memory:
            await memory.store(SECRET, 1)
            by_hand, bound = await roles.make(), await roles.make()
            await roles.execute(
                f'GRANT USAGE ON SCHEMA lionagi_qe TO "{by_hand}"',
                f'GRANT ALL ON ALL TABLES IN SCHEMA lionagi_qe TO "{by_hand}"',
                f'GRANT ALL ON ALL SEQUENCES IN SCHEMA lionagi_qe TO "{by_hand}"',
            )
            granted = await grants.grant(memory, bound, read=["aqe/plans/*"])
            (note,) = granted.notes
            assert f"role {by_hand!r} has privileges of its own and goes on seeing all" in note
            async with roles.memory(by_hand) as theirs:
                assert await theirs.retrieve(SECRET) == 1
                await theirs.store("aqe/x", 1)
                assert (await anext(theirs.watch(since=START))).key
            # A member of such a role would see all by it.
            await roles.execute(f'GRANT "{by_hand}" TO "{bound}"')
            with pytest.raises(errors.ConfigurationError, match=f"a member of {by_hand}"):
                await grants.grant(memory, bound, read=["aqe/plans/*"])
            (kept,) = await grants.grants(memory)
            assert kept.read == ("aqe/plans/*",)
            # By name it is bound like any other.
            granted = await grants.grant(memory, by_hand, read=["aqe/x"])
            assert granted.notes == [
                f"role {by_hand!r} had privileges by hand: it has those of the grant instead"
            ]
            async with roles.memory(by_hand) as theirs:
                assert await theirs.list_keys() == ["aqe/x"]
        await roles.drop()


async def test_a_schema_that_is_shared_keeps_what_others_granted_in_it(
    postgres_server: Any,
) -> None:
    with postgres_server.fresh_database() as url:
        roles = Roles(url)
        await roles.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        async with open_memory(f"{url}?schema=public") as memory:
            name = await roles.make()
            await roles.execute(
                "CREATE TABLE public.theirs AS SELECT 1 AS x",
                "GRANT SELECT ON public.theirs TO PUBLIC",
                f"GRANT USAGE ON SCHEMA public TO {name}",
                f"GRANT INSERT ON public.theirs TO {name}",
            )
            await grants.grant(memory, name, read=["*"])
            async with roles.attacker(name) as attacker:
                await attacker.execute("INSERT INTO public.theirs VALUES (2)")
                assert await grants.revoke(memory, name)
                await attacker.execute("INSERT INTO public.theirs VALUES (3)")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await attacker.execute("SELECT FROM public.entries")
        await roles.drop()


async def test_who_does_not_own_the_tables_grants_nothing(
    role: str, bound: Memory, roles: Roles
) -> None:
    other = await roles.make()
    with pytest.raises(errors.AccessDeniedError, match="only the owner of the tables"):
        await grants.grant(bound, other, read=["*"])
    with pytest.raises(errors.ConfigurationError, match="there is no role 'nobody-of-that-name'"):
        async with open_memory(roles.url) as memory:
            await grants.grant(memory, "nobody-of-that-name", read=["*"])
    assert role


async def test_hostile_names_and_patterns_are_text(owner: Memory, roles: Roles, fleet: str) -> None:
    name = await roles.make(name=f"a\" TO PUBLIC; --' \\ {{role}} $1 {uuid.uuid4().hex[:8]}")
    hostile = r"""aqe/'); DROP TABLE x; --/\*{schema}{role}\\'/[]'"]/*"""
    await grants.grant(owner, name, write=[hostile], queues=["'\\\\*", "{role}"])
    (found,) = [each for each in await grants.grants(owner) if each.role == name]
    assert found.write == (hostile,)
    matching = """aqe/'); DROP TABLE x; --/*{schema}{role}\\'/]/x"""
    assert compile_glob(hostile).matches(matching)
    async with roles.memory(name, fleet=fleet) as memory:
        await memory.store(matching, 1)
        with pytest.raises(errors.AccessDeniedError):
            await memory.store(matching.replace("]", "x"), 1)
        assert await memory.list_keys() == [matching]


PATTERNS = (
    "aqe/*", "aqe/?/x", "aqe/[a-c]*", "aqe/[!a-c]?", "aqe/[]]*", "aqe/[!]]", "aqe/[a\\]]*",
    "aqe/\\*", "aqe/\\[a]", "aqe/[[:alpha:]]", "aqe/[a^]*", "aqe/[\\^a]", "aqe/[-a]*", "aqe/[a-]",
    "aqe/(a|b)+", "aqe/a{2}", "aqe/***:x", "aqe/$^", "aqe/.*", "aqe/é?", "aqe/[à-ü]", "aqe/😀*",
    "aqe/[😀-😎]", "*?*?*a*", "aqe/a\\b", "aqe/[.a.]", "aqe/[=a=]*", "aqe/x y#&~-",
)  # fmt: skip
KEYS = (
    "aqe/a", "aqe/b", "aqe/d", "aqe/]", "aqe/]x", "aqe/*", "aqe/[a]", "aqe/a:", "aqe/:", "aqe/^",
    "aqe/-", "aqe/a-", "aqe/(a|b)+", "aqe/ab", "aqe/aa", "aqe/a{2}", "aqe/***:x", "aqe/$^", "aqe/.",
    "aqe/..", "aqe/é", "aqe/éa", "aqe/é", "aqe/ñ", "aqe/😀", "aqe/😃", "aqe/x y#&~-", "aqe/=",
    "aqe/=a", "aqe/x/x", "aqe/[:alpha:]", "aqe/A", "AQE/a", "aqe/a/b/c",
)  # fmt: skip


async def test_the_server_matches_as_scopes_do(roles: Roles) -> None:
    conditions = [policies.one_of("key", [pattern]) for pattern in PATTERNS]
    columns = ", ".join(conditions)
    values = ", ".join(f"({policies.literal(key)})" for key in KEYS)
    rows = await roles.fetch(f"SELECT key, {columns} FROM (VALUES {values}) AS k (key)")
    for key, *matched in rows:
        for pattern, found in zip(PATTERNS, matched, strict=True):
            assert found == compile_glob(pattern).matches(key), (pattern, key)
    assert server_expression("aqe/a?c/*x") == "^aqe/a.c/.*x$"


async def test_every_table_and_function_is_decided_on_and_new_ones_are_closed(
    role: str, roles: Roles
) -> None:
    tables = await roles.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'lionagi_qe'::regnamespace "
        "AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    decided = {*policies.BOUND, *policies.OPEN, *policies.CLOSED}
    assert {each["relname"] for each in tables} == decided, (
        "decide in postgres/policies.py what roles that are bound by grants reach of it; where an "
        "operation of theirs needs a new table, it is BOUND and has a policy"
    )
    functions = await roles.fetch(
        "SELECT proname, prosecdef FROM pg_proc WHERE pronamespace = 'lionagi_qe'::regnamespace"
    )
    assert {each["proname"] for each in functions} == {*policies.FUNCTIONS}, "decide on it there"
    # One that had its owner's rights would show what policies hide.
    assert not any(each["prosecdef"] for each in functions)
    await roles.execute("CREATE TABLE lionagi_qe.of_a_migration_to_come (x integer)")
    try:
        async with roles.attacker(role) as attacker:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await attacker.fetch("SELECT * FROM lionagi_qe.of_a_migration_to_come")
            for table in policies.CLOSED:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await attacker.fetch(f"SELECT * FROM lionagi_qe.{table}")
    finally:
        await roles.execute("DROP TABLE lionagi_qe.of_a_migration_to_come")


async def test_the_owner_is_not_bound_and_its_plans_stay(postgres_server: Any) -> None:
    with postgres_server.fresh_database() as url:
        roles = Roles(url)
        async with open_memory(url) as memory:
            await memory.store_many({f"aqe/k/{at:04}": at for at in range(2_000)})
            backend: Any = parts_of(memory).backend
            number = str(backend.session.fleet)
            asked = {
                "payload": ["'aqe/k/0007'"],
                "claim_sweep": ["1000"],
                "count": ["1000"],
                "bury_expired": ["10"],
                "acquire_lease": ["'x'", "'me'", "1000"],
            }

            async def plans() -> list[list[Any]]:
                found: list[list[Any]] = []
                for name, arguments in asked.items():
                    text = backend.session.sql[name]
                    for at, value in reversed(list(enumerate([number, *arguments], 1))):
                        text = text.replace(f"${at}", value)
                    found.append(await roles.fetch(f"EXPLAIN (COSTS OFF) {text}"))
                return found

            await roles.execute("ANALYZE")
            before = await plans()
            name = await roles.make()
            await grants.grant(memory, name, read=["aqe/k/*7"], queues=["*"])
            assert await plans() == before
            assert (await memory.get_stats())["total_keys"] == 2_000
            assert (await anext(memory.watch(since=START))).key
        await roles.drop()


async def test_a_bound_roles_look_ups_and_pages_go_by_indexes(
    role: str, owner: Memory, roles: Roles
) -> None:
    await owner.store_many({f"aqe/agents/{at % 40}/{at:05}": at for at in range(4_000)})
    await roles.execute("ANALYZE lionagi_qe.entries")
    number = number_of(owner)
    asked = (
        f"SELECT value FROM lionagi_qe.entries WHERE fleet = {number} AND key = 'aqe/agents/7/1'",
        f"""SELECT FROM lionagi_qe.entries WHERE fleet + 0 = {number} AND partition = 'other'
            AND gone IS NULL AND key > 'aqe/agents/' ORDER BY key LIMIT 10""",
        f"SELECT FROM lionagi_qe.entries WHERE fleet + 0 = {number} AND expires_at <= now()",
    )
    async with roles.attacker(role) as attacker:
        for statement in asked:
            plan = "\n".join(row[0] for row in await attacker.fetch(f"EXPLAIN {statement}"))
            assert "Seq Scan" not in plan, plan


async def test_notifications_tell_the_names_of_all_queues(
    role: str, owner: Memory, roles: Roles
) -> None:
    """A limit that docs/security.md tells of: PostgreSQL lets every role listen."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(*message: Any) -> None:
        heard.put_nowait(message[3])

    async with roles.attacker(role) as attacker:
        await attacker.add_listener(f"aqe_jobs_{number_of(owner)}", hear)
        await WorkQueue(owner, "theirs").put("not told")
        assert await asyncio.wait_for(heard.get(), 10) == "theirs"


async def test_explain_analyze_tells_whether_a_name_that_is_guessed_exists(
    postgres_server: Any,
) -> None:
    """A limit that docs/security.md tells of: PostgreSQL counts what its policies removed."""
    with postgres_server.fresh_database() as url:
        roles = Roles(url)
        async with open_memory(url) as memory:
            await memory.store_many({f"aqe/agents/other/{at}": at for at in range(2_000)})
            name = await roles.make()
            await grants.grant(memory, name, read=["aqe/plans/*", "aqe/runs/*"])
            await roles.execute("ANALYZE lionagi_qe.entries")
            async with roles.attacker(name) as attacker:
                told = [
                    await attacker.fetch(
                        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT FROM lionagi_qe.entries "
                        f"WHERE fleet = {number_of(memory)} AND key = 'aqe/agents/other/{at}'"
                    )
                    for at in (7, 7_000)
                ]
        await roles.drop()
    removed = ["Rows Removed by Filter: 1" in "\n".join(row[0] for row in rows) for rows in told]
    assert removed == [True, False]

"""A memory for programs without an event loop: threads, forks, the end of the interpreter."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests import programs
from tests.backends import on, url_of

from lionagi_qe import Memory, SyncMemory, errors, open_memory_sync
from lionagi_qe.coordination import Lease, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=on("memory", "sqlite", "postgresql", "redis", "cluster"))
def memory(request: pytest.FixtureRequest) -> Iterator[SyncMemory]:
    with open_memory_sync(url_of(request), fleet=f"test-{uuid.uuid4().hex}") as opened:
        yield opened
        opened.delete_prefix("aqe/t/")


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def address(request: pytest.FixtureRequest) -> tuple[str, str]:
    return url_of(request), f"test-{uuid.uuid4().hex}"


def test_it_has_every_call_of_a_memory_with_its_arguments() -> None:
    for name, call in inspect.getmembers(Memory):
        if name.startswith("_"):
            continue
        own = getattr(SyncMemory, name)
        if inspect.isfunction(call):
            assert inspect.signature(own).parameters.keys() == (
                inspect.signature(call).parameters.keys()
            ), name
            assert own.__doc__


def test_calls_wait_for_their_answers(memory: SyncMemory) -> None:
    memory.store("aqe/t/a", {"n": 1}, partition="p")
    assert memory.retrieve("aqe/t/a", as_type=dict) == {"n": 1}
    assert memory.update("aqe/t/a", lambda value: {"n": value["n"] + 1}) == {"n": 2}
    assert memory.increment("aqe/t/n", 2) == 2
    memory.store_many({f"aqe/t/many/{at}": at for at in range(5)})
    assert memory.list_children("aqe/t/") == ["aqe/t/a", "aqe/t/many/", "aqe/t/n"]
    assert [entry.value for entry in memory.scan("aqe/t/many/", 2)] == [0, 1, 2, 3, 4]
    for entry in memory.scan("aqe/t/many/", 2):
        assert entry.value == 0
        break
    assert memory.delete_many(["aqe/t/many/0", "aqe/t/none"]) == 1
    assert memory.get_stats()["total_keys"] == 6
    assert memory.capabilities.name in repr(memory.capabilities)
    with pytest.raises(errors.InvalidKeyError):
        memory.store("no prefix", 1)


def test_a_scope_is_a_part_of_the_memory(memory: SyncMemory) -> None:
    memory.store_many({"aqe/t/in/a": 1, "aqe/t/out": 2})
    part = memory.scoped("agent", read=iter(["aqe/t/in/*"]), write=["aqe/t/in/b"])
    part.store("aqe/t/in/b", 2)
    assert part.search("*") == {"aqe/t/in/a": 1, "aqe/t/in/b": 2}
    assert [entry.key for entry in part.scan()] == ["aqe/t/in/a", "aqe/t/in/b"]
    with part.watch("*", "start") as changes:
        assert next(changes).key == "aqe/t/in/a"
    with part.transaction() as step:
        step.store("aqe/t/in/b", 3)
    inner = part.scoped("inner", read=["aqe/t/in/a", "aqe/t/out"])
    assert inner.list_keys() == ["aqe/t/in/a"]
    for refused in (part, inner):
        with pytest.raises(errors.AccessDeniedError):
            refused.retrieve("aqe/t/out")
    with pytest.raises(errors.InvalidArgumentError):
        memory.scoped("agent", read=["other/*"])
    assert "scope 'agent' of" in repr(part)
    part.close()
    with pytest.raises(errors.MemoryClosedError):
        part.retrieve("aqe/t/in/a")
    assert memory.retrieve("aqe/t/in/b") == 3


def test_transactions_apply_whole_or_not_at_all(memory: SyncMemory) -> None:
    with memory.transaction() as step:
        step.store("aqe/t/a", 1)
    assert memory.retrieve("aqe/t/a") == 1
    with contextlib.suppress(KeyError), memory.transaction() as step:
        step.store("aqe/t/a", 2)
        raise KeyError
    assert memory.retrieve("aqe/t/a") == 1
    with pytest.raises(errors.RevisionConflictError), memory.transaction() as step:
        step.store("aqe/t/a", 3, if_revision=0)
    assert memory.retrieve("aqe/t/a") == 1


def test_changes_are_watched(memory: SyncMemory) -> None:
    with memory.watch("aqe/t/*") as changes:
        memory.store("aqe/t/a", 1)
        change = next(changes)
        assert (change.kind, change.value) == ("stored", 1)
        cursor = changes.cursor
    memory.delete("aqe/t/a")
    with memory.watch("aqe/t/*", cursor) as changes:
        assert next(changes).kind == "deleted"


def test_queues_and_leases_are_run_beside_it(memory: SyncMemory) -> None:
    async def work(inner: Memory) -> tuple[str, Any]:
        async with Lease(inner, "t"):
            queue = WorkQueue(inner, "t")
            await queue.put({"n": 1})
            (job,) = await queue.claim()
            await job.ack("done")
            return job.id, job.payload

    job_id, payload = memory.run(work)
    assert payload == {"n": 1}
    assert memory.run(lambda inner: WorkQueue(inner, "t").result(job_id)) == "done"


def test_threads_share_one(memory: SyncMemory) -> None:
    with ThreadPoolExecutor(16) as threads:
        counts = set(threads.map(memory.increment, ["aqe/t/n"] * 200))
    assert counts == set(range(1, 201))


def test_a_fork_goes_on_with_a_memory_of_its_own(address: tuple[str, str]) -> None:
    url, fleet = address
    with open_memory_sync(url, fleet=fleet) as memory:
        memory.store("aqe/t/a", "parent")
        child = os.fork()
        if not child:
            try:
                memory.increment("aqe/t/n")
                found = memory.retrieve("aqe/t/a")
                memory.close()
                os._exit(0 if found == "parent" else 1)
            finally:
                os._exit(2)
        for _ in range(50):
            memory.increment("aqe/t/n")
        assert os.waitpid(child, 0)[1] == 0
        assert memory.retrieve("aqe/t/n") == 51
        memory.delete_prefix("aqe/t/")


def test_the_end_of_the_interpreter_closes_what_is_open(tmp_path: Path) -> None:
    program = f"""
from lionagi_qe import open_memory_sync
memory = open_memory_sync("sqlite:///{tmp_path}/a.db")
memory.store("aqe/t/a", 1)
private = open_memory_sync("memory://")
print(private.retrieve("aqe/t/a"), memory)
"""
    done = programs.call("-X", "dev", "-W", "error", "-c", program)
    assert (done.code, done.complaints) == (0, "")
    assert done.output.startswith(f"None <SyncMemory on sqlite:///{tmp_path}")
    assert not (tmp_path / "a.db-wal").exists()  # which closing merges into the file


def test_multiprocessing_workers_use_the_one_of_the_module(tmp_path: Path) -> None:
    (tmp_path / "shop_memory.py").write_text(
        f"from lionagi_qe import open_memory_sync\n"
        f"memory = open_memory_sync('sqlite:///{tmp_path}/a.db')\n"
    )
    program = """
import multiprocessing, json
from shop_memory import memory

def work(at):
    return memory.increment("aqe/t/n")

if __name__ == "__main__":
    memory.store("aqe/t/n", 0)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(json.dumps(sorted(pool.map(work, range(20)))))
"""
    done = programs.call("-c", program, env={"PYTHONPATH": str(tmp_path)})
    assert done.code == 0, done.complaints
    assert json.loads(done.output) == list(range(1, 21))


def test_what_would_wait_for_itself_is_refused(memory: SyncMemory) -> None:
    memory.store("aqe/t/a", 1)
    with pytest.raises(errors.InvalidArgumentError, match="would wait for itself"):
        memory.update("aqe/t/a", lambda _: memory.retrieve("aqe/t/a"))
    assert memory.retrieve("aqe/t/a") == 1


async def test_a_coroutine_may_call_it_and_waits(tmp_path: Path) -> None:
    with open_memory_sync(f"sqlite:///{tmp_path}/a.db") as memory:
        memory.store("aqe/t/a", 1)
        assert memory.retrieve("aqe/t/a") == 1


def test_closed_is_closed() -> None:
    memory = open_memory_sync("memory://")
    pages = memory.scan()
    memory.store("aqe/t/a", 1)
    assert next(pages).value == 1
    memory.close()
    memory.close()
    pages.close()
    with pytest.raises(errors.MemoryClosedError):
        memory.retrieve("aqe/t/a")


def test_closing_ends_the_wait_of_another_thread() -> None:
    memory = open_memory_sync("memory://")
    with memory.watch("aqe/t/*") as changes, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(next, changes)
        memory.store("aqe/u/a", 1)
        memory.close()
        with pytest.raises(errors.MemoryClosedError):
            waiting.result(30)


def test_a_url_that_can_not_be_used_is_told_where_it_is_written() -> None:
    with pytest.raises(errors.UnknownSchemeError, match="mysql"):
        open_memory_sync("mysql://host/db")
    shown = repr(open_memory_sync("postgresql://app:secret@db/qe"))
    assert "secret" not in shown

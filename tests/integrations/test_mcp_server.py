"""``aqe mcp`` as a process, in sessions with the official client over stdio."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import programs

from lionagi_qe.agents.llm.action import UNTRUSTED
from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mcp import Client
    from mcp.types import CallToolResult

    from lionagi_qe import Memory

    Record = Callable[..., Awaitable[None]]

READING = {
    "memory_retrieve",
    "memory_search",
    "memory_wait",
    "fleet_projects",
    "fleet_runs",
    "fleet_metrics",
    "fleet_flaky_history",
    "fleet_gaps",
    "fleet_survivors",
    "fleet_test_history",
}


def aqe_mcp(url: str, *options: str) -> list[str]:
    return ["-m", "lionagi_qe.cli.main", "mcp", "--memory", url, *options]


@asynccontextmanager
async def connected(url: str, *options: str, mode: Any = "auto") -> AsyncIterator[Client]:
    # All of the suite's processes collect this file, and the package takes long to import.
    from mcp import Client, StdioServerParameters, stdio_client

    server = StdioServerParameters(command=sys.executable, args=aqe_mcp(url, *options))
    async with Client(stdio_client(server), mode=mode) as client:
        yield client


def value_of(result: CallToolResult) -> Any:
    assert not result.is_error, result.content
    (content,) = result.content
    assert json.loads(content.text) == result.structured_content
    return result.structured_content


def error_of(result: CallToolResult) -> str:
    assert result.is_error
    error = result.structured_content["error"]
    return f"{error['kind']}: {error['message']}"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_reads_what_the_fleet_keeps(
    sqlite_url: str,
    sqlite_memory: Memory,
    record_run: Record,
    gaps: list[dict[str, Any]],
    mode: Any,
) -> None:
    await sqlite_memory.store("aqe/plans/v1", {"goal": "ship"})
    await record_run(sqlite_memory, "run-1", gaps=gaps)
    async with connected(sqlite_url, mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == READING
        assert all(tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description and tool.input_schema["type"] == "object" for tool in tools)
        found = value_of(await client.call_tool("memory_retrieve", {"key": "plans/v1"}))
        assert found["value"] == {"goal": "ship"}
        assert found["untrusted"] == UNTRUSTED
        searched = value_of(await client.call_tool("memory_search", {"pattern": "aqe/plans/*"}))
        assert searched["entries"] == [{"key": "aqe/plans/v1", "value": {"goal": "ship"}}]
        told = value_of(await client.call_tool("fleet_gaps", {"project": "shop", "limit": 1}))
        assert told["gaps"] == gaps[:1]
        assert told["source"] == "aqe/runs/shop/run-1/coverage-analyzer/gaps"


async def test_errors_are_results_and_the_session_goes_on(
    sqlite_url: str, sqlite_memory: Memory
) -> None:
    from mcp import MCPError

    await sqlite_memory.store("aqe/x", 1)
    async with connected(sqlite_url) as client:
        assert "key: Field required" in error_of(await client.call_tool("memory_retrieve", {}))
        bad_key = await client.call_tool("memory_retrieve", {"key": "a//b"})
        assert error_of(bad_key).startswith("InvalidKeyError")
        ghost = await client.call_tool("fleet_metrics", {"project": "ghost"})
        assert error_of(ghost).startswith("NoSuchRun")
        with pytest.raises(MCPError, match="tool 'format_disk': unknown; there are memory_"):
            await client.call_tool("format_disk", {})
        assert value_of(await client.call_tool("memory_retrieve", {"key": "x"}))["value"] == 1


async def test_without_write_nothing_can_be_changed(sqlite_url: str, sqlite_memory: Memory) -> None:
    async with connected(sqlite_url) as client:
        refused = await client.call_tool("memory_store", {"key": "x", "value": 1})
        assert error_of(refused) == (
            "ReadOnly: memory_store: this server only reads; start it with --write"
        )
    assert await sqlite_memory.list_keys() == []


async def test_with_write_a_client_stores_and_works(sqlite_url: str, sqlite_memory: Memory) -> None:
    queue = WorkQueue(sqlite_memory, "reviews")
    job_id = await queue.put({"file": "a.py"})
    async with connected(sqlite_url, "--write", "--queue", "reviews") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == READING | {"memory_store", "work_claim", "work_report"}
        assert not tools["memory_store"].annotations.read_only_hint
        value_of(await client.call_tool("memory_store", {"key": "x", "value": {"a": [1, None]}}))
        job = value_of(await client.call_tool("work_claim", {}))
        report = {"job": job["job"], "outcome": "done", "result": "fine"}
        value_of(await client.call_tool("work_report", report))
    assert await sqlite_memory.retrieve("aqe/x") == {"a": [1, None]}
    assert await queue.result(job_id) == "fine"


async def test_an_area_bounds_what_is_reached(sqlite_url: str, sqlite_memory: Memory) -> None:
    await sqlite_memory.store("aqe/secret/x", 1)
    async with connected(sqlite_url, "--write", "--area", "aqe/public") as client:
        outside = await client.call_tool("memory_retrieve", {"key": "aqe/secret/x"})
        assert "lies outside aqe/public/" in error_of(outside)
        value_of(await client.call_tool("memory_store", {"key": "x", "value": 2}))
    assert await sqlite_memory.list_keys() == ["aqe/public/x", "aqe/secret/x"]


async def test_an_area_bounds_the_fleets_results_too(
    sqlite_url: str, sqlite_memory: Memory, record_run: Record, gaps: list[dict[str, Any]]
) -> None:
    from mcp import MCPError

    await record_run(sqlite_memory, "run-1", gaps=gaps)
    async with connected(sqlite_url, "--area", "aqe/public") as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"memory_retrieve", "memory_search", "memory_wait"}
        with pytest.raises(MCPError, match="unknown"):
            await client.call_tool("fleet_gaps", {"project": "shop"})
    async with connected(sqlite_url, "--area", "aqe/public", "--results") as client:
        told = value_of(await client.call_tool("fleet_gaps", {"project": "shop", "limit": 1}))
        assert told["gaps"] == gaps[:1]
        outside = await client.call_tool("memory_retrieve", {"key": "aqe/runs/shop/latest"})
        assert "lies outside aqe/public/" in error_of(outside)


async def test_a_call_is_cancelled_and_the_session_goes_on(
    sqlite_url: str, sqlite_memory: Memory
) -> None:
    await sqlite_memory.store("aqe/x", 1)
    async with connected(sqlite_url) as client:
        waiting = asyncio.create_task(client.call_tool("memory_wait", {"seconds": 600}))
        value_of(await client.call_tool("memory_retrieve", {"key": "x"}))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        told = asyncio.create_task(client.call_tool("memory_wait", {"seconds": 60}))
        while not told.done():
            await sqlite_memory.increment("aqe/x")
            await asyncio.wait({told}, timeout=0.05)
        assert value_of(await told)["change"]["key"] == "aqe/x"


async def test_calls_run_side_by_side(sqlite_url: str, sqlite_memory: Memory) -> None:
    await sqlite_memory.store_many({f"aqe/n/{number:02}": number for number in range(50)})
    async with connected(sqlite_url) as client:
        results = await asyncio.gather(
            *(client.call_tool("memory_retrieve", {"key": f"n/{n:02}"}) for n in range(50))
        )
    assert [value_of(result)["value"] for result in results] == list(range(50))


# The process


async def run_aqe(*arguments: str) -> tuple[int | None, str, str]:
    process = await programs.start(*arguments, stdin=PIPE)
    output, errors = await process.communicate(b"")
    return process.returncode, output.decode(), errors.decode()


async def test_it_ends_well_when_the_client_is_gone(sqlite_url: str, sqlite_memory: Memory) -> None:
    await sqlite_memory.store("aqe/x", 1)
    assert await run_aqe(*aqe_mcp(sqlite_url)) == (0, "", "")


async def test_ctrl_c_ends_it(sqlite_url: str, sqlite_memory: Memory) -> None:
    await sqlite_memory.store("aqe/x", 1)
    process = await programs.start(*aqe_mcp(sqlite_url), stdin=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    }
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    process.stdin.write(json.dumps(hello).encode() + b"\n")
    await process.stdin.drain()
    assert json.loads(await process.stdout.readline())["result"]["serverInfo"]["name"]
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        code = await process.wait()
    assert process.stderr is not None
    assert (code, (await process.stderr.read()).strip()) == (130, b"aqe: interrupted")


async def test_a_memory_that_is_not_there_is_told_before_any_client_speaks() -> None:
    code, output, errors = await run_aqe(*aqe_mcp("redis://127.0.0.1:1/0"))
    assert (code, output) == (3, "")
    assert "127.0.0.1:1" in errors
    assert len(errors.splitlines()) == 1


async def test_who_only_reads_makes_no_memory(sqlite_url: str) -> None:
    code, _, errors = await run_aqe(*aqe_mcp(sqlite_url))
    assert code == 3
    assert "there is no such file" in errors
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    assert not await asyncio.to_thread(file.exists)


async def test_a_queue_needs_write(sqlite_url: str) -> None:
    code, _, errors = await run_aqe(*aqe_mcp(sqlite_url, "--queue", "reviews"))
    assert (code, errors) == (2, "aqe: --queue: to claim a job is a change; add --write\n")

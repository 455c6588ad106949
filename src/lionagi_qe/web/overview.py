"""The first page: who is alive, which runs go on, the queues, and the memory's figures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.coordination.presence import PREFIX as PRESENCE
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.glob import escape_glob
from lionagi_qe.web.console import memory_of
from lionagi_qe.web.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.coordination import QueueCounts
    from lionagi_qe.persistence import Entry, Memory

_MOST_MEMBERS = 200
_MOST_QUEUES = 100
_MOST_PROJECTS = 200
_MOST_RUNS = 20
_RUNS = "aqe/runs/"
_WORK = "aqe/work/"


async def overview(request: Request) -> Response:
    """Show all at a glance; costs a count of each queue."""
    memory = memory_of(request)
    queues, members, projects, runs = await asyncio.gather(
        queues_of(memory), members_of(memory), projects_of(memory), open_runs(memory)
    )
    return render(
        request, "overview.html", queues=queues, members=members, projects=projects, runs=runs
    )


async def figures(request: Request) -> Response:
    """Show the memory's figures, which the first page fetches later: they cost a count of all."""
    return render(request, "figures.html", stats=await memory_of(request).get_stats())


async def queues_of(memory: Memory) -> dict[str, QueueCounts]:
    """Count the jobs of the first 100 queues that ever had some."""
    names = (await parts_of(memory).jobs.queues())[:_MOST_QUEUES]
    counts = await asyncio.gather(*(WorkQueue(memory, name).stats() for name in names))
    return dict(zip(names, counts, strict=True))


async def members_of(memory: Memory) -> list[dict[str, Any]]:
    """Return who is alive in any group, at most 200, by group and name."""
    members: list[dict[str, Any]] = []
    async for entry in memory.scan(PRESENCE, _MOST_MEMBERS):
        members.append(_member(entry))
        if len(members) == _MOST_MEMBERS:
            break
    return members


def _member(entry: Entry) -> dict[str, Any]:
    group, _, name = entry.key.removeprefix(PRESENCE).partition("/")
    value: dict[str, Any] = entry.value if isinstance(entry.value, dict) else {}
    return {
        "group": group,
        "name": name,
        "since": entry.created_at,
        "host": value.get("host", ""),
        "process": value.get("process", ""),
        "info": value.get("info"),
    }


async def projects_of(memory: Memory) -> list[str]:
    """Return the first 200 projects that runs were kept of, as their keys name them."""
    found = await memory.list_children(_RUNS, limit=_MOST_PROJECTS)
    return [name.removeprefix(_RUNS)[:-1] for name in found if name.endswith("/")]


async def open_runs(memory: Memory) -> list[dict[str, Any]]:
    """Return the runs that did not end yet, or were cut off: the plan, and what is done of it."""
    roots: list[str] = []
    for project in await memory.list_children(_WORK, limit=_MOST_PROJECTS):
        roots += await memory.list_children(project, limit=_MOST_RUNS)
    alive = {member["name"] for member in await members_of(memory)}
    records = await memory.retrieve_many([f"{root}record" for root in roots])
    runs = [
        _run(memory, root, records[f"{root}record"], alive)
        for root in roots
        if isinstance(records.get(f"{root}record"), dict)
    ]
    return list(await asyncio.gather(*runs))


async def _run(
    memory: Memory, root: str, record: dict[str, Any], alive: set[str]
) -> dict[str, Any]:
    results, parts = await asyncio.gather(
        memory.list_keys(f"{root}results/"), memory.search(f"{escape_glob(root)}parts/*")
    )
    done = [key.removeprefix(f"{root}results/") for key in results]
    agents = [str(agent) for agent in record.get("agents", [])]
    project, run = root.removeprefix(_WORK)[:-1].split("/", 1)
    return {
        "project": project,
        "run": run,
        "is_alive": run in alive,
        "plan": [
            {
                "agent": agent,
                "is_done": agent in done,
                "parts": parts.get(f"{root}parts/{agent}"),
                "parts_done": sum(name.startswith(f"{agent}.") for name in done),
            }
            for agent in dict.fromkeys([*agents, *(name for name in done if "." not in name)])
        ],
    }

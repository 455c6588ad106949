"""The first page: the memory, who is alive, what runs, the queues and the projects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.coordination.presence import PREFIX as PRESENCE
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.web.console import children, entries_after, memory_of
from lionagi_qe.web.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.coordination import QueueCounts
    from lionagi_qe.persistence import Entry, Memory

_MOST_MEMBERS = 200
_MOST_QUEUES = 100


async def overview(request: Request) -> Response:
    """Show all at a glance; costs a count of each queue."""
    memory = memory_of(request)
    stats, queues, members, projects, runs = await asyncio.gather(
        memory.get_stats(),
        queues_of(memory),
        members_of(memory),
        projects_of(memory),
        _runs(memory),
    )
    return render(
        request,
        "overview.html",
        stats=stats,
        queues=queues,
        members=members,
        projects=projects,
        runs=runs,
    )


async def queues_of(memory: Memory) -> dict[str, QueueCounts]:
    """Count the jobs of the first 100 queues that have some."""
    names = (await parts_of(memory).jobs.queues())[:_MOST_QUEUES]
    counts = await asyncio.gather(*(WorkQueue(memory, name).stats() for name in names))
    return dict(zip(names, counts, strict=True))


async def members_of(memory: Memory) -> list[dict[str, Any]]:
    """Return who is alive in any group, at most 200, by group and name."""
    entries, _ = await entries_after(memory, PRESENCE, "", _MOST_MEMBERS)
    return [_member(entry) for entry in entries]


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
    """Return the projects that runs were kept of, as their keys name them."""
    found, _ = await children(memory, "aqe/runs/")
    return found


async def _runs(memory: Memory) -> list[dict[str, Any]]:
    """Return the runs that did not end yet, or were cut off, with what is done of each."""
    runs: list[dict[str, Any]] = []
    for project in (await children(memory, "aqe/work/"))[0]:
        for run in (await children(memory, f"aqe/work/{project}/"))[0]:
            root = f"aqe/work/{project}/{run}"
            done, record, is_open = await asyncio.gather(
                children(memory, f"{root}/results/"),
                memory.retrieve(f"{root}/record"),
                memory.exists(f"{root}/open"),
            )
            if record is not None:
                runs.append({"project": project, "run": run, "done": done[0], "open": is_open})
    return runs

"""For monitors: whether the memory answers, and figures in Prometheus' text format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse

from lionagi_qe.errors import AqeError
from lionagi_qe.persistence.contract.job_pages import LISTED_STATES
from lionagi_qe.web.console import memory_of
from lionagi_qe.web.overview import members_of, queues_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_SPECIAL = re.compile(r'[\\"\n]')
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


async def health(request: Request) -> Response:
    """Answer 200 if the memory does, else 503; costs a read of one entry."""
    try:
        await memory_of(request).exists("aqe/health")
    except AqeError as error:
        return JSONResponse({"status": "failing", "error": type(error).__name__}, status_code=503)
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Return counts of entries, jobs and members; costs a count of all entries and each queue."""
    memory = memory_of(request)
    stats, queues, members = (
        await memory.get_stats(),
        await queues_of(memory),
        await members_of(memory),
    )
    lines = [
        *_head("aqe_entries", "Live entries of the fleet."),
        f"aqe_entries {stats['total_keys']}",
        *_head("aqe_entries_bytes", "Bytes of the values of live entries."),
        f"aqe_entries_bytes {stats['size_bytes']}",
        *_head("aqe_members", "Agents that show that they are alive, the first 200."),
        f"aqe_members {len(members)}",
        *_head("aqe_jobs", "Jobs by queue and state."),
    ]
    lines += [
        f'aqe_jobs{{queue="{_label(name)}",state="{state}"}} {getattr(counts, state)}'
        for name, counts in queues.items()
        for state in LISTED_STATES
    ]
    return PlainTextResponse(
        "\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8"
    )


def _head(name: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} gauge"


def _label(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text)

"""The process that carries out one task for a Dask worker, as ``aqe worker`` would.

It reads a line of JSON from standard input and goes on for as long as that stays open: when the
Dask worker is gone, so is it. It writes its answer to the file that the line names.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.run_traces import RunTraces
from lionagi_qe.fleet.signatures import SigningKeys, unsigned
from lionagi_qe.fleet.task import Task
from lionagi_qe.fleet.task_examination import TaskExaminer

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Step

ISOLATE_VARIABLE = "AQE_ISOLATE"


async def _examine(request: dict[str, Any]) -> dict[str, Any]:
    # Before anything of it is looked at.
    task = Task.of_payload(_trusted(request["payload"], request["fleet"]))
    contents = Path(request["contents"])

    async def fetch(name: str) -> bytes:
        content = await asyncio.to_thread((contents / Path(name).name).read_bytes)
        if hashlib.sha256(content).hexdigest() != name:
            raise AqeError(f"content {name}: is not what its name says")
        return content

    async def now() -> float:
        return time.time() * 1000 + request["ahead_ms"]

    examiner = TaskExaminer(
        fetch,
        now,
        _tell,
        request["worker"],
        traces=RunTraces(None),
        isolate=os.environ.get(ISOLATE_VARIABLE, "") not in {"", "0", "false"},
    )
    try:
        carried = await examiner.examine(task)
    finally:
        examiner.close()
    return {"packed": serialization.packed(carried.findings), "seconds": carried.seconds}


def _trusted(payload: dict[str, Any], fleet: str) -> dict[str, Any]:
    keys = SigningKeys.from_env()
    return unsigned(payload) if keys is None else keys.check(payload, fleet)


def _tell(step: Step) -> None:
    sys.stderr.write(f"aqe: {step.agent}: {step.text}\n")


async def _main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    work = asyncio.create_task(_examine(request))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, work.cancel)
    loop.add_reader(sys.stdin.fileno(), work.cancel)
    try:
        answer = await work
    except AqeError as error:
        answer = {"failure": str(error)}
    finally:
        loop.remove_reader(sys.stdin.fileno())
    whole = Path(request["answer"])
    part = whole.with_suffix(".part")
    part.write_text(json.dumps(answer))
    part.rename(whole)


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except asyncio.CancelledError:
        sys.exit(130)

"""What runs in the processes of Dask's workers: keeps contents, and starts a process for a task.

The process is ``task_process``; it does what ``aqe worker`` does with a task. It is one of its own
since a Dask worker runs tasks in threads, which can't be stopped and share a working directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from distributed import Worker

# One after the other, however many threads a worker has and however many runs give it work.
_BUSY = threading.Lock()
# How often it is looked whether a task is still wanted.
LOOK_SECONDS = 0.5
# What a process may take to end the project's processes and to remove its copy.
_GRACE_SECONDS = 10.0
# Contents that no task named for so long are deleted.
_KEPT_SECONDS = 24 * 3600.0
_WANTED = frozenset({"executing", "long-running"})


class LackingContentError(LookupError):
    """A worker has no content of the name that a task gives: it is another one at that address."""


class TaskProcessError(RuntimeError):
    """A task ended without findings; the message says why, for people."""


def missing(names: Iterable[str], dask_worker: Worker) -> list[str]:
    """Return which contents this worker does not have; those that it has are kept longer."""
    lacking: list[str] = []
    for name in names:
        file = _contents_of(dask_worker) / name
        try:
            os.utime(file)
        except FileNotFoundError:
            lacking.append(name)
    return lacking


def receive(  # noqa: PLR0913 - a piece is described by that much
    name: str, transfer: str, number: int, piece: bytes, *, last: bool, dask_worker: Worker
) -> None:
    """Append a piece of a content; the last one is kept under its name if it is what that says.

    Raises:
        ValueError: all pieces together are not what the name says.

    """
    folder = _contents_of(dask_worker)
    part = folder / f"{name}.{transfer}.part"
    with part.open("ab" if number else "wb") as file:
        file.write(piece)
    if not last:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != name:
        part.unlink()
        raise ValueError(f"content {name}: what arrived is not what its name says")
    part.rename(folder / name)
    _forget_old(folder)


def carry_out(payload: Mapping[str, Any], fleet: str) -> dict[str, Any]:
    """Return what comes of a task: findings as text, and seconds.

    Args:
        payload: the task, signed or not.
        fleet: whose task it is.

    Raises:
        LackingContentError: a content that it names is not here.
        TaskProcessError: it failed, was refused, or is not wanted any more.

    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    while not _BUSY.acquire(timeout=LOOK_SECONDS):
        _check_wanted(worker, key)
    try:
        return _in_process(worker, key, payload, fleet)
    finally:
        _BUSY.release()


def _in_process(worker: Worker, key: Any, payload: Mapping[str, Any], fleet: str) -> dict[str, Any]:  # noqa: ANN401 - Dask's
    contents = _contents_of(worker)
    for name in (payload["tree"], payload["content"]):
        if not (contents / name).is_file():
            raise LackingContentError(name)
    # Of a worker that is killed Dask's next one deletes it there.
    with tempfile.TemporaryDirectory(prefix="aqe-task-", dir=worker.local_directory) as folder:
        answer = Path(folder) / "answer.json"
        request = {
            "payload": payload,
            "fleet": fleet,
            "contents": str(contents),
            "answer": str(answer),
            # Of the scheduler's clock before this machine's, as Dask measures it.
            "ahead_ms": worker.scheduler_delay * 1000,
            "worker": str(worker.name),
        }
        _run(request, folder, lambda: _check_wanted(worker, key))
        try:
            found = json.loads(answer.read_bytes())
        except FileNotFoundError:
            raise TaskProcessError(
                "its process ended without an answer, as one that was killed does"
            ) from None
    if "failure" in found:
        raise TaskProcessError(found["failure"])
    return found


def _run(request: Mapping[str, Any], folder: str, check: Any) -> None:  # noqa: ANN401 - a function
    """Run the process until it ends, or is not wanted; it ends when this process does, too."""
    # -P: nothing that lies in a working directory is imported.
    command = [sys.executable, "-P", "-m", "lionagi_qe.fleet.executors.task_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder) as process:  # noqa: S603 - our own module
        assert process.stdin is not None  # noqa: S101 - as was asked for
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            while True:
                try:
                    process.wait(LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    check()
                else:
                    return
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    if process.poll() is None:
        # The project's processes end with it: their keeper notices.
        process.kill()


def _check_wanted(worker: Worker, key: Any) -> None:  # noqa: ANN401 - Dask's
    """Raise TaskProcessError if the run's client released the task, or the worker is ending.

    Dask does not stop a task that runs, but tells the worker that nobody wants it.
    """
    task = worker.state.tasks.get(key)
    if task is None or task.state not in _WANTED or worker.status.name != "running":
        # "paused" by Dask, for memory, is no reason to end what runs.
        if task is not None and task.state in _WANTED and worker.status.name == "paused":
            return
        raise TaskProcessError("the task is not wanted any more")


def _contents_of(worker: Worker) -> Path:
    folder = Path(worker.local_directory) / "aqe-contents"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _forget_old(folder: Path) -> None:
    oldest = time.time() - _KEPT_SECONDS
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest:
                file.unlink()

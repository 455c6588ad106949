"""Cyclomatic complexities kept between runs: of most files they are those of the last run."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.kept_results import KeptResults, digest_of, kept_path
from lionagi_qe.agents.project import complexity
from lionagi_qe.agents.project.layout import is_test_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.layout import Layout
    from lionagi_qe.agents.project.workspace import Workspace


class KnownComplexities:
    """Complexities by the digest of a file's content.

    Args:
        path: where they are kept; there may be nothing yet.
    """

    def __init__(self, path: Path) -> None:
        self._kept = KeptResults(path, complexity.VERSION)

    def of(self, file: Path) -> tuple[dict[str, int], str | None]:
        """Return qualified function name -> complexity, and why there are none, if so."""
        try:
            digest = digest_of(file)
        except OSError:
            return complexity.complexities(file)
        known = self._kept.of(digest)
        if known is not None:
            return known, None
        found, problem = complexity.complexities(file)
        if problem is None:
            self._kept.add(digest, found)
        return found, problem

    def keep(self) -> None:
        """Write those that were asked for, if they are not what is kept already."""
        self._kept.keep()


@asynccontextmanager
async def graded_beside(workspace: Workspace, environment: Environment) -> AsyncGenerator[None]:
    """Grade the code to measure in a thread while the block waits for the tests, once a project.

    Later runs know most of it, and what is not graded at the block's end is left to who asks for
    it. The block ends when the file that is being graded is done.
    """
    path = path_of(workspace, environment)
    if path.exists():
        yield
        return
    ended = threading.Event()
    grading = asyncio.ensure_future(
        asyncio.to_thread(_grade, path, workspace, environment.layout, ended)
    )
    try:
        yield
    finally:
        ended.set()
        await asyncio.wait({grading})
        # What went wrong is met again, and told, by who asks for the file.
        grading.exception()


def path_of(workspace: Workspace, environment: Environment) -> Path:
    """Return where the complexities of a project are kept."""
    return kept_path(workspace, environment, "complexities")


def _grade(path: Path, workspace: Workspace, layout: Layout, ended: threading.Event) -> None:
    known = KnownComplexities(path)
    # The tests change their own copy.
    tops = [workspace.pristine / name for name in layout.scope]
    files = ([top] if top.is_file() else top.rglob("*.py") for top in tops)
    for file in chain.from_iterable(files):
        if ended.is_set():
            break
        if not is_test_file(file.relative_to(workspace.pristine).as_posix()):
            known.of(file)
    known.keep()

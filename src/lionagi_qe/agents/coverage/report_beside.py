"""coverage.py's report by a process of its own, which reads the sources while the tests run.

Only where no earlier report tells of most files: the report of a first run takes up to a third of
quick tests' time, most of which is to parse the sources, and the other core stands idle meanwhile.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.coverage.contexts import VARIABLES
from lionagi_qe.agents.coverage.settings import write_rcfile
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.project.cores import usable_cores
from lionagi_qe.agents.project.isolation import isolation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from lionagi_qe.agents.base import Examination

_TIMEOUT = 300.0
# What takes longer to parse than Python and coverage.py take to start.
_LEAST_BYTES = 150_000


@asynccontextmanager
async def reported_beside(examination: Examination) -> AsyncGenerator[bool]:
    """Have the report made of what the block measures, at its end; yield whether that is done.

    If not, the measured process makes it. Where the report does not come about, ``reported`` of
    ``coverage.data`` tells so, and coverage-analyzer makes it.
    """
    workspace, environment = examination.workspace, examination.environment
    coverage_data.bring_earlier_report(workspace, environment)
    if coverage_data.has_earlier_report(workspace) or not _pays(examination):
        yield False
        return
    # The measured process adds to its own.
    rcfile = shutil.copy(
        write_rcfile(workspace, environment), workspace.artifacts / "coveragerc.ahead"
    )
    ended = workspace.artifacts / "tests-ended"
    ended.unlink(missing_ok=True)
    reporting = asyncio.ensure_future(
        process.run(
            environment.command(
                *("aqe_coverage", str(rcfile), str(coverage_data.report_path(workspace))),
                *("ahead", str(ended)),
            ),
            cwd=workspace.source,
            env=environment.variables(workspace) | (VARIABLES if examination.wants_map else {}),
            log=workspace.artifacts / "ahead.log",
        )
    )
    try:
        yield True
        ended.touch()
        await _within(examination.seconds(_TIMEOUT), reporting)
    finally:
        reporting.cancel()
        await asyncio.wait({reporting})


def _pays(examination: Examination) -> bool:
    if not examination.environment.can_measure or isolation() is not None or usable_cores() == 1:
        return False
    layout = examination.environment.layout
    files = [*layout.modules, *(file for each in layout.packages for file in each.rglob("*.py"))]
    return sum(file.stat().st_size for file in files if file.is_file()) >= _LEAST_BYTES


async def _within(seconds: float, reporting: Awaitable[object]) -> None:
    # What can't be started tells so to coverage-analyzer, too.
    with suppress(TimeoutError, OSError):
        await asyncio.wait_for(reporting, seconds)

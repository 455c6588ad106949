"""One session of the tests under given conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Step
from lionagi_qe.agents.execution.pytest_session import run_pytest
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.flaky.reruns import Conditions
    from lionagi_qe.agents.project.workspace import Workspace

_CLOCK = "time-machine>=2.16"


async def run_under(
    examination: Examination,
    fork: Workspace,
    conditions: Conditions,
    timeout: float,
    *,
    test: str | None = None,
) -> Session:
    """Run the tests in ``fork`` for at most ``timeout`` seconds; of them ``test``, if given.

    Those that go before it in the conditions' order run too where the order is what they set.
    """
    return await run_pytest(
        examination.within(fork),
        fork.artifacts / f"{conditions.kind}.jsonl",
        arguments=[
            *("-p", "aqe_conditions", "-p", "no:randomly", "-p", "no:random_order"),
            *("-p", "no:cacheprovider", "--continue-on-collection-errors"),
        ],
        variables=conditions.variables(test),
        timeout=timeout,
    )


async def add_clock(examination: Examination, agent: str) -> Examination | str:
    """Return the examination with the tool that sets the clock, or why it can't be had."""

    def tell(text: str) -> None:
        examination.progress(Step(agent, text))

    try:
        environment = await examination.environment.with_tools(
            [_CLOCK], examination.workspace, tell
        )
    except EnvironmentBuildError as error:
        return str(error)
    return replace(examination, environment=environment)

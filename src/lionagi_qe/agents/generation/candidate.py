"""Candidates of tests: for what they are written, who writes them, and what came of their trial."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.metric import Source

# The funnel, in its order: what was written, can be collected, passes, and proves something.
Stage = Literal["proposed", "built", "passed", "useful"]
STAGES: tuple[Stage, ...] = ("proposed", "built", "passed", "useful")


@dataclass(frozen=True, slots=True)
class Target:
    """A function to write tests for.

    Attributes:
        file: within the project.
        module: as it is imported.
        function: its qualified name.
        missed: its lines that no test runs.
        survivors: ranks of its mutants that no test notices.
    """

    file: str
    module: str
    function: str
    missed: tuple[int, ...]
    survivors: frozenset[str] = frozenset()

    @property
    def slug(self) -> str:
        """The module's and the function's name as part of a file's name."""
        module = re.sub(r"[^a-z0-9]+", "_", self.module.lower())
        return f"{module}_{self.function.replace('.', '_')}"

    def after(self, verdict: Verdict) -> Target:
        """Return what is left to test once a candidate is kept."""
        return replace(
            self,
            missed=tuple(line for line in self.missed if line not in verdict.lines_added),
            survivors=(self.survivors | verdict.survivors) - verdict.killed,
        )


@dataclass(frozen=True, slots=True)
class CandidateTest:
    """A file of tests that nobody has tried.

    Attributes:
        name: of the file.
        source: its text.
    """

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a candidate.

    Attributes:
        candidate: that was tried.
        stage: how far it got.
        why: why it got no further; empty for a useful one.
        failure: what a test said that failed twice; None if none did.
        lines_added: that it runs and no test before it ran.
        killed: ranks of mutants that it notices and no test before it did.
        survivors: ranks of mutants that it doesn't notice either.
    """

    candidate: CandidateTest
    stage: Stage
    why: str = ""
    failure: str | None = None
    lines_added: tuple[int, ...] = ()
    killed: frozenset[str] = frozenset()
    survivors: frozenset[str] = frozenset()

    def reached(self, stage: Stage) -> bool:
        """Whether the candidate got as far as ``stage``."""
        return STAGES.index(self.stage) >= STAGES.index(stage)

    def as_kept(self, target: Target) -> dict[str, Any]:
        """Return a useful candidate as JSON data."""
        return {
            "name": self.candidate.name,
            "file": target.file,
            "function": target.function,
            "source": self.candidate.source,
            "lines_added": list(self.lines_added),
            "mutants_killed": len(self.killed),
            "mutants_tried": len(self.killed) + len(self.survivors),
        }


class Proposer(Protocol):
    """Who writes candidates."""

    @property
    def source(self) -> Source:
        """By what, for the figures."""
        ...

    @property
    def exhausted(self) -> str | None:
        """Why no further function is worth asking for; None while it is."""
        ...

    def can_write(self, target: Target) -> bool:
        """Whether it writes tests of such a function at all."""
        ...

    def objection(self, examination: Examination, candidate: CandidateTest) -> str | None:
        """Return why a candidate must not be tried, by its text; None if it may be."""
        ...

    async def candidates(
        self, examination: Examination, target: Target, judged: Sequence[Verdict], until: float
    ) -> list[CandidateTest] | str:
        """Return candidates to try, or why there are none.

        Args:
            examination: of the project.
            target: what is still untested.
            judged: what came of its last candidates for this target, if any; it may mend them.
            until: by ``time.monotonic``, when to be done.

        """
        ...

"""Hypothesis' ghostwriter as a writer of candidates: properties from a function's annotations."""

from __future__ import annotations

import ast
import builtins
import time
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.generation.candidate import CandidateTest
from lionagi_qe.agents.project.parsing import NOT_PARSED, tree_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.generation.candidate import Target, Verdict
    from lionagi_qe.agents.metric import Source

_SECONDS = 30.0


class Ghostwriter:
    """Writes one candidate a function: that it raises nothing but what it raises on purpose.

    Args:
        source: of its figures.
    """

    exhausted: str | None = None

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def source(self) -> Source:
        """By what, for the figures."""
        return self._source

    def can_write(self, target: Target) -> bool:
        """Whether it is a public function of a module: a method needs an object to be made."""
        name = target.function
        return name.isidentifier() and not name.startswith("_") and bool(target.missed)

    def objection(self, examination: Examination, candidate: CandidateTest) -> str | None:
        """Return None: its text is Hypothesis' own."""
        del examination, candidate

    async def candidates(
        self, examination: Examination, target: Target, judged: Sequence[Verdict], until: float
    ) -> list[CandidateTest] | str:
        """Return the one candidate that it has, or why it has none; it can't mend it."""
        if judged:
            return []
        with examination.workspace.fork(f"ghostwriter-{target.slug}") as fork:
            return await _write(examination.within(fork), target, until)


async def _write(
    examination: Examination, target: Target, until: float
) -> list[CandidateTest] | str:
    workspace, environment = examination.workspace, examination.environment
    out = workspace.artifacts / "ghost.py"
    exceptions = _raised(workspace.pristine / target.file, target.function)
    completed = await process.run(
        environment.command(
            "aqe_ghostwriter", str(out), target.module, target.function, *exceptions
        ),
        cwd=workspace.source,
        env=environment.variables(workspace, examination.settings.pass_env),
        log=workspace.artifacts / "ghost.log",
        timeout=max(min(_SECONDS, until - time.monotonic()), 1.0),
    )
    if completed.exit_code != 0:
        said = workspace.shown(completed.output).strip().splitlines()
        return f"the ghostwriter can't write it: {said[-1] if said else completed.how}"
    text = _read(out)
    if "st.nothing()" in text:
        return "the types of its arguments are not known: annotate them"
    return [CandidateTest(f"test_generated_{target.slug}.py", text)]


def _raised(path: Path, function: str) -> list[str]:
    """Return the built-in exceptions that a function raises on purpose, by its text."""
    names: set[str] = set()
    try:
        tree = tree_of(_read(path))
    except NOT_PARSED:
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for each in ast.walk(node):
                if isinstance(each, ast.Raise) and each.exc is not None:
                    raised = each.exc.func if isinstance(each.exc, ast.Call) else each.exc
                    if isinstance(raised, ast.Name):
                        names.add(raised.id)
    return sorted(name for name in names if _is_exception(name))


def _is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, Exception)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")

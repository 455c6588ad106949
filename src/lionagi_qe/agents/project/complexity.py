"""Cyclomatic complexity of the functions in a file, by radon; the file is parsed, not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import radon
from radon.complexity import cc_visit_ast
from radon.visitors import Class, Function

from lionagi_qe.agents.project.parsing import NOT_PARSED, reason, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    Block = Class | Function

TOOL = "radon"
VERSION = radon.__version__


@dataclass(frozen=True, slots=True)
class Graded:
    """A function and its complexity; ``line`` is that of its ``def``, or its first decorator."""

    name: str
    complexity: int
    line: int


def grade(path: Path) -> tuple[list[Graded], str | None]:
    """Return the functions of a file, graded, and why there are none, if so."""
    try:
        blocks = cc_visit_ast(tree_of(path.read_text(encoding="utf-8")))
    except (*NOT_PARSED, OSError) as error:
        return [], f"{TOOL} {VERSION} can't read it: {reason(error)}"
    return list(_functions(blocks)), None


def complexities(path: Path) -> tuple[dict[str, int], str | None]:
    """Return qualified function name -> complexity, and why there are none, if so."""
    graded, problem = grade(path)
    return {function.name: function.complexity for function in graded}, problem


def _functions(blocks: Iterable[Block], inside: str = "") -> Iterator[Graded]:
    for block in blocks:
        if isinstance(block, Class):
            name = f"{inside}{block.name}"
            yield from _functions([*block.methods, *block.inner_classes], f"{name}.")
        elif not inside and block.classname:
            # radon lists methods a second time, on their own.
            continue
        else:
            name = f"{inside}{block.name}"
            yield Graded(name, block.complexity, block.lineno)
            yield from _functions(block.closures, f"{name}.")

"""Read the code of an examined project: what a model sees of it, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from lionagi_qe.agents.llm.action import Action, Arguments, failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LONGEST: Final = 400
MOST: Final = 200


class Files(Arguments):
    """Arguments of code_files."""

    contains: str = Field(default="", description="Only files whose path contains this text.")


class Read(Arguments):
    """Arguments of code_read."""

    file: str = Field(description="The file's path within the project, as code_files tells it.")
    first: int = Field(default=1, ge=1, description="The first line.")
    last: int | None = Field(default=None, ge=1, description="The last line.")


class InFile(Arguments):
    """Arguments of code_gaps and code_survivors."""

    file: str | None = Field(default=None, description="Only in this file; all if left out.")


def code_actions(
    tree: Path,
    gaps: Sequence[Mapping[str, Any]],
    survivors: Sequence[Mapping[str, Any]],
) -> list[Action[Any]]:
    """Return the actions that read Python files, gaps and surviving mutants; they change nothing.

    Args:
        tree: a copy of the project. Only its Python files can be read: others may hold secrets.
        gaps: of coverage, as coverage-analyzer ranked them in this run.
        survivors: mutants that no test noticed in this run.

    """
    code = _Code(tree, gaps, survivors)
    return [
        Action("code_files", "List the project's Python files.", Files, code.files),
        Action(
            "code_read",
            f"Return lines of a Python file, {LONGEST} at most, numbered.",
            Read,
            code.read,
        ),
        Action(
            "code_gaps",
            "Return the functions with lines that no test runs, the worst first.",
            InFile,
            code.gaps,
        ),
        Action(
            "code_survivors",
            "Return the small changes of the code that no test noticed, as diffs.",
            InFile,
            code.survivors,
        ),
    ]


class _Code:
    def __init__(
        self,
        tree: Path,
        gaps: Sequence[Mapping[str, Any]],
        survivors: Sequence[Mapping[str, Any]],
    ) -> None:
        self._tree = tree.resolve()
        self._gaps = gaps
        self._survivors = survivors

    async def files(self, asked: Files) -> dict[str, Any]:
        names = sorted(path.relative_to(self._tree).as_posix() for path in self._tree.rglob("*.py"))
        found = [name for name in names if asked.contains in name]
        return {"files": found[:MOST], "of": len(found)}

    async def read(self, asked: Read) -> dict[str, Any]:
        path = (self._tree / asked.file).resolve()
        if not path.is_relative_to(self._tree) or path.suffix != ".py" or not path.is_file():
            return failure("NoSuchFile", f"{asked.file!r}: is no Python file of the project")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        last = min(asked.last or len(lines), asked.first + LONGEST - 1, len(lines))
        return {
            "file": asked.file,
            "lines": numbered(lines, asked.first, last),
            "of": len(lines),
        }

    async def gaps(self, asked: InFile) -> dict[str, Any]:
        found = [gap for gap in self._gaps if asked.file in {None, gap["file"]}]
        return {"gaps": found[:MOST], "of": len(found)}

    async def survivors(self, asked: InFile) -> dict[str, Any]:
        found = [each for each in self._survivors if asked.file in {None, each["file"]}]
        return {"survivors": found[:MOST], "of": len(found)}


def numbered(lines: Sequence[str], first: int, last: int) -> str:
    """Return lines ``first`` to ``last``, from 1, each after its number."""
    shown = enumerate(lines[first - 1 : last], start=first)
    return "\n".join(f"{number:>5}  {line}" for number, line in shown)

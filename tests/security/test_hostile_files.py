"""Files of a project that were made to bring down what reads them."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lionagi_qe
from lionagi_qe.agents.coverage.contexts import _spread
from lionagi_qe.agents.environment.declared.django import _settings_in
from lionagi_qe.agents.environment.declared.nox import _sessions
from lionagi_qe.agents.environment.declared.pipfile_and_conda import in_pipfile_and_conda
from lionagi_qe.agents.environment.lock_files import _read_json
from lionagi_qe.agents.generation.safety_checks import objection
from lionagi_qe.agents.mutation.operators import mutants_of
from lionagi_qe.agents.project.complexity import grade
from lionagi_qe.agents.project.function_digests import function_digests
from lionagi_qe.agents.project.located_tests import line_of
from lionagi_qe.agents.project.metadata import setup_arguments
from lionagi_qe.agents.project.parsing import NOT_PARSED, parsed
from lionagi_qe.agents.project.settings import read_toml
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable

# Too deep for parsers; deep for whoever goes through what they make of it; and no Python at all.
PYTHON = [
    *("x = " + "-" * depth + "1\n" for depth in (300, 1_000, 100_000)),
    *("x = b" + ".a" * depth + "\n" for depth in (300, 1_000, 50_000)),
    "x = " + "(" * 5_000 + ")" * 5_000,
    "x = '\ud800'".encode("utf-8", "surrogatepass").decode("latin-1"),
    "\0",
]
# Deeper than any Python reads: 3.13 reads 5,000 of JSON.
NESTED = "[" * 200_000 + "]" * 200_000


def _mutants(path: Path) -> None:
    with contextlib.suppress(*NOT_PARSED):
        list(mutants_of("hostile.py", path.read_text(encoding="utf-8")))


READERS: dict[str, Callable[[Path], object]] = {
    "coverage": lambda path: _spread(path.read_text(encoding="utf-8"), {1: frozenset()}, set()),
    "completion": parsed,
    "django": _settings_in,
    "nox": lambda path: list(_sessions(path.rename(path.parent / "noxfile.py").parent)),
    "candidates": lambda path: objection(path.read_text(encoding="utf-8"), frozenset()),
    "mutants": _mutants,
    "complexity": grade,
    "digests": lambda path: function_digests(path.read_text(encoding="utf-8")),
    "setup.py": lambda path: setup_arguments(path.rename(path.parent / "setup.py").parent),
    "lines": lambda path: line_of(path.parent, f"{path.name}::test_a"),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_python_file_brings_down_what_reads_it(tmp_path: Path, reader: str) -> None:
    for text in PYTHON:
        path = tmp_path / "hostile.py"
        path.write_text(text, encoding="utf-8")
        READERS[reader](path)


def test_files_that_are_nested_without_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"a = {NESTED}\n")
    (tmp_path / "Pipfile.lock").write_text(NESTED)
    with pytest.raises(ProjectError, match=r"pyproject.toml: no valid TOML: it is nested too deep"):
        read_toml(tmp_path / "pyproject.toml")
    with pytest.raises(ProjectError, match=r"Pipfile.lock: can't be read: it is nested too deep"):
        _read_json(tmp_path / "Pipfile.lock")
    (tmp_path / "environment.yml").write_text(f"dependencies: {NESTED}\n")
    assert not any(each.lines for each in in_pipfile_and_conda(tmp_path))


def test_whoever_expects_a_file_to_be_no_python_expects_it_to_be_too_deep() -> None:
    """Each place that catches a SyntaxError catches all that parsing ends with."""
    root = Path(lionagi_qe.__file__).parent / "agents"
    # What runs in an examined project's own process is that project's.
    files = [path for path in root.rglob("*.py") if path.parent.name != "inject"]
    assert len(files) > 100
    for path in files:
        told = re.search(r"except.*(SyntaxError|TOMLDecodeError).*:", path.read_text("utf-8"))
        assert told is None, f"{path}: {told[0]}: say NOT_PARSED"

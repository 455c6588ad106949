"""Parsing Python of projects: from threads at once, and by one way."""

from __future__ import annotations

import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lionagi_qe
from lionagi_qe.agents.project import parsing

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(lionagi_qe.__file__).parent
WHERE = Path(parsing.__file__)


@pytest.fixture
def switching_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let another thread go on at each garbage collection, as Hypothesis' own callback does."""
    # Python's own, where the suite keeps its threads in turn.
    monkeypatch.setattr(ast, "parse", getattr(ast.parse, "__wrapped__", ast.parse))

    def run_python(_phase: str, _info: dict[str, int]) -> None:
        for _ in range(100):
            pass

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gc.callbacks.append(run_python)
    yield
    gc.callbacks.remove(run_python)
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching_collector")
def test_threads_parse_at_once() -> None:
    text = Path(ast.__file__).read_text(encoding="utf-8")

    def names_at(depth: int) -> set[int]:
        # CPython's count is of the thread's own depth, so that threads of one depth fail seldom.
        if depth:
            return names_at(depth - 1)
        return {len(parsing.tree_of(text).body) for _ in range(100)}

    with ThreadPoolExecutor(2) as threads:
        assert len(set.union(*threads.map(names_at, (0, 10)))) == 1


def test_nothing_parses_on_its_own() -> None:
    others = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        # What is injected runs in the target's process, where nothing of ours parses in threads.
        if path != WHERE and "inject" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and (ast.unparse(node) == "ast.parse" or node.attr == "cc_visit")
    ]
    assert others == []

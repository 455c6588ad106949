"""The QE agents as tools of a Branch: they measure a real project, and tell nothing else."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import ProjectError
from lionagi_qe.integrations.lionagi import fleet_tools, qe_tools
from lionagi_qe.testing.openai_server import ChatServer, calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi import Branch

    from lionagi_qe import Memory

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Tools are not looked for where the user has them.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "shop.py").write_text(
        textwrap.dedent("""
            def price(amount):
                if amount > 100:
                    return amount - 10
                return amount
            def unused():
                return 1
        """)
    )
    (root / "test_shop.py").write_text(
        textwrap.dedent("""
            import shop
            def test_price(): assert shop.price(1) == 1
            def test_wrong(): assert shop.price(200) == 200
        """)
    )
    return root


def figures(output: dict[str, Any]) -> dict[str, Any]:
    return {metric["name"]: metric["value"] for metric in output["metrics"]}


async def test_what_the_agents_measure_is_told_and_kept(
    shop: Path, sqlite_url: str, sqlite_memory: Memory, branch_of: Callable[..., Branch]
) -> None:
    tools = qe_tools(shop, sqlite_url, python=Path(sys.executable))
    script = [
        calls(("qe_run_tests", {}), ("qe_coverage_gaps", {})),
        calls(("qe_mutants", {})),
        calls(
            ("fleet_survivors", {"project": "shop"}),
            ("fleet_flaky_history", {"project": "shop"}),
        ),
    ]
    with ChatServer(script) as server:
        branch = branch_of(server, tools=[*tools, *fleet_tools(sqlite_memory)])
        turns = [await branch.operate(instruction="Measure.", actions=True) for _ in script]
    tests, gaps = (response.output for response in turns[0].action_responses)
    (mutants,) = (response.output for response in turns[1].action_responses)
    survivors, flaky = (response.output for response in turns[2].action_responses)

    assert (figures(tests)["tests_passed"], figures(tests)["tests_failed"]) == (1, 1)
    (failing,) = tests["failing"]
    assert failing["test"] == "test_shop.py::test_wrong"
    assert "assert 190 == 200" in failing["message"]
    for metric in tests["metrics"]:
        kept = await sqlite_memory.retrieve(metric["source"])
        assert kept["name"] == metric["name"]
        if not isinstance(kept["value"], list):
            assert kept["value"] == metric["value"]
    assert [gap["function"] for gap in gaps["gaps"]] == ["unused"]
    assert figures(mutants)["mutants_survived"] == len(mutants["survivors"]) > 0
    assert survivors["survivors"] == mutants["survivors"]
    assert survivors["source"].endswith("/mutation-tester/surviving_mutants")
    assert flaky["tests"] == []


def test_an_interpreter_that_is_not_there_is_told_before_a_model_is_asked(
    shop: Path, sqlite_url: str
) -> None:
    with pytest.raises(ProjectError, match="no-python: no such file"):
        qe_tools(shop, sqlite_url, python=shop / "no-python")


async def test_what_goes_wrong_is_told_as_a_value(
    shop: Path, sqlite_url: str, branch_of: Callable[..., Branch]
) -> None:
    late = qe_tools(shop, sqlite_url, python=Path(sys.executable), seconds=1)
    python = shop / "no-python"
    python.write_text("no interpreter")
    broken = qe_tools(shop, sqlite_url, python=python)
    for tools, kind in ((late, "NoTime"), (broken, "ProjectError")):
        with ChatServer([calls(("qe_run_tests", {}))]) as server:
            turn = await branch_of(server, tools=tools).operate(instruction="Go.", actions=True)
        assert turn.action_responses[0].output["error"]["kind"] == kind
    with ChatServer([calls(("qe_run_tests", {"coverage": 100}))]) as server:
        turn = await branch_of(server, tools=late).operate(instruction="Go.", actions=True)
    assert "coverage: Extra inputs" in turn.action_responses[0].output["error"]["message"]

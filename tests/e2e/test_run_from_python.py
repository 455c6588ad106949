"""Runs from Python, with agents of one's own: ``lionagi_qe.fleet.examine`` and its examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests import programs

import lionagi_qe
from lionagi_qe import coordination, fleet, learning, open_memory, persistence
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence import contract, transfer
from lionagi_qe.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = Path(__file__).parents[2] / "examples" / "agents"

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def shop(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "shop.py").write_text(
        "def price(n):  # TODO: discounts\n    return 2 * n\n\n\ndef unused():\n    return 1\n"
    )
    (root / "test_shop.py").write_text(
        "from shop import price\n\n\ndef test_price():\n    assert price(2) == 4\n"
    )
    return root


class Counter(fleet.Agent):
    name = "line-counter"
    after = ("test-executor",)
    needs = ("test-executor",)
    metrics: Mapping[str, str] = {"code_lines": "lines", "unknowable": "lines"}

    async def examine(self, examination: fleet.Examination) -> fleet.Findings:
        source = fleet.Source(self.name, "1", None, examination.workspace.commit)
        assert "test-executor" in examination.findings
        files = examination.workspace.source.glob("*.py")
        lines = sum(len(file.read_text().splitlines()) for file in files)
        return fleet.Findings(
            self.name,
            (
                source.measured("code_lines", lines, "lines"),
                source.unmeasured("unknowable", "lines", "nobody knows"),
            ),
            {},
        )


async def test_a_project_is_examined_and_remembered(shop: Path) -> None:
    steps: list[fleet.Step] = []
    spans = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = Telemetry(tracer_provider=tracers)
    async with open_memory("memory://", telemetry=telemetry) as memory:
        outcome = await fleet.examine(
            shop,
            agents=["coverage-analyzer", "quality-gate", Counter()],
            memory=memory,
            settings={"min_coverage": 50, "fail_on": ["code_lines > 100"]},
            progress=steps.append,
        )
        assert await memory.list_keys("aqe/runs/shop/")
    figures = {
        name: metric.value
        for name in ("tests_passed", "line_coverage", "code_lines", "gate", "unknowable")
        if (metric := outcome.metric(name)) is not None
    }
    assert figures == {
        "tests_passed": 1,
        "line_coverage": 75.0,
        "code_lines": 11,
        "gate": "passed",
        "unknowable": None,
    }
    assert {step.agent for step in steps} >= {"test-executor", "coverage-analyzer"}
    told = {span.name: span for span in spans.get_finished_spans()}
    run = told["aqe run"].context
    for agent in ("test-executor", "coverage-analyzer", "quality-gate", "line-counter"):
        examined = told[f"examine {agent}"]
        assert examined.parent is not None
        assert run is not None
        assert examined.parent.span_id == run.span_id
        assert dict(examined.attributes or {}) == {
            "aqe.agent.name": agent,
            "aqe.agent.measured": True,
            "aqe.run.id": outcome.run,
        }
    assert str(shop) not in str([dict(span.attributes or {}) for span in told.values()])


async def test_a_gate_judges_the_figures_of_an_agent_of_ones_own(shop: Path) -> None:
    outcome = await fleet.examine(
        shop,
        agents=["coverage-analyzer", "quality-gate", Counter()],
        memory="memory://",
        settings={"min_coverage": 0, "fail_on": ["code_lines > 10"]},
    )
    gate = outcome.metric("gate")
    assert gate is not None
    assert gate.value == "failed"


async def test_what_is_wrong_is_told_before_anything_runs(shop: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="nobody"):
        await fleet.examine(shop, agents=["nobody"], memory="memory://")
    for settings, match in (
        ({"colour": "red"}, "setting 'colour': unknown"),
        ({"min_coverage": "50"}, "min_coverage = '50': should be a number"),
        ({"fail_on": "lines > 1"}, "fail_on = 'lines > 1': should be a list"),
    ):
        with pytest.raises(InvalidArgumentError, match=match):
            await fleet.examine(shop, settings=settings, memory="memory://")
    alike = Counter()
    alike.metrics = {"line_coverage": "%"}  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InvalidArgumentError, match="'line_coverage' is one of coverage-analyzer's"):
        await fleet.examine(shop, agents=[alike], memory="memory://")


def test_an_installed_package_can_name_its_agent(shop: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    metadata = site / "counting-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[lionagi_qe.agents]\ntodo-counter = todo_agent:TodoCounter\n"
    )
    (site / "todo_agent.py").write_text((EXAMPLES / "todo_agent.py").read_text())
    done = programs.call(
        *("-m", "lionagi_qe.cli.main", "run", shop, "--agents", "test-executor,todo-counter"),
        *("--memory", f"sqlite:///{tmp_path}/memory.db"),
        env={"PYTHONPATH": str(site)},
    )
    assert done.code == 0, done
    assert "todos" in done.output


@pytest.mark.parametrize(
    ("example", "says"),
    [("run_from_python.py", "tests_passed: 1 tests, by pytest"), ("todo_agent.py", "discounts")],
)
def test_the_examples_run(shop: Path, example: str, says: str) -> None:
    done = programs.call("-W", "error", EXAMPLES / example, shop)
    assert done.code in {0, 1}, done.complaints
    assert says in done.output, done


@pytest.mark.parametrize(
    "package", [lionagi_qe, coordination, fleet, learning, persistence, contract, transfer]
)
def test_what_a_package_exports_is_there(package: Any) -> None:
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None

"""Pages of runs, in Markdown and as one file of HTML, from what the runs came to."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from tests.load import backlog
from tests.load.outcome import Outcome
from tests.load.plan import BACKENDS
from tests.markdown import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.load.verdicts import Verdict

_TEXTS = Path(__file__).parent
_SCENARIOS = ("sustained", "spike", "stress", "churn", "soak", "backlog")
# Of which it is shown what processes and servers held.
_HELD = ("churn", "soak")
_PICTURE = re.compile(r'src="([^"]+\.png)"')
_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75rem;
  margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ border: 1px solid #d0d7de; padding: .2rem .6rem; text-align: left; }}
img {{ max-width: 100%; }} code {{ background: #f6f8fa; }}
</style>
"""


@dataclass(frozen=True)
class Page:
    """A page in a folder, and the folder of figures and pictures beside it.

    Attributes:
        name: "load" or "soak": of the page and of its folder.
        folder: where both are.
    """

    name: str
    folder: Path

    @property
    def figures(self) -> Path:
        """The folder of figures and pictures."""
        found = self.folder / self.name
        found.mkdir(parents=True, exist_ok=True)
        return found

    def add(self, outcome: Outcome | backlog.Backlog) -> None:
        """Keep a run, in the place of the last one of its kind, and write the page anew."""
        # Not where tests are collected, which draw nothing.
        from tests.load.charts import draw_latency, draw_resources

        outcome.write(self.figures / f"{outcome.name}.json")
        if isinstance(outcome, Outcome):
            draw_latency(outcome, self.figures / f"{outcome.name}.png")
            if outcome.plan["scenario"] in _HELD:
                draw_resources(outcome, self.figures / f"{outcome.name}-held.png")
        else:
            backlog.draw(outcome, self.figures / f"{outcome.name}.png")
        self.write()

    def outcomes(self) -> list[Outcome | backlog.Backlog]:
        """Return all that is kept, in the order in which it is shown."""
        found: list[Outcome | backlog.Backlog] = [
            (backlog.Backlog if path.stem.endswith("-backlog") else Outcome).read(path)
            for path in self.figures.glob("*.json")
        ]
        return sorted(found, key=_place)

    def text(self) -> str:
        """Return the page in Markdown."""
        text = (_TEXTS / f"{self.name}.md").read_text(encoding="utf-8")
        outcomes = self.outcomes()
        text = text.replace("{summary}", "\n".join(_summary(outcomes)))
        sections = [line for outcome in outcomes for line in _section(outcome, self.name)]
        return text.replace("{runs}", "\n".join(sections))

    def write(self) -> None:
        """Write the page in Markdown, and beside it in HTML with its pictures in it."""
        text = self.text()
        (self.folder / f"{self.name}.md").write_text(text, encoding="utf-8")
        if self.folder.name != "docs":
            # The site has a page of its own.
            (self.folder / f"{self.name}.html").write_text(self._html(text), encoding="utf-8")

    def _html(self, text: str) -> str:
        body = MarkdownIt("commonmark").enable("table").render(text)

        def inline(found: re.Match[str]) -> str:
            drawn = base64.b64encode((self.folder / found[1]).read_bytes()).decode()
            return f'src="data:image/png;base64,{drawn}"'

        return _HEAD.format(title=self.name.capitalize()) + _PICTURE.sub(inline, body)


def _place(outcome: Outcome | backlog.Backlog) -> tuple[int, int]:
    backend, _, scenario = outcome.name.partition("-")
    return _SCENARIOS.index(scenario), BACKENDS.index(backend)


def _summary(outcomes: Iterable[Outcome | backlog.Backlog]) -> list[str]:
    rows: list[Sequence[object]] = []
    for outcome in outcomes:
        backend, _, scenario = outcome.name.partition("-")
        red = [verdict.what for verdict in outcome.verdicts if not verdict.passed]
        red += ["processes that did not end well"] if outcome.complaints else []
        untold = sum(bool(verdict.untold) for verdict in outcome.verdicts)
        held = f"all holds but {untold} that can't be told" if untold else "all holds"
        rows.append((
            scenario, backend, outcome.machine["date"][:10], outcome.size,
            "; ".join(red) or held,
        ))  # fmt: skip
    return table(("scenario", "backend", "date", "of which size", "what did not hold"), rows)


def _section(outcome: Outcome | backlog.Backlog, folder: str) -> list[str]:
    backend, _, scenario = outcome.name.partition("-")
    lines = [f"## {backend}: {scenario}\n", *_context(outcome), "", *_verdicts(outcome.verdicts)]
    if isinstance(outcome, Outcome):
        lines += ["", *_calls(outcome)]
        if len(outcome.phases) > 1:
            lines += ["", *_phases(outcome)]
        lines += ["", *_errors(outcome)]
    else:
        lines += ["", *backlog.tables(outcome)]
    lines += [f"\n![Over time]({folder}/{outcome.name}.png)\n"]
    if isinstance(outcome, Outcome) and scenario in _HELD:
        lines += [f"![What was held]({folder}/{outcome.name}-held.png)\n"]
    return lines


def _context(outcome: Outcome | backlog.Backlog) -> list[str]:
    machine = outcome.machine
    told = (
        f"{outcome.versions}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['python']}; {machine['date'][:16]} UTC; "
        f"{outcome.busy}. `{outcome.command}`"
    )
    return [told]


def _verdicts(verdicts: Iterable[Verdict]) -> list[str]:
    def shown(value: float) -> str:
        return "no end" if math.isinf(value) else f"{value:,.4g}"

    rows = [
        (
            verdict.what,
            f"{shown(verdict.found)} {verdict.unit}".strip(),
            f"{shown(verdict.most)} {verdict.unit}".strip(),
            verdict.untold or ("yes" if verdict.passed else "**no**"),
        )
        for verdict in verdicts
    ]
    return table(("judged", "found", "at most", "holds"), rows)


def _ms(value: float | None) -> str:
    if value is None or math.isinf(value):
        return "no answer"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _calls(outcome: Outcome) -> list[str]:
    rows = [
        (kind, f"{told['calls']:,.0f}",
         *(_ms(told[each]) for each in ("p50", "p90", "p99", "p99.9", "max")))
        for kind, told in outcome.calls.items()
    ]  # fmt: skip
    return table(("call", "number", "p50 ms", "p90", "p99", "p99.9", "slowest"), rows)


def _phases(outcome: Outcome) -> list[str]:
    rows = [
        (
            phase["name"], f"{phase['seconds']:g}", f"{phase['offered']:,.0f}",
            f"{phase['done']:,.0f}", _ms(phase["p50"]), _ms(phase["p99"]), phase["not begun"],
            "yes" if phase["held"] else "no",
        )
        for phase in outcome.phases
    ]  # fmt: skip
    head = ("phase", "seconds", "due a second", "done", "p50 ms", "p99", "not begun", "held")
    return table(head, rows)


def _errors(outcome: Outcome) -> list[str]:
    delay = outcome.delay
    late = (
        f"The generator itself began calls {_ms(delay['p50'])} ms late in the median, "
        f"{_ms(delay['p99'])} in the 99th percentile, {_ms(delay['max'])} at most, which the "
        "latencies above contain."
    )
    lines = [late]
    told: list[tuple[str, str, Any]] = [
        (kind, what, f"{number:,}")
        for kind, found in outcome.errors.items()
        for what, number in found.items()
    ]
    if told:
        lines += ["", *table(("call", "came to", "number"), told)]
    lines += [f"\n    {line}" for said in outcome.complaints for line in said.splitlines()[-3:]]
    return lines

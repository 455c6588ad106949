"""``aqe learn``: what the fleet has learned, and whether it pays."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.proportion import wilson
from lionagi_qe.cli.ending import mention, run_until_told
from lionagi_qe.cli.examination import request_of
from lionagi_qe.cli.groups import Group
from lionagi_qe.cli.options import MemoryChoice, memory_options
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.fleet.learned_state import learning_name
from lionagi_qe.learning import evaluation
from lionagi_qe.learning.choices import KINDS, Choices, chosen
from lionagi_qe.learning.history import read_history
from lionagi_qe.learning.ordering import TestOrdering, projects
from lionagi_qe.learning.qtable import QTable, agents

if TYPE_CHECKING:
    from lionagi_qe.learning.evaluation import Detection, Evaluation
    from lionagi_qe.learning.shadow import Report
    from lionagi_qe.learning.statistics import Interval

    # A report, who decides, and why that was switched last.
    _Told = tuple[Report, str, str | None]


@click.group(cls=Group)
def learn() -> None:
    """Evaluate and inspect what the fleet has learned."""


# Evaluation


@learn.command("eval")
@click.argument("history", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--budget",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Time budget, as a fraction of each cycle's total duration.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=evaluation.DEFAULT_SEEDS,
    show_default=True,
    help="How many replays to average.",
)
@click.option(
    "--observe-all",
    is_flag=True,
    help="Learn the results of tests that the budget left out, too, as if known from elsewhere.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Instead of the orders, judge the part of the tests that aqe select --confidence P takes: "
    "in which share of the failing cycles it would have had a failure.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@quiet_option
def evaluate(  # noqa: PLR0913 - a command's options
    history: Path,
    *,
    budget: float,
    seeds: int,
    observe_all: bool,
    confidence: float | None,
    as_json: bool,
) -> None:
    """Replay HISTORY, a RETECS CSV file, online from a cold start, and print the NAPFD."""
    with telling("reading the history"):
        cycles = read_history(history)
    if confidence is not None:
        with telling("replaying the history"):
            detected = evaluation.replay_parts(cycles, confidence)
        _show_detection(history, detected, as_json=as_json)
        return
    replays = len(evaluation.POLICIES) * seeds
    with telling("replaying the history") as told:
        done = count(1)
        results = {
            name: evaluation.evaluate(
                name,
                cycles,
                budget,
                seeds=seeds,
                observe_all=observe_all,
                replayed=lambda: told(next(done), replays),
            )
            for name in (*evaluation.POLICIES, evaluation.OPTIMAL)
        }
    learned = results["learned"]
    if not as_json:
        _print_evaluation(history, results)
        return
    document = {
        "history": history.name,
        "budget": budget,
        "seeds": seeds,
        "observed": "all tests" if observe_all else "tests that ran",
        "mean_napfd": learned.interval.mean,
        "failing_cycles": len(learned.napfd),
        "cycles": {str(number): value for number, value in learned.napfd.items()},
        "policies": {name: _interval(result.interval) for name, result in results.items()},
        "gains": {
            name: _interval(evaluation.difference(learned, result))
            for name, result in results.items()
            if name != "learned"
        },
    }
    say(json.dumps(document, indent=2))


def _show_detection(history: Path, found: Detection, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps({"history": history.name, **asdict(found)}, indent=2))
    elif not found.failing:
        say(f"{history.name}: {found.awaited} failing cycles are too few to choose a part by")
    else:
        low, high = wilson(found.found, found.failing)
        say(
            f"{history.name}: asked for a confidence of {found.confidence:g}, found "
            f"{found.found} of {found.failing} failing cycles ({found.found / found.failing:.3f}, "
            f"95 % interval {low:.3f} to {high:.3f}) in {found.share:.1%} of the tests' time; all "
            f"tests ran in the {found.awaited} failing cycles before"
        )


def _print_evaluation(history: Path, results: dict[str, Evaluation]) -> None:
    learned = results["learned"]
    say(
        f"{history.name}: {len(learned.napfd)} failing cycles, budget {learned.budget:.0%};"
        " mean NAPFD [95 % interval]"
    )
    for name, result in results.items():
        say(f"  {name:15}{_shown(result.interval)}")
    for name in ("recent-failure", "random"):
        gain = evaluation.difference(learned, results[name])
        remark = "  no difference" if gain.low <= 0 <= gain.high else ""
        say(f"learned - {name:15}{_shown(gain, sign='+')}{remark}")


# What is in the memory


def _project(name: str | None, choice: MemoryChoice) -> tuple[str | None, MemoryChoice]:
    """Return a project's name and its memory, where its directory may be named."""
    if name is None or not Path(name).is_dir():
        return name, choice
    request = request_of(Path(name), agents=[], python=None, memory_url=choice.url)
    if choice.origin is not None:
        choice = MemoryChoice.of(None, choice.fleet, Path(name))
    return learning_name(request.project), choice


@learn.command()
@click.argument("project", required=False)
@memory_options
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def report(project: str | None, *, choice: MemoryChoice, as_json: bool) -> None:
    """Show learned, heuristic, random and optimal decisions side by side.

    PROJECT is the directory or the name of one that was examined; all in the memory by default.
    """
    project, choice = _project(project, choice)

    others: list[str] = []

    async def reports() -> dict[str, _Told]:
        async with choice.look() as memory:
            known = await projects(memory)
            others.extend(known)
            orders = [project] if project else known
            every = [(project, kind) for kind in KINDS] if project else await chosen(memory)
            subjects: dict[str, TestOrdering | Choices] = {
                name: TestOrdering(memory, name) for name in orders
            }
            subjects |= {f"{kind} of {name}": Choices(memory, name, kind) for name, kind in every}
            return {
                name: (
                    await subject.report(),
                    await subject.acting(),
                    await subject.switched_because(),
                )
                for name, subject in subjects.items()
            }

    with telling("reading decisions"):
        found = run_until_told(reports())
    if as_json:
        say(json.dumps({name: _report_document(*each) for name, each in found.items()}))
        return
    if not any(summary.decisions for summary, _, _ in found.values()):
        of_it = "" if project is None else f" of {project!r}"
        say(f"nothing was decided yet by what was learned{of_it}")
        if project is not None and others:
            mention(f"aqe: something was of {', '.join(others)}")
    for name, each in found.items():
        if each[0].decisions:
            _print_report(name, *each)


def _report_document(summary: Report, acting: str, reason: str | None) -> dict[str, Any]:
    return {
        "decisions": summary.decisions,
        "scored": summary.scored,
        "orders": {name: _interval(each) for name, each in summary.orders.items()},
        "gain": summary.gain and _interval(summary.gain),
        "verdict": summary.verdict,
        "acting": acting,
        "switched_because": reason,
    }


def _print_report(name: str, summary: Report, acting: str, reason: str | None) -> None:
    of_choices = name.partition(" of ")[0] in KINDS
    counted = "that can be compared" if of_choices else "with failures to find"
    noun = "runs" if of_choices else "decisions"
    say(f"{name}: {summary.decisions} {noun}, {summary.scored} {counted}")
    for order, interval in summary.orders.items():
        say(f"  {order:15}{_shown(interval)}")
    if summary.gain is not None:
        say(f"  learned - heuristic {_shown(summary.gain, sign='+')}")
    what = "choice prevails" if of_choices else "order is run"
    say(f"  learned against heuristic: {summary.verdict}; the {acting} {what}")
    if reason is not None:
        say(f"  last switch: {reason}")


@learn.command()
@click.argument("agent", required=False)
@memory_options
@quiet_option
def show(agent: str | None, *, choice: MemoryChoice) -> None:
    """Show the Q-values and visit counts of AGENT, or of all agents and bandits.

    The directory of a project stands for all in its memory.
    """
    if agent is not None and Path(agent).is_dir():
        _, choice = _project(agent, choice)
        agent = None
    with telling("reading what was learned"):
        found = run_until_told(_export(choice, agent))
    if not found:
        say("aqe: nothing was learned yet", err=True)
    for name, states in found.items():
        say(name)
        for state, actions in states["states"].items():
            say(f"  {state}")
            best_first = sorted(actions.items(), key=lambda item: -item[1]["q"])
            for action, value in best_first:
                say(f"    {action:30} {value['q']:10.4f} {value['visits']:8} visits")


@learn.command()
@click.argument("agent", required=False)
@memory_options
@quiet_option
def export(agent: str | None, *, choice: MemoryChoice) -> None:
    """Print the Q-tables of AGENT, or of all agents and bandits, as one JSON document."""
    with telling("reading what was learned"):
        found = run_until_told(_export(choice, agent))
    say(json.dumps(found, indent=2))


async def _export(choice: MemoryChoice, agent: str | None) -> dict[str, Any]:
    async with choice.look() as memory:
        known = await agents(memory)
        if agent is not None and agent not in known:
            raise click.UsageError(
                f"no Q-table or bandit {agent!r}; there are: {', '.join(known) or 'none'}"
            )
        names = [agent] if agent else known
        return {name: await QTable(memory, name).export() for name in names}


@learn.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@memory_options
@quiet_option
def import_(file: Any, *, choice: MemoryChoice) -> None:  # noqa: ANN401 - a text file
    """Store the Q-tables that ``aqe learn export`` wrote to FILE (- for standard input)."""
    try:
        tables = json.load(file)
    except ValueError as error:
        raise click.UsageError(f"{file.name}: is no JSON: {error}") from error
    if not isinstance(tables, dict):
        raise click.UsageError(f"{file.name}: is no export; it holds no object at its top")

    async def restore() -> int:
        async with choice.open() as memory:
            return sum(
                [await QTable(memory, name).restore(table) for name, table in tables.items()]
            )

    with telling("storing what was learned"):
        stored = run_until_told(restore())
    say(f"{stored} values stored")


@learn.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@memory_options
@quiet_option
def reset(name: str, *, yes: bool, choice: MemoryChoice) -> None:
    """Forget what was learned under NAME: an agent's Q-table, or a project's order and choices.

    A project may also be named by its directory.
    """
    found, choice = _project(name, choice)
    name = found or name
    if not yes:
        try:
            click.confirm(f"Forget everything learned under {name!r}?", abort=True)
        except click.Abort as error:
            if not sys.stdin.isatty() and isinstance(error.__context__, EOFError):
                msg = "nobody can be asked here whether to forget it; add --yes"
                raise click.UsageError(msg) from error
            raise

    async def forget() -> int:
        async with choice.look() as memory:
            table = await QTable(memory, name).reset()
            choices = [await Choices(memory, name, kind).reset() for kind in KINDS]
            return table + sum(choices) + await TestOrdering(memory, name).reset()

    with telling("forgetting what was learned"):
        deleted = run_until_told(forget())
    say(f"{deleted} entries deleted")


def _interval(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _shown(interval: Interval, *, sign: str = "") -> str:
    return f"{interval.mean:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


if __name__ == "__main__":
    learn()

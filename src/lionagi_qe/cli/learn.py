"""`aqe learn`: what the fleet has learned, and whether it pays."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lionagi_qe.learning import evaluation
from lionagi_qe.learning.errors import HistoryError
from lionagi_qe.learning.history import read_history


@click.group()
def learn() -> None:
    """Evaluate and inspect what the fleet has learned."""


@learn.command("eval")
@click.argument("history", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--budget", default=0.5, show_default=True, help="Fraction of each cycle's duration.")
@click.option("--seeds", default=evaluation.DEFAULT_SEEDS, show_default=True)
@click.option("--observe-all", is_flag=True, help="Learn from tests that did not run, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    history: Path,
    budget: float,
    seeds: int,
    *,
    observe_all: bool,
    as_json: bool,
) -> None:
    """Replay HISTORY, a RETECS CSV file, online from a cold start and print its NAPFD."""
    try:
        cycles = read_history(history)
    except HistoryError as error:
        raise click.ClickException(str(error)) from error
    results = {
        name: evaluation.evaluate(name, cycles, budget, seeds=seeds, observe_all=observe_all)
        for name in (*evaluation.POLICIES, "optimal")
    }
    learned = results["learned"]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "history": history.name,
                    "budget": budget,
                    "seeds": seeds,
                    "policy": "learned",
                    "mean_napfd": learned.interval.mean,
                    "failing_cycles": len(learned.napfd),
                    "cycles": {str(number): value for number, value in learned.napfd.items()},
                    "policies": {
                        name: {
                            "mean_napfd": result.interval.mean,
                            "low": result.interval.low,
                            "high": result.interval.high,
                        }
                        for name, result in results.items()
                    },
                }
            )
        )
        return
    for name, result in results.items():
        interval = result.interval
        click.echo(f"{name:16} {interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
    click.echo(f"{len(learned.napfd)} failing cycles")


if __name__ == "__main__":
    learn()

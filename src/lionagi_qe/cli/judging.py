"""Which agents take part in a run, and what their figures are judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.fleet.registry import ALL, NAMED_ONLY, QUICK, names, within_budget

if TYPE_CHECKING:
    from collections.abc import Callable


def judging_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --agents, --min-coverage, --min-branch-coverage, --fail-on and --require."""
    for option in reversed(
        (
            click.option(
                "--agents",
                metavar="NAMES",
                help=f"Which agents, separated by commas: {', '.join(names())}. By default "
                f"the quick ones ({', '.join(QUICK)}), and under a --budget all but "
                f"{', '.join(sorted(NAMED_ONLY))}; {ALL!r} stands for all of them.",
            ),
            click.option(
                "--min-coverage",
                type=click.FloatRange(0, 100),
                metavar="PERCENT",
                help="Lowest line coverage that passes.",
            ),
            click.option(
                "--min-branch-coverage",
                type=click.FloatRange(0, 100),
                metavar="PERCENT",
                help="Lowest branch coverage that passes.",
            ),
            click.option(
                "--fail-on",
                multiple=True,
                metavar="RULE",
                help="Fail the gate when this holds, for example 'security_findings > 0'; may be "
                "repeated.",
            ),
            click.option(
                "--require",
                "required",
                multiple=True,
                metavar="METRIC",
                help="A metric that must be measured; may be repeated.",
            ),
        )
    ):
        command = option(command)
    return command


def agents_named(wanted: str | None, budget: float | None) -> list[str]:
    """Return the names of the agents that are asked for; UsageError if none is."""
    if wanted is not None:
        chosen = [name.strip() for name in wanted.split(",") if name.strip()]
        if not chosen:
            raise click.UsageError(f"--agents {wanted!r} names none of {', '.join(names())}")
        return names() if ALL in chosen else chosen
    return list(QUICK) if budget is None else within_budget()

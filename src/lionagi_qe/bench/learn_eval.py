"""``make learn-eval``: what the learned test order is worth, on real histories or made-up ones.

``python -m lionagi_qe.bench.learn_eval OUT`` replays the RETECS CSV that LEARN_EVAL_CSV names, else
``../shared/data/iofrol-cycles-1-200.csv`` if that is there, else a history of each synthetic
regime: every order with 20 seeds, and the learned one also with its state in a real memory, as
``aqe run`` keeps it. Prints means with intervals and learning curves; OUT gets them as JSON, with
the NAPFD of each cycle, and as PNG.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.evaluation import (
    DEFAULT_SEEDS,
    OPTIMAL,
    POLICIES,
    Evaluation,
    difference,
    evaluate,
    mean_of,
    replay_kept,
)
from lionagi_qe.learning.history import read_history
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.learning.synthetic import REGIMES, synthetic_history
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.learning.history import Cycle
    from lionagi_qe.learning.statistics import Interval

VARIABLE = "LEARN_EVAL_CSV"
_SHARED = Path("../shared/data/iofrol-cycles-1-200.csv")
_BUDGETS = (0.5, 1.0)
# A replay with its state in a memory takes some ten seconds of processor time.
_KEPT_SEEDS = 2
_KEPT = "learned, kept"
_WINDOW = 20
_COLUMNS = 60
_BARS = "▁▂▃▄▅▆▇█"


def histories() -> dict[str, list[Cycle]]:
    """Return the histories to replay, by name."""
    named = os.environ.get(VARIABLE)
    path = _SHARED if named is None else Path(named)
    if named is not None or path.is_file():
        return {path.name: read_history(path)}
    return {regime: synthetic_history(regime, seed=1) for regime in REGIMES}


def results_of(
    cycles: Sequence[Cycle], budget: float, *, seeds: int, kept_seeds: int
) -> dict[str, Evaluation]:
    """Replay a history under every order."""
    results = {name: evaluate(name, cycles, budget, seeds=seeds) for name in POLICIES}
    results[_KEPT] = asyncio.run(_kept(cycles, budget, kept_seeds))
    return results | {OPTIMAL: evaluate(OPTIMAL, cycles, budget)}


async def _kept(cycles: Sequence[Cycle], budget: float, seeds: int) -> Evaluation:
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/learn-eval.db?synchronous=normal"
        async with open_memory(url) as memory:
            runs = [
                await replay_kept(TestOrdering(memory, f"seed {seed}"), cycles, budget, seed)
                for seed in range(seeds)
            ]
    return mean_of(_KEPT, budget, runs)


def curve(result: Evaluation) -> list[float]:
    """Return the mean NAPFD of the last 20 failing cycles, failing cycle by failing cycle."""
    values = list(result.napfd.values())
    windows = [values[max(0, end - _WINDOW) : end] for end in range(1, len(values) + 1)]
    return [sum(window) / len(window) for window in windows]


def shown(name: str, results: Mapping[str, Evaluation]) -> str:
    """Return the results for a terminal."""
    learned = results["learned"]
    head = f"{name}: {len(learned.napfd)} failing cycles, budget {learned.budget:.0%}"
    lines = [f"{head}; mean NAPFD [95 % interval], and that of the last {_WINDOW} over time"]
    low = min(min(curve(result)) for result in results.values())
    high = max(max(curve(result)) for result in results.values())
    for policy, result in results.items():
        line = _line(curve(result), low, high)
        lines.append(f"  {policy:<15}{_interval(result.interval)}  {line}")
    for policy in ("recent-failure", "ewma-ucb", "random"):
        gain = difference(learned, results[policy])
        verdict = "no difference" if gain.low <= 0 <= gain.high else ""
        lines.append(f"  learned - {policy:<15}{_interval(gain, '+')}  {verdict}".rstrip())
    return "\n".join(lines)


def document(results: Mapping[str, Mapping[str, Evaluation]], seeds: int) -> dict[str, Any]:
    """Return the results as JSON data."""
    return {
        "seeds": seeds,
        "kept_seeds": _KEPT_SEEDS,
        "histories": {
            name: {
                policy: {
                    "budget": result.budget,
                    "mean": result.interval.mean,
                    "low": result.interval.low,
                    "high": result.interval.high,
                    "failing_cycles": len(result.napfd),
                    "cycles": {str(cycle): value for cycle, value in result.napfd.items()},
                }
                for policy, result in each.items()
            }
            for name, each in results.items()
        },
    }


def draw(results: Mapping[str, Mapping[str, Evaluation]], path: Path) -> None:
    """Draw the learning curves, a chart for each history and budget."""
    figure_type: Any = import_module("matplotlib.figure").Figure
    figure = figure_type(figsize=(9, 3.2 * len(results)), dpi=120, layout="constrained")
    axes = figure.subplots(len(results), 1, squeeze=False)
    for axis, (name, each) in zip(axes[:, 0], results.items(), strict=True):
        for policy, result in each.items():
            if policy != _KEPT:
                label = f"{policy} {result.interval.mean:.3f}"
                axis.plot(list(result.napfd), curve(result), label=label)
        axis.set_title(f"{name}: mean NAPFD of the last {_WINDOW} failing cycles", fontsize=9)
        axis.set_xlabel("cycle", fontsize=8)
        axis.legend(fontsize=7, ncols=3)
    figure.savefig(path, format="png")


def _line(values: Sequence[float], low: float, high: float) -> str:
    step = max(1, -(-len(values) // _COLUMNS))
    span = high - low or 1.0
    top = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / span * top)] for value in values[::step])


def _interval(interval: Interval, sign: str = "") -> str:
    return f"{interval.mean:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def main(out: Path, seeds: int = DEFAULT_SEEDS) -> None:
    """Replay, print, and write ``learn-eval.json`` and ``learn-eval.png``."""
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Evaluation]] = {}
    for name, cycles in histories().items():
        for budget in _BUDGETS:
            each = results_of(cycles, budget, seeds=seeds, kept_seeds=_KEPT_SEEDS)
            results[f"{name}, {budget:.0%} of the time"] = each
            sys.stdout.write(f"{shown(name, each)}\n\n")
            sys.stdout.flush()
    (out / "learn-eval.json").write_text(json.dumps(document(results, seeds), indent=1))
    if find_spec("matplotlib") is None:
        sys.stdout.write("no chart: matplotlib is not installed\n")
    else:
        draw(results, out / "learn-eval.png")
    sys.stdout.write(f"written to {out}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

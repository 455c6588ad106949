"""The results of seeds as a page: ``python -m tests.chaos.page [RESULTS ...] PAGE``.

``RESULTS`` are ``results.jsonl`` that runs of ``tests.chaos.seeds`` add to. They are taken into the
one beside this file, which keeps of each backend the last result of each seed, so that hundreds of
seeds can be run bit by bit; the page is made of that.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.fault_plan import BACKENDS, FAULTS
from tests.chaos.seeds import Result
from tests.markdown import row

from lionagi_qe.testing.history import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT = Path(__file__).with_name("page.md")
KEPT = Path(__file__).with_name("results.jsonl")


def written(results: Iterable[Result]) -> str:
    """Return the page in Markdown."""
    counted = latest(results)
    rows = [
        _row(backend, own)
        for backend in BACKENDS
        if (own := [result for result in counted if result.backend == backend])
    ]
    head = (
        "backend | servers | commits | date | seeds | red | calls | unknown | refused | faults | "
        "keys | undecided keys | seconds of load"
    )
    table = [f"| {head} |", "|---" * (head.count("|") + 1) + "|", *rows]
    faults = [
        f"- **{backend}**: " + "; ".join(f"{at}: " + ", ".join(kinds) for at, kinds in some.items())
        for backend, some in FAULTS.items()
    ]
    machine = (
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    parts = {
        "{table}": "\n".join(table),
        "{faults}": "\n".join(faults),
        "{kinds}": ", ".join(str(kind) for kind in Kind),
        "{machine}": machine,
    }
    text = TEXT.read_text(encoding="utf-8")
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def _row(backend: str, results: list[Result]) -> str:
    calls = Counter[str]()
    for result in results:
        calls.update(result.calls)
    dates = sorted({result.date for result in results})
    figures: list[Any] = [
        backend,
        ", ".join(sorted({result.versions for result in results})),
        ", ".join(dict.fromkeys(result.commit for result in results)),
        dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        _ranges(sorted(result.seed for result in results)),
        ", ".join(str(result.seed) for result in results if result.failed) or "none",
        calls.total(),
        calls["info"],
        calls["fail"],
        sum(sum(result.faults.values()) for result in results),
        sum(result.keys for result in results),
        sum(result.undecided for result in results),
        f"{sum(result.seconds for result in results):g}",
    ]
    return row(figures)


def _ranges(seeds: list[int]) -> str:
    """Return numbers as 1-5, 7."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def read(file: Path) -> list[Result]:
    """Return the results in a file; none if it isn't there."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [Result(**json.loads(line)) for line in lines]


def latest(results: Iterable[Result]) -> list[Result]:
    """Return the last result of each seed, by backend and seed."""
    last = {(BACKENDS.index(result.backend), result.seed): result for result in results}
    return [last[place] for place in sorted(last)]


def main(arguments: list[str]) -> None:
    *files, page = map(Path, arguments)
    results = latest(result for file in (KEPT, *files) for result in read(file))
    lines = [json.dumps(asdict(result), separators=(",", ":")) for result in results]
    KEPT.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    page.write_text(written(results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

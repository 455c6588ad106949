"""Runs six agents on other people's packages and holds their figures against the plain tools'.

    python -m tests.corpus.agents FOLDER [NAME ...]

FOLDER gets ``agents-corpus.json``, a result a package, and ``agents-corpus.md``, the table. Costs a
minute or two a package, some of the network, and environments in the cache directory.

The network's services for vulnerabilities are stood in for by one of this machine, which knows some
of a few packages, so that there is something to compare. Durations of earlier runs are made up of
those that a first run measured, one test's a quarter of them: that one has to be named.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from platformdirs import user_cache_path
from tests.corpus.plain_tools import ByHand
from tests.corpus.sdist import fetch, packages, unpack
from tests.e2e.planted import advisories

from lionagi_qe.fleet import examine
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from tests.corpus.sdist import Package

    from lionagi_qe.fleet.run import Outcome

AGENTS = (
    *("type-checker", "dependency-auditor", "package-checker", "performance-tester"),
    *("docs-tester", "api-contract-tester"),
)
CHOSEN = (
    *("pluggy", "semver", "jaraco.functools", "more-itertools", "pyjwt", "inflection"),
    *("itsdangerous", "outcome", "xmltodict", "iniconfig", "blinker", "humanize"),
)
_VULNERABLE = frozenset({"idna", "iniconfig", "packaging", "pygments", "cryptography"})
_EARLIER, _RECENT = 10, 2
_FACTOR = 4
# Long enough that three quarters of it are worth naming.
_LEAST_SECONDS = 0.07

# Figure -> what aqe says and what is said by hand; a text is a reason.
Row = dict[str, tuple[Any, Any]]


def planted(name: str) -> list[dict[str, Any]]:
    """Return the advisories of a package."""
    return [{"id": f"PLANTED-{name}"}] if name in _VULNERABLE else []


async def ours(project: Path, scratch: Path, url: str) -> tuple[Outcome, list[str]]:
    """Return what aqe says, with a made-up past, and which tests have to be named as slower."""
    memory_url = f"sqlite:///{scratch}/memory.db"
    settings = {"vulnerability_service": url, "parallel": "off"}
    first = await examine(project, agents=["test-executor"], memory=memory_url, settings=settings)
    tests = [each for each in first.detail("test-executor", "tests") if each["outcome"] == "passed"]
    slowest = max(tests, key=lambda each: each["seconds"], default=None)
    chosen = slowest is not None and slowest["seconds"] >= _LEAST_SECONDS
    expected = [slowest["id"]] if slowest is not None and chosen else []
    chance = random.Random(project.name)
    async with open_memory(memory_url) as memory:
        runs = RunHistory(memory, first.project)
        for number in range(_EARLIER + _RECENT):
            # Before the first run, by their names.
            past = [
                {
                    "id": each["id"],
                    "outcome": "passed",
                    "seconds": each["seconds"]
                    * chance.lognormvariate(0, 0.05)
                    / (_FACTOR if each["id"] in expected and number < _EARLIER else 1),
                }
                for each in tests
            ]
            await runs.add_outcomes(f"20990101T0000{number:02}", past, await runs.entries())
    return await examine(project, agents=[*AGENTS], memory=memory_url, settings=settings), expected


def compared(package: Package, cache: Path) -> Row:
    """Return the figures of both sides."""
    with tempfile.TemporaryDirectory(prefix="agents-") as folder, advisories(planted) as url:
        scratch = Path(folder)
        archive = fetch(package, cache / "sdists")
        project = unpack(archive, package, scratch / "examined")
        outcome, slower = asyncio.run(ours(project, scratch, url))
        python = outcome.environment.python
        scope = outcome.environment.layout.scope
        hand = ByHand.of(unpack(archive, package, scratch / "plain"), scratch, python, scope)
        row: Row = {}

        def add(name: str, by_hand: Any) -> None:
            metric = outcome.metric(name)
            assert metric is not None
            row[name] = (metric.value if metric.measured else metric.reason, by_hand)

        errors = outcome.metric("type_errors")
        assert errors is not None
        words = shlex.split(errors.command or "")
        add("type_errors", hand.type_errors(errors.tool, words[1:]) if words else None)
        for name, value in zip(
            ("doctests", "doctests_failed", "doctests_unread"), hand.doctests(), strict=True
        ):
            add(name, value)
        examples = hand.documents()
        add("docs_examples", examples[0])
        add("docs_examples_failed", examples[1])
        distributions = hand.package()
        for name, value in distributions.items():
            add(name, value)
        add("lowest_import_failures", None)
        (site,) = python.parents[1].glob("lib/python*/site-packages")
        bad, looked = hand.audit(site, url, canonicalize_name(outcome.project))
        add("vulnerable_dependencies", bad)
        add("dependencies_audited", looked)
        add("tests_slower", len(slower))
        add("benchmarks", None)
        add("api_failures", None)
        return row


def verdict(aqe: Any, by_hand: Any) -> str:
    """Return whether two sides agree: a reason agrees with none, and with nothing to find."""
    if isinstance(aqe, str):
        return "not measured" if by_hand in {None, 0} or isinstance(by_hand, str) else "differs"
    return "measured" if by_hand is None else "equal" if aqe == by_hand else "differs"


def page(results: dict[str, Row]) -> str:
    """Return the table."""
    figures = list(dict.fromkeys(name for row in results.values() for name in row))
    counts: dict[str, int] = {}
    lines = [
        "# Six agents on other people's projects",
        "",
        "Written by `make agents-corpus AGENTS_OUT=docs`: the figures of type-checker,",
        "dependency-auditor, package-checker, performance-tester, docs-tester and",
        "api-contract-tester beside those of the plain tools, called by hand in an environment",
        "with the same packages. One number: both say so. `a / b`: aqe says a, by hand it is b.",
        "`-`: not measured, with the reason below. A number in brackets has nothing beside it.",
        "Vulnerabilities are planted, in a service of this machine that answers as OSV does, and",
        "so is the past of the tests' durations, in which one test was four times as fast.",
        "",
        "| figure | " + " | ".join(results) + " |",
        "|---|" + "---|" * len(results),
    ]
    reasons: dict[str, list[str]] = {}
    for name in figures:
        cells: list[str] = []
        for label, row in results.items():
            aqe, by_hand = row.get(name, ("not built", None))
            told = verdict(aqe, by_hand)
            counts[told] = counts.get(told, 0) + 1
            if isinstance(aqe, str):
                reasons.setdefault(f"{name}: {aqe[:200]}", []).append(label)
            shown = {"equal": f"{aqe}", "measured": f"({aqe})", "not measured": "-"}
            cells.append(shown.get(told, f"{str(aqe)[:40]} / {by_hand}"))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    told = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    lines += ["", f"Of these: {told}.", "", "## Not measured", ""]
    lines += [f"- {reason} ({', '.join(labels)})" for reason, labels in reasons.items()]
    return "\n".join(lines) + "\n"


def main(folder: str, *only: str) -> int:
    """Compare, tell and write; 1 if a figure differs."""
    cache = user_cache_path("aqe-corpus", appauthor=False)
    os.environ["XDG_CACHE_HOME"] = str(cache)
    target = Path(folder, "agents-corpus.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Row] = json.loads(target.read_text()) if target.exists() else {}
    corpus = {package.name: package for package in packages()}
    for name in only or CHOSEN:
        label = corpus[name].label
        if label in results and not only:
            continue
        results[label] = compared(corpus[name], cache)
        results = json.loads(json.dumps(results).replace(str(cache), "$CACHE"))
        target.write_text(json.dumps(results, indent=1) + "\n")
        told = [(figure, *pair) for figure, pair in results[label].items()]
        wrong = [each for each in told if verdict(*each[1:]) == "differs"]
        sys.stderr.write(f"{label}: {len(told)} figures, {len(wrong)} differ {wrong}\n")
    Path(folder, "agents-corpus.md").write_text(page(results))
    pairs = [pair for row in results.values() for pair in row.values()]
    return int(any(verdict(*pair) == "differs" for pair in pairs))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

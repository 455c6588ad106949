"""The results as a page."""

from __future__ import annotations

import os
import platform
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.corpus.verdict import DIFFERS, EQUAL, NO_FIGURES, NO_TESTS, VARIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.corpus.sdist import Package

INTRODUCTION = """# Other people's projects

What `aqe run` says of source distributions from PyPI, chosen for their differences, beside what
`coverage run -m pytest` says of a second copy of each, in the environment that aqe made: which
tests there are and how each ended, and lines and branches, file by file. aqe runs first, with an
empty memory and nothing told to it. pytest's side knows nothing of aqe's recorder: it takes
pytest's own categories and coverage.py's own reading of the project's settings; only which code is
measured, which of the project's pytest options hold, and what tox, nox or hatch set for its tests,
is taken from aqe. Both see a home directory of their own and none of this machine's variables but
language, paths and time zone.

`make corpus` does it again, `make corpus ONLY="anyio click"` some of it; the list with the reason
for each is [packages.toml](../tests/corpus/packages.toml). "equal": all of it is. "varies": no more
than plain pytest differs from itself in up to three runs, or a second run of aqe is equal. "no
figures": pytest has some, aqe none. "nothing to compare": neither has. Seconds are of the tests
alone, measured; the last column is all of the first `aqe run`, the making of the environment
included.
"""

MENDED = """## What the first comparison found

On 2026-11-28 these were not right at the first try, and what they have in common was mended; the
rows above of these are from after that, those of others may be from before:

- hyperlink: no environment, since its tox pins a pytest older than what aqe works with
- pluggy: no interpreter, since pytest needs the project, whose modules are not installed
- zc.lockfile: no tests, since they are in `tests.py`; nor has plain pytest any without being told
- trio: no environment, since a version in its compiled list of requirements is no longer to be had
- flask: 432 tests that fail with the newest pytest, since `uv.lock` was not read
- anyio: a third of its tests skipped, since its tox installs an extra that its group doesn't name;
  since then the outcomes of its 3,594 tests are those of pytest (sockets over IPv6 fail on this
  machine) but for one of Ctrl-C, which the comparison had been started without
- jaraco.text, referencing: a file not collected, since a module of the project had the name of what
  it imports, or since only its doctests are tests
- ujson: "No data to report", where there is no Python code to measure

On 2026-11-29 the comparison went on, with the packages that had no row and with others that the
list doesn't have. What was not right:

- distlib: a test failed by chance, since its tox fixes the hash seed and nobody read `setenv`
- psutil: a line more was covered, since its tests look at the files that their own process has
  open, and ours was the only one opened for appending; all but 53 of its tests are not run on
  either side, as the newest pytest ends at the first one that reads a setting of the project
- isodate: in the first run, the version file was measured as the build had written it
- a clone whose version file git ignores: the second run of it failed, since only the first had that
  file; source distributions carry it, so none of these showed it
- django-filter, and any Django project that tells pytest nothing: no settings, since those that
  `runtests.py` or `manage.py` names were not taken
- html5lib: no tests, since its `setup.py` and its tests import `pkg_resources`, which setuptools
  has no more
- a member of a workspace that requires another member: no environment, since that is on no index;
  nor were the test requirements of the top read
- portalocker, build, and others that take long: the comparison itself couldn't write its settings,
  or ended too early; aqe ended a test run after ten minutes, which is an hour now

On 2026-11-30 all but three rows (build, marshmallow, packaging) were made anew: cattrs, multidict
and werkzeug, which had no figures to compare, are equal; anyio has a row.
[corpus.json](corpus.json) has the date of each row.

Equal figures don't say that the environment is the authors' own. Read again with that question,
these were not, and rows of them are from after that:

- pyjwt: 189 of 475 tests were skipped (4 now), automat 40 of 84 (7 now), since tox installs by
  factors (`crypto`, `extras`) that its list of environments names
- click: its tests ran in random order, since a variant of tox's plain environment (`random`) added
  to the tests' own group; attrs, hpack and portalocker had more than they asked for
- pyyaml, orjson: nothing measured, since what the build ships lies in `lib` and `pysrc`

Equal figures say that aqe does as pytest does in one environment, not that this is the one in which
the project's authors run their tests: where tests fail or are skipped on both sides, see below.
"""


def written(corpus: Sequence[Package], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page in Markdown.

    Args:
        corpus: in the order of the rows.
        results: JSON data of ``Result``, by label.

    """
    rows = [(package, results[package.label]) for package in corpus if package.label in results]
    dates = sorted(result["date"][:10] for _, result in rows) or ["never"]
    machine = f"{os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"
    parts = [
        INTRODUCTION,
        f"On {dates[-1]}, on a machine with {machine}, shared with other work:\n",
        *_totals(corpus, [result for _, result in rows]),
        "",
        *_table(rows),
        MENDED,
        *_unequal(rows),
        *_failures(rows),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _totals(corpus: Sequence[Package], results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    counts = Counter(result["verdict"] for result in results)
    right = counts[EQUAL] + counts[VARIES]
    share = f", {100 * right / len(results):.0f} %" if results else ""
    yield f"- {len(results)} of {len(corpus)} packages compared"
    yield f"- right: {right}{share} ({counts[EQUAL]} equal, {counts[VARIES]} vary by themselves)"
    for kind in (DIFFERS, NO_FIGURES, NO_TESTS):
        yield f"- {kind}: {counts[kind]}"
    touched = [result["name"] for result in results if not result["untouched"]]
    yield f"- source trees that aqe changed: {', '.join(touched) or 'none'}"


def _table(rows: Sequence[tuple[Package, Mapping[str, Any]]]) -> Iterator[str]:
    yield "| package | for | figures | tests | not passed | lines | branches | s | pytest | all |"
    yield "|---|---|---|--:|---|--:|--:|--:|--:|--:|"
    for package, result in rows:
        totals = result["totals"]
        others = {name: count for name, count in result["outcomes"].items() if name != "passed"}
        if result["uncollectable"]:
            others["files not collected"] = result["uncollectable"]
        cells = [
            package.label,
            package.purpose,
            result["verdict"],
            f"{result['tests']:,}",
            ", ".join(f"{count:,} {name}" for name, count in others.items()),
            _of(totals, "lines"),
            _of(totals, "branches"),
            f"{result['seconds']:.1f}",
            f"{result['plain_seconds']:.1f}",
            f"{result['total_seconds']:.1f}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _of(totals: Mapping[str, int], name: str) -> str:
    return f"{totals[f'{name}_covered']:,} of {totals[name]:,}" if totals.get(name) else ""


def _unequal(rows: Sequence[tuple[Package, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield what is not equal; each difference is "aqe's, pytest's"."""
    unequal = [(package, result) for package, result in rows if result["verdict"] != EQUAL]
    if not unequal:
        return
    yield "## What is not equal\n"
    yield "What differs is written as aqe's figure, then pytest's of its first run.\n"
    for package, result in unequal:
        known = f" {package.known}" if package.known else ""
        found = "; ".join(f"`{_plain(each)}`" for each in result["differences"])
        yield f"- **{package.label}**, {result['verdict']}:{known} {found}"
    yield ""


def _failures(rows: Sequence[tuple[Package, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield what both sides agree on and a reader would still ask about."""
    failing = [(package, result) for package, result in rows if result["bad"]]
    if not failing:
        return
    yield "## Tests that fail, on both sides unless said above\n"
    yield "What an sdist or the machine lacks is said first, where it was looked into.\n"
    for package, result in failing:
        named = [
            f"`{_plain(test)}` ({_plain(why)})" for test, why in list(result["bad"].items())[:2]
        ]
        more = f" and {len(result['bad']) - 2} more" if len(result["bad"]) > len(named) else ""
        known = f" {package.known}" if package.known else ""
        yield f"- **{package.label}**:{known} {', '.join(named)}{more}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("`", "'").replace("|", "/")[:200]

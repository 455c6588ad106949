"""The two sides of a comparison: what ``aqe run`` says, and what pytest and coverage.py say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lionagi_qe.agents.environment.variables import variables_of
from lionagi_qe.agents.inject.aqe_names import known_as
from lionagi_qe.agents.project.named_tests import named_tests
from lionagi_qe.agents.project.settings import read_pyproject

# What is imported or run by the interpreter of the package's tests.
INSIDE = Path(__file__).parent / "inside"
AGENTS = "test-executor,coverage-analyzer,quality-gate"
# Of a program that is soon done; longer than others hold the machine.
_ASKING_SECONDS = 300
# Of aqe's exit codes those with which it prints a report: passed, gate failed, not measured.
_REPORTING = {0, 1, 4}
# What is no product code, by its place and name.
_TESTS = (
    *("**/tests/**", "**/test/**", "**/test_*.py", "**/*_test.py"),
    *("**/tests.py", "**/conftest.py"),
)
# Of this machine's variables those that everybody has: what is set on it alone, certificates say,
# fails tests.
_USERS = ("LANG", "LC_", "LD_LIBRARY_PATH", "PATH", "TZ")
_COUNTS = {
    "lines": "num_statements",
    "lines_covered": "covered_lines",
    "branches": "num_branches",
    "branches_covered": "covered_branches",
}


@dataclass(slots=True)
class Figures:
    """What one side says of a project.

    Attributes:
        outcomes: test -> passed, failed, error, skipped, xfailed, xpassed, or another word.
        uncollectable: files whose tests could not be collected.
        totals: lines, lines_covered, branches, branches_covered.
        files: the same for each file.
        seconds: that the tests took.
        total: that all of it took.
        problem: why there are no figures, or None.
        uncovered: why there are none of lines and branches, or None.
    """

    outcomes: dict[str, str] = field(default_factory=dict[str, str])
    uncollectable: list[str] = field(default_factory=list[str])
    totals: dict[str, int] = field(default_factory=dict[str, int])
    files: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    seconds: float = 0.0
    total: float = 0.0
    problem: str | None = None
    uncovered: str | None = None


def of_fleet(
    project: Path, scratch: Path, cache: Path, limit: float, *options: str
) -> tuple[Figures, dict[str, Any]]:
    """Return the figures of ``aqe run``, and its JSON report ({} if none).

    Args:
        project: the tree to examine.
        scratch: a directory for the log, and the memory: a new one, where it has none.
        cache: where environments are kept.
        limit: most seconds.
        options: further ones of the command.

    """
    command, env = fleet_command(project, scratch, cache)
    command += options
    began = time.monotonic()
    done = _call(command, project, env, scratch / "aqe.log", limit)
    figures = Figures(total=time.monotonic() - began)
    if done.code not in _REPORTING:
        figures.problem = done.problem
        return figures, {}
    report = json.loads(done.output)
    metrics = {metric["name"]: metric for metric in report["metrics"]}
    figures.problem = metrics["tests_collected"]["reason"]
    figures.uncovered = metrics["line_coverage"]["reason"]
    figures.outcomes = {_at_home(test["id"], project): test["outcome"] for test in report["tests"]}
    figures.uncollectable = sorted(report["uncollectable"])
    figures.totals = {name: metrics[name]["value"] or 0 for name in _COUNTS}
    figures.files = {
        file["file"]: {name: file[name] for name in _COUNTS} for file in report["files"] or ()
    }
    figures.seconds = metrics["test_seconds"]["value"] or 0.0
    return figures, report


def fleet_command(project: Path, scratch: Path, cache: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command of ``aqe run`` and its environment; see ``of_fleet``."""
    command = [sys.executable, "-m", "lionagi_qe.cli.main", "run", str(project), "--json"]
    command += ["--agents", AGENTS, "--memory", f"sqlite:///{scratch}/memory.db"]
    return command, {**os.environ, "XDG_CACHE_HOME": str(cache)}


def of_pytest(project: Path, report: dict[str, Any], scratch: Path, limit: float) -> Figures:
    """Return the figures of ``coverage run -m pytest`` in the environment that aqe made.

    The code is that of the project's own tree, with what its build made. Scope, and options of the
    project that don't hold, are those that the report tells. Variables that the project sets for
    its tests are set as aqe reads them.

    Args:
        project: a tree that nothing has run in.
        report: of aqe.
        scratch: a directory for coverage.py's files and the log.
        limit: most seconds.

    """
    python = Path(report["environment"]["interpreter"])
    scope = [project / name for name in report["environment"]["scope"]]
    outcomes = scratch / "outcomes.json"
    command, env, rcfile = plain_command(project, report, scratch, python)
    at = command.index("pytest") + 1
    command[at:at] = ["-p", "corpus_outcomes"]
    env |= {
        "PYTHONPATH": os.pathsep.join([env["PYTHONPATH"], str(INSIDE)]),
        "CORPUS_OUTCOMES": str(outcomes),
    }
    began = time.monotonic()
    done = _call(command, project, env, scratch / "plain.log", limit)
    figures = Figures(seconds=time.monotonic() - began)
    if done.code is None or not outcomes.exists():
        figures.problem = done.problem
        return figures
    told = json.loads(outcomes.read_text(encoding="utf-8"))
    outcomes.unlink()
    figures.outcomes = {
        _at_home(known_as(test), project): _outcome(told["tests"].get(test, []))
        for test in told["collected"]
    }
    figures.uncollectable = sorted(told["uncollectable"])
    target = scratch / "coverage.json"
    for step in (["combine", "-q"], ["json", "-q", "-i", "-o", str(target)]):
        command = [str(python), "-m", "coverage", step[0], f"--rcfile={rcfile}", *step[1:]]
        done = _call(command, project, env, scratch / "coverage.log", limit)
    figures.total = time.monotonic() - began
    if not scope or not target.exists():
        figures.uncovered = done.problem
        return figures
    measured = json.loads(target.read_text(encoding="utf-8"))
    target.unlink()
    figures.totals = {name: measured["totals"].get(key, 0) for name, key in _COUNTS.items()}
    figures.files = {
        name: {count: file["summary"].get(key, 0) for count, key in _COUNTS.items()}
        for name, file in measured["files"].items()
    }
    return figures


def plain_command(
    project: Path, report: dict[str, Any], scratch: Path, python: Path
) -> tuple[list[str], dict[str, str], Path]:
    """Return the command of ``coverage run -m pytest``, its environment and its configuration.

    Args:
        project: the tree to run in; it gets what its build made.
        report: of aqe.
        scratch: a directory for coverage.py's files.
        python: the interpreter, in an environment of its own.

    """
    scope = [project / name for name in report["environment"]["scope"]]
    roots = list(dict.fromkeys([*(path.parent for path in scope), project]))
    _add_built_files(python.parent.parent / "built", roots[0])
    env = {name: value for name, value in os.environ.items() if name.startswith(_USERS)}
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    declared = variables_of(project, read_pyproject(project))
    paths = [*map(str, roots), *declared.import_path_at(project)]
    # Other sessions of pytest clear up what they share.
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    env |= declared.at(project, home, temporary, python)
    env |= {
        "TMPDIR": str(temporary),
        "HOME": str(home),
        "VIRTUAL_ENV": str(python.parent.parent),
        "PATH": f"{python.parent}{os.pathsep}{env['PATH']}",
        "PYTHONPATH": os.pathsep.join(paths),
        "AQE_ROOTS": os.pathsep.join(map(str, roots)),
    }
    rcfile = _rcfile(project, python, scope, scratch, env)
    words = ["run", f"--rcfile={rcfile}", "-m", "pytest", *_arguments(report)]
    return [str(python), "-m", "coverage", *words], env, rcfile


def _at_home(test: str, project: Path) -> str:
    """Return a test's id without the place of the copy, where a parameter names a path in it."""
    return re.sub(rf"/[^\[\]]*?/{re.escape(project.name)}(?=/)", ".", test)


def _arguments(report: dict[str, Any]) -> list[str]:
    """Return pytest's arguments as the report tells them, without the fleet's own plugin."""
    metrics = {metric["name"]: metric for metric in report["metrics"]}
    words = shlex.split(metrics["tests_collected"]["command"])
    words = words[words.index("pytest") + 1 :]
    at = words.index("aqe_recorder")
    return words[: at - 1] + words[at + 1 :]


def _outcome(categories: list[str]) -> str:
    """Return one outcome of a test: a failure of its own goes before one of its teardown."""
    for worst in ("failed", "error"):
        if worst in categories:
            return worst
    return categories[-1] if categories else "not_run"


def _add_built_files(built: Path, root: Path) -> None:
    for file in built.rglob("*"):
        place = root / file.relative_to(built)
        if file.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)


def _rcfile(
    project: Path, python: Path, scope: list[Path], scratch: Path, env: dict[str, str]
) -> Path:
    """Write coverage.py's configuration: the project's own as coverage.py reads it, our scope."""
    asked = subprocess.run(
        [str(python), str(INSIDE / "corpus_settings.py")],
        cwd=project,
        env=env,
        check=True,
        capture_output=True,
        text=True,
        timeout=_ASKING_SECONDS,
    )
    own = json.loads(asked.stdout)
    packages = [path for path in scope if path.is_dir()]
    alone = [path for path in scope if path.is_file()]
    migrations = [
        f"{path}/*"
        for package in packages
        for path in package.rglob("migrations")
        if (path.parent / "models.py").is_file()
    ]
    # Only with --source does coverage.py count files that nothing imports.
    sources = packages if not alone else list(dict.fromkeys(path.parent for path in scope))
    left_out = [] if not alone else _beside(sources[0], scope)
    omit = [f"{project}/{each}" for each in (*_TESTS, *named_tests(project))]
    omit += migrations + left_out
    omit += (own["run_omit"] or []) + (own["report_omit"] or [])
    run = {
        "branch": True,
        "parallel": True,
        "data_file": f"{scratch}/coverage.data",
        "source": [str(path) for path in sources],
        "omit": omit,
        "patch": list(dict.fromkeys(["_exit", "subprocess", *(own["patch"] or [])])),
        "concurrency": own["concurrency"] or ["thread"],
        "plugins": own["plugins"] or [],
    }
    report = {
        "include_namespace_packages": True,
        "exclude_lines": own["exclude_list"],
        "partial_branches": own["partial_list"],
    }
    sections = {"run": run, "report": report, **own["plugin_options"]}
    path = scratch / "plain.toml"
    path.write_text("".join(_table(*each) for each in sections.items()), encoding="utf-8")
    return path


def _beside(root: Path, scope: list[Path]) -> list[str]:
    return [
        f"{path}/*" if path.is_dir() else str(path) for path in root.iterdir() if path not in scope
    ]


def _table(name: str, options: dict[str, Any]) -> str:
    """Return a table of TOML; coverage.py fills in variables, so a dollar sign is doubled."""
    lines = [f"{json.dumps(option)} = {_value(value)}" for option, value in options.items()]
    return "\n".join([f"[tool.coverage.{json.dumps(name)}]", *lines, ""]).replace("$", "$$")


def _value(value: Any) -> str:
    """Return a value as TOML writes it, which is as JSON does but for tables."""
    if not isinstance(value, dict):
        return json.dumps(value)
    pairs = [f"{json.dumps(name)} = {_value(each)}" for name, each in value.items()]
    return f"{{{', '.join(pairs)}}}"


@dataclass(frozen=True, slots=True)
class _Done:
    """How a program ended: its exit code (None if it was ended), output, and last words."""

    code: int | None
    output: str
    problem: str


def _call(command: list[str], cwd: Path, env: dict[str, str], log: Path, limit: float) -> _Done:
    with log.open("w", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if "--json" in command else complaints,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return _Done(None, "", f"it took longer than {limit:g} s")
        finally:
            if process.poll() is None:
                # Its own children are in other groups, which it ends itself.
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=10)
            _end_group(process.pid)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = " / ".join(line.strip() for line in said[-3:])[-600:]
    return _Done(process.returncode, output or "", f"exit code {process.returncode}: {last}")


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        # All of it has ended, as it should.
        return

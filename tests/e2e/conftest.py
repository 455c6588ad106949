"""Drives the real ``aqe`` as a user would: a process, a project directory, exit codes and text."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import prefork
from tests.e2e import shop_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

AQE = prefork.AQE
TESTS_AND_COVERAGE = "test-executor,coverage-analyzer,quality-gate"
STOREFRONT = Path(__file__).parents[2] / "examples" / "storefront"


@dataclass(frozen=True)
class Answer:
    """What a command said, and the folder it was started in."""

    exit_code: int
    out: str
    err: str
    folder: Path

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)

    def figure(self, name: str) -> dict[str, Any]:
        return next(metric for metric in self.document["metrics"] if metric["name"] == name)

    def value(self, name: str) -> Any:
        metric = self.figure(name)
        assert metric["measured"], metric["reason"]
        return metric["value"]

    def reason(self, name: str) -> str:
        metric = self.figure(name)
        assert metric["value"] is None
        assert not metric["measured"]
        return metric["reason"]

    def outcomes(self) -> dict[str, str]:
        return {test["id"].rpartition("::")[2]: test["outcome"] for test in self.document["tests"]}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of xdist's workers have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cache(shared: Path) -> Path:
    """One cache of environments for all workers, as users have one."""
    path = shared / "cache"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session")
def made_once(shared: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a folder that the first worker to ask has filled; the others wait for it."""

    def call(name: str, fill: Callable[[Path], None]) -> Path:
        folder, making = shared / name, shared / f"{name}-making"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir()
                fill(making)
                making.rename(folder)
        return folder

    return call


@pytest.fixture(scope="session")
def mutated(cache: Path, made_once: Callable[[str, Callable[[Path], None]], Path]) -> Answer:
    """What ``aqe mutate --json --min-score 95`` says of shop_project, asked once."""

    def fill(folder: Path) -> None:
        root = write(folder / "shop", shop_project.FILES)
        before = checksum(root)
        asked = ("mutate", root, "--json", "--min-score", 95)
        answer = start_aqe(asked, folder, variables_of(cache, folder))
        assert checksum(root) == before, "the project's own tree was touched"
        (folder / "found.json").write_text(answer.out)
        (folder / "exit_code").write_text(str(answer.exit_code))

    folder = made_once("mutated", fill)
    code = int((folder / "exit_code").read_text())
    return Answer(code, (folder / "found.json").read_text(), "", folder)


@pytest.fixture
def variables(cache: Path, tmp_path: Path) -> dict[str, str]:
    return variables_of(cache, tmp_path)


def variables_of(cache: Path, folder: Path) -> dict[str, str]:
    own = {"XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(folder / "state")}
    own["LIONAGI_QE_SIGNING_KEYS"] = "of the suite: thirty-two characters"
    inherited = {key: value for key, value in os.environ.items() if key != "LIONAGI_QE_MEMORY"}
    return inherited | own


def start_aqe(arguments: Iterable[object], folder: Path, env: Mapping[str, str]) -> Answer:
    done = prefork.call([*map(str, arguments)], env=env, cwd=folder)
    return Answer(done.code, done.output.decode(), done.complaints.decode(), folder)


@pytest.fixture
def aqe(variables: dict[str, str], tmp_path: Path) -> Callable[..., Answer]:
    def call(*arguments: object, env: Mapping[str, str] | None = None) -> Answer:
        return start_aqe(arguments, tmp_path, variables | dict(env or {}))

    return call


@pytest.fixture
def examine(aqe: Callable[..., Answer]) -> Callable[..., Answer]:
    """Run ``aqe run --json`` and check that it left the project as it was."""
    return functools.partial(examine_by, aqe)


def examine_by(
    aqe: Callable[..., Answer],
    project: Path,
    *arguments: object,
    env: Mapping[str, str] | None = None,
) -> Answer:
    before = checksum(project)
    # Static analysis takes longer than the tests of a small project, and has tests of its own.
    agents = () if "--agents" in arguments else ("--agents", TESTS_AND_COVERAGE)
    answer = aqe("run", project, "--json", *agents, *arguments, env=env)
    assert checksum(project) == before, "the project's own tree was touched"
    return answer


@pytest.fixture(scope="session")
def examine_once(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answer]:
    """Examine a project as ``examine`` does, for tests that look at different sides of one run.

    The project is a path, or file name -> text. What was asked before is answered as before.
    """
    known: dict[str, Answer] = {}

    def call(project: Path | Mapping[str, str], *arguments: str) -> Answer:
        asked = repr((project, arguments))
        if asked not in known:
            folder = tmp_path_factory.mktemp("once")
            root = project if isinstance(project, Path) else write(folder / "shop", project)

            def aqe(*words: object, env: Mapping[str, str] | None) -> Answer:
                return start_aqe(words, folder, variables_of(cache, folder) | dict(env or {}))

            known[asked] = examine_by(aqe, root, *arguments)
        return known[asked]

    return call


@pytest.fixture
def project(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Write a project from file name -> text."""
    return functools.partial(write, tmp_path / "shop")


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def checksum(root: Path) -> str:
    """Name everything in a tree: names, kinds, contents, links, times of change, permissions."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        digest.update(f"{path.relative_to(root)}|{status.st_mode}|{status.st_mtime_ns}|".encode())
        if path.is_symlink():
            digest.update(os.fsencode(path.readlink()))
        elif path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()

"""What a user gets of the tools that six of the agents stand on, by hand and without aqe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.corpus.sides import _add_built_files
from uv import find_uv_bin

from lionagi_qe.agents.docs_examples.documents import documents_of
from lionagi_qe.agents.package_check.wheel import modules_of
from lionagi_qe.agents.project.layout import TEST_FILES
from lionagi_qe.agents.project.settings import USUAL_DOCS, read_pyproject
from lionagi_qe.agents.type_check.stubs import declared_for_types, names

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT = 600
_SYBIL = """
from sybil import Sybil
from sybil.parsers import markdown, rest
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.evaluators.doctest import DocTestEvaluator
import doctest, pathlib, pytest

def pytest_configure(config):
    global both
    flags = 0
    for name in config.getini("doctest_optionflags"):
        flags |= doctest.OPTIONFLAGS_BY_NAME[name]
    evaluator = DocTestEvaluator(flags)
    def console(document):
        for language in ("pycon", "python-repl"):
            for region in markdown.CodeBlockParser(language, evaluator)(document):
                for found in DocTestStringParser(evaluator)(region.parsed, document.path):
                    found.adjust(region, region.parsed)
                    yield found
    md = [markdown.PythonCodeBlockParser(doctest_optionflags=flags), console, markdown.SkipParser()]
    blocks, texts = rest.PythonCodeBlockParser(), rest.DocTestParser(flags)
    def both_of(document):
        # A session in a block is found by both parsers, which Sybil refuses.
        sessions = [*texts(document)]
        starts = [each.start for each in sessions]
        return sessions + [
            each
            for each in blocks(document)
            if not any(each.start <= start < each.end for start in starts)
        ]
    rst = [both_of, rest.SkipParser()]
    root = str(config.rootpath)
    both = [Sybil(md, patterns=["*.md", "*.markdown"], path=root).pytest(),
            Sybil(rst, patterns=["*.rst", "*.txt"], path=root).pytest()]

@pytest.hookimpl(hookwrapper=True)
def pytest_collect_file(file_path, parent):
    outcome = yield
    outcome.force_result([each for one in both for each in [one(file_path, parent)] if each])
"""


@dataclass(frozen=True, slots=True)
class ByHand:
    """A project's own tree, and an environment like that of its tests with the tools in it."""

    project: Path
    scratch: Path
    python: Path
    scope: list[str]
    roots: list[Path]

    @classmethod
    def of(cls, project: Path, scratch: Path, environment: Path, scope: list[str]) -> ByHand:
        """Make the environment: what the given one has, and the tools on top."""
        roots = list(dict.fromkeys([(project / name).parent for name in scope] + [project]))
        _add_built_files(environment.parents[1] / "built", roots[0])
        venv = scratch / "by-hand"
        uv = find_uv_bin()
        call(uv, "venv", "--quiet", "--python", sys.executable, venv)
        (site,) = venv.glob("lib/python*/site-packages")
        (theirs,) = environment.parents[1].glob("lib/python*/site-packages")
        (site / "theirs.pth").write_text(f"{theirs}\n")
        declared = declared_for_types(project, read_pyproject(project))
        tools = [name for name in ("mypy", "pyright[nodejs]") if name[:7] not in names(declared)]
        python = venv / "bin" / "python"
        call(uv, "pip", "install", "--quiet", "--python", python, *tools, *declared, "sybil")
        return cls(project, scratch, python, scope, roots)

    def type_errors(self, checker: str, arguments: list[str]) -> int | str:
        """Return how many errors a checker tells."""
        path = os.pathsep.join(map(str, self.roots[:-1]))
        if checker == "mypy":
            words = ["--cache-dir", self.scratch / "mypy", "--no-color-output", "--no-pretty"]
            words += arguments
            done = call(self.python, "-m", "mypy", *words, cwd=self.project, MYPYPATH=path)
            found = len(re.findall(r"^\S.*?: error: ", done.stdout, re.MULTILINE))
            return found if done.returncode in {0, 1} else f"mypy ended with {done.returncode}"
        words = ["--outputjson", "--pythonpath", self.python, *arguments]
        done = call(self.python, "-m", "pyright", *words, cwd=self.project)
        return json.loads(done.stdout)["summary"]["errorCount"]

    def doctests(self) -> tuple[int, int, int]:
        """Return how many docstrings with examples there are, fail, and files can't be imported."""
        ignored = [f"--ignore-glob=*/{pattern.removeprefix('**/')}" for pattern in TEST_FILES]
        none = ["-o", "python_files=", "-o", "python_functions=aqe_none"]
        return self._pytest(["--doctest-modules", *none, *ignored, *self.scope])

    def documents(self) -> tuple[int, int, int]:
        """Return the same of examples in documents."""
        found = documents_of(self.project, USUAL_DOCS)
        if not found:
            return 0, 0, 0
        (self.scratch / "plugins").mkdir(exist_ok=True)
        (self.scratch / "plugins" / "by_hand_sybil.py").write_text(_SYBIL)
        return self._pytest(["-p", "by_hand_sybil", *map(str, found)])

    def _pytest(self, words: list[str]) -> tuple[int, int, int]:
        target = self.scratch / "junit.xml"
        target.unlink(missing_ok=True)
        paths = [*map(str, self.roots), str(self.scratch / "plugins")]
        words = ["-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={target}", *words]
        words += ["--continue-on-collection-errors"]
        call(
            *(self.python, "-m", "pytest", *words),
            cwd=self.project,
            PYTHONPATH=os.pathsep.join(paths),
        )
        cases = [*ET.parse(target).getroot().iter("testcase")]  # noqa: S314 - pytest's own
        errors = [each for each in cases if each.find("error") is not None]
        unread = [each for each in errors if "collection" in str(each.find("error").get("message"))]
        # What needs a package that is not installed has not failed.
        failed = [
            each
            for each in cases
            if (found := each.find("failure")) is not None
            and "ModuleNotFoundError: No module named" not in "".join(found.itertext())
        ]
        return len(cases) - len(unread), len(failed) + len(errors) - len(unread), len(unread)

    def package(self) -> dict[str, int]:
        """Return what twine, check-wheel-contents and a bare environment say of distributions."""
        out = self.scratch / "dist"
        if call(find_uv_bin(), "build", "--out-dir", out, self.project).returncode:
            return {"package_build_failures": 1}
        files = [path for path in out.iterdir() if path.suffix in {".whl", ".gz"}]
        wheel = next(path for path in files if path.suffix == ".whl")
        said = call(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files).stdout
        told = set(re.findall(r"^(?:ERROR|WARNING) .*$", said, re.MULTILINE))
        contents = call(sys.executable, "-m", "check_wheel_contents", wheel, cwd=self.project)
        bare = self.scratch / "bare"
        call(sys.executable, "-m", "venv", bare)
        call(bare / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
        failed = [
            module
            for module in modules_of(wheel)
            if call(bare / "bin" / "python", "-c", f"import {module}", cwd=out).returncode
        ]
        return {
            "package_build_failures": 0,
            "package_metadata_problems": len(told),
            "package_content_problems": len(re.findall(r": W\d{3}: ", contents.stdout)),
            "package_import_failures": len(failed),
        }

    def audit(self, site: Path, url: str, own: str) -> tuple[int, int]:
        """Return how many packages have vulnerabilities, and how many were looked up."""
        words = ["-s", "osv", "--osv-url", url, "--path", site, "-f", "json"]
        done = call(sys.executable, "-m", "pip_audit", *words, "--progress-spinner", "off")
        packages = [
            each
            for each in json.loads(done.stdout)["dependencies"]
            if "vulns" in each and re.sub(r"[-_.]+", "-", each["name"]).lower() != own
        ]
        return sum(bool(each["vulns"]) for each in packages), len(packages)


def call(
    *command: object, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AQE")}
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=env | variables,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )

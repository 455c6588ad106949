"""What tests use and an environment lacks: found in the sources, before anything runs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import requirement_of, texts
from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.environment.well_known import FIXTURES, MARKS, MODULES, SETTINGS
from lionagi_qe.agents.project.built_files import sites_of
from lionagi_qe.agents.project.isolation import ask
from lionagi_qe.agents.project.layout import is_test_file, layout_of, own_modules
from lionagi_qe.agents.project.named_tests import named_tests as tests_named_in
from lionagi_qe.agents.project.parsing import parsed
from lionagi_qe.agents.project.pytest_settings import is_only_of_unittest, modules_named
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lionagi_qe.agents.environment.requirements import Requirements, Sibling

_ASK = """
import importlib.metadata, importlib.util, json, re, sys
modules = json.loads(sys.argv[1])
def absent(name):
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True
names = {re.sub(r"[-_.]+", "-", d.metadata["Name"] or "").lower()
         for d in importlib.metadata.distributions()}
print(json.dumps([[each for each in modules if absent(each)], sorted(names)]))
"""
_ASK_SECONDS = 60
_COLLECTED = re.compile(r"test_.*\.py|.*_test\.py|tests\.py|conftest\.py")
_NO_USE_TO_TESTS = re.compile(
    r"doc|lint|format|typing|mypy|type|release|publish|build|bench|check|cover|enabler"
)


@dataclass(slots=True)
class Uses:
    """What test files use that a distribution may have to provide: name -> first place.

    Attributes:
        modules: imported whenever the file is.
        fixtures: asked for by a test, and defined in no file of the project.
        marks: of tests.
        settings: of pytest, as far as plugins are known to read them.
    """

    modules: dict[str, str] = field(default_factory=dict[str, str])
    fixtures: dict[str, str] = field(default_factory=dict[str, str])
    marks: dict[str, str] = field(default_factory=dict[str, str])
    settings: dict[str, str] = field(default_factory=dict[str, str])

    def without(self, modules: Iterable[str]) -> Uses:
        """Return these without modules of some top-level names."""
        left = {name: place for name, place in self.modules.items() if name not in {*modules}}
        return replace(self, modules=left)


@dataclass(frozen=True, slots=True)
class Addition:
    """A requirement that the chosen declaration leaves out.

    Attributes:
        line: PEP 508.
        why: for people: what uses it, and who says that this distribution provides it.
    """

    line: str
    why: str


def uses_of(source: Path, settings: Mapping[str, object]) -> Uses:
    """Return what the test files below a directory use, without importing any.

    Args:
        source: the project's directory.
        settings: of pytest, by name; a configparser has them in small letters.

    """
    named = {name.lower() for name in settings}
    uses = Uses(
        settings={name: "what pytest is told" for name in SETTINGS if name.lower() in named}
    )
    named_tests = tests_named_in(source)
    named: set[str] = set()
    defined: set[str] = set()
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        if not is_test_file(name) and name not in named_tests:
            continue
        tree = parsed(path)
        if tree is None:
            continue
        if name in named_tests or _COLLECTED.fullmatch(path.name) or is_only_of_unittest(path):
            # Other files below tests may be programs that no test imports.
            _note(uses, tree, name)
            named |= _modules_named(tree)
        defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for path in _files_of(source, named):
        # What an optional part of the project needs is needed by the tests of that part.
        for module in _imported(parsed(path) or ast.Module([], [])):
            uses.modules.setdefault(module, path.relative_to(source).as_posix())
    _note_doctests(uses, source, settings)
    own = own_modules(source)
    for module in [*uses.modules]:
        if module in own or module in sys.stdlib_module_names:
            del uses.modules[module]
    for fixture in defined & uses.fixtures.keys():
        del uses.fixtures[fixture]
    return uses


def _note_doctests(uses: Uses, source: Path, settings: Mapping[str, object]) -> None:
    """Note what modules import that are no tests, and that pytest searches for doctests."""

    def words_of(name: str) -> list[str]:
        value = settings.get(name) or ()
        return value.split() if isinstance(value, str) else texts(value)

    if "--doctest-modules" not in words_of("addopts"):
        return
    for place in words_of("testpaths") or ["."]:
        for path in sorted((source / place).rglob("*.py")):
            name = path.relative_to(source).as_posix()
            # pytest leaves those directories out; building has put copies there.
            if {"build", "dist"} & set(name.split("/")):
                continue
            if not is_test_file(name) and name != "setup.py":
                for module in _imported(parsed(path) or ast.Module([], [])):
                    uses.modules.setdefault(module, name)


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level names of modules that are imported whenever the file is."""
    for node in tree.body:
        # Those in ``try``, ``if`` and functions may be optional.
        yield from (name.partition(".")[0] for name in modules_named(node))


def _modules_named(tree: ast.Module) -> set[str]:
    """Return all that may be modules in the imports of a file."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _files_of(source: Path, modules: Iterable[str]) -> Iterator[Path]:
    """Yield the project's own files among modules."""
    for root in layout_of(source).roots:
        for module in sorted(modules):
            place = root / module.replace(".", "/")
            yield from (
                path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()
            )


def _note(uses: Uses, tree: ast.Module, name: str) -> None:
    for module in _imported(tree):
        uses.modules.setdefault(module, name)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test"):
                for argument in (*node.args.args, *node.args.kwonlyargs):
                    uses.fixtures.setdefault(argument.arg, name)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "mark"
        ):
            uses.marks.setdefault(node.attr, name)


def additions_for(
    uses: Uses, absent: Iterable[str], installed: Iterable[str], requirements: Requirements
) -> Iterator[Addition]:
    """Yield what to install on top, each distribution once.

    Args:
        uses: of the tests.
        absent: those of the modules that the environment doesn't have.
        installed: canonical names of its distributions.
        requirements: whose other declarations are searched first.

    """
    added = set(installed)
    declared = list(_declared(requirements))
    # What is used, where, the name that a declaration may have for it, and the well-known one.
    wanted = [(module, uses.modules[module], module, MODULES.get(module)) for module in absent]
    for kind, known in (("fixtures", FIXTURES), ("marks", MARKS), ("settings", SETTINGS)):
        used: dict[str, str] = getattr(uses, kind)
        wanted += [(name, used[name], known[name], known[name]) for name in used if name in known]
    for name, place, own, distribution in wanted:
        names = {canonicalize_name(each) for each in (own, distribution) if each}
        line, origin = next(
            ((line, origin) for canonical, line, origin in declared if canonical in names),
            (distribution, None),
        )
        if line is None or names & added:
            continue
        added |= names
        said = f"declared in {origin}" if origin else "declared nowhere, known to provide it"
        yield Addition(line, f"{place} uses {name}: {line} ({said})")


def siblings_to_install(
    uses: Uses, absent: Iterable[str], requirements: Requirements
) -> Iterator[tuple[Sibling, str]]:
    """Yield other projects of the same repository that have absent modules, and which ones."""
    for sibling in requirements.siblings:
        if needed := sibling.modules & set(absent):
            told = ", ".join(f"{module} ({uses.modules[module]})" for module in sorted(needed))
            yield sibling, told


def extras_to_try(
    uses: Uses, absent: Iterable[str], requirements: Requirements
) -> tuple[list[str], str]:
    """Return the project's own extras that may bring what tests use, and what that is.

    None if each absent module has a declaration or a well-known name: a module that has neither
    mostly comes with what an extra requires.
    """
    declared = {canonical for canonical, _, _ in _declared(requirements)}
    unknown = [
        module
        for module in absent
        if module not in MODULES and canonicalize_name(module) not in declared
    ]
    if not unknown:
        return [], ""
    extras = [
        extra
        for declaration in requirements.others
        for extra in declaration.extras
        if declaration.purpose == "other" and not _NO_USE_TO_TESTS.search(extra)
    ]
    return extras, ", ".join(f"{module} ({uses.modules[module]})" for module in unknown)


def _declared(requirements: Requirements) -> Iterator[tuple[str, str, str]]:
    """Yield canonical name, line and origin of what the declarations not chosen list."""
    for declaration in requirements.others:
        lines = [*declaration.lines, *declaration.behind]
        for file in declaration.files:
            text = file.read_text(encoding="utf-8", errors="replace")
            lines += [line.partition(" #")[0].strip() for line in text.splitlines()]
        for line in lines:
            # Others are options, comments or addresses.
            if requirement := requirement_of(line):
                yield canonicalize_name(requirement.name), line, declaration.origin


def what_is_absent(python: Path, modules: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return which modules an environment doesn't have, and which distributions it has.

    Its interpreter, which takes longer to start than this takes otherwise, is only asked where a
    module is not found by its name: a distribution may have it found in other ways.

    Raises:
        EnvironmentBuildError: the interpreter doesn't answer.

    """
    wanted = {*modules}
    found: set[str] = set()
    installed: set[str] = set()
    for site in sites_of(python.parents[1]):
        for path in site.iterdir():
            if path.name.endswith(".dist-info"):
                installed.add(canonicalize_name(path.name.partition("-")[0]))
            elif path.suffix != ".pth":
                found.add(path.name.partition(".")[0])
    if wanted <= found:
        return [], sorted(installed)
    return _ask_what_is_absent(python, wanted)


def _ask_what_is_absent(python: Path, modules: Iterable[str]) -> tuple[list[str], list[str]]:
    command = [str(python), "-I", "-c", _ASK, json.dumps(sorted(modules))]
    try:
        answer = ask(command, allowed_environment(), timeout=_ASK_SECONDS)
        answer.check_returncode()
        absent, installed = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EnvironmentBuildError(
            f"{python}: does not tell which packages it has ({type(error).__name__}); "
            "name an interpreter with --python"
        ) from error
    return absent, installed

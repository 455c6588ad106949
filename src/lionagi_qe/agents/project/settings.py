"""What a run is asked for: the command line over ``[tool.aqe]`` of the project."""

from __future__ import annotations

import codecs
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from lionagi_qe.agents.project.executor_choice import executor, is_address
from lionagi_qe.agents.project.model_choice import ModelChoice
from lionagi_qe.agents.project.parsing import NOT_PARSED, reason
from lionagi_qe.errors import InvalidArgumentError, ProjectError
from lionagi_qe.nearest import meant

# Long, since a suite that is cut gives no figures of the whole; what stands still is ended before.
DEFAULT_TIMEOUT = 3600.0
# Above it a function has more paths than a reader keeps in mind, or a suite tests.
DEFAULT_COMPLEXITY = 15
# Each has a copy of the project, and collects all tests.
_MOST_SESSIONS = 64

_SERVICES = frozenset({"pypi", "osv"})
USUAL_DOCS = ("README.*", "docs/**", "doc/**")
Order = Literal["auto", "learned", "default"]
Types = Literal["auto", "mypy", "pyright"]
# Checks a value as TOML has it, and returns it as the option keeps it; else ValueError says what
# it should be.
Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one run, as ``[tool.aqe]`` writes them (with dashes).

    Attributes:
        project: the name under which results are kept; by default the project's own.
        min_coverage: lowest line coverage that passes, in percent.
        min_branch_coverage: lowest branch coverage that passes, in percent.
        required: metrics that must be measured.
        timeout: most seconds for the test run.
        test_timeout: most seconds for one test; by default 200 the first time, or a third of the
            test run's if that is less, later ten times what the slowest one took, and at least 30.
        max_memory: most MiB of data of each process of the tests; by default three quarters of the
            machine's memory.
        pass_env: environment variables that the tests may see.
        max_complexity: highest cyclomatic complexity of a function that is no finding.
        baseline: file of the project that lists the fingerprints of known findings.
        fail_on: rules that fail the gate when they hold, for example ``secrets > 0``.
        source: directories and modules that are the product's code; by default what the build
            ships, or what the folders' names say.
        quarantine: file of the project that lists flaky tests, whose failures pass the gate.
        order: in which the tests run: "default" as pytest collects them, "learned" those first
            that are the likeliest to fail, "auto" the latter once a hunt for flaky tests has shown
            that no test minds its order.
        parallel: in how many sessions side by side the tests run: a number, compared with a run in
            one session first; "auto" for as many as the machine has cores, where that pays; "off".
        locked: True to insist on the versions of the project's lock file, False to leave them
            aside; by default they are kept to where they can be had.
        learn: whether agents decide by what earlier runs taught, and teach later ones.
        type_checker: by what types are checked; "auto" for what the project configures.
        docs: patterns of the documents whose examples are run, ``**`` for anything.
        vulnerability_service: whom to ask for known vulnerabilities: "pypi", "osv", or the URL of a
            service that answers as OSV does. It is told names
            and versions of what is installed.
        api: the ASGI or WSGI app whose API is tested, as MODULE:APP or MODULE:FACTORY().
        api_schema: its schema, OpenAPI or GraphQL: a path that it serves, or a file of the project.
        api_examples: most requests that are generated for an operation in each way.
        isolate: run the project's code without the user's files, processes and network.
        allow_network: let isolated code use the network. The user says so, never the project.
        executor: where the work is carried out: "auto" at workers of the memory where there are
            any, else here; "local" here; "queue" at workers; or a Dask scheduler's address.
        model: which language model may be asked. The user names it, never the project: it is asked
            with the user's key, at the user's cost, and is shown the code.
        withheld: variables that the project asks for by pass-env and does not get, being isolated.
    """

    project: str | None = None
    min_coverage: float | None = None
    min_branch_coverage: float | None = None
    required: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    test_timeout: float | None = None
    max_memory: int | None = None
    pass_env: tuple[str, ...] = ()
    max_complexity: int = DEFAULT_COMPLEXITY
    baseline: str | None = None
    fail_on: tuple[str, ...] = ()
    quarantine: str | None = None
    source: tuple[str, ...] = ()
    order: Order = "auto"
    parallel: int | Literal["auto", "off"] = "auto"
    locked: bool | None = None
    learn: bool = True
    type_checker: Types = "auto"
    docs: tuple[str, ...] = USUAL_DOCS
    vulnerability_service: str = "pypi"
    api: str | None = None
    api_schema: str = "/openapi.json"
    api_examples: int = 20
    isolate: bool = False
    allow_network: bool = False
    executor: str = "auto"
    model: ModelChoice | None = None
    withheld: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the options as JSON data."""
        return asdict(self)

    def without_variables(self) -> Settings:
        """Return the settings with none of the variables that pass-env lets through."""
        return replace(self, pass_env=(), withheld=(*self.withheld, *self.pass_env))

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Settings:
        """Return what ``as_data`` was called on, also after a journey as JSON."""
        own = dict(data)
        for several in ("required", "pass_env", "fail_on", "source", "docs", "withheld"):
            # A run that an earlier version began may not have all of them.
            if several in own:
                own[several] = tuple(own[several])
        if own["model"] is not None:
            own["model"] = ModelChoice.of_data(own["model"])
        return cls(**own)


def read_pyproject(project: Path) -> dict[str, Any]:
    """Return the project's ``pyproject.toml``; see read_toml."""
    return read_toml(project / "pyproject.toml")


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says; {} without one.

    Raises:
        ProjectError: it can't be read or is no TOML.

    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except NOT_PARSED as error:
        marked = path.read_bytes().startswith(codecs.BOM_UTF8)
        why = "it begins with a byte order mark, which TOML has not" if marked else reason(error)
        raise ProjectError(f"{path}: no valid TOML: {why}; mend the file") from error
    except OSError as error:
        raise ProjectError(f"{path}: can't be read: {error.strerror or error}") from error


def settings_of(project: Path, pyproject: dict[str, Any], given: dict[str, Any]) -> Settings:
    """Return the run's settings: ``given`` (by option name, None for not given) goes first.

    Raises:
        ProjectError: ``[tool.aqe]`` has an unknown option or a value of the wrong type.
        InvalidArgumentError: ``given`` has.

    """
    where = project / "pyproject.toml"
    tool = pyproject.get("tool", {})
    table = tool.get("aqe", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ProjectError(f"{where}: tool.aqe must be a table, written [tool.aqe]")
    if "model" in table:
        raise ProjectError(
            f"{where}: [tool.aqe] model: a project can't name the model, which would be asked with "
            "your key; name it with --model or AQE_MODEL"
        )
    if "allow-network" in table:
        raise ProjectError(
            f"{where}: [tool.aqe] allow-network: a project can't let itself out of its isolation; "
            "say --allow-network"
        )
    options = {field.name.replace("_", "-"): field.name for field in fields(Settings)}
    own: dict[str, Any] = {}
    for option, value in table.items():
        if option not in _CHECKS:
            told = meant(option, sorted(_CHECKS))
            raise ProjectError(f"{where}: [tool.aqe] unknown option {option!r}; {told}")
        try:
            own[options[option]] = _CHECKS[option](value)
        except ValueError as error:
            raise ProjectError(f"{where}: [tool.aqe] {option} = {value!r}: {error}") from error
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = replace(Settings(**own), **{name: _given(name, chosen[name]) for name in chosen})
    for name in {"baseline", "quarantine"} - {*chosen}:
        _check_within(where, name, getattr(settings, name))
    return _within_isolation(settings, where, chosen) if settings.isolate else settings


def _check_within(where: Path, option: str, path: str | None) -> None:
    """Refuse a file elsewhere, which a project has us read: a device without end, say."""
    if path is not None and not Path(os.path.normpath(where.parent / path)).is_relative_to(
        Path(os.path.normpath(where.parent))
    ):
        raise ProjectError(
            f"{where}: [tool.aqe] {option} = {path!r}: should be a file of the project"
        )


def _within_isolation(settings: Settings, where: Path, chosen: Mapping[str, Any]) -> Settings:
    """Return the settings without what a project can't open of its own isolation."""
    if "executor" not in chosen and is_address(settings.executor):
        # Whoever answers there could run code in this process.
        raise ProjectError(
            f"{where}: [tool.aqe] executor = {settings.executor!r}: a project can't choose whom "
            "its isolation trusts; say --executor"
        )
    service = settings.vulnerability_service
    if "vulnerability_service" not in chosen and service not in _SERVICES:
        # We ask it, from where the project does not reach.
        raise ProjectError(
            f"{where}: [tool.aqe] vulnerability-service = {service!r}: an isolated project can't "
            "choose an address that you call; give it as an argument, or take it out"
        )
    return settings if "pass_env" in chosen else settings.without_variables()


def _given(name: str, value: Any) -> Any:  # noqa: ANN401 - of each option's own type
    if name == "model":
        return value
    checks = {**_CHECKS, "allow-network": _flag}
    check = checks.get(name.replace("_", "-"))
    if check is None:
        known = sorted([*(option.replace("-", "_") for option in checks), "model"])
        raise InvalidArgumentError(f"setting {name!r}: unknown; {meant(name, known)}")
    try:
        return check(list(value) if isinstance(value, tuple) else value)
    except ValueError as error:
        raise InvalidArgumentError(f"setting {name} = {value!r}: {error}") from error


def _name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("should be a text that is not empty")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("should be a list of texts")  # noqa: TRY004 - told to people, as the others
    return tuple(_name(each) for each in value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("should be true or false")  # noqa: TRY004 - likewise
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("should be a whole number of 1 or more")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("should be a number")
    return value


def _percent(value: object) -> float:
    number = _number(value)
    if not 0 <= number <= 100:  # noqa: PLR2004 - of a hundred
        raise ValueError("should be from 0 to 100")
    return number


def _seconds(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError("should be greater than 0")
    return number


def _one_of(*words: str) -> Check:
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"should be one of {', '.join(words)}")
        return str(value)

    return check


def _app(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.]+:[\w.]+(\(\))?", value):
        raise ValueError("should be MODULE:APP, or MODULE:FACTORY()")
    return value


def _service(value: object) -> str:
    if value in _SERVICES or (isinstance(value, str) and value.startswith(("https://", "http://"))):
        return str(value)
    raise ValueError('should be "pypi", "osv" or the URL of a service like OSV')


def sessions(value: object) -> int | str:
    """Return a number of sessions, "auto" or "off"; ValueError for anything else."""
    if isinstance(value, str) and value in {"auto", "off"}:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_SESSIONS:
        return value
    raise ValueError(f'should be "auto", "off" or a whole number from 1 to {_MOST_SESSIONS}')


# By hand, since a library for it takes a tenth of a second to import, with every run.
_CHECKS: Mapping[str, Check] = {
    "project": _name,
    "min-coverage": _percent,
    "min-branch-coverage": _percent,
    "required": _names,
    "timeout": _seconds,
    "test-timeout": _seconds,
    "max-memory": _count,
    "pass-env": _names,
    "max-complexity": _count,
    "baseline": _name,
    "fail-on": _names,
    "quarantine": _name,
    "source": _names,
    "order": _one_of(*get_args(Order)),
    "parallel": sessions,
    "locked": _flag,
    "learn": _flag,
    "docs": _names,
    "vulnerability-service": _service,
    "api": _app,
    "api-schema": _name,
    "api-examples": _count,
    "type-checker": _one_of(*get_args(Types)),
    "isolate": _flag,
    "executor": executor,
}

"""What a run is asked for: the command line over ``[tool.aqe]`` of the project."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lionagi_qe.agents.model_choice import ModelChoice
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_TIMEOUT = 600.0
# Above it a function has more paths than a reader keeps in mind, or a suite tests.
DEFAULT_COMPLEXITY = 15

Percent = Annotated[float, Field(ge=0, le=100)]
Order = Literal["auto", "learned", "default"]
Name = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """The options of one run, as ``[tool.aqe]`` writes them (with dashes).

    Attributes:
        project: the name under which results are kept; by default the project's own.
        min_coverage: lowest line coverage that passes, in percent.
        min_branch_coverage: lowest branch coverage that passes, in percent.
        required: metrics that must be measured.
        timeout: most seconds for the test run.
        max_memory: most MiB of data of each process of the tests; by default three quarters of the
            machine's memory.
        pass_env: environment variables that the tests may see.
        max_complexity: highest cyclomatic complexity of a function that is no finding.
        baseline: file of the project that lists the fingerprints of known findings.
        fail_on: rules that fail the gate when they hold, for example ``secrets > 0``.
        quarantine: file of the project that lists flaky tests, whose failures pass the gate.
        order: in which the tests run: "default" as pytest collects them, "learned" those first
            that are the likeliest to fail, "auto" the latter once a hunt for flaky tests has shown
            that no test minds its order.
        learn: whether agents decide by what earlier runs taught, and teach later ones.
        model: which language model may be asked. The user names it, never the project: it is asked
            with the user's key, at the user's cost, and is shown the code.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )

    project: Name | None = None
    min_coverage: Percent | None = None
    min_branch_coverage: Percent | None = None
    required: tuple[Name, ...] = Field(default=(), strict=False)
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = DEFAULT_TIMEOUT
    max_memory: Annotated[int, Field(ge=1)] | None = None
    pass_env: tuple[Name, ...] = Field(default=(), strict=False)
    max_complexity: Annotated[int, Field(ge=1)] = DEFAULT_COMPLEXITY
    baseline: Name | None = None
    fail_on: tuple[Name, ...] = Field(default=(), strict=False)
    quarantine: Name | None = None
    order: Order = "auto"
    learn: bool = True
    model: Annotated[ModelChoice | None, Field(strict=False)] = None


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: no valid TOML: {error}; mend the file") from error
    except OSError as error:
        raise ProjectError(f"{path}: can't be read: {error.strerror or error}") from error


def project_name(project: Path, pyproject: dict[str, Any]) -> str:
    """Return what the project calls itself, else its directory's name."""
    table = pyproject.get("project", {})
    if not isinstance(table, dict):
        raise ProjectError(f"{project / 'pyproject.toml'}: project must be a table")
    return str(table.get("name") or project.name or "project")


def settings_of(project: Path, pyproject: dict[str, Any], given: dict[str, Any]) -> Settings:
    """Return the run's settings: ``given`` (by option name, None for not given) goes first.

    Raises:
        ProjectError: ``[tool.aqe]`` has an unknown option or a value of the wrong type.

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
    try:
        settings = Settings.model_validate(table, by_name=False, by_alias=True)
    except ValidationError as error:
        raise ProjectError(f"{where}: [tool.aqe] {_complaint(error)}") from error
    return settings.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    option = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        names = sorted(name.replace("_", "-") for name in Settings.model_fields if name != "model")
        known = ", ".join(names)
        return f"unknown option {option!r}; known: {known}"
    message = first["msg"]
    return f"{option} = {first['input']!r}: {message[0].lower()}{message[1:]}"

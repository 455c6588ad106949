"""Poetry's own way of writing requirements, as PEP 508 writes them."""

from __future__ import annotations

import re
from typing import Any

_CARET_OR_TILDE = re.compile(r"([\^~])\s*(\d[\w.]*)")


def poetry_requirements(dependencies: dict[str, Any]) -> tuple[str, ...]:
    """Return a table of Poetry's dependencies as requirements; Python itself is none."""
    return tuple(
        line
        for name, value in dependencies.items()
        if name.lower() != "python"
        for line in _lines(name, value)
    )


def _lines(name: str, value: Any) -> list[str]:  # noqa: ANN401 - as TOML has it
    if isinstance(value, list):
        return [line for each in value for line in _lines(name, each)]
    if isinstance(value, str):
        return [f"{name}{specifier_of(value)}"]
    if not isinstance(value, dict) or "path" in value:
        # A directory beside the project is not in its copy.
        return []
    extras = f"[{','.join(map(str, value['extras']))}]" if value.get("extras") else ""
    if "git" in value:
        at = next((f"@{value[key]}" for key in ("rev", "tag", "branch") if key in value), "")
        what = f"{name}{extras} @ git+{value['git']}{at}"
    elif "url" in value:
        what = f"{name}{extras} @ {value['url']}"
    else:
        what = f"{name}{extras}{specifier_of(str(value.get('version', '*')))}"
    return [what + _markers(value)]


def _markers(value: dict[str, Any]) -> str:
    parts = [f"({value['markers']})"] if value.get("markers") else []
    if value.get("python"):
        parts += [
            f"python_version {operator} '{version}'"
            for operator, version in re.findall(
                r"(>=|<=|==|!=|>|<)\s*([\d.]+)", specifier_of(str(value["python"]))
            )
        ]
    return f" ; {' and '.join(parts)}" if parts else ""


def specifier_of(constraint: str) -> str:
    """Return a version constraint of Poetry as PEP 440 writes it; of alternatives the last.

    ``^1.2`` allows what keeps the first number that is not zero, ``~1.2`` what keeps the second
    number, a bare version is that one (https://python-poetry.org/docs/dependency-specification/).
    """
    chosen = constraint.rsplit("||", maxsplit=1)[-1].strip()
    parts = [part.strip() for part in re.split(r",|(?<=[\w*])\s+(?=[<>=!~^])", chosen)]
    return ",".join(filter(None, map(_part, parts)))


def _part(part: str) -> str:
    if part in {"", "*"}:
        return ""
    match = _CARET_OR_TILDE.fullmatch(part)
    if match is None:
        return f"=={part}" if part[0].isdigit() else part.replace(" ", "")
    numbers = [int(number) for number in re.findall(r"\d+", match[2].partition("-")[0])]
    if match[1] == "~":
        kept = min(2, len(numbers))
    else:
        kept = next((at + 1 for at, number in enumerate(numbers) if number), len(numbers))
    upper = [*numbers[: kept - 1], numbers[kept - 1] + 1]
    return f">={match[2]},<{'.'.join(map(str, upper))}"

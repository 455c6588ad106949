"""Pins of a pytest or coverage.py that is too old for us keep no project from being examined."""

from __future__ import annotations

import pytest

from lionagi_qe.agents.environment.requirements import Requirements
from lionagi_qe.agents.environment.tool_pins import workable

TOOLS = ("pytest>=7", "coverage>=7.6")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["pytest==5.2.4", "pytest-cov[x]==2.10.1; python_version > '3'", "mock<5"],
            ['pytest-cov[x]>=2.10.1; python_version > "3"', "mock<5"],
        ),
        (["Coverage<5", "mock==2.*"], ["mock>=2"]),
        (["pytest~=6.1", "plain"], ["plain"]),
    ],
)
def test_an_older_tool_is_left_out_and_what_is_beside_it_may_be_newer(
    lines: list[str], expected: list[str]
) -> None:
    found, notes = workable(Requirements(installable=True, lines=tuple(lines)), TOOLS)
    assert list(found.lines) == expected
    assert lines[0] in notes[0]


@pytest.mark.parametrize(
    "lines",
    [
        ["pytest==8.0", "mock==2"],
        ["pytest<8", "mock==2"],
        ["pytest==5; python_version < '3'", "mock==2"],
        ["pytest-cov==2", "mock==2"],
    ],
)
def test_others_are_installed_as_they_are_declared(lines: list[str]) -> None:
    declared = Requirements(installable=True, lines=tuple(lines), extras=("test",))
    assert workable(declared, TOOLS) == (declared, [])


def test_an_extra_with_an_older_tool_is_replaced_by_what_it_needs() -> None:
    declared = Requirements(
        installable=True, extras=("test",), dependencies=("attrs==22", "pytest<5"), lines=("mock",)
    )
    found, notes = workable(declared, TOOLS)
    assert (found.extras, found.lines) == ((), ("mock", "attrs>=22"))
    assert "pytest<5" in notes[0]

"""What a project itself needs is known without building it."""

from __future__ import annotations

import textwrap
import tomllib
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.declared.own import own_requirements

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
    [project]
    name = "shop"
    version = "1"
    dependencies = ["attrs"]
    [project.optional-dependencies]
    Test_Kit = ["pytest-mock", "shop[http]"]
    http = ["httpx>=0.2", "shop[test-kit]"]
"""
POETRY = """
    [tool.poetry]
    name = "shop"
    [tool.poetry.dependencies]
    python = "^3.11"
    attrs = "^22"
    httpx = {version = "*", optional = true}
    [tool.poetry.extras]
    http = ["httpx"]
"""
PKG_INFO = """\
Metadata-Version: 2.4
Name: shop
Version: 1
Requires-Dist: attrs>=22; python_version >= "3"
Requires-Dist: tomli; python_version < "3"
Provides-Extra: http
Requires-Dist: httpx; extra == "http"

Requires-Dist: of the description
"""
SETUP_CFG = """
    [metadata]
    name = shop
    [options]
    install_requires =
        attrs
    [options.extras_require]
    http =
        httpx
"""
SETUP = "from setuptools import setup\nsetup(install_requires=['attrs'], extras_require={})\n"
COMPUTED = "from setuptools import setup\nsetup(name='shop', extras_require={'http': read()})\n"
PLACES = {
    "project": ({"pyproject.toml": PROJECT}, ["http"], ["attrs", "httpx>=0.2", "pytest-mock"]),
    "canonical": (
        {"pyproject.toml": PROJECT},
        ["test.kit"],
        ["attrs", "pytest-mock", "httpx>=0.2"],
    ),
    "without-extras": ({"pyproject.toml": PROJECT}, [], ["attrs"]),
    "unknown-extra": ({"pyproject.toml": PROJECT}, ["docs"], None),
    "poetry": ({"pyproject.toml": POETRY}, [], ["attrs>=22,<23"]),
    "poetry-extra": ({"pyproject.toml": POETRY}, ["http"], ["attrs>=22,<23", "httpx"]),
    "metadata": ({"PKG-INFO": PKG_INFO}, ["http"], ["attrs>=22", "httpx"]),
    "metadata-alone": ({"PKG-INFO": PKG_INFO}, [], ["attrs>=22"]),
    "dynamic": (
        {
            "pyproject.toml": '[project]\nname = "shop"\ndynamic = ["dependencies"]\n',
            "PKG-INFO": PKG_INFO,
        },
        [],
        ["attrs>=22"],
    ),
    "setup-cfg": ({"setup.cfg": SETUP_CFG}, ["http"], ["attrs", "httpx"]),
    "setup-py": ({"setup.py": SETUP}, [], ["attrs"]),
    "computed": ({"setup.py": COMPUTED}, ["http"], None),
    "nothing": ({}, [], []),
}


@pytest.mark.parametrize(("files", "extras", "expected"), PLACES.values(), ids=PLACES)
def test_dependencies_and_extras_are_read_where_they_are(
    tmp_path: Path, files: dict[str, str], extras: list[str], expected: list[str] | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    pyproject = tomllib.loads(textwrap.dedent(files.get("pyproject.toml", "")))
    found = own_requirements(tmp_path, pyproject, extras)
    assert (None if found is None else list(found)) == expected

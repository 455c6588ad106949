"""Which versions the lock files of Poetry, PDM, Pipenv and PEP 751 hold."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.lock_files import constraints_of, lock_file_of
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

POETRY = """
    [[package]]
    name = "Sniffio"
    version = "1.3.0"
    optional = false

    [[package]]
    name = "twice"
    version = "1.0"

    [[package]]
    name = "twice"
    version = "2.0"

    [[package]]
    name = "colorama"
    version = "0.4.6"
    markers = 'sys_platform == "win32"'

    [[package]]
    name = "split"
    version = "1.0"
    markers = {main = 'python_version < "3.12"', dev = 'python_version < "3.12"'}

    [[package]]
    name = "split"
    version = "2.0"
    markers = 'python_version >= "3.12"'

    [[package]]
    name = "mine"
    version = "0.1"
    [package.source]
    type = "git"
    url = "https://example.org/mine.git"

    [[package]]
    name = "own-index"
    version = "3.0"
    [package.source]
    type = "legacy"
    url = "https://example.org/simple"
"""
PDM = """
    [metadata]
    lock_version = "4.5.0"

    [[package]]
    name = "anyio"
    version = "4.4.0"
    marker = 'python_version >= "3.8"'

    [[package]]
    name = "anyio"
    version = "4.4.0"
    extras = ["trio"]
    marker = 'python_version >= "3.8"'

    [[package]]
    name = "local"
    version = "1"
    path = "./local"
"""
PYLOCK = """
    lock-version = "1.0"
    [[packages]]
    name = "attrs"
    version = "25.1.0"
    [[packages]]
    name = "from-git"
    vcs = {type = "git", url = "https://example.org/x.git", commit-id = "abc"}
    version = "1"
"""
PIPFILE = """
    {"default": {"idna": {"version": "==3.7", "markers": "python_version >= '3.5'"},
                 "here": {"path": ".", "editable": true}},
     "develop": {"iniconfig": {"version": "==2.0.0"}}}
"""


@pytest.mark.parametrize(
    ("name", "text", "held"),
    [
        (
            "poetry.lock",
            POETRY,
            [
                "sniffio==1.3.0",
                'colorama==0.4.6 ; sys_platform == "win32"',
                'split==1.0 ; python_version < "3.12"',
                'split==2.0 ; python_version >= "3.12"',
                "own-index==3.0",
            ],
        ),
        ("pdm.lock", PDM, ['anyio==4.4.0 ; python_version >= "3.8"']),
        ("pylock.toml", PYLOCK, ["attrs==25.1.0"]),
        ("Pipfile.lock", PIPFILE, ['idna==3.7 ; python_version >= "3.5"', "iniconfig==2.0.0"]),
    ],
)
def test_versions_of_an_index_are_held(
    name: str, text: str, held: list[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(dedent(text))
    lock = lock_file_of(tmp_path)
    assert lock is not None
    assert constraints_of(lock) == held


def test_the_one_that_the_project_is_built_with_goes_first(tmp_path: Path) -> None:
    assert lock_file_of(tmp_path) is None
    for name in ("Pipfile.lock", "poetry.lock", "uv.lock"):
        (tmp_path / name).touch()
        assert lock_file_of(tmp_path) == tmp_path / name


@pytest.mark.parametrize("name", ["poetry.lock", "Pipfile.lock"])
def test_one_that_is_broken_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{{")
    with pytest.raises(ProjectError, match=name):
        constraints_of(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Pipfile.lock", "[]"),
        ("Pipfile.lock", '{"default": [1], "develop": {"a": 1}}'),
        ("poetry.lock", "package = [1, {name = 1, version = 2}]"),
    ],
)
def test_what_is_no_package_is_left_out(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert constraints_of(tmp_path / name) == []

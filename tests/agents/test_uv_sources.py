"""Requirements come from where ``[tool.uv.sources]`` says that they do."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.uv_sources import located, sources_of_uv
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

FROM_GIT = {
    '{ git = "https://example.org/ink" }': "git+https://example.org/ink",
    '{ git = "https://example.org/ink", tag = "v1" }': "git+https://example.org/ink@v1",
    '{ git = "ssh://git@example.org/ink.git", rev = "abc", subdirectory = "py" }': (
        "git+ssh://git@example.org/ink.git@abc#subdirectory=py"
    ),
    '{ url = "https://example.org/ink-1.tar.gz" }': "https://example.org/ink-1.tar.gz",
    '{ path = "wheels/ink 1.whl" }': "file:wheels/ink%201.whl",
    '[{ url = "https://example.org/old", marker = "python_version < \'3\'" },'
    ' { git = "https://example.org/new" }]': "git+https://example.org/new",
}


def lines(root: Path, sources: str, *wanted: str, copied: Path | None = None) -> list[str]:
    pyproject = tomllib.loads(f"[tool.uv.sources]\n{sources}\n")
    return list(located(wanted, root, pyproject, copied or root))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop" / "wheels").mkdir(parents=True)
    (tmp_path / "shop" / "wheels" / "ink 1.whl").touch()
    (tmp_path / "ink").mkdir()
    (tmp_path / "ink" / "pyproject.toml").touch()
    return tmp_path / "shop"


@pytest.mark.parametrize(("source", "url"), FROM_GIT.items())
def test_a_line_is_given_its_source(root: Path, source: str, url: str) -> None:
    wanted = "Ink[red]>=1; python_version > '3'"
    assert lines(root, f"ink = {source}", wanted) == [f'Ink[red] @ {url} ; python_version > "3"']


@pytest.mark.parametrize(
    "source",
    ["{ workspace = true }", '{ index = "own" }', '{ path = "../ink" }', "1", "{ path = 1 }"],
)
def test_what_is_a_project_or_has_an_index_keeps_its_name(root: Path, source: str) -> None:
    assert lines(root, f"ink = {source}", "ink>1", "dye") == ["ink>1", "dye"]


def test_what_has_a_source_in_its_line_keeps_that(root: Path) -> None:
    wanted = "ink @ https://example.org/ink.whl"
    assert lines(root, 'ink = { git = "https://example.org/ink" }', wanted, "-e .") == [
        wanted,
        "-e .",
    ]


def test_a_file_that_is_not_copied_is_named_by_its_whole_path(root: Path) -> None:
    (root.parent / "dye.whl").touch()
    (line,) = lines(root, 'dye = { path = "../dye.whl" }', "dye")
    assert line == f"dye @ {(root.parent / 'dye.whl').resolve().as_uri()}"
    (line,) = lines(root.parent, 'dye = { path = "shop/wheels/ink 1.whl" }', "dye", copied=root)
    assert line == "dye @ file:wheels/ink%201.whl"


@pytest.mark.parametrize("path", ["gone.whl", "../gone", 5000 * "x", "wheels"])
def test_where_nothing_lies_it_is_told(root: Path, path: str) -> None:
    with pytest.raises(ProjectError, match="where no project and no file is; put it there"):
        lines(root, f'ink = {{ path = "{path}" }}', "ink")


def test_other_projects_are_found_by_their_names(root: Path) -> None:
    sources = {"Ink": {"path": "../ink"}, "dye": {"path": "../gone"}, "nib": {"git": "x"}}
    found = sources_of_uv(root, {"tool": {"uv": {"sources": sources}}})
    assert found == {"ink": root.parent.resolve() / "ink"}

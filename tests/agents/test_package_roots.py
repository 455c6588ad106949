"""Where a project tells its build that the packages are, there they are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.package_roots import declared_roots

if TYPE_CHECKING:
    from pathlib import Path

# By the tool: the file that tells it, and its text.
DECLARED = {
    "maturin": ("pyproject.toml", '[tool.maturin]\npython-source = "lib"\n'),
    "setuptools": ("pyproject.toml", '[tool.setuptools.package-dir]\n"" = "lib"\n'),
    "find": ("pyproject.toml", '[tool.setuptools.packages.find]\nwhere = ["lib"]\n'),
    "setup.cfg": ("setup.cfg", "[options]\npackage_dir =\n    = lib\n"),
    "setup.cfg-find": ("setup.cfg", "[options.packages.find]\nwhere = lib\n"),
    "setup.py": ("setup.py", "import setuptools\nsetuptools.setup(package_dir={'': 'lib'})\n"),
    "poetry": (
        "pyproject.toml",
        '[tool.poetry]\npackages = [{ include = "shop", from = "lib" }]\n',
    ),
    "pdm": ("pyproject.toml", '[tool.pdm.build]\npackage-dir = "lib"\n'),
    "uv": ("pyproject.toml", '[tool.uv.build-backend]\nmodule-root = "lib"\n'),
    "hatch": ("pyproject.toml", '[tool.hatch.build.targets.wheel]\npackages = ["lib/shop"]\n'),
    "hatch-sources": ("pyproject.toml", '[tool.hatch.build.targets.wheel]\nsources = ["lib"]\n'),
    "hatch-renamed": (
        "pyproject.toml",
        '[tool.hatch.build.targets.wheel.sources]\n"lib" = ""\n',
    ),
    "scikit-build": ("pyproject.toml", '[tool.scikit-build]\nwheel.packages = ["lib/shop"]\n'),
}


def tree(top: Path, *names: str) -> Path:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return top


@pytest.mark.parametrize("tool", DECLARED)
def test_packages_are_where_the_build_is_told(tool: str, tmp_path: Path) -> None:
    file, text = DECLARED[tool]
    # What lies in src/ is Rust, or something else that is not shipped.
    tree(tmp_path, "lib/shop/__init__.py", "src/lib.rs", "src/make.py", "tests/test_shop.py")
    (tmp_path / file).write_text(text)

    layout = layout_of(tmp_path)
    assert (layout.scope, layout.roots) == (["lib/shop"], (tmp_path / "lib", tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[tool.maturin]\npython-source = "../elsewhere"\n',
        '[tool.maturin]\npython-source = "/"\n',
        '[tool.maturin]\npython-source = "absent"\n',
        "[tool.maturin]\npython-source = 3\n",
        'tool = "none"\n',
        '[tool]\nsetuptools = "none"\n',
        "[tool.poetry]\npackages = [3]\n",
        '[tool.hatch.build.targets.wheel]\npackages = ["shop"]\n',
    ],
)
def test_what_names_no_directory_below_the_project_says_nothing(text: str, tmp_path: Path) -> None:
    tree(tmp_path, "shop/__init__.py")
    (tmp_path / "pyproject.toml").write_text(text)
    assert declared_roots(tmp_path) == []
    assert layout_of(tmp_path).scope == ["shop"]


def test_what_is_shipped_tells_which_of_several_places_it_is(tmp_path: Path) -> None:
    # As Meson ships it, whose files only Meson reads.
    tree(tmp_path, "tooling/make.py", "wheel_src/shop/__init__.py", "meson.build")
    assert layout_of(tmp_path).scope == ["tooling", "wheel_src"]
    assert layout_of(tmp_path, ["shop"]).only(["shop"]).scope == ["wheel_src/shop"]
    assert layout_of(tmp_path, ["unknown"]).scope == ["tooling", "wheel_src"]

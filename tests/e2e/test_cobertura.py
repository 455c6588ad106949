"""Coverage as Cobertura's XML, for GitLab: what coverage.py's own writer says, in its form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

FILES = {
    "shop/__init__.py": "",
    "shop/price.py": """
        def price(count, member):
            if count > 10:
                return 9 * count
            while member:
                member = False
            return 10 * count if count else 0


        def names(of):
            for each in of:
                yield each
        """,
    "shop/sub/__init__.py": "ALL = [1]\n",
    "shop/sub/order.py": """
        def order(kind):
            match kind:
                case "a":
                    return 1
                case "b":
                    return 2
            return 3
        """,
    "test_shop.py": """
        from shop.price import price
        from shop.sub.order import order

        def test_price():
            assert price(2, True) == 20
            assert order("b") == 2
        """,
}
DTD = Path(__file__).parent / "coverage-04.dtd"


def own_xml(root: Path, folder: Path) -> etree._Element:
    rcfile, out = folder / "rc", folder / "own.xml"
    data = folder / "own-data"
    rcfile.write_text(f"[run]\nbranch = true\nsource = shop\ndata_file = {data}\n")
    for words in (
        ("run", f"--rcfile={rcfile}", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        ("xml", f"--rcfile={rcfile}", "-o", out),
    ):
        subprocess.run(
            [sys.executable, "-m", "coverage", *map(str, words)],
            cwd=root,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            check=True,
            capture_output=True,
        )
    return etree.parse(out).getroot()


def told(element: etree._Element) -> dict[str, str]:
    # Where a missed branch leads is coverage.py's own addition, which Cobertura's form lacks.
    left_out = {"timestamp", "filename", "missing-branches"}
    return {name: value for name, value in element.items() if name not in left_out}


def test_every_line_branch_and_rate_is_that_of_coverage_py(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root, file = project(FILES), tmp_path / "coverage.xml"
    answer = examine(root, "--report", f"cobertura={file}")

    ours = etree.parse(file).getroot()
    dtd = etree.DTD(str(DTD))
    assert dtd.validate(ours), dtd.error_log
    own = own_xml(root, tmp_path)
    assert told(ours) == told(own)
    classes = {each.get("filename"): each for each in ours.iter("class")}
    theirs = {f"shop/{each.get('filename')}": each for each in own.iter("class")}
    assert sorted(classes) == sorted(theirs)
    for name, each in classes.items():
        assert (root / name).is_file()
        assert told(each) == told(theirs[name])
        assert list(map(told, each.iter("line"))) == list(map(told, theirs[name].iter("line")))
    packages = {each.get("name"): told(each) for each in ours.iter("package")}
    assert list(packages) == ["shop", "shop.sub"]
    assert [each.text for each in ours.iter("source")] == [answer.document["path"]]
    assert int(ours.get("branches-covered", "")) == answer.value("branches_covered")


def test_coverage_that_was_not_measured_is_no_hundred_percent(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    file = tmp_path / "coverage.xml"
    examine(project({"test_it.py": "def test_it(): pass\n"}), "--report", f"cobertura={file}")

    root = etree.parse(file).getroot()
    assert etree.DTD(str(DTD)).validate(root)
    assert (root.get("line-rate"), root.get("lines-valid")) == ("0", "0")
    assert "not measured: " in file.read_text()

"""Which modules of a wheel somebody can import."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from packaging.requirements import Requirement

from lionagi_qe.agents.package_check.wheel import importable, without_lowest


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["shop/__init__.py", "shop/stock.py", "shop/py.typed"], ["shop"]),
        (["shop.py", "_shop.cpython-311-x86_64-linux-gnu.so"], ["_shop", "shop"]),
        (["ns/shop/__init__.py", "ns/stock.py"], ["ns.shop", "ns.stock"]),
        (["shop/__init__.pyi", "shop/__init__.py", "shop/sub/deep/x.py"], ["shop"]),
        (["a-script.py", "shop/__main__.py", "data/text.txt"], []),
    ],
)
def test_top_modules_are_those_that_stand_in_no_package(
    files: list[str], modules: list[str]
) -> None:
    assert importable(map(PurePosixPath, files)) == modules


def test_only_what_bounds_a_version_from_below_states_a_lowest_one() -> None:
    lines = ["a>=1", "b", "c<2", "d~=1.1", "e==1.*", "f!=3", "g @ https://example.org/g.whl"]
    assert without_lowest(map(Requirement, lines)) == ["b", "c", "f"]

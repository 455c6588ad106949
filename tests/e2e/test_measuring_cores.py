"""Figures of coverage are the same by whichever of its ways coverage.py measures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

# sysmon measures branches from Python 3.14 on, where coverage.py takes it by itself.
CORES = ["ctrace", "pytrace", *(["sysmon"] if sys.version_info >= (3, 14) else [])]
SHOP = {
    "shop.py": """
        import threading

        def price(amount, member=False):
            if member and amount > 2:
                return amount * 0.9
            for _ in range(amount):
                if amount > 3:
                    break
            else:
                amount += 1
            return amount

        def prices():
            try:
                yield from (price(each) for each in range(5))
            finally:
                done.append(True)

        def elsewhere():
            worker = threading.Thread(target=lambda: done.append(price(9, True)))
            worker.start()
            worker.join()

        def never(a):
            return 1 if a else 2

        done = []
    """,
    "test_shop.py": """
        import subprocess, sys
        import shop

        def test_generator():
            assert sum(shop.prices()) == 11

        def test_thread():
            shop.elsewhere()

        def test_process():
            subprocess.run([sys.executable, "-c", "import shop; shop.price(1)"], check=True)
    """,
}


def test_each_core_of_coverage_measures_the_same(examine: Examine, project: Write) -> None:
    root = project(SHOP)
    figures = [examine(root).document["files"]]
    for core in CORES:
        answer = examine(root, "--pass-env", "COVERAGE_CORE", env={"COVERAGE_CORE": core})
        figures.append(answer.document["files"])
    assert figures[0][0]["branches_covered"] > 0
    assert all(each == figures[0] for each in figures)

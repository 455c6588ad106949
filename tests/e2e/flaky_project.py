"""A project of 40 tests, of which six are flaky, each for another reason or at another rate."""

from __future__ import annotations

import textwrap

ORDER = "tests/test_cart.py::test_the_cart_is_empty"
TIME = "tests/test_opening.py::test_the_shop_is_open"
LEAK = "tests/test_export.py::test_there_is_no_export_yet"
RANDOM = {
    0.05: "tests/test_chance.py::test_rarely_fails",
    0.2: "tests/test_chance.py::test_often_fails",
    0.5: "tests/test_chance.py::test_fails_as_often_as_not",
}
CERTAIN = {ORDER, TIME, LEAK}
FLAKY = CERTAIN | set(RANDOM.values())


def files() -> dict[str, str]:
    """Return file name -> text."""
    written = {
        "tests/test_cart.py": """
            CART = []

            def test_the_cart_is_empty():
                assert CART == []

            def test_something_is_added():
                CART.append("mug")
                assert "mug" in CART
        """,
        "tests/test_opening.py": """
            from datetime import datetime

            def test_the_shop_is_open():
                assert datetime.now().hour < 20

            def test_a_day_has_24_hours():
                assert 0 <= datetime.now().hour < 24
        """,
        "tests/test_export.py": """
            import pathlib, tempfile

            EXPORT = pathlib.Path(tempfile.gettempdir()) / "export.csv"

            def test_there_is_no_export_yet():
                assert not EXPORT.exists()

            def test_export():
                EXPORT.write_text("mug")
                assert EXPORT.read_text() == "mug"
        """,
        "tests/test_chance.py": """
            import random

            def test_rarely_fails():
                assert random.random() >= 0.05

            def test_often_fails():
                assert random.random() >= 0.2

            def test_fails_as_often_as_not():
                assert random.random() >= 0.5

            def test_a_seeded_generator_is_no_chance():
                assert random.Random(1).random() < 0.5
        """,
    }
    stable = "\n".join(f"def test_{number}():\n    assert {number} >= 0\n" for number in range(15))
    written["tests/test_stable.py"] = stable
    written["tests/test_more.py"] = stable.replace("def test_", "def test_more_")
    return {name: textwrap.dedent(text) for name, text in written.items()}

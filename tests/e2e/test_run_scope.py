"""Which code counts as the product's: what the build ships, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_the_build_ships_is_measured_and_tests_and_migrations_are_not(
    examine: Examine, project: Write
) -> None:
    module = "def f():\n    return 1\n"
    files = {
        "shop/__init__.py": module,
        "shop/models.py": module,
        "shop/tests.py": module,
        "shop/migrations/__init__.py": module,
        "fuzz/run.py": module,
        "extra/__init__.py": module,
        "test_shop.py": "import shop\ndef test_f(): assert shop.f() == 1\n",
        "pyproject.toml": """
            [project]
            name = "shop"
            version = "1"

            [tool.setuptools]
            packages = ["shop", "shop.migrations"]
        """,
    }
    root = project(files)
    answer = examine(root)
    assert answer.document["environment"]["scope"] == ["shop"]
    assert answer.document["environment"]["scope_origin"] == "what the build ships"
    assert [each["file"] for each in answer.document["files"]] == [
        "shop/__init__.py",
        "shop/models.py",
    ]
    (root / "pyproject.toml").write_text('[tool.aqe]\nsource = ["extra"]\n')
    chosen = examine(root)
    assert chosen.document["environment"]["scope"] == ["extra"]
    assert "extra/__init__.py" not in answer.document["environment"]["scope"]


# A build of somebody's own, whose files nobody else can read.
OWN_BUILD = """
    import zipfile

    METADATA = "Metadata-Version: 2.1\\nName: shop\\nVersion: 1\\n"
    WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"

    def build_wheel(directory, config_settings=None, metadata_directory=None):
        name = "shop-1-py3-none-any.whl"
        with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
            wheel.write("parts/shop/__init__.py", "shop/__init__.py")
            wheel.writestr("shop/made.py", "NUMBER = 1\\n")
            wheel.writestr("shop-1.dist-info/METADATA", METADATA)
            wheel.writestr("shop-1.dist-info/WHEEL", WHEEL)
            names = ["shop/__init__.py", "shop/made.py", "shop-1.dist-info/METADATA"]
            names += ["shop-1.dist-info/WHEEL", "shop-1.dist-info/RECORD"]
            wheel.writestr("shop-1.dist-info/RECORD", "".join(f"{each},,\\n" for each in names))
        return name
"""
BACKENDS = {
    "setuptools": """
        [project]
        name = "shop"
        version = "1"
        [tool.setuptools]
        package-dir = { "" = "parts" }
        packages = ["shop"]
    """,
    "own": """
        [build-system]
        requires = []
        build-backend = "own_build"
        backend-path = ["building"]
        [project]
        name = "shop"
        version = "1"
    """,
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_packages_in_a_directory_of_any_name_are_those_of_the_copy(
    backend: str, examine: Examine, project: Write
) -> None:
    files = {
        "pyproject.toml": BACKENDS[backend],
        "building/own_build.py": OWN_BUILD,
        "parts/shop/__init__.py": """
            def price(member):
                if member:
                    return 1
                return 2
        """,
        "tests/test_shop.py": "import shop\ndef test_price(): assert shop.price(True) == 1\n",
    }
    # The environment is kept, and has no copy of what is in the project.
    for text, lines in (
        (files["parts/shop/__init__.py"], (3, 4)),
        ("def price(_):\n    return 1\n", (2, 2)),
    ):
        document = examine(project(files | {"parts/shop/__init__.py": text})).document
        assert document["environment"]["scope"] == ["parts/shop"]
        (own,) = [each for each in document["files"] if each["file"] == "parts/shop/__init__.py"]
        assert (own["lines_covered"], own["lines"]) == lines

"""The tests that a change needs are selected: those that break are among them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import STOREFRONT

from lionagi_qe.agents.project.diff import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]

FLAKY = "test_restock_is_picked_up_by_the_poller"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, str]:
    """The storefront under git, its tests mapped at the first commit; and the memory's URL."""
    root = tmp_path_factory.mktemp("mapped")
    shutil.copytree(STOREFRONT, root / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    git(root / "shop", "init", "-q")
    git(root / "shop", "add", ".")
    git(root / "shop", "commit", "-qm", "first")
    url = f"sqlite:///{root / 'channels.db'}"
    return root / "shop", url


@pytest.fixture
def select(mapped: tuple[Path, str], aqe: Aqe, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Change the storefront by (file, old text, new text) and select; the map is made once."""
    origin, url = mapped
    database = url.removeprefix("sqlite:///")

    def call(*edits: tuple[str, str, str]) -> dict[str, Any]:
        from pathlib import Path

        if not Path(database).exists():
            made = aqe("select", origin, "--measure", "--memory", url, "--json")
            assert made.exit_code == 0, made.err
        root = tmp_path / "shop"
        shutil.copytree(origin, root)
        for file, old, new in edits:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text() if path.exists() else ""
            assert old in text
            path.write_text(text.replace(old, new, 1) if old else new)
        answer = aqe("select", root, "--memory", url, "--base", "HEAD", "--json")
        assert answer.exit_code == 0, answer.err
        selection = answer.document["selection"]
        # The flaky test may have failed when the map was made.
        chosen = [test for test in selection["selected"] if not test["why"].startswith("it failed")]
        return selection | {"selected": chosen, "ids": {test["id"] for test in chosen}}

    return call


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True)


def test_a_changed_line_needs_the_tests_that_run_it(select: Callable[..., dict[str, Any]]) -> None:
    body = "return amount - self.value if amount >= self.least else amount"
    found = select(("src/storefront/pricing.py", body, body.replace(">=", ">")))

    assert found["ids"] == {
        "tests/test_basket.py::test_discounts_apply_one_after_the_other",
        "tests/test_basket.py::test_a_total_is_never_negative",
        "tests/test_basket.py::test_a_voucher_needs_its_least_amount",
    }
    assert {test["why"] for test in found["selected"]} == {
        "it runs changed lines of src/storefront/pricing.py"
    }


def test_lines_that_moved_are_found_again(select: Callable[..., dict[str, Any]]) -> None:
    file = "src/storefront/pricing.py"
    body = "return amount - self.value if amount >= self.least else amount"
    found = select((file, "CENT =", "# a\n# comment\n\nCENT ="), (file, body, f"{body} or amount"))

    assert len(found["ids"]) == 3


def test_an_added_line_needs_the_tests_around_it(select: Callable[..., dict[str, Any]]) -> None:
    line = "        self._catalogue.get(sku)\n        if"
    found = select(
        ("src/storefront/basket.py", line, line.replace("\n", '\n        sku = sku + "x"\n'))
    )

    assert "tests/test_basket.py::test_quantities_add_up" in found["ids"]
    assert "tests/test_basket.py::test_a_new_basket_is_empty" not in found["ids"]


def test_what_runs_on_import_needs_all_that_import_it(
    select: Callable[..., dict[str, Any]],
) -> None:
    edit = ("OutOfStockError(Ex", "OutOfStockError(OSError or Ex")
    found = select(("src/storefront/stock.py", *edit))

    files = {test.split("::")[0] for test in found["ids"]}
    assert files == {
        f"tests/test_{name}.py" for name in ("stock", "orders", "basket", "catalogue", "shipping")
    }


def test_comments_and_prose_need_nothing(select: Callable[..., dict[str, Any]]) -> None:
    found = select(
        ("src/storefront/pricing.py", "CENT =", "# of a unit\nCENT ="),
        ("README.md", "# storefront", "# The storefront"),
    )

    assert found["ids"] == set()
    assert [each["file"] for each in found["unknown"]] == ["README.md"]


def test_a_function_that_no_test_runs_is_told(select: Callable[..., dict[str, Any]]) -> None:
    found = select(("src/storefront/reports.py", '"No orders.\\n"', '"Nothing.\\n"'))

    assert found["ids"] == set()
    assert found["unreached"] == [{"file": "src/storefront/reports.py", "lines": [22]}]


def test_test_files_shared_code_and_configuration(select: Callable[..., dict[str, Any]]) -> None:
    found = select(
        ("tests/test_shipping.py", '"0"', '"0.00"'),
        ("tests/test_new.py", "", "def test_new(): pass\n"),
    )
    assert {test.split("::")[0] for test in found["ids"]} == {"tests/test_shipping.py"}
    assert found["new_files"] == ["tests/test_new.py"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tests/conftest.py", '"Blue mug"', '"Red mug"'),
        ("pyproject.toml", '["tests"]', '["tests", "more"]'),
        ("src/storefront/rates.json", "", "{}"),
    ],
)
def test_what_can_matter_anywhere_needs_all(
    select: Callable[..., dict[str, Any]], file: str, old: str, new: str
) -> None:
    assert len(select((file, old, new))["ids"]) >= 60


def test_ids_are_printed_for_pytest(
    mapped: tuple[Path, str], aqe: Aqe, select: Callable[..., dict[str, Any]]
) -> None:
    select()
    origin, url = mapped
    answer = aqe("select", origin, "--memory", url, "--base", "HEAD", "--quiet")

    assert answer.out.splitlines() in ([], ["tests/test_stock.py::" + FLAKY])
    assert " of 61 tests are needed since " in answer.err


def test_without_a_map_nothing_is_claimed(
    aqe: Aqe, project: Callable[[dict[str, str]], Path]
) -> None:
    answer = aqe("select", project({"test_a.py": "def test_a(): pass\n"}), "--json")

    assert "no test run of this project was mapped yet" in answer.reason("tests_selected")
    assert answer.exit_code == 4


def test_where_nothing_is_known_what_reads_the_tests_gets_nothing(
    aqe: Aqe, project: Callable[[dict[str, str]], Path]
) -> None:
    answer = aqe("select", project({"test_a.py": "def test_a(): pass\n"}), "--quiet")

    assert (answer.exit_code, answer.out) == (4, "")
    assert answer.err.startswith("aqe: not known which tests are needed: no test run of this")


def test_a_base_that_is_none_is_one_clear_line(
    aqe: Aqe, project: Callable[[dict[str, str]], Path]
) -> None:
    root = project({"test_a.py": "def test_a(): pass\n"})
    answer = aqe("select", root, "--base", "--output=x")

    assert answer.err == (
        f"aqe: --base --output=x: {root} is in no git repository, so there is nothing to compare; "
        "leave it out\n"
    )
    assert answer.exit_code == 2

    said = (
        "fatal: detected dubious ownership in repository at '/shop'\n"
        "To add an exception for this directory, call:\n\n"
        "\tgit config --global --add safe.directory /shop\n"
    )
    told = refusal(root, said)
    assert "belongs to another user (detected dubious ownership in repository at '/shop')" in told
    assert told.endswith("; if you trust it: git config --global --add safe.directory /shop")
    missing = refusal(root, "fatal: Needed a single revision\n")
    assert missing.endswith("its repository has no such commit; name a commit, branch or tag")

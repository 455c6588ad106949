"""The variables that projects set for their tests are read where they set them."""

from __future__ import annotations

import sys
import textwrap
import tomllib
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.declared.tox_directory import notes_on_directory
from lionagi_qe.agents.environment.variables import DeclaredVariables, variables_of

if TYPE_CHECKING:
    from pathlib import Path

TAG = f"py{sys.version_info[0]}{sys.version_info[1]}"


def declared(tmp_path: Path, files: dict[str, str], *pass_env: str) -> DeclaredVariables:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    text = (tmp_path / "pyproject.toml").read_text() if "pyproject.toml" in files else ""
    return variables_of(tmp_path, tomllib.loads(text), pass_env)


def seen(found: DeclaredVariables, tmp_path: Path) -> dict[str, str]:
    """Return what tests see, with the copy at /copy."""
    root = tmp_path.with_name("copy")
    at = found.at(root, root / "home", root / "tmp", root / "python")
    return {name: value.replace(str(root), "/copy") for name, value in at.items()}


def tox(text: str) -> dict[str, str]:
    return {"tox.ini": "[testenv]\ncommands = pytest\n" + textwrap.dedent(text)}


READ = {
    "tox-ini": (
        tox(
            """
            setenv =
                # said of all
                PYTHONHASHSEED = 0
                ; and of this
                EMPTY=
                QUOTED=a=b; c
            """
        ),
        {"PYTHONHASHSEED": "0", "EMPTY": "", "QUOTED": "a=b; c"},
    ),
    "tox-substitutions": (
        tox(
            """
            set_env =
                DATA = {toxinidir}{/}data
                NAME = {envname}
                CACHE = {env:NO_SUCH_VARIABLE:{tox_root}/cache}
                AGAIN = {env:DATA}/again
                WORK = {envtmpdir}/work
                JSON = {"a": 1}
            """
        ),
        {
            "DATA": "/copy/data",
            "NAME": TAG,
            "CACHE": "/copy/cache",
            "AGAIN": "/copy/data/again",
            "WORK": "/copy/tmp/work",
            "JSON": '{"a": 1}',
        },
    ),
    "tox-factors-and-markers": (
        tox(
            f"""
            setenv =
                {TAG}: HERE=1
                lint: THERE=1
                NEW=1; python_version >= "3.0"
                OLD=1; python_version < "3.0"
            """
        ),
        {"HERE": "1", "NEW": "1"},
    ),
    "tox-references": (
        {"tox.ini": "[base]\nsetenv =\n  A=1\n[testenv]\nsetenv =\n  {[base]setenv}\n  B=2\n"},
        {"A": "1", "B": "2"},
    ),
    "tox-of-this-python": (
        {
            "tox.ini": f"""
                [testenv]
                commands = pytest
                setenv = A=1
                [testenv:{{py20,{TAG}}}]
                commands = pytest
                setenv = A=2
                [testenv:other]
                commands = pytest
                setenv = A=3
            """
        },
        {"A": "2"},
    ),
    "tox-inherited": (
        {
            "tox.ini": """
                [testenv]
                commands = make all
                setenv = A=1
                [testenv:tests]
                commands = pytest
            """
        },
        {"A": "1"},
    ),
    "tox-file": (
        tox("set_env = file|test.env\n") | {"test.env": "# of the tests\nexport A=1\nB=2\n"},
        {"A": "1", "B": "2"},
    ),
    "tox-setup-cfg": ({"setup.cfg": "[tox:testenv]\nsetenv = A=1\n"}, {"A": "1"}),
    "tox-toml": (
        {
            "tox.toml": """
                [env_run_base]
                commands = [["pytest"]]
                set_env.A = "{tox_root}/a"
                set_env.B = { replace = "env", name = "NO_SUCH_VARIABLE", default = "b" }
                set_env.C = { value = "c", marker = "python_version < '3.0'" }
            """
        },
        {"A": "/copy/a", "B": "b"},
    ),
    "tox-in-pyproject": (
        {"pyproject.toml": "[tool.tox.env_run_base]\nset_env = {A = '1'}\n"},
        {"A": "1"},
    ),
    "nox": (
        {
            "noxfile.py": """
                import nox
                MORE = {"D": "4"}
                @nox.session
                def tests(session):
                    session.env["A"] = "1"
                    session.env.update({"B": "2"})
                    session.run("pytest", env={"C": "3"})
                    session.run("coverage", "run", env=MORE)
                    session.run("make", env={"E": "5"})
                @nox.session
                def lint(session):
                    session.env["F"] = "6"
            """
        },
        {"A": "1", "B": "2", "C": "3", "D": "4"},
    ),
    "hatch": (
        {
            "pyproject.toml": """
                [tool.hatch.envs.default.env-vars]
                A = "1"
                [tool.hatch.envs.test.env-vars]
                B = "{root}/b"
            """
        },
        {"B": "/copy/b"},
    ),
    "django-manage": (
        {
            "manage.py": """
                import os
                def main():
                    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
            """,
            "shop/settings.py": "",
        },
        {"DJANGO_SETTINGS_MODULE": "shop.settings"},
    ),
    "django-runtests-beside-tox": (
        tox("setenv = A=1\n")
        | {
            "runtests.py": "os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n",
            "tests/settings/__init__.py": "",
        },
        {"A": "1", "DJANGO_SETTINGS_MODULE": "tests.settings"},
    ),
    "django-command-of-tox": (
        {
            "tox.ini": "[testenv]\ncommands = django-admin test --settings=tests.settings\n",
            "tests/settings.py": "",
        },
        {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    ),
    "django-command-of-nox": (
        {
            "noxfile.py": """
                @nox.session
                def tests(session):
                    session.run("python", "-m", "django", "test", "--settings", "tests.settings")
            """,
            "tests/settings.py": "",
        },
        {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    ),
    "django-command-of-make": (
        {
            "Makefile": "test:\n\tpython manage.py test --settings gone.settings\n"
            "\tdjango-admin test -v 2 --settings shop.settings.testing\n",
            "shop/settings/testing.py": "",
        },
        {"DJANGO_SETTINGS_MODULE": "shop.settings.testing"},
    ),
    "hatch-default": ({"hatch.toml": "[envs.default.env-vars]\nA = '1'\n"}, {"A": "1"}),
}


@pytest.mark.parametrize(("files", "values"), READ.values(), ids=READ)
def test_they_are_found(tmp_path: Path, files: dict[str, str], values: dict[str, str]) -> None:
    found = declared(tmp_path, files)
    assert seen(found, tmp_path) == values
    assert found.refused == ()


def test_what_must_not_be_set_or_cannot_be_told_is_said(tmp_path: Path) -> None:
    found = declared(
        tmp_path,
        tox(
            """
            setenv =
                PATH = {toxinidir}/bin
                COVERAGE_FILE = {toxworkdir}/.coverage
                PYTEST_DISABLE_PLUGIN_AUTOLOAD = 1
                LIBRARY = {envsitepackagesdir}/shop
            """
        ),
    )
    (note,) = found.notes
    assert seen(found, tmp_path) == {}
    assert note.startswith("variables of tox.ini [testenv] not set for the tests: PATH (aqe sets")
    assert "COVERAGE_FILE (aqe sets that itself)" in note
    assert "PYTEST_DISABLE_PLUGIN_AUTOLOAD (the plugins" in note
    assert "LIBRARY (what {envsitepackagesdir} is can't be told)" in note


def test_a_variable_that_is_not_passed_on_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "secret")
    files = tox("setenv =\n  KEY = {env:SHOP_KEY}\n  OTHER = {env:SHOP_KEY:none}\n")
    found = declared(tmp_path, files)
    assert seen(found, tmp_path) == {"OTHER": "none"}
    assert [name for name, _ in found.refused] == ["KEY"]
    assert seen(declared(tmp_path, files, "SHOP_KEY"), tmp_path)["KEY"] == "secret"


def test_what_the_user_passes_on_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "of the user")
    found = declared(tmp_path, tox("setenv = SHOP_URL=of the project\n"), "SHOP_URL")
    assert seen(found, tmp_path) == {}
    assert found.refused == (("SHOP_URL", "passed on as you have it"),)


def test_of_an_import_path_the_directories_of_the_project_are_taken(tmp_path: Path) -> None:
    found = declared(
        tmp_path,
        tox("setenv = PYTHONPATH = {env:PYTHONPATH}{:}{toxinidir}/lib:more:/usr/lib/shop\n"),
    )
    for name in ("lib", "more"):
        (tmp_path / name).mkdir()
    assert found.import_path_at(tmp_path) == [f"{tmp_path}/lib", f"{tmp_path}/more"]


def test_options_of_pytest_are_taken_from_the_variable(tmp_path: Path) -> None:
    found = declared(
        tmp_path, tox("setenv = PYTEST_ADDOPTS = -n auto -W error {env:PYTEST_ADDOPTS:}\n")
    )
    assert found.options == ("-n", "auto", "-W", "error")


def test_a_computed_value_of_nox_is_said(tmp_path: Path) -> None:
    found = declared(
        tmp_path,
        {
            "noxfile.py": """
                @session
                def test(session):
                    session.env["A"] = session.create_tmp()
            """
        },
    )
    assert found.refused == (("A", "computed"),)


MANAGE = {
    "site/manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
    "site/shop/settings.py": "",
}


def test_a_program_of_django_in_a_directory_finds_what_lies_beside_it(tmp_path: Path) -> None:
    found = declared(tmp_path, MANAGE)
    assert seen(found, tmp_path) == {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    assert found.import_path_at(tmp_path) == [f"{tmp_path}/site"]


@pytest.mark.parametrize(
    "more",
    [
        {"pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = shop.other\n"},
        {"pytest.ini": "[pytest]\naddopts = --ds=shop.other\n"},
        {"tests/conftest.py": "def pytest_configure():\n    settings.configure()\n"},
        {"site/manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'gone.settings')\n"},
    ],
)
def test_settings_that_pytest_is_told_of_or_that_are_not_there_are_left(
    tmp_path: Path, more: dict[str, str]
) -> None:
    assert declared(tmp_path, MANAGE | more) == DeclaredVariables()


@pytest.mark.parametrize(
    ("files", "origin"),
    [
        (tox("changedir = tests\n"), "tox.ini [testenv]"),
        (tox("change_dir = {toxinidir}/tests/\n"), "tox.ini [testenv]"),
        (
            {"tox.toml": '[env_run_base]\ncommands = [["pytest"]]\nchange_dir = "tests"\n'},
            "tox.toml env_run_base",
        ),
        (tox("changedir = {envtmpdir}\n"), None),
        (tox("changedir = {toxinidir}\n"), None),
        (tox("changedir = gone\n"), None),
        (tox(""), None),
    ],
)
def test_another_directory_that_tox_runs_the_tests_in_is_said(
    tmp_path: Path, files: dict[str, str], origin: str | None
) -> None:
    declared(tmp_path, files)
    (tmp_path / "tests").mkdir()
    said = f"{origin} runs the tests in tests: here they run in the project's directory"
    assert notes_on_directory(tmp_path, {}) == ([said] if origin else [])

"""What tests need is found where projects of all kinds declare it."""

from __future__ import annotations

import configparser
import sys
import textwrap
import tomllib
from pathlib import Path
from venv import EnvBuilder

import pytest

from lionagi_qe.agents.environment import completion
from lionagi_qe.agents.environment.completion import (
    additions_for,
    extras_to_try,
    uses_of,
    what_is_absent,
)
from lionagi_qe.agents.environment.declared.declaration import Declaration
from lionagi_qe.agents.environment.declared.poetry import specifier_of
from lionagi_qe.agents.environment.declared.tox_ini import factors_of
from lionagi_qe.agents.environment.requirements import (
    Requirements,
    requirement_inputs,
    requirements_of,
)
from lionagi_qe.agents.environment.variables import variables_of

PROJECT = """
    [build-system]
    requires = ["hatchling"]
    [project]
    name = "shop"
    version = "1"
"""


def found(tmp_path: Path, files: dict[str, str]) -> Requirements:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    text = (tmp_path / "pyproject.toml").read_text() if "pyproject.toml" in files else ""
    return requirements_of(tmp_path, tomllib.loads(text))


TAG = f"py{sys.version_info[0]}{sys.version_info[1]}"
LINES = {
    "poetry-group": (
        {
            "pyproject.toml": """
                [tool.poetry]
                name = "shop"
                [tool.poetry.group.test.dependencies]
                pytest-mock = "^3.1"
                freezegun = {version = "*", python = ">=3.9"}
                local = {path = "../local"}
            """
        },
        ["pytest-mock>=3.1,<4", "freezegun ; python_version >= '3.9'"],
        "[tool.poetry.group.test]",
    ),
    "poetry-before-groups": (
        {"pyproject.toml": "[tool.poetry]\n[tool.poetry.dev-dependencies]\nmock = '~2.1'\n"},
        ["mock>=2.1,<2.2"],
        "[tool.poetry.dev-dependencies]",
    ),
    "pdm": (
        {"pyproject.toml": PROJECT + "[tool.pdm.dev-dependencies]\ntest = ['mock>=2', '-e .']\n"},
        ["mock>=2"],
        "[tool.pdm.dev-dependencies] test",
    ),
    "uv": (
        {"pyproject.toml": PROJECT + "[tool.uv]\ndev-dependencies = ['mock']\n"},
        ["mock"],
        "[tool.uv] dev-dependencies",
    ),
    "hatch-test": (
        {
            "pyproject.toml": PROJECT
            + "[tool.hatch.envs.hatch-test]\nextra-dependencies = ['mock']\n"
        },
        ["mock", "pytest-mock", "pytest-rerunfailures"],
        "[tool.hatch.envs.hatch-test]",
    ),
    "hatch.toml": (
        {
            "pyproject.toml": PROJECT,
            "hatch.toml": "[envs.default]\ndependencies = ['mock']\n[envs.test]\n",
        },
        ["mock"],
        "hatch.toml [envs.test]",
    ),
    "tests_require": (
        {"setup.py": "from setuptools import setup\nsetup(name='shop', tests_require=['mock'])\n"},
        ["mock"],
        "setup.py tests_require",
    ),
    "tox.ini": (
        {
            "setup.py": "",
            "tox.ini": f"""
                [base]
                deps =
                    mock  # for all
                [testenv]
                deps =
                    {{[base]deps}}
                    {TAG}: six
                    py27: unittest2
                    -r{{toxinidir}}/more.in
            """,
            "more.in": "iniconfig\n",
        },
        ["mock", "six"],
        "tox.ini [testenv]",
    ),
    "tox-in-setup.cfg": (
        {"setup.cfg": "[metadata]\nname = shop\n[tox:testenv]\ndeps =\n    mock\n"},
        ["mock"],
        "setup.cfg [tox:testenv]",
    ),
    "contributing": (
        {"setup.py": "", "CONTRIBUTING.md": "```sh\npip install pytest mock\npytest\n```\n"},
        ["pytest", "mock"],
        "CONTRIBUTING.md",
    ),
    "tox.toml": (
        {"setup.py": "", "tox.toml": "[env_run_base]\ndeps = ['mock', '-r more.in']\n"},
        ["mock"],
        "tox.toml env_run_base",
    ),
    "tox-in-pyproject": (
        {
            "pyproject.toml": PROJECT
            + "[dependency-groups]\nchecks = ['mock']\n"
            + "[tool.tox.env_run_base]\ndependency_groups = ['checks']\n"
        },
        ["mock"],
        "[tool.tox] env_run_base",
    ),
    "nox": (
        {
            "setup.py": "",
            "noxfile.py": """
                import nox
                NEEDED = ["mock", "six"]

                @nox.session
                def lint(session):
                    session.install("flake8")

                @nox.session(python="3.11")
                def tests(session):
                    session.install(".", *NEEDED)
                    session.run(*session.posargs)
                    session.run("pytest")
            """,
        },
        ["mock", "six"],
        "noxfile.py tests",
    ),
    "pipfile": (
        {"Pipfile": "[packages]\nsix = '*'\n[dev-packages]\nmock = '==5.1.0'\n"},
        ["mock==5.1.0"],
        "Pipfile [dev-packages]",
    ),
    "conda": (
        {
            "setup.py": "",
            "environment.yml": """
                dependencies:
                  - python=3.11
                  - conda-forge::mock>=2
                  - pip:
                      - six==1.16.0
            """,
        },
        ["mock", "six==1.16.0"],
        "environment.yml",
    ),
    "ci": (
        {
            "setup.py": "",
            ".github/workflows/ci.yml": "run: |\n  pip install build\n  pip install pytest mock\n",
        },
        ["pytest", "mock"],
        ".github/workflows/ci.yml",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_lines_are_found_where_tools_keep_them(case: str, tmp_path: Path) -> None:
    files, lines, origin = LINES[case]
    requirements = found(tmp_path, files)
    assert list(requirements.lines) == lines
    assert requirements.origin == origin


EXTRAS = {
    "tox": {"tox.ini": "[testenv]\nextras =\n    checks\n"},
    "tox-deps": {"tox.ini": "[testenv]\ndeps = .[checks]\n"},
    "nox": {
        "noxfile.py": "@nox.session\ndef test(session):\n    session.install('-e', '.[checks]')\n"
    },
    "ci": {".github/workflows/a.yml": "pip install -e '.[checks]'\n"},
}


@pytest.mark.parametrize("case", EXTRAS)
def test_extras_that_tools_name_are_the_projects_own(case: str, tmp_path: Path) -> None:
    pyproject = PROJECT + "[project.optional-dependencies]\nchecks = ['mock']\n"
    requirements = found(tmp_path, {"pyproject.toml": pyproject, **EXTRAS[case]})
    assert requirements.extras == ("checks",)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("requirements/test.txt", True),
        ("requirements/ci.in", True),
        ("tests/requirements.txt", True),
        ("test-requirements.txt", True),
        ("requirements_dev.txt", True),
        ("requirements/requirements-testing.pip", True),
        ("requirements/docs.txt", False),
        ("tests/words.txt", False),
    ],
)
def test_files_are_known_by_their_names(name: str, chosen: bool, tmp_path: Path) -> None:
    requirements = found(tmp_path, {"setup.py": "", name: "mock\n"})
    assert requirements.files == ((tmp_path / name,) if chosen else ())


def test_what_is_for_tests_goes_before_what_is_for_developers(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT + "[dependency-groups]\ndev = ['ruff']\n",
        "tox.ini": "[testenv]\ndeps = mock\n",
    }
    requirements = found(tmp_path, files)
    assert requirements.lines == ("mock",)
    assert [each.origin for each in requirements.others] == ["group dev"]


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("*", ""),
        ("1.2", "==1.2"),
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        (">=1,<2", ">=1,<2"),
        (">= 1.2, != 1.5", ">=1.2,!=1.5"),
        ("^1.0 || ^2.1", ">=2.1,<3"),
        ("2.*", "==2.*"),
    ],
)
def test_constraints_of_poetry_become_specifiers(constraint: str, specifier: str) -> None:
    assert specifier_of(constraint) == specifier


def test_what_tests_use_and_nobody_chose_is_added_once(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "helper.py").touch()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("import lazy_one\n")
    (tmp_path / "shop" / "draw.py").write_text("import json, rail_road\n")
    (tmp_path / "shop" / "unused.py").write_text("import other_thing\n")
    (tests / "testold.py").write_text("import six_of_old\nclass Old(TestCase): ...\n")
    (tests / "testing.py").write_text("import no_test\n")
    (tests / "conftest.py").write_text("pytest_plugins = ('pytester', 'spread.sheets', 'helper')\n")
    (tests / "test_a.py").write_text(
        textwrap.dedent("""
            import json
            import pytest, helper, yaml, frob_nicate, stranger
            from shop import draw
            try:
                import optional
            except ImportError:
                pass

            @pytest.mark.asyncio
            async def test_a(mocker, own): pass

            @pytest.fixture
            def own(): pass
        """)
    )
    uses = uses_of(tmp_path, {"asyncio_mode": "auto"})
    own = {"lazy_one", "rail_road", "spread", "six_of_old"}
    assert set(uses.modules) == {"pytest", "yaml", "frob_nicate", "stranger"} | own
    declared = Declaration("group all", "other", "table", lines=("Frob-Nicate>=2", "ruff"))
    requirements = Requirements(installable=True, others=(declared,))
    absent = ["yaml", "frob_nicate", "stranger"]
    optional = [
        Declaration(f"extra {name}", "other", "table", extras=(name,)) for name in ("http", "docs")
    ]
    with_extras = Requirements(installable=True, others=(declared, *optional))
    extras, needed = extras_to_try(uses, absent, with_extras)
    assert (extras, needed) == (["http"], "stranger (tests/test_a.py)")
    assert extras_to_try(uses, absent[:2], with_extras) == ([], "")

    added = {each.line: each.why for each in additions_for(uses, absent, ["pytest"], requirements)}

    assert list(added) == ["PyYAML", "Frob-Nicate>=2", "pytest-mock", "pytest-asyncio"]
    assert "declared nowhere" in added["PyYAML"]
    assert "declared in group all" in added["Frob-Nicate>=2"]


def test_a_module_within_a_package_hides_no_distribution_of_its_name(tmp_path: Path) -> None:
    for name, text in {
        "shop/__init__.py": "",
        "shop/yaml.py": "",
        "shop/data/attrs/__init__.py": "",
        "tests/helper.py": "",
        "tests/deep/again.py": "",
        "tests/pack/__init__.py": "",
        "tests/pack/inner.py": "",
        "tests/test_a.py": "import yaml, attrs, helper, again, pack, inner, deep, shop, tests\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    uses = uses_of(tmp_path, {})
    assert set(uses.modules) == {"yaml", "inner"}
    # Of a build that makes it.
    assert set(uses.without(["inner"]).modules) == {"yaml"}


@pytest.mark.parametrize(
    ("settings", "modules"),
    [
        ({"addopts": "--doctest-modules -ra"}, {"yaml", "attr"}),
        ({"addopts": ["--doctest-modules"], "testpaths": ["./shop"]}, {"yaml"}),
        ({"addopts": "--doctest-modules", "testpaths": "tests"}, set[str]()),
        ({"addopts": "-ra"}, set[str]()),
        ({}, set[str]()),
    ],
)
def test_modules_whose_doctests_are_collected_are_imported(
    tmp_path: Path, settings: dict[str, object], modules: set[str]
) -> None:
    (tmp_path / "shop").mkdir()
    for name, text in {
        "setup.py": "import frobnicate\n",
        "shop/__init__.py": "import yaml, shop\n",
        "run.py": "import attr\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert set(uses_of(tmp_path, settings).modules) == modules


def test_what_an_extra_needs_is_installed_without_the_other_extras(tmp_path: Path) -> None:
    extras = """
        [project.optional-dependencies]
        test = ["mock"]
        words = ["inflect>=7"]
        style = ["ruff"]
    """
    requirements = found(tmp_path, {"pyproject.toml": PROJECT + extras})
    (tmp_path / "test_a.py").write_text("import inflect\n")
    uses = uses_of(tmp_path, {})
    assert extras_to_try(uses, ["inflect"], requirements) == ([], "")
    (addition,) = additions_for(uses, ["inflect"], [], requirements)
    assert (addition.line, "extra words" in addition.why) == ("inflect>=7", True)


@pytest.mark.parametrize(
    ("tox", "extras"),
    [
        ('dependency_groups = ["test"]\nextras = ["http"]\n', ("http",)),
        ('dependency_groups = ["test"]\n', ()),
        ('deps = ["something"]\nextras = ["http"]\n', ()),
    ],
)
def test_what_tox_adds_to_the_group_of_tests_is_installed(
    tmp_path: Path, tox: str, extras: tuple[str, ...]
) -> None:
    text = textwrap.dedent(PROJECT) + (
        '[project.optional-dependencies]\nhttp = ["httpx"]\n'
        '[dependency-groups]\ntest = ["mock>=2"]\n'
        f"[tool.tox.env_run_base]\n{tox}"
    )
    requirements = found(tmp_path, {"pyproject.toml": text})
    assert (requirements.extras, requirements.lines) == (extras, ("mock>=2",))
    assert ("tox" in requirements.origin) == bool(extras)


def test_what_tox_says_of_a_python_holds_for_the_one_that_runs_the_tests(tmp_path: Path) -> None:
    (tmp_path / "tox.ini").write_text(
        "[testenv]\ncommands = pytest\ndeps =\n    mock\n    py399: attrs\n    !py399: six\n"
        "setenv =\n    py399: AGE=new\n"
    )
    assert requirements_of(tmp_path, {}, (3, 99)).lines == ("mock", "attrs")
    assert requirements_of(tmp_path, {}).lines == ("mock", "six")
    assert variables_of(tmp_path, {}, (), (3, 99)).values == (("AGE", "new"),)
    assert variables_of(tmp_path, {}).values == ()


def test_what_tox_adds_to_a_file_of_tests_is_installed(tmp_path: Path) -> None:
    files = {
        "setup.py": "",
        "requirements/test.txt": "mock\n",
        "constraints.txt": "six==1.15.0\n",
        "tox.ini": """
            [testenv]
            deps =
                -r requirements/test.txt
                -c{tox_root}/constraints.txt
                six
        """,
    }
    requirements = found(tmp_path, files)
    assert requirements.lines == ("six",)
    assert requirements.files == (tmp_path / "requirements/test.txt",)
    assert requirements.constraints == (str(tmp_path / "constraints.txt"),)
    assert set(requirement_inputs(tmp_path, requirements)) >= {tmp_path / "constraints.txt"}


@pytest.mark.parametrize("platform", ["win32", "cygwin|(win32)", f"win32|{sys.platform}", "*"])
@pytest.mark.parametrize("file", ["tox.ini", "tox.toml"])
def test_environments_of_other_systems_say_nothing(
    platform: str, file: str, tmp_path: Path
) -> None:
    # What is no expression is left to tox.
    here = sys.platform in platform or platform == "*"
    text = {
        "tox.ini": f"[testenv:a]\nplatform = {platform}\ncommands = pytest\ndeps = mock\n",
        "tox.toml": (
            f"[env.a]\nplatform = '{platform}'\ncommands = [['pytest']]\ndeps = ['mock']\n"
        ),
    }
    assert found(tmp_path, {"setup.py": "", file: text[file]}).lines == (("mock",) if here else ())


VARIANTS = {
    "tox.ini": (
        "[testenv]\ncommands = pytest\nextras = checks\n"
        "[testenv:oldest]\ncommands = pytest\nextras = checks, old\n"
    ),
    "tox.toml": (
        "[env_run_base]\ncommands = [['pytest']]\nextras = ['checks']\n"
        "[env.oldest]\ncommands = [['pytest']]\nextras = ['checks', 'old']\n"
    ),
    "noxfile.py": """
        @nox.session
        def tests_oldest(session):
            session.install(".[checks,old]")

        @nox.session
        def tests(session):
            session.install(".[checks]")
    """,
}


@pytest.mark.parametrize("file", VARIANTS)
def test_a_variant_of_the_plain_environment_adds_nothing_to_it(file: str, tmp_path: Path) -> None:
    extras = "[project.optional-dependencies]\nchecks = ['mock']\nold = ['six']\n"
    pyproject = PROJECT + extras + "[dependency-groups]\ntest = ['attrs']\n"
    files = {"pyproject.toml": pyproject, file: VARIANTS[file]}
    plain = found(tmp_path, files)
    assert (plain.extras, plain.lines) == ((), ("attrs",))
    # What is missed may still be found in it.
    tools = [each.extras for each in plain.others if each.kind == "tool"]
    assert tools == [("checks",), ("checks", "old")]
    (tmp_path / "pyproject.toml").write_text(textwrap.dedent(PROJECT + extras))
    text = (tmp_path / "pyproject.toml").read_text()
    assert requirements_of(tmp_path, tomllib.loads(text)).extras == ("checks",)


CONSTRAINED = {
    "tox": ("tox.ini", "[testenv]\ndeps =\n    mock\n    -c {toxinidir}/held.txt\n"),
    "tox-without-blank": ("tox.ini", "[testenv]\ndeps =\n    mock\n    -cheld.txt\n"),
    "tox-command": (
        "tox.ini",
        "[testenv]\ncommands_pre = pip install mock --constraint=held.txt\ncommands = pytest\n",
    ),
    "tox.toml": ("tox.toml", "[env_run_base]\ndeps = ['mock', '-c {tox_root}/held.txt']\n"),
    "nox": (
        "noxfile.py",
        "@nox.session\ndef test(session):\n    session.install('mock', '-c', 'held.txt')\n",
    ),
    "ci": (".github/workflows/a.yml", "pip install pytest mock -c held.txt\n"),
}


@pytest.mark.parametrize("case", CONSTRAINED)
def test_files_of_constraints_are_those_that_the_tools_name(case: str, tmp_path: Path) -> None:
    name, text = CONSTRAINED[case]
    requirements = found(tmp_path, {"setup.py": "", "held.txt": "mock==5.1.0\n", name: text})
    assert [Path(each).resolve() for each in requirements.constraints] == [tmp_path / "held.txt"]
    assert "mock" in requirements.lines


def test_constraints_at_an_address_are_those_that_tox_takes_by_default(tmp_path: Path) -> None:
    deps = "-c{env:HELD_FILE:https://example.org/upper/2026.2}"
    requirements = found(tmp_path, {"tox.ini": f"[testenv]\ndeps =\n    {deps}\n    mock\n"})
    assert requirements.constraints == ("https://example.org/upper/2026.2",)


@pytest.mark.parametrize("option", ["envlist", "env_list"])
@pytest.mark.parametrize("where", [("tox.ini", ""), ("setup.cfg", "tox:")])
def test_factors_are_those_of_a_listed_environment_of_the_python(
    option: str, where: tuple[str, str], tmp_path: Path
) -> None:
    name, prefix = where
    (tmp_path / name).write_text(
        f"[{prefix}tox]\n{option} =\n    lint\n"
        "    py{38, 399}-django{42,52,main}{,-new}  # all\n"
        f"[{prefix}testenv]\ndeps =\n    django42: django~=4.2\n    django52: django~=5.2\n"
        "    djangomain: django @ https://example.org\n    !new: six\n    new: attrs\n"
    )
    assert requirements_of(tmp_path, {}, (3, 99)).lines == ("django~=5.2", "six")
    # One that lists none of its own has the factors of its version alone.
    assert requirements_of(tmp_path, {}, (3, 98)).lines == ("six",)


@pytest.mark.parametrize(
    ("listed", "newest"),
    [
        ("py311-django{111,20,110}", "django20"),
        ("py311-django{5.2,4.2}", "django5.2"),
        ("py311-numpy{126,20}-pandas{1,2}", "numpy20"),
        ("py310-a,py311-b,py311-c9", "b"),
        ("{py310,py311}-{sqlite,postgres}", "sqlite"),
    ],
)
def test_of_environments_that_differ_by_versions_the_newest_counts(
    listed: str, newest: str
) -> None:
    parser = configparser.ConfigParser()
    parser.read_dict({"tox": {"env_list": listed}})
    every = {"django111", "django20", "django110", "django5.2", "django4.2", "numpy126", "numpy20"}
    chosen = factors_of(parser, (3, 11)) & {*every, "a", "b", "c9", "sqlite", "postgres"}
    assert chosen == {newest}


def test_more_alternatives_than_anybody_means_are_not_multiplied_out(tmp_path: Path) -> None:
    every = f"{'{a,b}' * 60}{'9' * 5_000}"
    (tmp_path / "tox.ini").write_text(
        f"[tox]\nenvlist = py399-{every}\n[testenv:{every}]\ncommands = pytest\ndeps = mock\n"
    )
    assert requirements_of(tmp_path, {}, (3, 99)).lines == ("mock",)
    assert variables_of(tmp_path, {}, (), (3, 99)).values == ()


def _environment(place: Path) -> tuple[Path, Path]:
    """Return the interpreter of a new environment, and where its packages are."""
    EnvBuilder(symlinks=True).create(place)
    site = place / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for name in ("yaml", "PyYAML-6.0.dist-info", "zope.event-5.0.dist-info", "Frob_X-1.dist-info"):
        (site / name).mkdir()
    for name in ("PyYAML-6.0", "zope.event-5.0", "Frob_X-1"):
        named = name.partition("-")[0]
        text = f"Metadata-Version: 2.1\nName: {named}\nVersion: 1\n"
        (site / f"{name}.dist-info" / "METADATA").write_text(text)
    (site / "yaml" / "__init__.py").write_text("")
    for name in ("single.py", "_fast.cpython-311-x86_64-linux-gnu.so"):
        (site / name).write_text("")
    return place / "bin" / "python", site


def test_what_lies_in_an_environment_by_its_name_is_known_without_its_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, site = _environment(tmp_path)
    (site / "elsewhere.pth").write_text(f"{tmp_path}\n")
    (tmp_path / "found_elsewhere.py").write_text("")
    installed = ["frob-x", "pyyaml", "zope-event"]
    asked = what_is_absent(python, ["yaml", "found_elsewhere", "elsewhere", "absent"])
    assert asked == (["absent", "elsewhere"], installed)

    monkeypatch.setattr(completion, "ask", None)
    assert what_is_absent(python, ["yaml", "single", "_fast"]) == ([], installed)

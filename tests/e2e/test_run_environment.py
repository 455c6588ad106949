"""Where the tests run: a cached environment of the project's own, or the one that is named."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import STOREFRONT, checksum

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TESTS_PRICE = "import shop\n\ndef test_price():\n    assert shop.price() == 1\n"
USES_INICONFIG = {
    "src/shop/__init__.py": """
        import iniconfig

        def sections(text):
            return [section.name for section in iniconfig.IniConfig("", text)]
    """,
    "tests/test_shop.py": """
        from importlib.metadata import version
        import subprocess
        import shop

        def test_sections():
            assert shop.sections("[a]") == ["a"]

        def test_metadata():
            assert version("shop") == "1.2.3"

        def test_script():
            assert subprocess.run(["shop"], check=True, capture_output=True).stdout == b"open\\n"
    """,
    "src/shop/command.py": """
        def main():
            print("open")
    """,
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "shop"
        version = "1.2.3"
        dependencies = ["iniconfig"]

        [project.scripts]
        shop = "shop.command:main"

        [dependency-groups]
        base = ["pytest"]
        test = [{include-group = "base"}, "freezegun"]
    """,
    "tests/test_group.py": """
        import freezegun

        def test_freezegun():
            assert freezegun.__version__
    """,
}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter of the user's own, with nothing installed."""
    directory = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    return directory / "bin" / "python"


def test_dependencies_groups_metadata_and_scripts_are_there(
    examine: Examine, project: Write
) -> None:
    # A build requirement of its own, so that no other test has built this environment already.
    config = USES_INICONFIG["pyproject.toml"].replace('"hatchling"]', '"hatchling", "iniconfig"]')
    answer = examine(project({**USES_INICONFIG, "pyproject.toml": config}))

    assert answer.value("tests_passed") == 4
    assert answer.value("line_coverage") == 100.0
    assert "built with" in answer.document["environment"]["origin"]


def test_the_environment_is_kept_until_the_requirements_change(
    examine: Examine, project: Write
) -> None:
    root = project({"test_a.py": "def test_a(): pass\n"})
    examine(root)

    assert examine(root).document["environment"]["origin"].startswith("cached, ")
    (root / "requirements-test.txt").write_text("iniconfig\n")
    assert examine(root).document["environment"]["origin"].startswith("built with ")


def test_a_module_that_was_deleted_is_gone(examine: Examine, project: Write) -> None:
    files = {
        **USES_INICONFIG,
        "src/shop/old.py": "",
        "tests/test_old.py": "def test_old():\n    import shop.old\n",
    }
    root = project(files)
    assert examine(root).exit_code == 0

    (root / "src/shop/old.py").unlink()
    answer = examine(root)
    assert answer.document["environment"]["origin"].startswith("cached, ")
    assert answer.outcomes()["test_old"] == "failed"


def test_a_named_interpreter_is_used_and_left_as_it_is(examine: Examine, python: Path) -> None:
    before = checksum(python.parent.parent)
    answer = examine(STOREFRONT, "--python", python)

    assert answer.value("tests_collected") == 61
    assert answer.value("lines_covered") > 0
    assert "pytest and coverage injected" in answer.document["environment"]["origin"]
    assert checksum(python.parent.parent) == before


def test_a_named_interpreter_without_a_package_does_not_pass(
    examine: Examine, project: Write, python: Path
) -> None:
    answer = examine(project(USES_INICONFIG), "--python", python)

    # pytest brings iniconfig along; freezegun is nowhere, and neither is the project's script.
    assert list(answer.document["uncollectable"]) == ["tests/test_group.py"]
    assert any("freezegun" in note for note in answer.document["notes"])
    assert answer.exit_code == 1


def test_a_machine_without_git_examines_all_the_same(
    aqe: Callable[..., Answer], examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project({"shop.py": "def price():\n    return 1\n", "test_shop.py": TESTS_PRICE})
    # What the tests need of the shell is there; git is not.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    without = {"PATH": str(programs)}

    answer = examine(root, env=without)

    assert answer.exit_code == 0
    assert answer.document["commit"] is None
    assert answer.value("line_coverage") == 100.0
    refused = aqe("select", root, "--base", "main", env=without)
    assert refused.exit_code == 2
    assert "git" in refused.err
    assert len(refused.err.strip().splitlines()[-1]) < 200


def test_processes_with_a_path_of_their_own_find_the_project(
    examine: Examine, project: Write
) -> None:
    """As werkzeug's tests start servers: without it they wait for them for ever."""
    files = {
        "src/shop/__init__.py": "def price():\n    return 1\n",
        "tests/test_shop.py": """
            import os, subprocess, sys
            from pathlib import Path
            import pytest

            def test_path(tmp_path):
                env = {**os.environ, "PYTHONPATH": str(tmp_path)}
                subprocess.run([sys.executable, "-c", "import shop"], env=env, check=True)

            def test_isolated():
                subprocess.run([sys.executable, "-I", "-c", "import shop"], check=True)

            COMMANDS = {
                "module": [sys.executable, "-m", "shop"],
                "script": [Path(sys.executable).with_name("shop")],
                "within": [sys.executable, "-c", "import os, subprocess, sys; "
                    "subprocess.run([sys.executable, '-m', 'shop'], env={}, check=True)"],
                "by-another-program": ["/usr/bin/env", "-i", sys.executable, "-m", "shop"],
            }

            @pytest.mark.parametrize("variables", [{}, {"MODE": "x"}, {"PATH": os.environ["PATH"]}])
            @pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
            def test_variables_of_its_own(command, variables, tmp_path):
                said = subprocess.check_output(command, env=variables, cwd=tmp_path, text=True)
                assert said.split() in ([], ["MODE"])

            def test_no_variables(monkeypatch):
                for name in list(os.environ):
                    monkeypatch.delenv(name)
                subprocess.run([sys.executable, "-m", "shop"], check=True)
        """,
        "src/shop/__main__.py": """
            import os

            def main():
                print(*sorted({"AQE_ROOTS", "MODE", "PYTHONPATH"} & os.environ.keys()))

            if __name__ == "__main__":
                main()
        """,
        "pyproject.toml": """
            [project]
            name = "shop"
            version = "1"
            [project.scripts]
            shop = "shop.__main__:main"
        """,
    }
    root = project(files)
    assert examine(root).value("tests_passed") == 15
    assert examine(root, "--isolate").value("tests_passed") == 15


SETUPTOOLS_SCM = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools>=61", "setuptools-scm"]
        build-backend = "setuptools.build_meta"

        [project]
        name = "shop"
        dynamic = ["version"]

        [tool.setuptools_scm]
        version_file = "src/shop/_version.py"
    """,
}
HATCH_VCS = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling", "hatch-vcs"]
        build-backend = "hatchling.build"

        [project]
        name = "shop"
        dynamic = ["version"]

        [tool.hatch.version]
        source = "vcs"

        [tool.hatch.build.hooks.vcs]
        version-file = "src/shop/_version.py"
    """,
}
# versioneer imports itself at the build; of what it would write, the tests read the version.
VERSIONEER = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools>=61", "versioneer"]
        build-backend = "setuptools.build_meta"

        [project]
        name = "shop"
        dynamic = ["version"]

        [tool.versioneer]
        VCS = "git"
        style = "pep440"
        versionfile_source = "src/shop/_version.py"
        versionfile_build = "shop/_version.py"
        tag_prefix = "v"
    """,
    "setup.py": """
        import versioneer
        from setuptools import setup

        setup(version=versioneer.get_version(), cmdclass=versioneer.get_cmdclass())
    """,
    "src/shop/__init__.py": """
        from importlib.metadata import version as of
        version = of("shop")
    """,
}


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(SETUPTOOLS_SCM, id="setuptools-scm"),
        pytest.param(HATCH_VCS, id="hatch-vcs"),
        pytest.param(VERSIONEER, id="versioneer"),
    ],
)
def test_the_copy_has_a_repository_and_the_version_that_it_tells(
    build: dict[str, str], examine: Examine, project: Write
) -> None:
    files = {
        "src/shop/__init__.py": "from shop._version import version\n",
        ".gitignore": "_version.py\n",
        "tests/test_shop.py": """
            import subprocess
            from importlib.metadata import version
            import shop

            def run(*words):
                return subprocess.run(words, check=True, capture_output=True, text=True).stdout

            def test_version():
                assert shop.version == version("shop") == "1.2.3"

            def test_git():
                assert "first" in run("git", "log", "-1")
                assert run("git", "diff", "HEAD", "--stat") == ""

            def test_nothing_reaches_the_users_repository():
                assert run("git", "remote") == ""
        """,
        **build,
    }
    root = project(files)
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1.2.3"]):
        subprocess.run(["git", *identity, *words], cwd=root, check=True)
    before = checksum(root)

    for _ in ("where it is built", "from the cache"):
        answer = examine(root)
        assert set(answer.outcomes().values()) == {"passed"}, answer.document["tests"]
        told = "version 1.2.3 comes from git: the copy has a clone"
        assert any(note.startswith(told) for note in answer.document["notes"])
        assert checksum(root) == before


def test_a_build_without_a_repository_is_given_the_version_and_says_which(
    examine: Examine, project: Write
) -> None:
    files = {
        "src/shop/__init__.py": "from shop._version import version\n",
        "test_shop.py": "import shop\ndef test_version(): assert shop.version == '1.4'\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: shop\nVersion: 1.4\n",
        **HATCH_VCS,
    }
    answer = examine(project(files))
    assert answer.value("tests_passed") == 1
    told = "version 1.4 was given to the build, from PKG-INFO or git's last tag"
    assert any(note.startswith(told) for note in answer.document["notes"])


def test_a_hook_of_git_whose_variables_name_the_repository_changes_nothing_in_it(
    examine: Examine, project: Write
) -> None:
    root = project({"test_a.py": "def test_a(): pass\n"})
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-qm", "first"],
        ["remote", "add", "origin", "https://example.org/shop.git"],
    ):
        subprocess.run(["git", *identity, *words], cwd=root, check=True)
    (root / "staged.txt").write_text("staged")
    subprocess.run(["git", "add", "staged.txt"], cwd=root, check=True)
    before = checksum(root)
    hook = {"GIT_DIR": str(root / ".git"), "GIT_INDEX_FILE": str(root / ".git" / "index")}

    answer = examine(root, env=hook)

    assert answer.value("tests_passed") == 1
    assert checksum(root) == before


def test_a_module_that_a_new_test_imports_is_looked_for(examine: Examine, project: Write) -> None:
    root = project({"test_a.py": "def test_a(): pass\n", "docs-requirements.txt": "iniconfig\n"})
    examine(root)
    (root / "test_b.py").write_text("import freezegun\n\ndef test_b(): assert freezegun\n")
    answer = examine(root)
    assert answer.value("tests_passed") == 2
    assert any("freezegun" in note for note in answer.document["notes"])


def test_a_project_that_cant_be_built_has_what_its_extras_need(
    examine: Examine, project: Write
) -> None:
    files = {
        "shop.py": "def f():\n    return 1\n",
        "backend.py": "raise ImportError('no compiler')\n",
        "test_shop.py": "import sniffio\nimport shop\ndef test_f(): assert shop.f() == 1\n",
        "pyproject.toml": """
            [build-system]
            requires = []
            build-backend = "backend"
            backend-path = ["."]

            [project]
            name = "shop"
            version = "1"

            [project.optional-dependencies]
            test = ["sniffio"]
        """,
    }
    answer = examine(project(files))

    assert answer.value("tests_passed") == 1
    (note,) = (note for note in answer.document["notes"] if "itself was not installed" in note)
    assert "the build failed with ImportError: no compiler; mend that, or name" in note


def test_a_build_that_writes_into_the_sources_changes_no_figure(
    examine: Examine, project: Write
) -> None:
    root = project(
        {
            "shop/__init__.py": "from shop.version import VERSION\n",
            "shop/version.py": "VERSION = '0'\n",
            "setup.py": """
                from setuptools import setup
                with open("shop/version.py", "w") as file:
                    file.write("VERSION = '0'\\nA = 1\\nB = 2\\n")
                setup(name="shop", version="0", packages=["shop"])
            """,
            "test_shop.py": "import shop\n\ndef test_version(): assert shop.VERSION == '0'\n",
        }
    )
    first, later = examine(root), examine(root)
    assert "built with" in first.document["environment"]["origin"]
    assert "cached" in later.document["environment"]["origin"]
    assert first.value("lines") == later.value("lines") == 2


def test_a_build_and_tests_that_import_pkg_resources_have_it(
    examine: Examine, project: Write
) -> None:
    """Newer versions of setuptools have none."""
    setup = "import pkg_resources\nfrom setuptools import setup\n"
    files = {
        "shop.py": "def f():\n    return 1\n",
        "setup.py": f"{setup}setup(name='shop', version='1.2.3', py_modules=['shop'])\n",
        "test_shop.py": """
            import pkg_resources, shop

            def test_f(): assert shop.f() == 1
            def test_version(): assert pkg_resources.get_distribution("shop").version == "1.2.3"
        """,
    }
    answer = examine(project(files))
    assert set(answer.outcomes().values()) == {"passed"}
    assert not any("not installed" in note for note in answer.document["notes"])


def test_a_django_project_that_tells_pytest_nothing_runs_as_django_runs_it(
    examine: Examine, project: Write
) -> None:
    files = {
        "requirements.txt": "Django",
        "manage.py": """
            import os, sys

            if __name__ == "__main__":
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_shop.settings")
                from django.core.management import execute_from_command_line
                execute_from_command_line(sys.argv)
        """,
        "site_of_shop/__init__.py": "",
        "site_of_shop/settings.py": """
            SECRET_KEY = "x"
            INSTALLED_APPS = ["shop"]
            DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        """,
        "shop/__init__.py": "",
        "shop/models.py": """
            from django.db import models

            class Item(models.Model):
                id = models.AutoField(primary_key=True)
                name = models.CharField(max_length=100)
        """,
        "shop/tests.py": """
            from django.test import TestCase
            from shop.models import Item

            class ItemTest(TestCase):
                def test_it_is_stored(self):
                    Item.objects.create(name="pen")
                    self.assertEqual(Item.objects.count(), 1)
        """,
        "more/tests/test_more.py": "def test_more(): pass\n",
    }
    answer = examine(project(files))
    assert answer.outcomes() == {"test_it_is_stored": "passed", "test_more": "passed"}
    assert any("DJANGO_SETTINGS_MODULE: pytest-django" in note for note in answer.document["notes"])


def test_variables_that_tox_sets_are_set_and_told(examine: Examine, project: Write) -> None:
    files = {
        "shop.py": "import os\n\ndef mode():\n    return os.environ['SHOP_MODE']\n",
        "tests/test_shop.py": """
            import os, sys
            import shop, shop_data

            def test_mode():
                assert shop.mode() == "test"

            def test_data():
                assert open(os.environ["SHOP_DATA"]).read() == "x"

            def test_path_and_home_are_ours():
                assert os.environ["PATH"].startswith(os.path.dirname(sys.executable))
        """,
        "tests/data.txt": "x",
        "more/shop_data.py": "",
        "tox.ini": """
            [testenv]
            commands = pytest
            setenv =
                SHOP_MODE = test
                SHOP_DATA = {toxinidir}/tests/data.txt
                PATH = {envdir}/bin
                PYTHONPATH = {toxinidir}/more
                PYTEST_ADDOPTS = -n 2 -p no:doctest
        """,
    }
    answer = examine(project(files))
    assert answer.value("tests_passed") == 3
    notes = "\n".join(answer.document["notes"])
    assert "variables of tox.ini [testenv] set for the tests: SHOP_MODE, SHOP_DATA" in notes
    assert "not set for the tests: PATH (aqe sets that itself)" in notes
    assert "left out of the measured run: -n 2" in notes


def sdist_that_counts_its_builds(folder: Path) -> Path:
    """Write the sdist of a module, ``slow``, and return the file that grows with each build."""
    log = folder.parent / "builds.log"
    files = {
        "setup.py": "from setuptools import setup\n"
        f"open({str(log)!r}, 'a').write('built ')\n"
        "setup(name='slow-of-nobody', version='1', py_modules=['slow'])\n",
        "slow.py": "NAME = 'slow'\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: slow-of-nobody\nVersion: 1\n",
    }
    folder.mkdir()
    with tarfile.open(folder / "slow_of_nobody-1.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"slow_of_nobody-1/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return log


def test_what_was_downloaded_or_built_once_is_not_again(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    log = sdist_that_counts_its_builds(tmp_path / "sdists")
    files = {
        "requirements-test.txt": "iniconfig\nslow-of-nobody\n",
        "test_a.py": "import iniconfig, slow\n\ndef test_a(): assert slow.NAME\n",
    }
    root = project(files)
    env = {"PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {tmp_path / 'sdists'}"}
    assert examine(root, env=env).value("tests_passed") == 1
    built = log.read_text()
    assert built

    (root / "requirements-test.txt").write_text("slow-of-nobody\niniconfig>=1\n")
    again = examine(root, env={**env, "UV_OFFLINE": "1"})
    assert again.document["environment"]["origin"].startswith("built with uv ")
    assert again.value("tests_passed") == 1
    assert log.read_text() == built


def test_where_there_is_no_uv_pip_builds_the_environment(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    files = {
        "shop.py": "import sniffio\n\ndef price():\n    return 1\n",
        "test_shop.py": TESTS_PRICE,
        "requirements-test.txt": "sniffio\n",
    }
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    (programs / "uv.py").write_text("raise ImportError('there is no uv on this machine')\n")
    env = {"PATH": str(programs), "PYTHONPATH": str(programs)}
    answer = examine(project(files), env=env)
    assert answer.document["environment"]["origin"].startswith("built with pip ")
    assert answer.value("tests_passed") == 1
    assert answer.value("line_coverage") == 100.0

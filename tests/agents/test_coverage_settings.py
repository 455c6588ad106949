"""The project's own settings of coverage.py hold as coverage.py itself would read them."""

from __future__ import annotations

import configparser
import json
import textwrap
from pathlib import Path

import coverage
import pytest
from tests import programs

import lionagi_qe.agents.inject as injected

INJECTED = Path(injected.__path__[0])
OURS = """
[run]
branch = true
source =
    {project}/shop
omit =
    {project}/*/test_*.py
[report]
include_namespace_packages = true
"""
SHOP = """
    def price(kind):
        if kind == "book":  # our own: left out
            return 1
        if kind == "pen":  # pragma: no cover
            return 2
        if kind == "cost in $":
            return 3
        return 4
"""
# What plain coverage.py makes of the same settings: statements of shop/__init__.py.
SETTINGS = {
    "none": ({}, 6),
    "toml-comment": (
        {"pyproject.toml": '[tool.coverage.report]\nexclude_lines = ["# our", "# pragma"]\n'},
        4,
    ),
    "toml-also": (
        {"pyproject.toml": '[tool.coverage.report]\nexclude_also = ["# our own: left out"]\n'},
        4,
    ),
    "ini-dollar": (
        {".coveragerc": '[report]\nexclude_also =\n    cost in \\$"\n'},
        4,
    ),
    "ini-first": (
        {
            ".coveragerc": "[report]\nexclude_lines =\n    kind ==\n",
            "pyproject.toml": '[tool.coverage.report]\nexclude_lines = ["return"]\n',
        },
        2,
    ),
    "relative": ({"pyproject.toml": "[tool.coverage.run]\nrelative_files = true\n"}, 6),
    "tox": ({"tox.ini": "[coverage:report]\nexclude_also =\n    our own\n"}, 4),
    "not-valid": ({".coveragerc": "[report]\nexclude_lines =\n    (\n"}, 6),
}


def project_with(tmp_path: Path, files: dict[str, str]) -> Path:
    project = tmp_path / "project"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "__init__.py").write_text(textwrap.dedent(SHOP))
    (project / "shop" / "left_out.py").write_text("x = 1\n")
    (project / "run.py").write_text("import shop\n\nshop.price('ink')\n")
    for name, text in files.items():
        (project / name).write_text(text)
    (tmp_path / "coveragerc").write_text(OURS.format(project=project))
    return project


def measured(tmp_path: Path, project: Path) -> dict[str, int]:
    """Return statements by file, as a run with our settings counts them."""
    program = (
        "import sys; from coverage.cmdline import main; from aqe_coverage_settings import adopt\n"
        "rcfile, out = sys.argv[1:]\n"
        "adopt(rcfile); adopt(rcfile)\n"
        "main(['run', '--rcfile=' + rcfile, 'run.py'])\n"
        "main(['json', '--rcfile=' + rcfile, '-q', '-o', out])\n"
    )
    out = tmp_path / "out.json"
    done = programs.call(
        *("-c", program, tmp_path / "coveragerc", out),
        cwd=project,
        env={"PYTHONPATH": str(INJECTED)},
    )
    assert out.exists(), done.complaints
    files = json.loads(out.read_text())["files"]
    return {name: file["summary"]["num_statements"] for name, file in files.items()}


@pytest.mark.parametrize(("files", "statements"), SETTINGS.values(), ids=SETTINGS)
def test_exclusions_are_those_of_the_file_that_coverage_reads(
    tmp_path: Path, files: dict[str, str], statements: int
) -> None:
    project = project_with(tmp_path, files)
    assert measured(tmp_path, project)["shop/__init__.py"] == statements


def test_what_is_omitted_from_the_run_or_the_report_is_omitted(tmp_path: Path) -> None:
    omits = '[tool.coverage.run]\nomit = ["*/left_*.py"]\n'
    assert [*measured(tmp_path, project_with(tmp_path, {"pyproject.toml": omits}))] == [
        "shop/__init__.py"
    ]


def test_a_plugin_that_is_not_installed_is_left_out(tmp_path: Path) -> None:
    wants = '[tool.coverage.run]\nplugins = ["no_such_plugin"]\nconcurrency = ["greenlet_no"]\n'
    project = project_with(tmp_path, {"pyproject.toml": wants})
    assert "shop/__init__.py" in measured(tmp_path, project)


def test_a_plugin_of_the_project_has_its_options(tmp_path: Path) -> None:
    project = project_with(
        tmp_path,
        {
            "pyproject.toml": '[tool.coverage.run]\nplugins = ["own_plugin"]\n'
            '[tool.coverage.own_plugin]\nline = "our own"\n',
            "own_plugin.py": "import coverage\nclass Own(coverage.CoveragePlugin):\n"
            "    def __init__(self, options): self.line = options['line']\n"
            "    def configure(self, config):\n"
            "        config.set_option('report:exclude_lines', [self.line, 'pragma'])\n"
            "def coverage_init(reg, options): reg.add_configurer(Own(options))\n",
        },
    )
    assert measured(tmp_path, project)["shop/__init__.py"] == 4


def test_a_table_among_the_options_of_a_plugin_is_written_as_ini_writes_it(tmp_path: Path) -> None:
    """As coverage-conditional-plugin has its rules; the table as Python writes it fails each."""
    project = project_with(
        tmp_path,
        {
            "pyproject.toml": '[tool.coverage.run]\nplugins = ["own_plugin"]\n'
            "[tool.coverage.own_plugin.rules]\nnot-nt = \"os_name != 'nt'\"\n",
            "own_plugin.py": "import coverage\nclass Own(coverage.CoveragePlugin):\n"
            "    def configure(self, config):\n"
            "        rules = config.get_option('own_plugin:rules').strip()\n"
            "        assert rules == '\"os_name != \\'nt\\'\": not-nt', rules\n"
            "        config.set_option('report:exclude_lines', ['our own', 'pragma'])\n"
            "def coverage_init(reg, options):\n    reg.add_configurer(Own())\n",
        },
    )
    assert measured(tmp_path, project)["shop/__init__.py"] == 4


def test_patches_of_the_project_are_added_but_for_those_that_write_into_the_environment(
    tmp_path: Path,
) -> None:
    """Without them, code that runs behind ``os.execv`` counts as not covered."""
    wants = '[tool.coverage.run]\npatch = ["execv", "fork", "_exit", "subprocess"]\n'
    measured(tmp_path, project_with(tmp_path, {"pyproject.toml": wants}))
    adopted = configparser.RawConfigParser()
    adopted.read(tmp_path / "coveragerc")
    # With this file coverage.py comes since it writes none for processes to be measured.
    comes = Path(coverage.__file__).parents[1] / "a1_coverage.pth"
    more = ["subprocess"] if comes.is_file() else []
    assert adopted["run"]["patch"].split() == ["execv", "fork", *more]


def test_settings_are_those_of_the_file_that_the_project_names(tmp_path: Path) -> None:
    files = {
        "cov.ini": "[run]\nomit = */left_*.py\n[report]\nexclude_lines =\n    kind ==\n",
        ".coveragerc": "[report]\nexclude_lines =\n    return\n",
    }
    project = project_with(tmp_path, files)
    with (tmp_path / "coveragerc").open("a") as ours:
        ours.write(f"[aqe]\nsettings = {project / 'cov.ini'}\n")
    assert measured(tmp_path, project) == {"shop/__init__.py": 2}


def test_what_a_terminated_process_ran_is_kept_where_the_project_says_so(tmp_path: Path) -> None:
    """Else coverage.py leaves SIGTERM alone, and ours does as well."""
    for says in ("true", "false"):
        wants = f"[tool.coverage.run]\nsigterm = {says}\n"
        measured(tmp_path / says, project_with(tmp_path / says, {"pyproject.toml": wants}))
        adopted = configparser.RawConfigParser()
        adopted.read(tmp_path / says / "coveragerc")
        assert adopted["run"].getboolean("sigterm", fallback=False) is (says == "true")

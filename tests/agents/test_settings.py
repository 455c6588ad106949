"""What ``[tool.aqe]`` may say: each option of its own kind, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lionagi_qe import errors
from lionagi_qe.agents.project.settings import Settings, settings_of

PROJECT = Path("shop")


def of_table(table: dict[str, Any], **given: Any) -> Settings:
    return settings_of(PROJECT, {"tool": {"aqe": table}}, given)


def test_an_isolated_project_does_not_choose_which_variables_it_sees() -> None:
    table = {"isolate": True, "pass-env": ["AWS_SECRET_ACCESS_KEY"]}
    settings = of_table(table)
    assert settings.pass_env == ()
    assert settings.withheld == ("AWS_SECRET_ACCESS_KEY",)
    assert Settings.of_data(json.loads(json.dumps(settings.as_data()))) == settings
    assert of_table(table, pass_env=["SHOP"]).pass_env == ("SHOP",)
    assert of_table(table, isolate=False).pass_env == ("AWS_SECRET_ACCESS_KEY",)


def test_an_isolated_project_does_not_choose_whom_we_call() -> None:
    table = {"isolate": True, "vulnerability-service": "http://169.254.169.254/latest"}
    with pytest.raises(errors.ProjectError, match="can't choose an address that you call"):
        of_table(table)
    given = of_table(table, vulnerability_service="https://osv.example")
    assert given.vulnerability_service == "https://osv.example"
    assert of_table({**table, "vulnerability-service": "osv"}).isolate


@pytest.mark.parametrize("option", ["baseline", "quarantine"])
@pytest.mark.parametrize("path", ["/dev/zero", "../elsewhere.json", "a/../../elsewhere.json"])
def test_a_list_that_a_project_names_is_its_own(option: str, path: str) -> None:
    with pytest.raises(errors.ProjectError, match="should be a file of the project"):
        of_table({option: path})
    assert getattr(of_table({}, **{option: path}), option) == path
    assert getattr(of_table({option: "a/../known"}), option) == "a/../known"


def test_every_option_is_taken_as_it_is_written() -> None:
    table = {
        "project": "shop",
        "min-coverage": 80,
        "min-branch-coverage": 70.5,
        "required": ["line_coverage"],
        "source": ["src/shop"],
        "timeout": 1.5,
        "test-timeout": 0.5,
        "max-memory": 512,
        "pass-env": ["SHOP"],
        "max-complexity": 20,
        "baseline": "known.json",
        "fail-on": ["secrets > 0"],
        "quarantine": "flaky.txt",
        "locked": True,
        "order": "learned",
        "parallel": 4,
        "learn": False,
        "type-checker": "pyright",
        "docs": ["README.md"],
        "api": "shop.app:make()",
        "api-schema": "openapi.yaml",
        "api-examples": 5,
        "vulnerability-service": "https://osv.example.org/v1/query",
        "isolate": False,
        "executor": "queue",
    }
    settings = of_table(table)
    written = {name.replace("-", "_"): value for name, value in table.items()}
    assert json.loads(json.dumps(settings.as_data())) == written | {
        "allow_network": False,
        "model": None,
        "withheld": [],
    }
    assert Settings.of_data(json.loads(json.dumps(settings.as_data()))) == settings


def test_a_project_does_not_let_itself_out() -> None:
    with pytest.raises(errors.ProjectError, match="can't let itself out of its isolation"):
        of_table({"isolate": True, "allow-network": True})
    assert of_table({"isolate": True}, allow_network=True).allow_network


def test_a_project_does_not_choose_whom_its_isolation_trusts() -> None:
    address = "dask://scheduler:8786"
    assert of_table({"executor": address}).executor == address
    for table, given in (({"isolate": True}, {}), ({}, {"isolate": True})):
        with pytest.raises(errors.ProjectError, match="can't choose whom its isolation trusts"):
            of_table({**table, "executor": address}, **given)
    assert of_table({"isolate": True}, executor=address).executor == address


def test_what_the_user_gives_goes_before_what_the_project_says() -> None:
    settings = of_table({"timeout": 5, "learn": True}, timeout=9.0, learn=False, order=None)
    assert (settings.timeout, settings.learn, settings.order) == (9.0, False, "auto")


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("project", "", "should be a text that is not empty"),
        ("project", 1, "should be a text"),
        ("min-coverage", True, "should be a number"),
        ("min-coverage", -0.1, "should be from 0 to 100"),
        ("min-branch-coverage", float("nan"), "should be a number"),
        ("timeout", float("inf"), "should be a number"),
        ("timeout", -1, "should be greater than 0"),
        ("max-memory", 0, "should be a whole number of 1 or more"),
        ("max-memory", 1.5, "should be a whole number"),
        ("max-complexity", True, "should be a whole number"),
        ("required", "line_coverage", "should be a list of texts"),
        ("pass-env", [""], "should be a text that is not empty"),
        ("fail-on", [1], "should be a text"),
        ("order", "random", "should be one of auto, learned, default"),
        ("order", [], "should be one of"),
        ("vulnerability-service", "nvd", 'should be "pypi", "osv" or the URL'),
        ("api", "shop.app", "should be MODULE:APP"),
        ("type-checker", "pytype", "should be one of auto, mypy, pyright"),
        ("parallel", [], 'should be "auto", "off" or a whole number'),
        ("parallel", 0, 'should be "auto", "off" or'),
        ("parallel", True, 'should be "auto", "off" or'),
        ("learn", 1, "should be true or false"),
        ("executor", "celery", "should be one of auto, local, queue, or the address of a Dask"),
        ("executor", "dask://scheduler", "should be one of auto, local, queue"),
        ("executor", "tls://user:secret@scheduler:8786", "should be one of auto, local, queue"),
        ("executor", "ray://head:10001", "should be one of auto, local, queue, or"),
        ("executor", 1, "should be one of auto"),
    ],
)
def test_a_value_of_another_kind_is_named_with_what_it_should_be(
    option: str, value: object, complaint: str
) -> None:
    with pytest.raises(errors.ProjectError) as refused:
        of_table({option: value})
    assert f"[tool.aqe] {option} = {value!r}: {complaint}" in str(refused.value)


@pytest.mark.parametrize("option", ["min_coverage", "min-coverag"])
def test_an_option_that_does_not_exist_is_refused(option: str) -> None:
    with pytest.raises(
        errors.ProjectError, match=f"unknown option '{option}'; did you mean min-coverage"
    ):
        of_table({option: 80})

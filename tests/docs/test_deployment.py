"""The image and compose.yml: what they call exists, and no secret is in them.

No engine runs here; hadolint and the Compose specification's schema check their form in make lint.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import programs

from lionagi_qe.cli.main import cli

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text(encoding="utf-8"))
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def instruction(name: str) -> str:
    return re.findall(rf"^\s*{name} (.+)$", DOCKERFILE, re.MULTILINE)[-1]


@functools.cache
def help_of(command: str) -> programs.Done:
    return programs.call(*programs.AQE, command, "--help", env={"COLUMNS": "200"})


def calls() -> list[tuple[str, list[str]]]:
    health = [
        (f"{name}'s health", service["healthcheck"])
        for name, service in OURS.items()
        if "test" in service.get("healthcheck", {})
    ]
    return [
        ("Dockerfile", json.loads(re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)[-1])),
        *((name, service["command"]) for name, service in OURS.items()),
        *((name, check["test"][2:]) for name, check in health),
    ]


@pytest.mark.parametrize(("where", "words"), calls())
def test_commands_and_their_options_exist(where: str, words: list[str]) -> None:
    command, *options = words
    assert command in cli.list_commands(None)  # type: ignore[arg-type]
    shown = help_of(command)
    assert shown.code == 0
    for option in options:
        if option.startswith("--"):
            assert f"{option} " in shown.output, f"{where}: {option}"


def test_workers_are_asked_by_the_entry_point_of_the_image() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == [SERVICES["worker"]["healthcheck"]["test"][1]]
    assert "docker/entrypoint.sh /usr/local/bin/aqe-entrypoint" in DOCKERFILE


def test_the_image_has_the_extras_that_its_commands_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert {"fleet", "web"} <= set(extras.split(",")) <= set(project["optional-dependencies"])


def test_its_health_is_asked_where_the_console_answers() -> None:
    health = json.loads(DOCKERFILE.partition("HEALTHCHECK")[2].partition("CMD ")[2].split("\n")[0])
    assert health[:2] == ["python", "-c"]
    addresses = [
        node.value
        for node in ast.walk(ast.parse(health[2]))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert addresses == ["http://127.0.0.1:8077/healthz"]
    assert "[default: 8077" in " ".join(help_of("serve").output.split())
    assert instruction("EXPOSE") == "8077"


def test_nothing_runs_as_root_and_the_console_only_shows() -> None:
    assert instruction("USER").isdigit()
    assert instruction("USER") != "0"
    console = SERVICES["console"]
    assert "--write" not in console["command"]
    assert console["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in console["ports"])
    assert "ports" not in SERVICES["postgres"]
    for service in OURS.values():
        assert service["cap_drop"] == ["ALL"]


def test_what_ends_once_it_is_done_is_waited_for_by_what_stays() -> None:
    # docker compose up --wait takes one that ended for a failure otherwise.
    for name, service in SERVICES.items():
        if service["restart"] == "no":
            waiting = [
                other["depends_on"][name]["condition"]
                for other in SERVICES.values()
                if name in other.get("depends_on", {})
            ]
            assert set(waiting) == {"service_completed_successfully"}


def test_secrets_are_files_and_in_no_variable_url_or_image() -> None:
    known = ENTRYPOINT.read_text(encoding="utf-8")
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|TOKEN|KEYS", name):
                assert name.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
                assert service not in OURS.values() or name.removesuffix("_FILE") in known
    assert ":" not in SERVICES["worker"]["environment"]["LIONAGI_QE_MEMORY"].split("@")[0][13:]
    assert not re.search("PASSWORD|TOKEN|KEYS", DOCKERFILE)
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_the_entry_point_reads_secrets_from_files_and_hands_on_arguments(tmp_path: Path) -> None:
    aqe = tmp_path / "aqe"
    aqe.write_text('#!/bin/sh\necho "$LIONAGI_QE_SIGNING_KEYS|$PGPASSWORD|$*"\n')
    aqe.chmod(0o755)
    (tmp_path / "keys").write_text("a'b $HOME\n")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PGPASSWORD": "given"}
    keys = {"LIONAGI_QE_SIGNING_KEYS_FILE": str(tmp_path / "keys")}
    done = subprocess.run(
        [ENTRYPOINT, "worker", "a b"], env=env | keys, capture_output=True, text=True, check=True
    )
    assert done.stdout == "a'b $HOME|given|worker a b\n"
    lacking = {"LIONAGI_QE_SIGNING_KEYS_FILE": str(tmp_path / "none")}
    done = subprocess.run(
        [ENTRYPOINT, "worker"], env=env | lacking, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert done.stdout == b""


def test_hooks_of_pre_commit_call_commands_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    for hook in hooks:
        program, command, *_ = hook["entry"].split()
        assert program == "aqe"
        shown = help_of(command)
        assert shown.code == 0
        for option in hook.get("args", []):
            assert not option.startswith("--") or option in shown.output

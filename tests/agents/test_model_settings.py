"""Which model a run may ask is the user's word, plain data, and stays where the key is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lionagi_qe import errors
from lionagi_qe.agents.base import Examination
from lionagi_qe.agents.environment.target import Environment
from lionagi_qe.agents.generation.agent import TestGenerator as Generator
from lionagi_qe.agents.project.layout import Layout
from lionagi_qe.agents.project.model_choice import ModelChoice
from lionagi_qe.agents.project.settings import Settings, settings_of
from lionagi_qe.agents.project.workspace import Workspace

CHOICE = ModelChoice(provider="acme", name="one", price=(0.4, 1.6), cost_limit=1.0)


def test_a_choice_survives_being_plain_data() -> None:
    settings = Settings(model=CHOICE)
    assert Settings.of_data(json.loads(json.dumps(settings.as_data()))) == settings
    assert Settings.of_data(settings.as_data()) == settings


def test_a_project_can_not_choose(tmp_path: Path) -> None:
    table = {"tool": {"aqe": {"model": {"provider": "evil", "name": "collector"}}}}
    with pytest.raises(errors.ProjectError, match="a project can't name the model"):
        settings_of(tmp_path, table, {})
    with pytest.raises(errors.ProjectError) as unknown:
        settings_of(tmp_path, {"tool": {"aqe": {"modell": 1}}}, {})
    assert "model" not in str(unknown.value).partition("; ")[2]


def test_whoever_asks_a_model_is_no_other_workers_to_carry_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path, None)
    layout = Layout((tmp_path,), (), ())
    environment = Environment(Path("python"), "3.11", layout, (), "given", changeable=False)
    plain = Examination(workspace, environment, Settings(), {}, print)
    assert not Generator().stays_home(plain)
    assert Generator().stays_home(replace(plain, settings=Settings(model=CHOICE)))

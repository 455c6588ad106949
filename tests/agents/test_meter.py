"""Tokens and cost by the API's own account; what it doesn't tell is not guessed."""

from __future__ import annotations

from typing import Any

import pytest

from lionagi_qe import errors
from lionagi_qe.agents.llm.meter import Meter, ModelLimitError
from lionagi_qe.agents.project.model_choice import ModelChoice, split_label


def metered(*usages: dict[str, Any] | None, **limits: Any) -> Meter:
    meter = Meter(ModelChoice(provider="acme", name="one", **limits))
    for usage in usages:
        meter.add(None if usage is None else {"usage": usage})
    return meter


OPENAI = {"prompt_tokens": 1000, "completion_tokens": 100}
ANTHROPIC = {"input_tokens": 10, "cache_read_input_tokens": 900, "output_tokens": 50}


def test_tokens_of_either_kind_of_api_add_up() -> None:
    meter = metered(OPENAI, ANTHROPIC)
    assert (meter.prompt_tokens, meter.completion_tokens, meter.requests) == (1910, 150, 2)
    assert meter.unknown_tokens is None


def test_the_cost_is_told_or_priced_or_not_known() -> None:
    assert metered(OPENAI, price=(2.0, 10.0)).cost == pytest.approx(0.003)
    told = OPENAI | {"cost": 0.25}
    assert metered(told, told).cost == 0.5
    # The API's own word goes before a price.
    assert metered(told, price=(2.0, 10.0)).cost == 0.25
    unknown = metered(OPENAI)
    assert unknown.cost is None
    assert "tells no cost" in str(unknown.unknown_cost)
    assert metered(told, OPENAI).cost is None


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 1},
        OPENAI | {"prompt_tokens": True},
    ],
)
def test_an_answer_without_usage_makes_the_sum_unknown(usage: dict[str, Any] | None) -> None:
    meter = metered(OPENAI, usage, price=(1.0, 1.0))
    assert "1 of 2 requests" in str(meter.unknown_tokens)
    assert meter.cost is None


def test_nothing_is_asked_beyond_a_limit() -> None:
    metered(OPENAI, token_limit=1101).check()
    with pytest.raises(ModelLimitError, match="limit of 1100 tokens was reached"):
        metered(OPENAI, token_limit=1100).check()
    with pytest.raises(ModelLimitError, match=r"limit of 0\.5 US dollars was reached"):
        metered(OPENAI | {"cost": 0.5}, cost_limit=0.5).check()
    with pytest.raises(ModelLimitError, match="can't be held"):
        metered(OPENAI, cost_limit=0.5).check()
    with pytest.raises(ModelLimitError, match="no limit holds"):
        metered(*[None] * 5).check()


def test_a_part_of_the_costs_and_a_price_are_not_added_up() -> None:
    meter = metered(OPENAI | {"cost": 1.0}, OPENAI, price=(2.0, 10.0))
    assert meter.cost == pytest.approx(0.006)


def test_names_of_models_may_hold_slashes() -> None:
    assert split_label("openrouter/meta/llama-3") == ("openrouter", "meta/llama-3")
    for label in ("", "gpt", "/gpt", "openai/"):
        with pytest.raises(errors.InvalidArgumentError, match="PROVIDER/NAME"):
            split_label(label)

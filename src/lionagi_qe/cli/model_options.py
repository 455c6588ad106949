"""Options that name a language model and its limits; the same for every command that asks one."""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.llm.availability import needing_lionagi
from lionagi_qe.agents.project.model_choice import DEFAULT_TOKENS, ModelChoice, split_label

if TYPE_CHECKING:
    from collections.abc import Callable

_PRICES = 2


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --model and what belongs to it; the command gets them as one ModelChoice or None."""

    @click.option(
        "--model",
        "label",
        envvar="AQE_MODEL",
        metavar="PROVIDER/NAME",
        help="A language model to ask, for example openai/gpt-4.1-mini; its key comes from the "
        "environment (OPENAI_API_KEY). It is shown code of the project. Or $AQE_MODEL.",
    )
    @click.option(
        "--base-url",
        envvar="AQE_BASE_URL",
        metavar="URL",
        help="Where the model's API is, if not at the provider's own place. Or $AQE_BASE_URL.",
    )
    @click.option(
        "--token-limit",
        type=click.IntRange(min=1),
        default=DEFAULT_TOKENS,
        show_default=True,
        metavar="N",
        help="Most tokens to ask and be answered, in all.",
    )
    @click.option(
        "--cost-limit",
        type=click.FloatRange(min=0, min_open=True),
        metavar="USD",
        help="Most US dollars in all; needs --price where the API tells no cost.",
    )
    @click.option(
        "--price",
        metavar="IN,OUT",
        help="US dollars for a million tokens asked and answered, for example 0.40,1.60.",
    )
    @wraps(command)
    def with_model(
        *arguments: Any,  # noqa: ANN401 - as click hands them over
        label: str | None,
        base_url: str | None,
        token_limit: int,
        cost_limit: float | None,
        price: str | None,
        **options: Any,  # noqa: ANN401 - likewise
    ) -> Any:  # noqa: ANN401 - as the command returns
        choice = None
        if label is not None:
            provider, name = split_label(label)
            choice = ModelChoice(
                provider=provider,
                name=name,
                base_url=base_url,
                token_limit=token_limit,
                cost_limit=cost_limit,
                price=None if price is None else _prices(price),
            )
        return command(*arguments, model=choice, **options)

    return with_model


def check_model(model: ModelChoice) -> None:
    """Raise InvalidArgumentError unless a model can be asked from here: LionAGI and its key."""
    with needing_lionagi():
        from lionagi_qe.agents.llm.model import api_key
    # LionAGI turns its client's log of every request on.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    api_key(model)


def _prices(text: str) -> tuple[float, float]:
    try:
        prices = [float(word) for word in text.split(",")]
    except ValueError:
        prices = []
    if len(prices) != _PRICES or not all(0 <= each < float("inf") for each in prices):
        raise click.UsageError(f"--price {text}: write two prices, for example 0.40,1.60")
    return prices[0], prices[1]

"""Which language model a run may ask, and how much of it; no key, no framework."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lionagi_qe.errors import InvalidArgumentError

DEFAULT_TOKENS = 200_000
_MILLION = 1_000_000

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelChoice(BaseModel):
    """A model and its limits, as plain data.

    Attributes:
        provider: as LionAGI names it: ``openai``, ``anthropic``, ``openrouter``, ``ollama``, ...
        name: of the model, as the provider calls it.
        base_url: of the API, instead of the provider's own.
        token_limit: most tokens in all, asked and answered.
        cost_limit: most US dollars in all; None for no limit.
        price: US dollars for a million tokens asked and answered; None where nobody said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    name: str
    base_url: str | None = None
    token_limit: Annotated[int, Field(gt=0)] = DEFAULT_TOKENS
    cost_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    price: tuple[Price, Price] | None = None

    @property
    def label(self) -> str:
        """Provider and name, as the user wrote them."""
        return f"{self.provider}/{self.name}"

    def cost_of(self, asked: int, answered: int) -> float | None:
        """Return what so many tokens cost in US dollars; None without a price."""
        if self.price is None:
            return None
        return (asked * self.price[0] + answered * self.price[1]) / _MILLION


def split_label(label: str) -> tuple[str, str]:
    """Return provider and name of ``PROVIDER/NAME``; the name may hold slashes.

    Raises:
        InvalidArgumentError: one of them is missing.

    """
    provider, _, name = label.strip().partition("/")
    if not provider or not name:
        raise InvalidArgumentError(
            f"model {label!r}: write PROVIDER/NAME, for example openai/gpt-4.1-mini"
        )
    return provider, name

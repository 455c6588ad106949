"""Which language model a run may ask, and how much of it; no key, no framework."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lionagi_qe.errors import InvalidArgumentError

DEFAULT_TOKENS = 200_000
_MILLION = 1_000_000


def key_variable(provider: str) -> str:
    """Return the environment variable that has the key of a provider's API."""
    return f"{provider.upper().replace('-', '_')}_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model and its limits, as plain data.

    Attributes:
        provider: as LionAGI names it: ``openai``, ``anthropic``, ``openrouter``, ``ollama``, ...
        name: of the model, as the provider calls it.
        base_url: of the API, instead of the provider's own.
        token_limit: most tokens in all, asked and answered.
        cost_limit: most US dollars in all; None for no limit.
        price: US dollars for a million tokens asked and answered; None where nobody said.

    Raises:
        InvalidArgumentError: a limit is not above 0, or a price below, or one is not finite; or
            the URL has a login.

    """

    provider: str
    name: str
    base_url: str | None = None
    token_limit: int = DEFAULT_TOKENS
    cost_limit: float | None = None
    price: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the numbers, and that the URL is none to keep secret."""
        if "@" in (self.base_url or ""):
            # It is kept with a run's settings, and told in errors of clients.
            raise InvalidArgumentError(
                "the URL of a model's API: has a login or an '@'; leave it out, and put the key "
                f"into the environment variable {key_variable(self.provider)}"
            )
        for limit in (self.token_limit, self.cost_limit):
            if limit is not None and not 0 < limit < math.inf:
                raise InvalidArgumentError(f"limit {limit!r} of a model: must be above 0, finite")
        for price in self.price or ():
            if not 0 <= price < math.inf:
                raise InvalidArgumentError(f"price {price!r} of a model: must be 0 or more, finite")

    @classmethod
    def of_data(cls, data: dict[str, Any]) -> ModelChoice:
        """Return the choice that ``asdict`` made plain data of, tuples or lists."""
        own = dict(data)
        if own["price"] is not None:
            own["price"] = tuple(own["price"])
        return cls(**own)

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

"""What a model was asked and what that cost, by the API's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.project.model_choice import ModelChoice


class ModelError(AqeError):
    """The model could not be asked, or did not answer; the message has no key in it."""


class ModelLimitError(ModelError):
    """A limit of tokens or cost was reached; nothing further is asked."""


class Meter:
    """Counts tokens and cost from the ``usage`` of each answer, and holds the limits.

    A request is sent while the limit is not reached, so that one request may go beyond it; its
    size is not known before.

    Args:
        choice: the model, its limits, its price.

    Attributes:
        requests: that were sent.
        silent: requests that were not answered, or without telling their usage.
        prompt_tokens: asked, of all answers that tell.
        completion_tokens: answered, of all answers that tell.
    """

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice
        self._told_cost = 0.0
        self._costs_told = 0
        self._exhausted: str | None = None
        self.requests = 0
        self.silent = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0

    @property
    def exhausted(self) -> str | None:
        """Which limit is reached; None while none is."""
        if self._exhausted is None:
            self._exhausted = self._reached()
        return self._exhausted

    def check(self) -> None:
        """Raise ModelLimitError if nothing further may be asked."""
        if self.exhausted is not None:
            raise ModelLimitError(self.exhausted)

    def add(self, response: Any) -> None:  # noqa: ANN401 - what an API sent
        """Count one request by its response; None for one that failed."""
        self.requests += 1
        usage: Any = response.get("usage") if isinstance(response, dict) else None
        tokens = _tokens(usage) if isinstance(usage, dict) else None
        if tokens is None:
            self.silent += 1
            return
        self.prompt_tokens += tokens[0]
        self.completion_tokens += tokens[1]
        cost = usage.get("cost")
        if isinstance(cost, int | float) and not isinstance(cost, bool):
            self._told_cost += cost
            self._costs_told += 1

    @property
    def cost(self) -> float | None:
        """US dollars: as the API told them, else by the price; None if neither is known."""
        if self.unknown_cost is not None:
            return None
        if self._costs_told == self.requests and self.requests:
            return self._told_cost
        return self._choice.cost_of(self.prompt_tokens, self.completion_tokens)

    @property
    def unknown_cost(self) -> str | None:
        """Why the cost is not known; None if it is."""
        if self.silent:
            return self.unknown_tokens
        told = self._costs_told == self.requests and self.requests
        if not told and self._choice.price is None:
            return f"the API of {self._choice.label} tells no cost, and no --price was given"
        return None

    @property
    def unknown_tokens(self) -> str | None:
        """Why the tokens are not known; None if they are."""
        if self.silent:
            return f"{self.silent} of {self.requests} requests were answered without their usage"
        return None

    def _reached(self) -> str | None:
        limit, most = self._choice.token_limit, self._choice.cost_limit
        used = self.prompt_tokens + self.completion_tokens
        if used >= limit:
            return f"the limit of {limit} tokens was reached ({used} used)"
        if self.silent >= _MOST_SILENT:
            return f"{self.silent} requests were answered without their usage: no limit holds"
        if most is not None and self.requests:
            cost = self.cost
            if cost is None:
                return f"the limit of {most:g} US dollars can't be held: {self.unknown_cost}"
            if cost >= most:
                return f"the limit of {most:g} US dollars was reached ({cost:.4f} used)"
        return None


# Without usage a limit of tokens can't be held for long.
_MOST_SILENT = 5


def _tokens(usage: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return tokens asked and answered; None if the API tells no counts of either."""
    asked = _count(usage, "prompt_tokens")
    if asked is not None:
        answered = _count(usage, "completion_tokens")
    else:
        # Anthropic's way: what was read from a cache or written to it counts apart.
        asked, answered = _count(usage, "input_tokens"), _count(usage, "output_tokens")
        if asked is not None:
            for name in ("cache_read_input_tokens", "cache_creation_input_tokens"):
                asked += _count(usage, name) or 0
    return None if asked is None or answered is None else (asked, answered)


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

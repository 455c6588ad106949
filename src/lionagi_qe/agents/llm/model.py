"""A language model by LionAGI: metered, within limits, its key from the environment only."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from lionagi.service.imodel import iModel
from lionagi.session.branch import Branch
from pydantic import BaseModel

from lionagi_qe.agents.llm.meter import ModelError
from lionagi_qe.agents.llm.tools import as_tool
from lionagi_qe.agents.project.model_choice import key_variable
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.redacted_text import redact_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.llm.action import Action
    from lionagi_qe.agents.llm.meter import Meter
    from lionagi_qe.agents.project.model_choice import ModelChoice

# Those with a chat API of their own in LionAGI. Others speak as OpenAI does, at a --base-url.
_PROVIDERS = frozenset(
    {
        "anthropic",
        "deepseek",
        "gemini",
        "groq",
        "nvidia_nim",
        "openai",
        "openrouter",
        "perplexity",
    }
)
_URLS = {"ollama": "http://localhost:11434/v1"}
_NO_KEY = "none-needed"
_LONGEST_ERROR = 300
_MOST_UNREADABLE = 2

FormT = TypeVar("FormT", bound=BaseModel)


class _MeteredModel(iModel):
    """An iModel that asks the meter before each request and tells it each answer.

    Retries of a failed request, which LionAGI makes within one call, count as one request.
    """

    meter: Meter

    async def invoke(self, api_call: Any = None, **kw: Any) -> Any:  # noqa: ANN401 - LionAGI's
        self.meter.check()
        response: Any = None
        try:
            called = await super().invoke(api_call, **kw)
            response = called.execution.response
            return called
        finally:
            self.meter.add(response)


class Dialogue:
    """A conversation with a model that has tools and answers in a form.

    Args:
        choice: the model.
        meter: what counts and limits it; may be shared by several dialogues.
        system: what the model is told first.
        actions: what it may ask for.

    Raises:
        InvalidArgumentError: the provider is unknown, or its key is not in the environment.
    """

    def __init__(
        self, choice: ModelChoice, meter: Meter, system: str, actions: Sequence[Action[Any]]
    ) -> None:
        self._choice = choice
        self._meter = meter
        self._key = api_key(choice)
        model = _MeteredModel(
            provider=choice.provider if choice.provider in _PROVIDERS else "openai",
            model=choice.name,
            base_url=_url(choice),
            api_key=self._key,
            allow_local_network=_is_local(choice),
            # LionAGI would count tokens with an encoding that it downloads.
            requires_tokens=False,
        )
        model.meter = meter
        self._branch = Branch(
            chat_model=model,
            system=system,
            tools=[as_tool(action) for action in actions],
            # Else its messages would be left in ./data/logs.
            log_config={"auto_save_on_exit": False},
        )

    async def ask(
        self, instruction: str, form: type[FormT], *, rounds: int, until: float
    ) -> FormT | None:
        """Return the model's answer in this form; None if it has none after so many rounds.

        In each round it may ask for tools, whose results it gets, or answer. What can't be read as
        the form is asked for once more, after LionAGI's own attempts to have it put right.

        Args:
            instruction: what it is to do.
            form: of the answer; each field has a default.
            rounds: how often it is asked at most.
            until: by ``time.monotonic``, when to give up.

        Raises:
            ModelLimitError: the limit of tokens or cost is reached.
            ModelError: the API failed, or there was no time for an answer.

        """
        unreadable = 0
        for left in range(rounds - 1, -1, -1):
            answer = await self._turn(instruction, form, until)
            if not isinstance(answer, form):
                unreadable += 1
                if unreadable == _MOST_UNREADABLE:
                    break
                instruction = "That was no JSON of the form asked for. Answer in that form only."
            elif getattr(answer, "action_responses", None):
                instruction = (
                    "The results of your calls are in the context. Go on: call further tools, or "
                    f"give your answer. You can be asked {left} more times."
                )
            else:
                return answer
        return None

    async def _turn(self, instruction: str, form: type[BaseModel], until: float) -> Any:  # noqa: ANN401 - whatever LionAGI parsed
        self._meter.check()
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0)):
                return await self._branch.operate(
                    instruction=instruction, response_format=form, actions=True
                )
        except TimeoutError as error:
            raise ModelError(f"{self._choice.label} did not answer in its time") from error
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the client or the API made of it
            # A key that is in it is not for others to read.
            self._meter.check()
            said = " ".join(str(error).split()).replace(self._key, "(key)")
            said = redact_text(said)[:_LONGEST_ERROR]
            raise ModelError(f"{self._choice.label}: {said}") from None


def api_key(choice: ModelChoice) -> str:
    """Return the key of a provider's API from the environment.

    Raises:
        InvalidArgumentError: the provider is unknown and no URL was given, or its key is not there.

    """
    if choice.provider not in _PROVIDERS and _url(choice) is None:
        known = ", ".join(sorted(_PROVIDERS | _URLS.keys()))
        raise InvalidArgumentError(
            f"model {choice.label}: {choice.provider} is none of {known}; "
            "name the URL of an API that speaks as OpenAI's with --base-url"
        )
    variable = key_variable(choice.provider)
    key = os.environ.get(variable, "")
    if not key and not _is_local(choice):
        raise InvalidArgumentError(
            f"model {choice.label}: its key is expected in the environment variable {variable}"
        )
    return key or _NO_KEY


def _url(choice: ModelChoice) -> str | None:
    return choice.base_url or _URLS.get(choice.provider)


def _is_local(choice: ModelChoice) -> bool:
    """Whether the API is on this machine or its network, where often no key is needed."""
    host = urlsplit(_url(choice) or "").hostname or ""
    if host == "localhost" or host.endswith(".local"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback

"""``aqe ask PATH QUESTION``: a model answers from what was measured, each claim with its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.examination import budget_option, project_options, request_of
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.model_options import check_model, model_options
from lionagi_qe.cli.options import show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import showing
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.agents.base import Progress
    from lionagi_qe.agents.project.model_choice import ModelChoice
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.integrations.ask import Answered


@click.command
@click.argument("path", type=click.Path(path_type=Path))
@project_options
@click.argument("question")
@budget_option("180s")
@model_options
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def ask(  # noqa: PLR0913 - a command's options
    path: Path,
    question: str,
    *,
    python: Path | None,
    memory_url: str | None,
    budget: float,
    model: ModelChoice | None,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Have a model answer a QUESTION about the project in the directory PATH.

    It reads what the fleet measured, and measures what is missing on a copy. Its answer is a list
    of claims, each with the key of its source; a claim that does not agree with its source is
    marked and does not count. The measured figure stands beside each claim. Exit code 4 if nothing
    that it said is supported.
    """
    if model is None:
        raise click.UsageError(
            "aqe ask needs a model: --model PROVIDER/NAME, for example openai/gpt-4.1-mini"
        )
    check_model(model)
    if not question.strip():
        raise click.UsageError("QUESTION is empty; ask something about the project")
    request = request_of(path, agents=[], python=python, memory_url=memory_url, given=given)
    with showing() as progress:
        answered = run_until_told(_answer(question, model, request, budget, progress))
    if as_document:
        show_json(_document(question, model, answered))
    else:
        for line in _lines(model, answered):
            say(line)
    return Exit.PASSED if answered.supported else Exit.NOT_MEASURED


async def _answer(
    question: str, model: ModelChoice, request: Request, budget: float, progress: Progress
) -> Answered:
    from lionagi_qe.integrations.ask import answer

    async with open_memory(request.memory_url, fleet=request.fleet) as memory:
        return await answer(question, model, request, memory, seconds=budget, progress=progress)


def _lines(model: ModelChoice, answered: Answered) -> Iterator[str]:
    for claim in answered.supported:
        yield claim.text
        yield f"    measured: {claim.fact}"
        yield f"    source:   {claim.source}"
    if not answered.supported:
        yield "no answer that a measurement supports"
    if answered.unsupported:
        yield ""
        yield f"not supported, so not an answer ({len(answered.unsupported)}):"
    for claim in answered.unsupported:
        yield f"  said: {claim.text}"
        yield f"    but {claim.objection}"
        if claim.fact is not None:
            yield f"    measured: {claim.fact}"
    if answered.stopped is not None:
        yield ""
        yield f"stopped: {answered.stopped}"
    meter = answered.meter
    cost = f"{meter.cost:.4f} US dollars" if meter.cost is not None else meter.unknown_cost
    tokens = meter.unknown_tokens or (
        f"{meter.prompt_tokens} tokens asked, {meter.completion_tokens} answered"
    )
    yield ""
    yield f"{model.label}: {meter.requests} requests; {tokens}; cost: {cost}"


def _document(question: str, model: ModelChoice, answered: Answered) -> dict[str, Any]:
    meter = answered.meter
    known = meter.unknown_tokens is None
    return {
        "question": question,
        "model": model.label,
        "claims": [
            {"text": each.text, "measured": each.fact, "source": each.source}
            for each in answered.supported
        ],
        "unsupported": [
            {
                "text": each.text,
                "objection": each.objection,
                "measured": each.fact,
                "source": each.source,
            }
            for each in answered.unsupported
        ],
        "stopped": answered.stopped,
        "usage": {
            "requests": meter.requests,
            "prompt_tokens": meter.prompt_tokens if known else None,
            "completion_tokens": meter.completion_tokens if known else None,
            "tokens_reason": meter.unknown_tokens,
            "cost_usd": meter.cost,
            "cost_reason": meter.unknown_cost,
        },
    }

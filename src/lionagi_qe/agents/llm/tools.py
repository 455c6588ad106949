"""Actions as tools of a LionAGI Branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi.protocols.action.tool import Tool

from lionagi_qe.agents.llm.fleet_actions import fleet_actions
from lionagi_qe.agents.llm.memory_actions import area_of, memory_actions
from lionagi_qe.agents.llm.work_actions import DEFAULT_LEASE_TTL, work_actions
from lionagi_qe.deprecation import renamed

if TYPE_CHECKING:
    from lionagi_qe.agents.llm.action import Action
    from lionagi_qe.persistence import Memory


def memory_tools(memory: Memory, agent: str) -> list[Tool]:
    """Return memory_store, memory_retrieve, memory_search and memory_wait for a Branch.

    They reach what lies under ``aqe/notes/<agent>/`` and nothing else. Errors come back as
    ``{"error": {"kind", "message"}}``, for the model to read and mend.

    Args:
        memory: where to keep things; it must be open for as long as the tools are used.
        agent: whose part of the memory it is, one name without '/'.
    """
    return [as_tool(action) for action in memory_actions(memory, area_of(agent))]


@renamed(lease="lease_ttl")
def fleet_tools(
    memory: Memory, *, queue: str | None = None, lease_ttl: float = DEFAULT_LEASE_TTL
) -> list[Tool]:
    """Return tools that read what the fleet measured, each answer with its source.

    fleet_projects, fleet_runs, fleet_metrics, fleet_gaps, fleet_survivors, fleet_test_history and
    fleet_flaky_history; with a ``queue`` also work_claim and work_report on its jobs, which are the
    model's for ``lease_ttl`` seconds.
    """
    actions = fleet_actions(memory)
    if queue is not None:
        actions += work_actions(memory, queue, lease_ttl=lease_ttl)
    return [as_tool(action) for action in actions]


def as_tool(action: Action[Any]) -> Tool:
    """Return an action as a Tool, with its schema.

    No ``request_options``: LionAGI would check the arguments by them first, and turn what is
    wrong into an output of None, of which the model learns nothing.
    """

    async def call(**kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - checked by the action
        return await action.answer(kwargs)

    call.__name__ = action.name
    return Tool(
        func_callable=call,
        tool_schema={
            "type": "function",
            "function": {
                "name": action.name,
                "description": action.description,
                "parameters": action.schema,
            },
        },
    )

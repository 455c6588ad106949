"""Compiled graphs on FleetSaver: as on LangGraph's own saver, and after the death of a process."""

from __future__ import annotations

import json
import operator
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from tests import programs
from tests.backends import SERVERS, on, url_of

from lionagi_qe import Memory, open_memory
from lionagi_qe.integrations.langgraph import FleetStore
from lionagi_qe.integrations.langgraph_checkpoints import FleetSaver
from lionagi_qe.testing.conformance.base import erase, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore

PROGRAM = Path(__file__).with_name("killed_graph.py")


@pytest_asyncio.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with open_memory(url_of(request), fleet=f"test-{uuid.uuid4().hex}") as opened:
        yield opened
        await erase(opened)


@pytest.mark.integration
async def test_a_process_that_was_killed_in_a_step_is_followed_by_another(
    request: pytest.FixtureRequest, sqlite_url: str
) -> None:
    urls = [sqlite_url, *(str(request.getfixturevalue(name)) for name in SERVERS.values())]
    fleet = f"test-{uuid.uuid4().hex}"
    first = await programs.start(PROGRAM, "killed", fleet, *urls)
    for url in urls:
        async with FleetSaver(url, fleet=fleet) as saver:

            async def is_in_the_middle(saver: FleetSaver = saver) -> bool:
                found = await saver.aget_tuple({"configurable": {"thread_id": "killed"}})
                return found is not None and any(
                    "beside killed" in str(write) for write in found.pending_writes or []
                )

            await until(is_in_the_middle)
    first.kill()
    await first.wait()
    steps = ["first killed", "beside killed", "second resumed", "last resumed"]
    assert json.loads(await programs.run(PROGRAM, "resumed", fleet, *urls)) == [steps] * 4
    for url in urls:
        async with open_memory(url, fleet=fleet) as memory:
            await erase(memory)


class Tasks(TypedDict):
    items: list[str]
    done: Annotated[list[str], operator.add]
    messages: Annotated[list[Any], add_messages]
    answer: str


class Inner(TypedDict):
    answer: str


def _ask(_: Inner) -> Inner:
    return {"answer": interrupt({"question": "which?"})}


def _plan(state: Tasks) -> dict[str, Any]:
    text = ", ".join(state["items"])
    return {"messages": [HumanMessage(text, id="human"), AIMessage("well", id="ai")]}


def _each(state: Tasks) -> list[Send]:
    return [Send("work", item) for item in state["items"]]


def _work(item: str) -> dict[str, Any]:
    return {"done": [item.upper()]}


def graph_on(
    saver: BaseCheckpointSaver[Any], store: BaseStore | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A fan-out, messages, and a subgraph that stops for an answer."""
    inner = StateGraph(Inner)
    inner.add_node("ask", _ask)
    inner.add_edge(START, "ask")
    builder = StateGraph(Tasks)
    builder.add_node("plan", _plan)
    builder.add_node("work", _work)
    builder.add_node("inner", inner.compile())
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", _each, ["work"])
    builder.add_edge("work", "inner")
    builder.add_edge("inner", END)
    return builder.compile(checkpointer=saver, store=store)


async def story(saver: BaseCheckpointSaver[Any]) -> list[Any]:
    """Stop, look, answer, look back, and take another way from an earlier checkpoint."""
    graph = graph_on(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    seen: list[Any] = []

    async def look() -> None:
        state = await graph.aget_state(config, subgraphs=True)
        seen.append((state.values, state.next, [each.value for each in state.interrupts]))
        seen.extend(
            [
                (past.values, past.next, past.metadata and past.metadata.get("step"))
                async for past in graph.aget_state_history(config)
            ]
        )

    await graph.ainvoke({"items": ["a", "b", "c"]}, config)
    await look()
    await graph.ainvoke(Command(resume="this"), config)
    await look()
    history = [past async for past in graph.aget_state_history(config)]
    planned = next(past for past in history if past.next == ("work",) * 3)
    fork = await graph.aupdate_state(planned.config, {"items": ["d"]}, as_node="plan")
    taken = await graph.ainvoke(None, fork)
    # By identifiers of its own.
    seen.append([each.value for each in taken.pop("__interrupt__")])
    seen.append(taken)
    await graph.ainvoke(Command(resume="that"), config)
    await look()
    return seen


async def test_a_graph_is_what_it_is_on_langgraphs_own_saver(memory: Memory) -> None:
    assert await story(FleetSaver(memory)) == await story(InMemorySaver())


async def test_a_pruned_thread_goes_on(memory: Memory) -> None:
    saver = FleetSaver(memory)
    graph = graph_on(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"items": ["a", "b"]}, config)
    await saver.aprune(["t"])
    history = [past async for past in graph.aget_state_history(config)]
    assert [past.parent_config for past in history] == [None]
    assert (await graph.ainvoke(Command(resume="this"), config))["answer"] == "this"
    await saver.adelete_thread("t")
    assert await memory.list_keys() == []


def _joined(log: list[str] | None, writes: list[list[str]]) -> list[str]:
    return [*(log or []), *(line for lines in writes for line in lines)]


class Log(TypedDict):
    log: Annotated[list[str], DeltaChannel(_joined, snapshot_frequency=5)]


@pytest.mark.parametrize("turns", [3, 5, 8])
async def test_a_delta_channel_outlives_pruning(sqlite_memory: Memory, turns: int) -> None:
    def note(state: Log) -> Log:
        return {"log": [str(len(state["log"]))]}

    saver = FleetSaver(sqlite_memory)
    graph = (
        StateGraph(Log)
        .add_node("note", note)
        .add_edge(START, "note")
        .add_edge("note", END)
        .compile(checkpointer=saver)
    )
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    for turn in range(turns):
        await graph.ainvoke({"log": [f"in {turn}"]}, config)
    before = (await graph.aget_state(config)).values
    assert len(before["log"]) == 2 * turns
    await saver.aprune(["t"])
    assert (await graph.aget_state(config)).values == before
    after = await graph.ainvoke({"log": ["more"]}, config)
    assert after["log"][:-1] == [*before["log"], "more"]


class Plan(BaseModel):
    goal: str


class Planned(BaseModel):
    plan: Plan
    seen: str = ""


async def test_a_state_of_models_comes_back_as_models_without_being_allowed(
    sqlite_memory: Memory,
) -> None:
    """LangGraph validates a state by its schema: plain data are enough for it."""

    def look(state: Planned) -> dict[str, Any]:
        interrupt("?")
        return {"seen": state.plan.goal}

    builder = StateGraph(Planned)
    builder.add_node("look", look)
    builder.add_edge(START, "look")
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await builder.compile(checkpointer=FleetSaver(sqlite_memory)).ainvoke(
        {"plan": Plan(goal="tests")}, config
    )
    again = builder.compile(checkpointer=FleetSaver(sqlite_memory))
    assert (await again.ainvoke(Command(resume=1), config))["seen"] == "tests"


def test_store_and_saver_share_a_memory_without_a_loop(sqlite_url: str) -> None:
    def remember(state: Inner, *, store: BaseStore) -> Inner:
        store.put(("users", "ann"), "answer", {"text": state["answer"]})
        return state

    with FleetSaver(sqlite_url) as saver, FleetStore(sqlite_url) as store:
        builder = StateGraph(Inner)
        builder.add_node("remember", remember)
        builder.add_edge(START, "remember")
        graph = builder.compile(checkpointer=saver, store=store)
        config: RunnableConfig = {"configurable": {"thread_id": "t"}}
        graph.invoke({"answer": "yes"}, config)
        assert graph.get_state(config).values == {"answer": "yes"}
        item = store.get(("users", "ann"), "answer")
        assert item is not None
        assert item.value == {"text": "yes"}

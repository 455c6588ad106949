"""A graph on several checkpointers: ``killed`` stands still in its middle, ``resumed`` ends.

Arguments: which of the two, the fleet, and the URLs of the memories.
"""

from __future__ import annotations

import json
import operator
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, TypedDict

from langgraph.graph import END, START, StateGraph

from lionagi_qe.integrations.langgraph_checkpoints import FleetSaver

if TYPE_CHECKING:
    from collections.abc import Callable

TURN, FLEET, *URLS = sys.argv[1:]
CONFIG = {"configurable": {"thread_id": "killed"}}


class State(TypedDict):
    steps: Annotated[list[str], operator.add]


def step(name: str) -> Callable[[State], State]:
    def run(_: State) -> State:
        if name == "second" and TURN == "killed":
            threading.Event().wait()
        return {"steps": [f"{name} {TURN}"]}

    return run


def work(url: str) -> list[str]:
    builder = StateGraph(State)
    for name in ("first", "beside", "second", "last"):
        builder.add_node(name, step(name))
    builder.add_edge(START, "first")
    for name in ("beside", "second"):
        builder.add_edge("first", name)
    builder.add_edge(["beside", "second"], "last")
    builder.add_edge("last", END)
    with FleetSaver(url, fleet=FLEET) as saver:
        graph = builder.compile(checkpointer=saver)
        given = {"steps": []} if TURN == "killed" else None
        return graph.invoke(given, CONFIG, durability="sync")["steps"]


with ThreadPoolExecutor(len(URLS)) as threads:
    print(json.dumps(list(threads.map(work, URLS))))

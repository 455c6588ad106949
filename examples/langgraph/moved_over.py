"""The graph of written_for_langgraph.py on a durable memory: imports and two lines differ."""

import sys
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.types import Command, interrupt

from lionagi_qe.integrations.langgraph import FleetStore
from lionagi_qe.integrations.langgraph_checkpoints import FleetSaver

URL = sys.argv[1] if len(sys.argv) > 1 else "sqlite:///agents.db"
NEAR = 0.9
KINDS = ("test pytest flaky", "deploy release version", "colour font layout")


def embed(texts: list[str]) -> list[list[float]]:
    """Stand in for a model: count the words of each kind."""
    return [
        [float(sum(text.lower().count(word) for word in kind.split())) for kind in KINDS]
        for text in texts
    ]


class State(TypedDict):
    """What the graph works on."""

    request: str
    answer: str


def plan(state: State, *, store: BaseStore) -> dict[str, str]:
    """Ask a person how to do it, unless something like it was noted before."""
    noted = store.search(("notes", "ann"), query=state["request"], limit=1)
    if noted and (noted[0].score or 0) > NEAR:
        return {"answer": f"as noted: {noted[0].value['text']}"}
    text = interrupt(f"how do you want {state['request']}?")
    store.put(("notes", "ann"), state["request"], {"text": text, "about": state["request"]})
    return {"answer": f"as told: {text}"}


saver = FleetSaver(URL)
store = FleetStore(URL, index={"dims": 3, "embed": embed, "fields": ["text", "about"]})

builder = StateGraph(State)
builder.add_node("plan", plan)
builder.add_edge(START, "plan")
builder.add_edge("plan", END)
graph = builder.compile(checkpointer=saver, store=store)

first = {"configurable": {"thread_id": "1"}}
result = graph.invoke({"request": "a flaky test"}, first)
if "__interrupt__" in result:
    print("asks:", result["__interrupt__"][0].value)
    result = graph.invoke(Command(resume="mend it with pytest"), first)
print(result["answer"])
# Another thread has the same long-term memory.
second = {"configurable": {"thread_id": "2"}}
print(graph.invoke({"request": "another flaky test"}, second)["answer"])
print(len(list(graph.get_state_history(first))), "checkpoints of the first thread")

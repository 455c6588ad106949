"""LangGraph's checkpoints in the shared memory: ``graph.compile(checkpointer=FleetSaver(url))``."""

from lionagi_qe.integrations.langgraph_checkpoints.saver import FleetSaver

__all__ = ["FleetSaver"]

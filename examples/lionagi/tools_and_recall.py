"""An agent that measures with a tool, keeps notes, and is told later what the tool returned.

    python examples/lionagi/tools_and_recall.py [memory URL]

In the first turn the model calls two tools: ``count_lines``, which measures this very file, and
``memory_store``. What count_lines returned is kept, and told to the model, with its source, when a
later turn names the file again. A second agent could be told the same, in another process.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from lionagi import Branch
from lionagi.protocols.action.tool import Tool
from loopback import loopback_model
from pydantic import BaseModel

from lionagi_qe import open_memory
from lionagi_qe.integrations.lionagi import FleetRecall, memory_tools
from lionagi_qe.testing.openai_server import Answer, calls

URL = sys.argv[1] if len(sys.argv) > 1 else "memory://"
HERE = Path(__file__).parent
NO_LOGS = {"auto_save_on_exit": False}


class CountLines(BaseModel):
    path: str


def count_lines(path: str) -> dict[str, Any]:
    """Count the lines of a file of the examples."""
    file = (HERE / path).resolve()
    if file.parent != HERE.resolve() or not file.is_file():
        # A value, so that the model can mend it.
        return {"error": f"{path}: no file of the examples"}
    return {"path": path, "lines": len(file.read_text(encoding="utf-8").splitlines())}


SCRIPT = (
    calls(
        ("count_lines", {"path": "tools_and_recall.py"}),
        ("memory_store", {"key": "done", "value": ["tools_and_recall.py"]}),
    ),
    Answer("I was told its length, and where that comes from."),
)


async def main() -> None:
    # A real one instead: model = iModel(provider="openai", model="gpt-4.1-mini")
    with loopback_model(*SCRIPT) as model:
        async with open_memory(URL) as memory:
            branch = Branch(
                chat_model=model,
                name="counter",
                system="You measure files with tools, and never guess.",
                tools=[
                    Tool(func_callable=count_lines, request_options=CountLines),
                    *memory_tools(memory, "counter"),
                ],
                log_config=NO_LOGS,
            )
            branch.providers.register(FleetRecall(memory, "examples"))

            turn = await branch.operate(
                instruction="How long is tools_and_recall.py? Note that it is done.", actions=True
            )
            for response in turn.action_responses or []:
                print(f"{response.function} returned {response.output}")

            print(await branch.communicate("What do you know about tools_and_recall.py?"))
            print("It was told before by:", branch.last_context_report.fired[0]["provider_name"])
            async for entry in memory.scan("aqe/knowledge/"):
                print(f"{entry.key}: {entry.value['output']}")


asyncio.run(main())

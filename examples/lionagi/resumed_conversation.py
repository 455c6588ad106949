"""A conversation that is saved, and resumed where it ended: by one process at a time.

    python examples/lionagi/resumed_conversation.py [memory URL]

With a URL of its own it goes on with each run of this script.
"""

from __future__ import annotations

import asyncio
import sys

from lionagi import Branch
from loopback import loopback_model

from lionagi_qe import open_memory
from lionagi_qe.integrations.lionagi import (
    ConversationHeldError,
    ConversationNotFoundError,
    Conversations,
    memory_tools,
)
from lionagi_qe.testing.openai_server import Answer

URL = sys.argv[1] if len(sys.argv) > 1 else "memory://"
NO_LOGS = {"auto_save_on_exit": False}


async def main() -> None:
    # A real one instead: model = iModel(provider="openai", model="gpt-4.1-mini")
    with loopback_model(Answer("Start with the login."), Answer("With the login.")) as model:
        async with open_memory(URL) as memory:
            conversations = Conversations(memory)
            tools = memory_tools(memory, "planner")
            try:
                talk = await conversations.resume("plan", tools=tools, chat_model=model)
                print(f"Resumed, with {len(talk.branch.messages)} messages")
            except ConversationNotFoundError:
                branch = Branch(
                    chat_model=model, system="You are brief.", tools=tools, log_config=NO_LOGS
                )
                talk = await conversations.start("plan", branch)
                print("Started")
            async with talk:
                print(await talk.branch.communicate("What do we test first?"))
                try:
                    await conversations.resume("plan", tools=tools)
                except ConversationHeldError as error:
                    print(f"Nobody else can have it now: {error}")

            async with await conversations.resume("plan", tools=tools, chat_model=model) as talk:
                print(await talk.branch.communicate("Where did you want to begin?"))
                print(f"{len(talk.branch.messages)} messages")


asyncio.run(main())

"""A LionAGI Session whose memory outlives it: run this twice, and the second run remembers.

    python examples/lionagi/shared_memory.py [memory URL]

The URL may also be postgresql://... or redis://...; then other machines remember, too.
"""

from __future__ import annotations

import asyncio
import sys

from lionagi import Branch, MemoryItem, MemoryQuery, Session
from loopback import loopback_model

from lionagi_qe.integrations.lionagi import FleetMemoryStore
from lionagi_qe.testing.openai_server import Answer

URL = sys.argv[1] if len(sys.argv) > 1 else "sqlite:///shared-memory.db"
NO_LOGS = {"auto_save_on_exit": False}


async def main() -> None:
    # A real one instead: model = iModel(provider="openai", model="gpt-4.1-mini")
    with loopback_model(Answer("Dates across time zones deserve the next test.")) as model:
        async with FleetMemoryStore(URL) as store:
            asker = Branch(chat_model=model, name="asker", log_config=NO_LOGS)
            reader = Branch(chat_model=model, name="reader", log_config=NO_LOGS)
            session = Session(memory=store, default_branch=asker)
            session.include_branches(reader)

            known = await session.memory.search(MemoryQuery(tags=["advice"]))
            print(f"Known from earlier runs: {len(known)}")

            advice = await asker.communicate("What deserves the next test?")
            item = MemoryItem(content=advice, tags=["advice"], metadata={"by": asker.name})
            item_id = await asker.memory.store(item)

            found = await reader.memory.retrieve(item_id)
            print(f"The other branch reads: {found.content}")


asyncio.run(main())

"""Conversations saved and resumed: whole, by one process at a time, never over another's."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from lionagi import Session, iModel
from tests import prefork

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.integrations.lionagi import (
    ConversationHeldError,
    ConversationLostError,
    ConversationNotFoundError,
    Conversations,
    FleetMemoryStore,
    memory_tools,
)
from lionagi_qe.testing.openai_server import Answer, ChatServer, calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lionagi import Branch

    MakeBranch = Callable[..., Branch]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(lambda request: Answer(f"answer {len(request['messages'])}")) as running:
        yield running


@pytest.fixture
def make(server: ChatServer, branch_of: MakeBranch) -> MakeBranch:
    def branch(**settings: Any) -> Branch:
        return branch_of(server, **({"system": "You are brief.", "name": "ann"} | settings))

    return branch


@pytest.fixture
def model(make: MakeBranch) -> iModel:
    return make().chat_model


def said(branch: Branch) -> list[tuple[str, str]]:
    return [(str(message.role), message.rendered) for message in branch.messages]


async def test_a_conversation_goes_on_where_it_ended(
    memory: Memory, make: MakeBranch, model: iModel, server: ChatServer
) -> None:
    conversations = Conversations(memory)
    branch = make()
    async with await conversations.start("triage", branch):
        await branch.communicate("One?")
    async with await conversations.resume("triage", chat_model=model) as talk:
        assert talk.session is None
        assert (talk.branch.id, talk.branch.name) == (branch.id, "ann")
        assert said(talk.branch) == said(branch)
        await talk.branch.communicate("Two?")
    assert [message["content"] for message in server.requests[-1]["messages"]] == [
        "Guidance: You are brief.\nInstruction: One?",
        "answer 1",
        "Instruction: Two?",
    ]
    async with await conversations.resume("triage", chat_model=model) as again:
        assert len(again.branch.messages) == 5
    assert await conversations.names() == ["triage"]


async def test_tools_and_memory_are_restored(
    sqlite_memory: Memory, server: ChatServer, branch_of: MakeBranch
) -> None:
    conversations = Conversations(sqlite_memory)
    tools = memory_tools(sqlite_memory, "ann")
    store = FleetMemoryStore(sqlite_memory)
    async with await conversations.start("triage", branch_of(server, tools=tools[:2])):
        pass
    with ChatServer([calls(("memory_store", {"key": "kept", "value": 1}))]) as other:
        async with await conversations.resume(
            "triage", tools=tools, memory=store, chat_model=branch_of(other).chat_model
        ) as talk:
            assert talk.branch.memory is store
            assert sorted(talk.branch.acts.registry) == ["memory_retrieve", "memory_store"]
            await talk.branch.operate(instruction="Keep it.", actions=True)
    assert await sqlite_memory.retrieve("aqe/notes/ann/kept") == 1


async def test_a_tool_that_is_not_handed_in_is_named(
    sqlite_memory: Memory, make: MakeBranch
) -> None:
    conversations = Conversations(sqlite_memory)
    tools = memory_tools(sqlite_memory, "ann")
    async with await conversations.start("triage", make(tools=tools)):
        pass
    with pytest.raises(
        errors.InvalidArgumentError, match="memory_search, memory_store, memory_wait; hand"
    ):
        await conversations.resume("triage", tools=tools[1:2])
    # And nobody holds it for that.
    async with await conversations.resume("triage", tools=tools):
        pass


async def test_a_session_with_its_branches(
    sqlite_memory: Memory, make: MakeBranch, model: iModel
) -> None:
    conversations = Conversations(sqlite_memory)
    store = FleetMemoryStore(sqlite_memory)
    session = Session(name="review", default_branch=make())
    session.include_branches([make(name="bob"), make(name="eve")])
    async with await conversations.start("review", session):
        await session.get_branch("bob").communicate("One?")
    async with await conversations.resume("review", chat_model=model, memory=store) as talk:
        restored = talk.session
        assert restored is not None
        assert (restored.id, restored.name) == (session.id, "review")
        assert sorted(branch.name for branch in restored.branches) == ["ann", "bob", "eve"]
        assert (talk.branch.name, restored.default_branch.name) == ("ann", "ann")
        assert said(restored.get_branch("bob")) == said(session.get_branch("bob"))
        assert {branch.memory for branch in restored.branches} == {store}
        assert {branch.user for branch in restored.branches} == {restored.id}


async def test_only_one_has_it_at_a_time(memory: Memory, make: MakeBranch, model: iModel) -> None:
    conversations, others = Conversations(memory), Conversations(memory)
    async with await conversations.start("triage", make()):
        for attempt in (
            others.resume("triage"),
            others.start("triage", make()),
            others.delete("triage"),
        ):
            with pytest.raises(ConversationHeldError, match=r"conversation 'triage': .+ has it"):
                await attempt
    resumed = await asyncio.gather(
        *(others.resume("triage", chat_model=model) for _ in range(8)), return_exceptions=True
    )
    held = [each for each in resumed if not isinstance(each, BaseException)]
    assert len(held) == 1
    assert all(isinstance(each, ConversationHeldError) for each in resumed if each not in held)
    await held[0].release()


HOLD = """
import asyncio, sys
from lionagi.testing import TestBranch
from lionagi_qe import open_memory
from lionagi_qe.integrations.lionagi import Conversations

async def main(url):
    async with open_memory(url) as memory:
        branch = TestBranch.from_text("unused", log_config={"auto_save_on_exit": False})
        await Conversations(memory, lease_ttl=0.5).start("triage", branch)
        print("started", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


async def test_what_a_killed_process_had_can_be_resumed(sqlite_url: str, model: iModel) -> None:
    process = await prefork.start("code", HOLD, sqlite_url, stderr=None)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    async with open_memory(sqlite_url) as memory:
        conversations = Conversations(memory)
        with pytest.raises(ConversationHeldError):
            await conversations.resume("triage", chat_model=model)
        process.kill()
        await process.wait()
        async with asyncio.timeout(30):
            while True:
                try:
                    talk = await conversations.resume("triage", chat_model=model)
                    break
                except ConversationHeldError:
                    await asyncio.sleep(0.05)
        assert talk.branch.name == "TestBranch"
        await talk.release()


async def test_who_lost_it_can_not_save_over_the_other(
    memory: Memory, make: MakeBranch, model: iModel
) -> None:
    conversations = Conversations(memory)
    mine = await conversations.start("triage", make())
    # As if this process had slept for longer than its lease.
    await mine.release()
    async with await conversations.resume("triage", chat_model=model) as other:
        await other.branch.communicate("Mine now.")
        await mine.branch.communicate("Still mine?")
        with pytest.raises(ConversationLostError, match="nothing was saved"):
            await mine.save()
    async with await conversations.resume("triage", chat_model=model) as last:
        assert "Instruction: Mine now." in [text for _, text in said(last.branch)]


async def test_a_save_whose_answer_was_lost_is_known_again(
    sqlite_memory: Memory, make: MakeBranch, model: iModel
) -> None:
    conversations = Conversations(sqlite_memory)
    async with await conversations.start("triage", make()) as talk:
        key = "aqe/conversations/triage"
        # What was stored is ours, but we were not told its revision.
        await sqlite_memory.store(key, await sqlite_memory.retrieve(key))
        await talk.branch.communicate("One?")
    async with await conversations.resume("triage", chat_model=model) as again:
        assert len(again.branch.messages) == 3


async def test_an_error_leaves_what_was_saved_before(
    sqlite_memory: Memory, make: MakeBranch, model: iModel
) -> None:
    async def fail(conversations: Conversations) -> None:
        async with await conversations.start("triage", make()) as talk:
            await talk.branch.communicate("Half done.")
            raise ZeroDivisionError

    conversations = Conversations(sqlite_memory)
    with pytest.raises(ZeroDivisionError):
        await fail(conversations)
    async with await conversations.resume("triage", chat_model=model) as talk:
        assert len(talk.branch.messages) == 1


async def test_no_key_of_an_api_is_kept(sqlite_memory: Memory, make: MakeBranch) -> None:
    branch = make()
    async with await Conversations(sqlite_memory).start("triage", branch):
        await branch.communicate("One?")
    stored = json.dumps(await sqlite_memory.retrieve("aqe/conversations/triage"))
    assert "dummy-key-for-loopback" not in stored


async def test_names_are_taken_once_and_deleted(sqlite_memory: Memory, make: MakeBranch) -> None:
    conversations = Conversations(sqlite_memory)
    async with await conversations.start("triage", make()):
        pass
    with pytest.raises(ConversationHeldError, match="there is one already"):
        await conversations.start("triage", make())
    assert await conversations.delete("triage")
    assert not await conversations.delete("triage")
    with pytest.raises(ConversationNotFoundError):
        await conversations.resume("triage")
    async with await conversations.start("triage", make()):
        pass


@pytest.mark.parametrize("name", ["", "a/b", "a\n"])
async def test_a_name_is_one_segment(sqlite_memory: Memory, name: str) -> None:
    with pytest.raises((errors.InvalidArgumentError, errors.InvalidKeyError)):
        await Conversations(sqlite_memory).resume(name)

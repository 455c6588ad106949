"""Conversations that outlive their process: a Branch or a Session, saved, resumed by one."""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from lionagi.session.branch import Branch
from lionagi.session.session import Session

from lionagi_qe.coordination import Lease
from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import AqeError, InvalidArgumentError, RevisionConflictError
from lionagi_qe.persistence.values.keys import check_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from lionagi.protocols.action.tool import Tool
    from lionagi.protocols.memory import MemoryStore
    from lionagi.service.imodel import iModel

    from lionagi_qe.persistence import Memory

PREFIX: Final = "aqe/conversations"
PARTITION: Final = "lionagi"
DEFAULT_LEASE_TTL: Final = 30.0
FORMAT: Final = 1


class ConversationHeldError(AqeError):
    """Another process has the conversation resumed; it must end, or die, first."""


class ConversationNotFoundError(AqeError, LookupError):
    """No conversation of that name was saved."""


class ConversationLostError(AqeError):
    """The conversation was resumed elsewhere meanwhile; what this one would save is refused."""


class Conversations:
    """The conversations of a fleet, by name.

    ::

        conversations = Conversations(memory)
        async with await conversations.start("triage", branch):
            await branch.communicate("...")
        ...
        async with await conversations.resume("triage", tools=tools) as talk:   # another day
            await talk.branch.communicate("Where were we?")

    Messages, system message, names and models' settings are kept, in clear text; keys of APIs are
    not, nor are the models' logs. Context providers and hooks are yours to register again. At most
    one process has a conversation at a time, by a lease that ends by itself when the process dies;
    and by compare-and-set nobody can save over what another has made of it.

    Args:
        memory: where they are kept.
        prefix: what their keys start with.
        lease_ttl: seconds after which a process that died loses its conversations.
    """

    @renamed(lease="lease_ttl")
    def __init__(
        self, memory: Memory, *, prefix: str = PREFIX, lease_ttl: float = DEFAULT_LEASE_TTL
    ) -> None:
        self._memory = memory
        self._prefix = check_key(prefix)
        self._lease_ttl = lease_ttl

    async def start(self, name: str, subject: Branch | Session) -> Conversation:
        """Save a Branch or Session under a new name and hold it; three round trips.

        Raises:
            ConversationHeldError: the name is in use, by a process or for what was saved.

        """
        conversation = await self._hold(name)
        try:
            await conversation.begin(subject)
        except BaseException:
            await conversation.release()
            raise
        return conversation

    async def resume(
        self,
        name: str,
        *,
        tools: Iterable[Tool] = (),
        memory: MemoryStore | None = None,
        chat_model: iModel | None = None,
        parse_model: iModel | None = None,
    ) -> Conversation:
        """Restore a conversation and hold it; four round trips.

        Args:
            name: as it was started.
            tools: those that its branches had; further ones are for no branch.
            memory: the MemoryStore of its branches; None for one of LionAGI's own.
            chat_model: instead of the saved one, which has lost its API key.
            parse_model: likewise.

        Raises:
            ConversationNotFoundError: nothing was saved under this name.
            ConversationHeldError: another process has it.
            InvalidArgumentError: a tool that it had is not among ``tools``.

        """
        conversation = await self._hold(name)
        try:
            await conversation.restore(
                {tool.function: tool for tool in tools}, memory, chat_model, parse_model
            )
        except BaseException:
            await conversation.release()
            raise
        return conversation

    async def names(self) -> list[str]:
        """Return the names of all saved conversations, sorted."""
        prefix = f"{self._prefix}/"
        return [key.removeprefix(prefix) for key in await self._memory.list_keys(prefix)]

    async def delete(self, name: str) -> bool:
        """Forget a conversation that nobody has; return whether there was one."""
        conversation = await self._hold(name)
        try:
            return await self._memory.delete(self._key(name))
        finally:
            await conversation.release()

    async def _hold(self, name: str) -> Conversation:
        key = self._key(name)
        lease = Lease(self._memory, f"conversation/{name}", ttl=self._lease_ttl)
        if not await lease.try_acquire():
            state = await lease.state()
            holder = "another process" if state is None else state.holder
            raise ConversationHeldError(
                f"conversation {name!r}: {holder} has it; end it there, or wait "
                f"{self._lease_ttl:g} s if that process died"
            )
        return Conversation(self._memory, name, key, lease)

    def _key(self, name: str) -> str:
        if "/" in name:
            raise InvalidArgumentError(f"conversation {name!r}: a name has no '/'")
        return check_key(f"{self._prefix}/{name}")


class Conversation:
    """A conversation that this process has; made by Conversations.

    As ``async with`` it is saved at the end, unless that is an error, and given back.

    Attributes:
        name: its name.
    """

    def __init__(self, memory: Memory, name: str, key: str, lease: Lease) -> None:
        self._memory = memory
        self._key = key
        self._lease = lease
        # Only this object writes it, so an entry that has it was written by us.
        self._holder = f"{socket.gethostname()}:{os.getpid()}#{secrets.token_hex(8)}"
        self._revision = 0
        self._subject: Branch | Session | None = None
        self.name = name

    @property
    def branch(self) -> Branch:
        """The Branch; of a Session its default branch."""
        subject = self._started()
        return subject if isinstance(subject, Branch) else subject.default_branch

    @property
    def session(self) -> Session | None:
        """The Session, if the conversation is one."""
        subject = self._started()
        return subject if isinstance(subject, Session) else None

    def _started(self) -> Branch | Session:
        if self._subject is None:
            raise InvalidArgumentError(f"conversation {self.name!r}: make it with Conversations")
        return self._subject

    async def begin(self, subject: Branch | Session) -> None:
        """Save what has not been saved before."""
        self._subject = subject
        try:
            self._revision = await self._write(_state_of(subject), 0)
        except RevisionConflictError as error:
            raise ConversationHeldError(
                f"conversation {self.name!r}: there is one already; resume it, or take another name"
            ) from error

    async def restore(
        self,
        tools: dict[str, Tool],
        memory: MemoryStore | None,
        chat_model: iModel | None,
        parse_model: iModel | None,
    ) -> None:
        """Make the Branch or Session anew, and shut out who had it before."""
        entry = await self._memory.entry(self._key)
        if entry is None:
            raise ConversationNotFoundError(f"conversation {self.name!r}: was never saved")
        state: dict[str, Any] = entry.value["state"]
        missing = sorted({name for part in state["branches"] for name in part["tools"]} - {*tools})
        if missing:
            raise InvalidArgumentError(
                f"conversation {self.name!r}: it had the tools {', '.join(missing)}; "
                "hand them in as tools="
            )
        branches = [
            _restored(part, tools, memory, chat_model, parse_model) for part in state["branches"]
        ]
        try:
            self._revision = await self._write(state, entry.revision)
        except RevisionConflictError as error:
            raise self._lost() from error
        self._subject = branches[0]
        if state["session"] is not None:
            self._subject = _session(state["session"], branches, memory)

    async def save(self) -> None:
        """Save the conversation as it is now; one round trip.

        Raises:
            ConversationLostError: another process has resumed it; nothing was changed.
            ValueTooLargeError: it has grown beyond the memory's ``max_value_bytes``.

        """
        state = _state_of(self._started())
        try:
            self._revision = await self._write(state, self._revision)
        except RevisionConflictError as error:
            entry = await self._memory.entry(self._key)
            if entry is None or entry.value["holder"] != self._holder:
                raise self._lost() from error
            # Our own last save, whose answer was lost on the way.
            self._revision = await self._write(state, entry.revision)

    async def release(self) -> None:
        """Give the conversation back as it was last saved."""
        await self._lease.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self.save()
        finally:
            await self.release()

    async def _write(self, state: dict[str, Any], revision: int) -> int:
        value = {"format": FORMAT, "holder": self._holder, "state": state}
        return await self._memory.store(self._key, value, partition=PARTITION, if_revision=revision)

    def _lost(self) -> ConversationLostError:
        return ConversationLostError(
            f"conversation {self.name!r}: was resumed or deleted elsewhere; nothing was saved"
        )


def _state_of(subject: Branch | Session) -> dict[str, Any]:
    if isinstance(subject, Branch):
        return {"session": None, "branches": [_branch_state(subject)]}
    # The default branch first, so that it is found again.
    others = [branch for branch in subject.branches if branch is not subject.default_branch]
    return {
        "session": {"id": str(subject.id), "name": subject.name},
        "branches": [_branch_state(branch) for branch in (subject.default_branch, *others)],
    }


def _branch_state(branch: Branch) -> dict[str, Any]:
    state = branch.to_dict(mode="json", include_logs=False, include_log_config=True)
    return {"branch": state, "tools": sorted(branch.acts.registry)}


def _restored(
    part: dict[str, Any],
    tools: dict[str, Tool],
    memory: MemoryStore | None,
    chat_model: iModel | None,
    parse_model: iModel | None,
) -> Branch:
    state = part["branch"]
    live: dict[str, Any] = {"memory": memory}
    live |= {} if chat_model is None else {"chat_model": chat_model}
    live |= {} if parse_model is None else {"parse_model": parse_model}
    branch = Branch.from_dict({**state, **live})
    if "system" in state:
        # LionAGI restores it as any message, and would not show it to the model.
        system: Any = branch.messages[UUID(state["system"]["id"])]
        branch.msgs.system = system
    branch.register_tools([tools[name] for name in part["tools"]])
    return branch


def _session(state: dict[str, Any], branches: list[Branch], memory: MemoryStore | None) -> Session:
    session = Session(id=state["id"], name=state["name"], default_branch=branches[0], memory=memory)
    session.include_branches(branches)
    return session

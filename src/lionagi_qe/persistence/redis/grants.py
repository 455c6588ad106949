"""Users of Redis that are bound to a fleet's keys, by access control lists of the server.

Redis knows keys, not entries: indexes and the log of a fleet are one key each for all entries of a
shard. So a user has the whole fleet, to read or to change, or nothing of it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError, ConfigurationError, InvalidArgumentError
from lionagi_qe.persistence.contract.grants import Grant, Granted
from lionagi_qe.persistence.redis.acl import places_of, rules_of

if TYPE_CHECKING:
    from lionagi_qe.persistence.redis.session import RedisSession

_ALL = ("*",)
# Redis knows that subcommand from 7.2 on, and refuses rules of unknown ones from 7.0 on.
_SETINFO = "+client|setinfo"
_UNKNOWING = (7, 0), (7, 2)
_USER = re.compile(r"[^\s\x00-\x1f\x7f]+")
_LEAST_PASSWORD = 16
_MADE_BYTES = 32


class RedisGrants:
    """The users of a fleet; for an administrator of the server.

    Args:
        session: of the fleet, opened.
        fleet: the fleet's name.
    """

    def __init__(self, session: RedisSession, fleet: str) -> None:
        self._link = session.link
        self._fleet = fleet
        self._places = places_of(session.shards.prefixes, fleet)

    async def grant(self, grant: Grant, password: str | None) -> Granted:
        """Make or replace the user on each server that we know of.

        The server is sent the password's SHA-256. Where it fails on one node of a cluster, it may
        have been done on others: call it again.

        Raises:
            AccessDeniedError: we may not grant.
            ConfigurationError: Redis can't enforce that, or the name is another user's.
            InvalidArgumentError: Redis takes no such name, or the password is too short.

        """
        self._check(grant, password)
        info = (await self._link.info())[0]
        version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
        await self._check_user(grant.role)
        made = None if password is not None else secrets.token_urlsafe(_MADE_BYTES)
        digest = hashlib.sha256((password or made or "").encode()).hexdigest()
        rules = rules_of(
            self._places, digest, writing=bool(grant.write), database=self._link.has_database
        )
        if _UNKNOWING[0] <= version < _UNKNOWING[1]:
            rules = [rule for rule in rules if rule != _SETINFO]
        await self._link.everywhere("ACL", "SETUSER", grant.role, *rules)
        notes = [*await self._open_doors(), *await self._keep()]
        replicas = int(info.get("connected_slaves", "0"))
        if replicas and not self._link.knows_replicas:
            notes.append(
                f"{replicas} replicas don't learn of users from the primary: grant there, too, or "
                "give all servers the same aclfile"
            )
        granted = Grant(grant.role, self._fleet, _ALL, grant.write)
        return Granted(granted, notes, made)

    def _check(self, grant: Grant, password: str | None) -> None:
        if grant.queues or grant.leases or {*grant.read, *grant.write} - {*_ALL}:
            raise ConfigurationError(
                f"{self._link.where}: Redis can bind a user to a fleet, and not to patterns in it: "
                "a fleet's indexes, log and queues are keys that all its entries share. Grant all "
                "of the fleet, or --read-only; use a fleet of its own for what is to be apart, or "
                "PostgreSQL"
            )
        if grant.role == "default" or not _USER.fullmatch(grant.role):
            raise InvalidArgumentError(
                f"user {grant.role!r}: is not to be 'default', whom everybody is who names no "
                "user, and holds no spaces or control characters"
            )
        if password is not None and len(password) < _LEAST_PASSWORD:
            raise InvalidArgumentError(
                f"the password is shorter than {_LEAST_PASSWORD} characters; Redis tells quickly "
                "whether a guess is right"
            )

    async def _check_user(self, user: str) -> None:
        answers = await self._link.everywhere("ACL", "GETUSER", user)
        known = {grant.role for grant in await self.grants()}
        if any(answer is not None for answer in answers) and user not in known:
            raise ConfigurationError(
                f"{self._link.where}: user {user!r} is there, and not bound to fleet "
                f"{self._fleet!r} alone; choose another name, or delete it first (ACL DELUSER)"
            )

    async def revoke(self, role: str) -> bool:
        """Delete the user, whose connections end."""
        if role not in {grant.role for grant in await self.grants()}:
            return False
        await self._link.everywhere("ACL", "DELUSER", role)
        await self._keep()
        return True

    async def grants(self) -> list[Grant]:
        """Return the users that are bound to this fleet alone."""
        found: dict[str, Grant] = {}
        for answer in await self._link.everywhere("ACL", "LIST"):
            for line in answer:
                grant = self._granted(_text(line).split())
                if grant is not None:
                    found[grant.role] = grant
        return [found[name] for name in sorted(found)]

    def _granted(self, words: list[str]) -> Grant | None:
        """Return what a line of the list grants in this fleet; None if it is another's."""
        _, user, *rules = words
        if {rule[1:] for rule in rules if rule.startswith("~")} != {*self._places}:
            return None
        return Grant(user, self._fleet, _ALL, _ALL if "+set" in rules else ())

    async def _open_doors(self) -> list[str]:
        """Return what lets everybody in beside the user, and so makes the grant worth nothing."""
        for answer in await self._link.everywhere("ACL", "GETUSER", "default"):
            facts = dict(zip(answer[::2], answer[1::2], strict=True)) if answer else {}
            if {b"on", b"nopass"} <= {*facts.get(b"flags", ())}:
                note = (
                    "whoever names no user is let in as 'default', without a password: the user "
                    "is bound only once that one has a password (requirepass) or is off "
                    "(ACL SETUSER default off)"
                )
                return [note]
        return []

    async def _keep(self) -> list[str]:
        """Have the servers write their users to a file, where they have one."""
        try:
            await self._link.everywhere("ACL", "SAVE")
        except AqeError:
            note = (
                "the server keeps no file of its users (aclfile), or could not write it: they are "
                "gone when it restarts"
            )
            return [note]
        return []


def _text(answer: Any) -> str:  # noqa: ANN401 - bytes, of most versions
    return answer.decode() if isinstance(answer, bytes) else str(answer)

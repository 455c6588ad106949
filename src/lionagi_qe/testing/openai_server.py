"""A server on loopback that speaks OpenAI's chat API, with a script instead of a model.

What it answers is the test's to say, what it was asked is kept; everything between, HTTP and the
client's own handling of it, is real::

    with ChatServer([Answer("hello"), Status(429)]) as server:
        model = iModel(provider="openai", model="scripted", base_url=server.url, ...)
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

PATH = "/v1/chat/completions"
_PIECE = 8
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """Text from the model; in pieces, if the client asked for a stream.

    Attributes:
        text: what the model says.
        stalls: the server stops before the end of the text until ``release`` is called.
        cut_short: the connection ends in the middle of the text.
    """

    text: str
    stalls: bool = False
    cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's refusal, as the API puts it: no content."""

    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP error."""

    code: int
    message: str = "scripted error"
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body of any bytes, with status 200: what a broken server sends."""

    content: bytes


Reply: TypeAlias = Answer | Refusal | Status | Body


def calls(*requests: tuple[str, dict[str, Any]], **fields: Any) -> Answer:  # noqa: ANN401
    """Return the model's wish to call tools, in the JSON that LionAGI prompts models for.

    Args:
        requests: pairs of a tool's name and its arguments.
        fields: further fields of the answer.
    """
    asked = [{"function": name, "arguments": arguments} for name, arguments in requests]
    return Answer(json.dumps({**fields, "action_required": bool(asked), "action_requests": asked}))


class ChatServer:
    """The server; use it as a context manager.

    Args:
        script: the replies in turn, or a function from a request's JSON to its reply. When the
            replies have run out it answers with status 418, which no client tries again.

    Attributes:
        requests: the JSON of all requests, in the order of their coming.
    """

    def __init__(self, script: Iterable[Reply] | Callable[[dict[str, Any]], Reply]) -> None:
        self._script = script if callable(script) else None
        self._replies = deque(() if callable(script) else script)
        self._turn = threading.Lock()
        self._released = threading.Event()
        self.requests: list[dict[str, Any]] = []
        handler = type("Handler", (_Handler,), {"chat": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
        )

    @property
    def url(self) -> str:
        """What clients take as base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def prompts(self) -> list[str]:
        """The text of all messages of each request."""
        return [
            "\n".join(str(message["content"]) for message in request["messages"])
            for request in self.requests
        ]

    def add(self, *replies: Reply) -> None:
        """Add replies behind those that are left."""
        self._replies.extend(replies)

    def release(self) -> None:
        """Let stalled answers end."""
        self._released.set()

    def reply_to(self, request: dict[str, Any]) -> Reply:
        """Record a request and return its reply."""
        with self._turn:
            self.requests.append(request)
            if self._script is not None:
                return self._script(request)
            if self._replies:
                return self._replies.popleft()
        return Status(418, "the script has no more replies")

    def wait(self) -> None:
        """Wait until stalled answers may end."""
        self._released.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    chat: ClassVar[ChatServer]

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        request: dict[str, Any] = json.loads(self.rfile.read(size))
        if self.path != PATH:
            self._send_error(Status(404, f"{self.path}: this server has {PATH}"))
            return
        reply = self.chat.reply_to(request)
        try:
            self._send_reply(reply, request)
        except (BrokenPipeError, ConnectionResetError):
            # The client has had enough, which is its right and often what is tested.
            self.close_connection = True

    def _send_reply(self, reply: Reply, request: dict[str, Any]) -> None:
        if isinstance(reply, Status):
            self._send_error(reply)
        elif isinstance(reply, Body):
            self._send(200, "application/json", reply.content)
        elif request.get("stream"):
            self._send_stream(reply, request)
        else:
            self._send_whole(reply, request)

    def _send_error(self, status: Status) -> None:
        body = {"error": {"message": status.message, "type": "scripted", "code": status.code}}
        headers = {} if status.retry_after is None else {"Retry-After": str(status.retry_after)}
        self._send(status.code, "application/json", json.dumps(body).encode(), headers)

    def _send_whole(self, reply: Answer | Refusal, request: dict[str, Any]) -> None:
        if isinstance(reply, Answer) and reply.stalls:
            self.chat.wait()
        message = (
            {"role": "assistant", "content": reply.text, "refusal": None}
            if isinstance(reply, Answer)
            else {"role": "assistant", "content": None, "refusal": reply.text}
        )
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        body = json.dumps(
            _envelope(request, "chat.completion", choice) | {"usage": _usage(request, reply.text)}
        ).encode()
        if isinstance(reply, Answer) and reply.cut_short:
            self._send(200, "application/json", body[: len(body) // 2], length=len(body))
        else:
            self._send(200, "application/json", body)

    def _send_stream(self, reply: Answer | Refusal, request: dict[str, Any]) -> None:
        self._begin(200, {"Content-Type": "text/event-stream"})
        field = "content" if isinstance(reply, Answer) else "refusal"
        pieces = [reply.text[at : at + _PIECE] for at in range(0, len(reply.text), _PIECE)]
        last = len(pieces) - 1
        for at, piece in enumerate(pieces):
            if isinstance(reply, Answer) and at == last:
                if reply.stalls:
                    self.chat.wait()
                if reply.cut_short:
                    return
            self._send_event(request, {"delta": {field: piece}, "finish_reason": None})
        self._send_event(request, {"delta": {}, "finish_reason": "stop"})
        self.wfile.write(b"data: [DONE]\n\n")

    def _send_event(self, request: dict[str, Any], choice: dict[str, Any]) -> None:
        chunk = _envelope(request, "chat.completion.chunk", {"index": 0, **choice})
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _send(
        self,
        code: int,
        content_type: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        size = str(len(body) if length is None else length)
        self._begin(code, {"Content-Type": content_type, "Content-Length": size, **(headers or {})})
        self.wfile.write(body)

    def _begin(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as the base has it
        """Say nothing: what was asked is in ``requests``."""


def _envelope(request: dict[str, Any], kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-scripted",
        "object": kind,
        "created": int(time.time()),
        "model": request.get("model"),
        "choices": [choice],
    }


def _usage(request: dict[str, Any], said: str) -> dict[str, int]:
    """Return counts of words: a usage that tests can check, not a tokenizer's."""
    messages = cast("list[dict[str, Any]]", request.get("messages", []))
    asked = sum(len(str(message.get("content")).split()) for message in messages)
    told = len(said.split())
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}

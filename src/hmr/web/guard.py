"""What the page's server lets in: requests of its own page, and uploads of a limited size."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# With this policy the browser refuses to send requests to any other address.
CONTENT_POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"
MAX_UPLOADS_BYTES, SECONDS_KEPT = 500_000_000, 3600
_READING = ("GET", "HEAD", "OPTIONS")
Message = MutableMapping[str, Any]


class Guard:
    """ASGI middleware that refuses what does not come from the server's own page.

    A page elsewhere can send requests here, by its own address (its `Origin` then differs), or by
    a name of its own that it has pointed at this machine (the `Host` is then that name). Uploads
    are refused when those that are kept would take more than `MAX_UPLOADS_BYTES` together.

    Args:
        app: what is guarded.
        host: the address that is served at.
        uploads: the folder that keeps uploads.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], host: str, uploads: Path):
        self._app, self._host, self._uploads = app, host, uploads
        self._arriving = 0

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        size = 0
        refusal = self._refusal(scope, headers)
        if not refusal and scope.get("method") == "POST" and "/upload" in scope["path"]:
            size = int(headers["content-length"]) if _has_length(headers) else 0
            refusal = self._refusal_of_upload(size)
        if refusal:
            await _refuse(scope, send, *refusal)
            return
        self._arriving += size
        try:
            await self._app(scope, receive, _with_policy(send))
        finally:
            self._arriving -= size

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_own(host):
            return 421, "This page is served by the address that was printed at its start."
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or scope["method"] not in _READING
        if acts and origin is not None and urlsplit(origin).netloc != host:
            return 403, "Requests of other pages are refused."
        return None

    def _is_own(self, host: str) -> bool:
        """Whether a `Host` header names this machine; only numbers cannot be pointed elsewhere."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._host):
            return True
        everyone = not _is_loopback(self._host)
        return _is_loopback(name) or (everyone and (_is_number(name) or name == _own_name()))

    def _refusal_of_upload(self, size: int) -> tuple[int, str] | None:
        if not size:
            return 411, "An upload must say how long it is."
        kept = sum(_size_if_kept(file) for file in self._uploads.rglob("*"))
        if kept + self._arriving + size > MAX_UPLOADS_BYTES:
            told = f"{MAX_UPLOADS_BYTES // 1_000_000} MB"
            return 413, f"Uploads may take {told} together; old ones are removed after an hour."
        return None


def _size_if_kept(path: Path) -> int:
    """A file's size; an old one, perhaps of an upload that was broken off, is removed."""
    with contextlib.suppress(FileNotFoundError):  # Gradio removes files, too
        state = path.stat()
        if time.time() - state.st_mtime <= SECONDS_KEPT:
            return state.st_size if path.is_file() else 0
        if path.is_file():
            path.unlink()
    return 0


def _has_length(headers: dict[str, str]) -> bool:
    return headers.get("content-length", "").isdecimal() and "transfer-encoding" not in headers


def _own_name() -> str:
    return socket.gethostname().lower()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_number(name) and ipaddress.ip_address(name).is_loopback)


def _with_policy(send: Callable) -> Callable:
    async def send_with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            policy = (b"content-security-policy", CONTENT_POLICY.encode())
            message["headers"] = [*message.get("headers", ()), policy]
        await send(message)

    return send_with_policy


async def _refuse(scope: Message, send: Callable, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    kind = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": kind})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})

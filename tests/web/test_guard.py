"""Requests of other pages, and uploads beyond the limit, are refused."""

import asyncio
import os
import time

import pytest

from hmr.web import guard

OWN = "127.0.0.1:7860"


def status(folder, path="/", method="GET", kind="http", served_at="127.0.0.1", **headers):
    """The status of the answer; 200 where the request came through."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": kind, "path": path, "headers": pairs}
    scope |= {"method": method} if kind == "http" else {}
    asyncio.run(guard.Guard(app, served_at, folder)(scope, None, send))
    return sent[0].get("status", sent[0].get("code"))


@pytest.mark.parametrize("host", [OWN, "localhost:7860", "[::1]:7860", "127.0.0.1"])
def test_names_of_this_machine(tmp_path, host):
    assert status(tmp_path, host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "192.0.2.1", "", "[::"]
)
def test_other_names_are_refused(tmp_path, host):
    assert status(tmp_path, host=host) == 421


def test_names_when_the_whole_network_is_served(tmp_path):
    assert status(tmp_path, served_at="0.0.0.0", host="192.0.2.1:7860") == 200
    assert status(tmp_path, served_at="0.0.0.0", host="evil.example:7860") == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_other_pages_can_neither_upload_nor_connect(tmp_path, origin):
    upload = {"path": "/gradio_api/upload", "method": "POST", "content_length": "5"}
    assert status(tmp_path, host=OWN, origin=origin, **upload) == 403
    assert status(tmp_path, host=OWN, origin=origin, kind="websocket") == 1008
    assert status(tmp_path, host=OWN, origin=f"http://{OWN}", **upload) == 200


def test_uploads_are_limited_together(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "MAX_UPLOADS_BYTES", 1000)
    upload = {"host": OWN, "path": "/gradio_api/upload", "method": "POST"}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "photo.jpg").write_bytes(bytes(700))
    assert status(tmp_path, content_length="300", **upload) == 200
    assert status(tmp_path, content_length="301", **upload) == 413
    assert status(tmp_path, **upload) == 411
    old = time.time() - guard.SECONDS_KEPT - 5
    os.utime(tmp_path / "one" / "photo.jpg", (old, old))
    assert status(tmp_path, content_length="301", **upload) == 200
    assert not (tmp_path / "one" / "photo.jpg").exists()

"""The page's server without a browser and without a network."""

import json
import threading
import time
import urllib.request

import pytest

from hmr.errors import UserError
from hmr.web import guard
from hmr.web.estimator import SAMPLES

pytest.importorskip("gradio_image_annotation", reason="needs the extra web")

UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    b"12345\r\n--x--\r\n"
)


def test_samples_outlive_the_cleaning_of_uploads(tmp_path, monkeypatch):
    """Every upload removes older ones; samples, older than any of them, are shown nevertheless."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(guard, "SECONDS_KEPT", -1)
    from hmr.web.app import build_app, launch

    page = build_app(None, "")
    try:
        address = launch(page, "127.0.0.1", None).rstrip("/")
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        upload = urllib.request.Request(f"{address}/gradio_api/upload", UPLOAD, kind)
        urllib.request.urlopen(upload, timeout=30).close()
        with urllib.request.urlopen(f"{address}/config", timeout=30) as answer:
            parts = json.load(answer)["components"]
        (shown,) = (part["props"]["value"] for part in parts if part["type"] == "gallery")
        for sample in shown:
            with urllib.request.urlopen(sample["image"]["url"], timeout=30) as answer:
                assert answer.read(3) == b"\xff\xd8\xff"
        assert len(shown) == len(SAMPLES)
    finally:
        page.close()


def test_the_video_of_a_visitor_who_leaves_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    from hmr.web.app import build_app, launch

    begun, given_up = threading.Event(), threading.Event()

    class SlowEstimator:
        def estimate_video(self, path, advance):
            for done in range(600):
                try:
                    advance(done, 600)
                except UserError:
                    given_up.set()
                    raise
                begun.set()
                time.sleep(0.05)

    page = build_app(SlowEstimator(), "")
    (button,) = (f for f in page.fns.values() if f.name == "estimate" and len(f.inputs) == 2)
    try:
        address = f"{launch(page, '127.0.0.1', None).rstrip('/')}/gradio_api"
        request = {"fn_index": button._id, "data": [None, None], "session_hash": "visitor"}
        kind = {"Content-Type": "application/json"}
        with urllib.request.urlopen(f"{address}/heartbeat/visitor", timeout=30):
            join = urllib.request.Request(
                f"{address}/queue/join", json.dumps(request).encode(), kind
            )
            urllib.request.urlopen(join, timeout=30).close()
            assert begun.wait(30) and not given_up.wait(0.2)
        assert given_up.wait(10)
    finally:
        page.close()

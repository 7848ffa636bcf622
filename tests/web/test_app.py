"""The page's server without a browser and without a network."""

import json
import urllib.request

import pytest

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

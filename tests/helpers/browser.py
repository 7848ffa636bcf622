"""The system's Chromium under Playwright: what a page shows, requests and logs as errors."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hmr.files.images import read_image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    # WebGL without a graphics card.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]
START_PATIENCE_S, PATIENCE_S = 120.0, 60.0


@contextmanager
def chromium() -> Iterator[Browser]:
    """Starts the browser; skips the test where this machine has none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed on this machine")
    library = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra 'dev')")
    with library.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=ARGUMENTS, timeout=1000 * START_PATIENCE_S
        )
        yield browser
        browser.close()


@contextmanager
def watched_page(
    browser: Browser,
    allowed: tuple[str, ...] = ("file:", "data:", "blob:"),
    width: int = 900,
    height: int = 520,
) -> Iterator[Page]:
    """Opens an empty tab that may request allowed addresses only, and fails on errors of its page.

    Args:
        browser: from `chromium`.
        allowed: beginnings of the addresses that the page may ask for; others are refused.
        width: of the window, in pixels.
        height: likewise.

    Raises:
        AssertionError: at the end, where the page asked for another address, wrote an error to
            the console or let an exception escape.
    """
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_S)
    refused: list[str] = []
    complaints: list[str] = []

    def judge(route) -> None:
        if route.request.url.startswith(allowed):
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    page.route("**/*", judge)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert not refused, f"the page asked for {refused}"
    assert not complaints, f"the page complained: {complaints}"


def picture_of(shown: Page | Locator) -> np.ndarray:
    """Returns what a page or an element shows: (H, W, 3) int RGB."""
    return read_image(shown.screenshot()).astype(int)


def wait_until(true, what: str, seconds: float = PATIENCE_S):
    """Returns the first value of `true()` that is neither None nor False; fails without one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = true()
        if value is not None and value is not False:
            return value
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {seconds:.0f} s")

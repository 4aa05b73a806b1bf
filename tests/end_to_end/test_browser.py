"""Pangolin's page in a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.end_to_end.stack import Stack

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (Debian: apt install chromium)")

PATIENCE_MS = 30_000


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page()
        browser.close()


def test_a_marketer_watches_members_arrive_on_pangolins_page(running: Stack, page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{running.ports['pangolin']}/")
    body = page.locator("body")
    expect(body).not_to_contain_text("watched-user")

    assert running.post("CREATE_AUDIENCE", {"Name": "Watched <b>audience</b>", "Audience": "watched.1"}).status_code == 200
    assert running.change("watched.1", ["watched-user", "<script>alert(1)</script>"]).status_code == 200

    expect(body).to_contain_text("watched-user", timeout=PATIENCE_MS)
    expect(body).to_contain_text("Watched <b>audience</b>")
    expect(body).to_contain_text("<script>alert(1)</script>")
    assert running.change("watched.1", ["watched-user"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    expect(body).not_to_contain_text("watched-user", timeout=PATIENCE_MS)
    assert [text for text in complaints if "favicon" not in text] == []

"""Pangolin's page in a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.end_to_end.stack import Stack, eventually

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed (Debian: apt install chromium chromium-driver)"
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--window-size=1200,900", f"--user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def test_a_marketer_watches_members_arrive_on_pangolins_page(running: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"http://127.0.0.1:{running.ports['pangolin']}/")
    assert "watched-user" not in browser.page_source
    assert running.post("CREATE_AUDIENCE", {"Name": "Watched <b>audience</b>", "Audience": "watched.1"}).status_code == 200
    assert running.change("watched.1", ["watched-user", "<script>alert(1)</script>"]).status_code == 200
    eventually(lambda: "watched-user" in browser.find_element(By.TAG_NAME, "body").text)
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "Watched <b>audience</b>" in text, "shown as text, never as markup"
    assert "<script>alert(1)</script>" in text
    assert running.change("watched.1", ["watched-user"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: "watched-user" not in browser.find_element(By.TAG_NAME, "body").text)
    complaints = [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]]  # type: ignore[no-untyped-call]
    assert complaints == []

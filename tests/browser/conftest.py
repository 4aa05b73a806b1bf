"""A real Chromium in front of real processes: receiver, worker, Pangolin and the console, each on a free port of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from relay.configuration import LOOPBACK
from tests.end_to_end.stack import Stack

PASSWORD = "a-password-of-the-test"
NAME = "Ann"

SCREENSHOTS = Path(__file__).parent / "screenshots"

WIDTHS = {1440: 900, 390: 844}
"""Width of a window → its height."""

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


class ConsoleStack(Stack):
    """The processes, with the console beside them."""

    servers = ("pangolin", "receiver", "console")
    everything = ("pangolin", "worker", "receiver", "console")

    @property
    def commands(self) -> dict[str, list[str]]:
        return {**super().commands, "console": self.function("console")}

    @property
    def environment(self) -> dict[str, str]:
        own = {"CONSOLE_PASSWORD": PASSWORD, "CONSOLE_PORT": str(self.ports["console"])}
        # The pages tell the receiver's address, and the stories use it as it stands there.
        return {**super().environment, **own, "RECEIVER_PORT": str(self.ports["receiver"])}

    @property
    def console(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.ports['console']}"


class EmptyStack(ConsoleStack):
    """The same processes with nothing set up: no connector, no secret."""

    def set_up(self, mode: str) -> None:
        """All of it is left to whoever uses the console."""


# For a module, and not for the session: while it runs, its thread has an event loop, which other tests make for themselves.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if not found:
        pytest.skip("chromium is not installed (Debian: apt install chromium)")
    quiet = ("background-networking", "component-update", "sync")
    nowhere = f"--host-resolver-rules=MAP * ~NOTFOUND, {', '.join(f'EXCLUDE {host}' for host in sorted(LOOPBACK))}"
    arguments = ["--no-sandbox", "--disable-gpu", nowhere, *(f"--disable-{what}" for what in quiet)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


class Windows:
    """Opens windows, and notes what a browser complains of, and where it wanted to go outside of this machine."""

    def __init__(self, browser: Browser, base_url: str = "") -> None:
        self._browser = browser
        self._base_url = base_url
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(self, width: int = 1440, scheme: Scheme = "light", *, javascript: bool = True, state: str | None = None) -> Page:
        """A window with cookies of its own. state: a file with those of somebody who is logged in."""
        context = self._browser.new_context(
            base_url=self._base_url or None,
            viewport={"width": width, "height": WIDTHS.get(width, 900)},
            color_scheme=scheme,
            java_script_enabled=javascript,
            storage_state=state,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        # No route: with one, every request would go through this process, and nothing would be kept in the browser's cache.
        context.on("request", self._watch)
        page = context.new_page()
        page.on("console", lambda message: self._note(f"{message.type}: {message.text} at {page.url}", message.type))
        page.on("pageerror", lambda error: self._note(f"{error} at {page.url}"))
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _watch(self, request: Request) -> None:
        if not _is_here(request.url):
            self.complaints.append(f"left this machine: {request.url}")

    def _note(self, text: str, kind: str = "error") -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in LOOPBACK


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStack]:
    """Everything runs. Shared by the tests that break nothing; the others make a stack of their own."""
    made = ConsoleStack(tmp_path_factory.mktemp("console"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def logged_in(console: ConsoleStack, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    return cookies_of(console, chromium, tmp_path_factory.mktemp("browser"))


def cookies_of(stack: ConsoleStack, chromium: Browser, directory: Path) -> str:
    """A file with the cookies of somebody who has logged in at this console."""
    windows = Windows(chromium, stack.console)
    page = windows.open()
    log_in(page)
    file = directory / "state.json"
    page.context.storage_state(path=file)
    windows.close()
    assert windows.complaints == []
    return str(file)


def log_in(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("Your name").fill(NAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


@pytest.fixture
def windows(chromium: Browser, console: ConsoleStack) -> Iterator[Windows]:
    """At the end nothing may have been complained of."""
    made = Windows(chromium, console.console)
    yield made
    made.close()
    assert made.complaints == []


@pytest.fixture
def page(windows: Windows, logged_in: str) -> Page:
    """A window of somebody who is logged in."""
    return windows.open(state=logged_in)

"""What every page must hold in a browser, whatever it shows."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import SCREENSHOTS

_axe = Axe()


def look_at(page: Page, name: str, width: int, scheme: str) -> None:
    """Keeps a picture of the page, and raises where axe-core finds something serious, or the page is wider than the window."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    found = serious(page)
    assert not found, "\n".join([f"{name} at {width}, {scheme}:", *found])
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{name}: {wide} pixels wide in a window of {width}: {widest(page, width)}"


def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical: rule, and where."""
    found: list[dict[str, Any]] = _axe.run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} ({'; '.join(check['message'] for check in node['any'] + node['all'])})"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def widest(page: Page, width: int) -> list[str]:
    """What sticks out, the innermost last."""
    script = """width => [...document.body.querySelectorAll("*")]
        .filter((one) => one.getBoundingClientRect().right > width + 1 && !one.closest(".table-responsive, .pages"))
        .map((one) => one.outerHTML.slice(0, 120))"""
    found: list[str] = page.evaluate(script, width)
    return found[-4:]

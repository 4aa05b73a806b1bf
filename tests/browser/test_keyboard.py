"""The shell without a mouse: to the content, to the search, to a place, and out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ConsoleStack, Windows, log_in

pytestmark = pytest.mark.once


OUTLINE = "(({ outlineStyle, boxShadow }) => [outlineStyle, boxShadow])(getComputedStyle(document.activeElement))"


def focused(page: Page) -> str:
    text: str = page.evaluate("(document.activeElement.textContent || document.activeElement.id || '').trim()")
    return text


def test_the_first_key_offers_the_way_past_the_navigation(page: Page) -> None:
    page.goto("/search")
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="To the content")

    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_every_part_of_the_shell_is_reached_in_the_order_in_which_it_is_seen(page: Page) -> None:
    page.goto("/search")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(focused(page))

    order = [reached.index(name) for name in ("To the content", "DIY Relay", "search", "Log out", "Connectors")]
    assert order == sorted(order), reached


def test_logging_out_needs_no_mouse(windows: Windows) -> None:
    page = windows.open()
    log_in(page)
    for _ in range(10):
        page.keyboard.press("Tab")
        if focused(page) == "Log out":
            break
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/login$"))
    page.goto("/search")
    expect(page).to_have_url(re.compile("/login"))


def test_where_the_focus_is_can_be_seen(page: Page) -> None:
    page.goto("/search")
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate(OUTLINE) != ["none", "none"], focused(page)


# all that can be done on a page

_NUMBERED = """() => {
  const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const can = (one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0;
  const there = [...document.querySelectorAll(kinds)].filter(can);
  // Of radio buttons that belong together, one is reached by the tabulator and the others by arrows.
  const groups = new Map(there.map((one) => [one.type === "radio" ? `radio ${one.name}` : one, one]));
  [...groups.values()].forEach((one, place) => {
    const all = one.type === "radio" ? document.getElementsByName(one.name) : [one];
    all.forEach((each) => { each.dataset.place = place; });
  });
  return groups.size;
}"""

_PLACE = "Number(document.activeElement.dataset.place ?? -1)"


PAGES = ("/", "/connectors/pangolin", "/activity", "/rejections", "/users", "/audiences", "/audiences/create", "/holds")


@pytest.mark.parametrize("path", [*PAGES, "/edit/new"])
def test_everything_on_a_page_is_reached_in_order_without_a_mouse(page: Page, path: str) -> None:
    page.goto(path)
    number = page.evaluate(_NUMBERED)
    reached = []
    for _ in range(number):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(_PLACE))

    assert number > 10
    missed = sorted(set(range(number)) - set(reached))
    show = "place => document.querySelector(`[data-place='${place}']`).outerHTML.slice(0, 150)"
    assert not missed, [page.evaluate(show, place) for place in missed]
    assert reached == sorted(reached)


def test_a_connector_is_begun_and_given_up_without_a_mouse(page: Page) -> None:
    page.goto("/edit/new")
    tab_to(page, "adapter-pangolin")
    page.keyboard.press("Space")
    tab_to(page, "new-name")
    page.keyboard.type("by-keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("by-keyboard")

    page.once("dialog", lambda dialog: dialog.accept())
    tab_to(page, "Delete the draft")
    page.keyboard.press("Enter")
    expect(page.locator("main").get_by_role("status").first).to_contain_text("The draft of by-keyboard is deleted.")


def tab_to(page: Page, what: str) -> None:
    """what: a text, or the ID of a field."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if what in (focused(page), page.evaluate("document.activeElement.id")):
            return
    raise AssertionError(f"{what} is not reached")


# the search


def test_a_slash_puts_the_cursor_into_the_search_unless_one_is_typing(page: Page) -> None:
    page.goto("/search")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name=re.compile("Search"))

    expect(field).to_be_focused()
    expect(field).to_have_value("")
    page.keyboard.type("a/b")
    expect(field).to_have_value("a/b")


def test_what_one_types_is_found_meanwhile_and_enter_goes_straight_there(page: Page) -> None:
    page.goto("/search")
    page.keyboard.press("/")
    page.keyboard.type("rejections")
    field = page.get_by_role("combobox")

    expect(field).to_have_attribute("aria-expanded", "true")
    first = page.get_by_role("option").first
    expect(first).to_contain_text("Rejections")
    expect(first).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", first.get_attribute("id") or "none")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/rejections$"))


def test_arrows_choose_and_escape_closes(page: Page) -> None:
    page.goto("/search")
    page.keyboard.press("/")
    page.keyboard.type("a")
    options = page.get_by_role("option")

    expect(options.nth(2)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(options.nth(0)).to_have_attribute("aria-selected", "false")
    page.keyboard.press("ArrowUp")
    expect(options.nth(0)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox")).to_have_attribute("aria-expanded", "false")
    expect(options).to_have_count(0)


def test_how_many_were_found_is_said_to_those_who_do_not_see_the_list(page: Page) -> None:
    page.goto("/search")
    page.get_by_role("combobox").fill("no-such-place")

    expect(page.locator(".finder [role=status]")).to_contain_text("Nothing is called so.")


def test_an_identifier_of_a_person_goes_into_no_address(page: Page) -> None:
    asked: list[str] = []
    page.goto("/search")
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("/")
    page.keyboard.type("ann@example.com")
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")

    expect(page.locator(".finder")).to_contain_text("use the page Find a user")
    assert [url for url in asked if "example.com" in url] == []


def test_without_javascript_the_search_is_a_form(console: ConsoleStack, windows: Windows, logged_in: str) -> None:
    page = windows.open(javascript=False, state=logged_in)
    page.goto("/search")
    page.get_by_role("searchbox").fill("pangolin")
    page.get_by_role("searchbox").press("Enter")

    expect(page.locator("main .results")).to_contain_text("adapter pangolin")
    expect(page).to_have_url(re.compile(r"/search$"))

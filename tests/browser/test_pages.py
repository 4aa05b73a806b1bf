"""Every page at the width of a desk and of a telephone, light and dark: a picture to look at, nothing serious for axe-core,
nothing that the browser complains of, no page wider than its window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from relay.configuration import Configuration
from relay.console import create_app
from relay.console.editing.steps import ENVIRONMENTS, STEPS, TEXT
from tests.browser.conftest import SCHEMES, WIDTHS, ConsoleStack, Scheme, Windows
from tests.browser.looking import look_at
from tests.end_to_end.stack import eventually

pytestmark = pytest.mark.once

AUDIENCE = "looked-at.1"

HELD = "waiting.1"

ASKED = {"connector": "pangolin", "audience": HELD, "document": "pangolin"}
"""What pages are asked; those that ask for nothing do not mind."""

ARGUMENTS: dict[str, dict[str, str | int]] = {
    "home.connectors": {},
    "connector.show": {"name": "pangolin"},
    "connector.delete": {"name": "pangolin"},
    "versions.show": {"name": "pangolin"},
    "versions.one": {"name": "pangolin", "number": 1},
    "search.show": {},
    "edit.choose": {},
    "edit.start": {"name": "pangolin"},
    "edit.action": {"name": "pangolin"},
    "edit.duplicate": {"from": "pangolin", "name": "pangolin", "connector": "pangolin"},
    "edit.promote": {"from": "pangolin", "name": "pangolin", "connector": "pangolin"},
}
"""Another question for some."""

ELSEWHERE = {
    "login.login": "has a test of its own",
    "activity.attempt": "is reached by a link, below",
    "edit.step": "is reached by editing, below",
    "connect.callback": "is where a partner sends somebody back to, with what it has made for them",
    "holds.progress": "is a part of a page",
    "secrets.made": "shows what was made a moment ago, once",
    "rejections.csv": "is no page",
}
"""Routes that are not opened by their address here, and why."""

_app = create_app(Configuration())


def _addresses() -> dict[str, str]:
    """Endpoint → address, of everything that is looked at."""
    found = {}
    adapter = _app.url_map.bind("localhost")
    for rule in _app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.endpoint.endswith("static") and rule.endpoint not in ELSEWHERE:
            found[rule.endpoint] = str(adapter.build(rule.endpoint, dict(ARGUMENTS.get(rule.endpoint, ASKED))))
    return dict(sorted(found.items()))


ADDRESSES = _addresses()


@pytest.fixture(scope="module")
def busy(console: ConsoleStack) -> ConsoleStack:
    """Users have come in for one audience, with a name that is nothing but a name."""
    assert console.post("CREATE_AUDIENCE", {"Name": "Looked <b>at</b>", "Audience": AUDIENCE}).status_code == 200
    assert console.change(AUDIENCE, [f"user-{number}" for number in range(40)]).status_code == 200
    assert console.change(AUDIENCE, ["user-1"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: console.size(AUDIENCE) == 39)
    assert console.post("CREATE_AUDIENCE", {"Name": "Waiting", "Audience": HELD}).status_code == 200
    console.backend.audiences.set_paused("pangolin", HELD, True)
    assert console.change(HELD, ["user-1", "user-2"]).status_code == 200
    eventually(lambda: console.backend.audiences.get("pangolin", HELD).hold)
    return console


@pytest.fixture(scope="module")
def standing(console: ConsoleStack, chromium: Browser, logged_in: str) -> Iterator[tuple[Windows, Page]]:
    """One window of somebody who is logged in: opening one for each page would cost more than looking at the page."""
    windows = Windows(chromium, console.console)
    yield windows, windows.open(state=logged_in)
    windows.close()


@pytest.fixture
def window(standing: tuple[Windows, Page], width: int, scheme: Scheme) -> Iterator[Page]:
    """That one, as wide and as light as it is wanted. The test opens a page in it, of which nothing may be complained."""
    windows, page = standing
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.emulate_media(color_scheme=scheme)
    windows.complaints.clear()
    yield page
    assert windows.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("endpoint", ADDRESSES)
def test_a_page_is_good_for_eyes_and_screen_readers(
    busy: ConsoleStack, window: Page, endpoint: str, width: int, scheme: Scheme
) -> None:
    answer = window.goto(ADDRESSES[endpoint])

    assert answer
    assert answer.status == 200, window.inner_text("body")
    assert window.locator("h1").count() == 1
    look_at(window, endpoint, width, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_login_is_too_with_a_wrong_password_in_it(
    console: ConsoleStack, windows: Windows, width: int, scheme: Scheme
) -> None:
    page = windows.open(width, scheme)
    page.goto("/holds")
    look_at(page, "login", width, scheme)

    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Log in").click()

    refused, too_often = "This is not the console's password.", "Too many wrong passwords"
    expect(page.get_by_text(refused).or_(page.get_by_text(too_often))).to_be_visible()
    look_at(page, "login-refused", width, scheme)
    windows.complaints.clear()  # the browser itself notes each answer that is no success


@pytest.fixture(scope="module")
def drafts(console: ConsoleStack, chromium: Browser, logged_in: str) -> dict[str, str]:
    """Two drafts, one whole and one with nothing but mistakes → where their steps are, without the step."""
    windows = Windows(chromium, console.console)
    page = windows.open(state=logged_in)
    found = {}
    for name, example in {"whole": "pangolin-over-http", "wrong": ""}.items():
        page.goto("/edit/new")
        page.get_by_role("radio", name="HTTP").check()
        page.get_by_label("Begin with").select_option(example)
        page.get_by_label("Name required").fill(name)
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        found[name] = page.url.rpartition("/")[0]
        page.goto(f"{found[name]}/{ENVIRONMENTS}")
        page.get_by_label("The first one").fill("sandbox")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("heading", name="sandbox")).to_be_visible()
    windows.close()
    assert windows.complaints == []
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("step", [*STEPS, ENVIRONMENTS, TEXT])
def test_a_step_of_editing_is_good_as_well(
    drafts: dict[str, str], window: Page, step: str, width: int, scheme: Scheme
) -> None:
    window.goto(f"{drafts['whole']}/{step}")

    assert window.locator("h1").count() == 1
    look_at(window, f"edit.step-{step}", width, scheme)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_with_mistakes_in_it_is_too(
    drafts: dict[str, str], window: Page, step: str, width: int, scheme: Scheme
) -> None:
    window.goto(f"{drafts['wrong']}/{step}?checked=1")

    expect(window.get_by_role("navigation", name="Steps")).to_contain_text("to solve")
    look_at(window, f"edit.step-{step}-wrong", width, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_what_the_search_finds_is_too_as_a_list_below_the_field_and_as_a_page(
    busy: ConsoleStack, window: Page, width: int, scheme: Scheme
) -> None:
    window.goto("/search")
    window.get_by_role("combobox").fill("an")
    expect(window.get_by_role("option").nth(2)).to_be_visible()
    look_at(window, "search.typing", width, scheme)

    window.locator("form.finder").evaluate("form => form.submit()")
    expect(window.locator("main .results")).to_be_visible()
    look_at(window, "search.results", width, scheme)


def test_an_attempt_is_a_click_away_from_the_activity(busy: ConsoleStack, page: Page) -> None:
    if "activity.show" not in ADDRESSES:
        pytest.fail("there is no page Activity")
    page.goto("/activity")
    page.locator('main a[href^="/activity/"]').first.click()

    expect(page.locator("h1")).to_be_visible()
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        look_at(page, "activity.attempt", width, "light")


def test_what_is_not_there_is_a_page_as_well(console: ConsoleStack, windows: Windows, logged_in: str) -> None:
    page = windows.open(390, "dark", state=logged_in)
    page.goto("/nowhere")

    look_at(page, "not-found", 390, "dark")
    windows.complaints.clear()


def test_on_a_telephone_the_page_one_is_at_is_in_sight_among_the_pages(windows: Windows, logged_in: str) -> None:
    page = windows.open(390, "light", state=logged_in)
    page.goto("/health")

    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Health")).to_be_in_viewport(ratio=1)


def test_the_name_of_an_audience_is_text_and_never_markup(busy: ConsoleStack, page: Page) -> None:
    page.goto("/search")
    page.locator("#search").fill("looked")
    page.locator("form.finder").evaluate("form => form.submit()")

    expect(page.locator("main")).to_contain_text("Looked <b>at</b>")

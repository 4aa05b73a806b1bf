"""The rejections: grouped by code, listed page by page, and as CSV."""

from __future__ import annotations

import csv
import io
import re
from typing import Any, cast

import msgspec
import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Reports
from relay.connectors.publishing import Publishing
from relay.console import rejections_reading
from relay.console.rejections_reading import ROWS, Asked, asked_of, page_of
from relay.domain.outcome import Rejection, hash_user
from relay.health.rejections_csv import COLUMNS, PAGE, Selection, selected
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, NAME, Browser


def rejection(clock: TurnedClock, number: int = 0, **changes: Any) -> Rejection:
    who = hash_user(f"{CANARY}-{number}")
    plain = Rejection(
        1, "shop", "a.1", f"request-{number}", number, "joined", who, "Add", "no_such_user", f"Hint {number}.", clock.now()
    )
    return msgspec.structs.replace(plain, **changes)


def refuse(backend: EmbeddedBackend, *some: Rejection) -> None:
    backend.reports.add_rejections(some)


def hints(shown: str) -> list[int]:
    """Of the rows, in order."""
    return [int(one) for one in re.findall(r'<span class="small d-block">Hint (\d+)\.', shown)]


def link(shown: str, words: str) -> str:
    found = re.search(rf'href="([^"]+)">{words}', shown)
    assert found, f"no link {words!r}"
    return found.group(1).replace("&amp;", "&").partition("#")[0]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_without_any_it_says_so(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/rejections")

    assert "No partner has refused anything." in shown
    assert "None was made in the last day." in shown


# groups
def test_they_are_grouped_by_code_with_number_hint_and_samples_most_first(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, rejection(clock, 1, code="rare", hint="Seldom <seen>."))
    refuse(backend, *[rejection(clock, number) for number in range(2, 7)])
    clock.advance(60)

    shown = browser.text("/rejections")

    groups = re.findall(r'lh-1">(\d+)</span> <code class="text-break">(\w+)</code>', shown)
    assert groups == [("5", "no_such_user"), ("1", "rare")]
    assert "Seldom &lt;seen&gt;." in shown
    samples = shown.split('aria-label="Samples"')[1].split("</ul>")[0]
    assert samples.count("<li>") == rejections_reading.SAMPLES
    assert hash_user(f"{CANARY}-6")[:12] in samples, "the newest one is a sample"


def test_an_audience_is_called_by_its_name_where_it_has_one(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.audiences.link("shop", "a.1", partner_id="p-1", name="Sneaker <fans>")
    refuse(backend, rejection(clock, 1), rejection(clock, 2, audience="a.nameless"))

    shown = browser.text("/rejections")

    samples, table = shown.split('aria-label="Samples"')[1].split("<table")
    assert "Sneaker &lt;fans&gt;</span>" in samples
    assert ">a.nameless</span>" in samples
    assert ">Sneaker &lt;fans&gt;</a>" in table, "in place of its ID"
    assert ">a.1</span>" in table, "which stands below"
    assert ">a.nameless</a>" in table


def test_a_group_leads_to_its_own_rejections_and_back(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, rejection(clock, 1), rejection(clock, 2, action=""), rejection(clock, 3, code="other"))

    addresses = re.findall(r'href="([^"]+)#list">Show these', browser.text("/rejections"))
    shown = [hints(browser.text(address.replace("&amp;", "&"))) for address in addresses]

    assert sorted(shown) == [[1], [2], [3]], "an action without a name is one of its own"
    assert "Shown below." in browser.text("/rejections?connector=shop&code=other&action=Add")


def test_groups_count_no_further_back_than_asked(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, rejection(clock, 1, code="old_one"))
    clock.advance(8 * 86_400)
    refuse(backend, rejection(clock, 2, code="new_one"))
    browser.log_in()

    def codes(path: str) -> list[str]:
        return re.findall(r'<code class="text-break">(\w+)</code>', browser.text(path))

    assert codes("/rejections?connector=shop") == codes("/rejections") == ["new_one"]
    assert sorted(codes("/rejections?days=30")) == ["new_one", "old_one"]


# the list
def test_the_list_begins_with_the_newest_and_goes_on_page_by_page_to_the_oldest(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, *[rejection(clock, number) for number in range(2 * ROWS + 7)])

    seen: list[int] = []
    address = "/rejections"
    while True:
        shown = browser.text(address)
        seen += hints(shown)
        assert len(hints(shown)) == min(ROWS, 2 * ROWS + 7 - len(seen) + len(hints(shown)))
        if "Older ones" not in shown:
            break
        address = link(shown, "Older ones")

    assert seen == list(range(2 * ROWS + 6, -1, -1))
    assert "To the newest" in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("connector=mail", [4]),
        ("audience=b.2", [3]),
        ("audience=b", []),
        ("code=other", [2]),
        ("action=Remove", [1]),
        ("connector=shop&code=no_such_user", [3, 1, 0]),
        ("before=nonsense&days=x", [4, 3, 2, 1, 0]),
    ],
)
def test_only_those_of_ones_choice_are_listed(
    query: str, found: list[int], browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(
        backend,
        rejection(clock, 0),
        rejection(clock, 1, action="Remove"),
        rejection(clock, 2, code="other"),
        rejection(clock, 3, audience="b.2"),
        rejection(clock, 4, connector="mail"),
    )

    assert hints(browser.text(f"/rejections?{query}")) == found


def test_a_rare_code_is_looked_for_in_bounded_steps_and_found_in_the_end(
    backend: EmbeddedBackend, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections_reading, "MOST_SCANNED", 1_000)
    refuse(backend, rejection(clock, 0, code="rare"), *[rejection(clock, number) for number in range(1, 2_200)])
    asked = Asked(Selection(code="rare"))

    pages = []
    while True:
        page = page_of(backend.reports, asked)
        pages.append((len(page.rows), page.searched))
        if not page.next:
            break
        asked = msgspec.structs.replace(asked, before=page.next)

    assert pages == [(0, 1_000), (0, 1_000), (1, 0)]


def test_hints_and_names_of_others_are_shown_as_text(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    evil = "<script>alert(1)</script>"
    refuse(backend, rejection(clock, 1, hint=evil, code=evil, audience=evil, action=evil, request_id=evil))

    for path in ("/rejections", "/rejections?code=%3Cscript%3Ealert(1)%3C/script%3E"):
        shown = browser.text(path)
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert(1)" in shown


def test_whose_they_are_is_a_hash_and_nothing_else(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, rejection(clock, 1))

    shown = browser.text("/rejections")

    assert hash_user(f"{CANARY}-1") in shown
    assert CANARY not in shown


def test_a_batch_that_could_not_be_read_is_nobodys(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, rejection(clock, 1, user_hash=""))

    assert '<td data-is="User">–</td>' in browser.text("/rejections")


@pytest.mark.parametrize("before", ["-1", "1e9", "9" * 30, "٣"])
def test_a_place_that_is_none_is_the_beginning(before: str) -> None:
    assert asked_of({"before": before}).before == 0


# as CSV
def test_the_csv_has_the_columns_of_the_command_and_a_name(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, *[rejection(clock, number) for number in range(3)])

    answer = browser.get("/rejections.csv?connector=shop")

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == "attachment; filename=rejections-shop.csv"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.text.splitlines()[0] == ",".join(COLUMNS)
    assert [row["hint"] for row in rows(answer.text)] == ["Hint 0.", "Hint 1.", "Hint 2."]
    assert rows(answer.text)[2]["user_sha256"] == hash_user(f"{CANARY}-2")
    assert CANARY not in answer.text


def test_the_page_offers_the_csv_of_what_it_shows(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(
        backend,
        rejection(clock, 1),
        rejection(clock, 2, code="other"),
        rejection(clock, 3, connector="mail"),
        rejection(clock, 4, audience="b.2"),
        rejection(clock, 5, action=""),
    )

    narrowed = link(browser.text("/rejections?connector=shop&audience=a.1&code=no_such_user&action=Add"), "This selection")

    assert [row["hint"] for row in rows(browser.get(narrowed).text)] == ["Hint 1."]
    assert len(rows(browser.get(link(browser.text("/rejections"), "All of them")).text)) == 5
    assert [row["hint"] for row in rows(browser.get("/rejections.csv?action=").text)] == ["Hint 5."]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_is_a_formula(
    begin: str, browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    evil = f'{begin}HYPERLINK("http://example.com")'
    refuse(backend, rejection(clock, 1, hint=evil, code=evil, audience=evil, action=evil, request_id=evil))

    (row,) = rows(browser.get("/rejections.csv").text)

    for column in ("hint", "code", "audience", "action", "request_id"):
        assert row[column][0] == "'", column


def test_the_csv_is_read_while_it_is_sent(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, *[rejection(clock, number) for number in range(3 * PAGE)])

    with browser.client.get("/rejections.csv", buffered=False) as answer:
        first = next(answer.iter_encoded())
        # What is made while the file is sent is in it, at its end: it was not read beforehand.
        refuse(backend, rejection(clock, 3 * PAGE))
        rest = b"".join(answer.iter_encoded())

    assert len(first) < len(rest)
    assert [int(row["index"]) for row in rows((first + rest).decode())] == list(range(3 * PAGE + 1))


def test_a_million_are_read_some_at_a_time(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    refuse(backend, *[rejection(clock, number) for number in range(2 * PAGE + 1)])
    found: list[int] = []

    class Noting:
        """The real reports, and how much was read at once."""

        def rejections(self, *arguments: Any, **named: Any) -> list[tuple[int, Rejection]]:
            some = backend.reports.rejections(*arguments, **named)
            found.append(len(some))
            return some

    assert sum(1 for _ in selected(cast(Reports, Noting()), Selection())) == 2 * PAGE + 1
    assert found == [PAGE, PAGE, 1, 0]


def test_an_export_is_noted_with_who_what_and_how_many(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, rejection(clock, 1), rejection(clock, 2, code="other"))

    _ = browser.get("/rejections.csv?connector=shop&code=other").text

    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject, entry.detail) == (NAME, "export rejections", "shop", "1, code other")


def test_an_export_that_was_left_is_noted_as_cut_short(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refuse(backend, *[rejection(clock, number) for number in range(3 * PAGE)])

    with browser.client.get("/rejections.csv", buffered=False) as answer:
        next(answer.iter_encoded())

    entry = backend.audit.newest(limit=1)[0]
    assert (entry.what, entry.subject) == ("export rejections", "all connectors")
    number, _, how = entry.detail.partition(", ")
    assert 0 < int(number) < 3 * PAGE
    assert how == "cut short"


def test_a_file_name_has_no_letters_that_a_system_refuses(browser: Browser, publishing: Publishing) -> None:
    answer = browser.get('/rejections.csv?connector=shop@sandbox&code=a/../"b')

    assert answer.headers["Content-Disposition"] == "attachment; filename=rejections-shop-sandbox-a-..-b.csv"

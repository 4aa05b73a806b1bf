"""The page that shows what Pangolin has been told."""

from __future__ import annotations

import re

import pytest
import requests

from relay.pangolin.server import InThread
from tests.unit.pangolin.conftest import Customer


def shown(server: InThread, path: str = "/") -> str:
    answer = requests.get(server.url + path, timeout=30)
    assert answer.status_code == 200
    return answer.text


def test_it_shows_audiences_sizes_and_members_without_a_token(customer: Customer, server: InThread) -> None:
    audience = customer.create("ours/1", name="Spring newsletter")
    customer.add(audience, *[f"user-{number:03}" for number in range(60)])

    page = shown(server)

    assert "Spring newsletter" in page
    assert ">60</strong>" in page
    assert "user-059" in page, "the last arrived come first"
    assert "user-019" not in page
    assert "and 20 more" in page


def test_the_page_of_an_audience_leads_to_all_of_its_members(customer: Customer, server: InThread) -> None:
    audience = customer.create("ours/1")
    users = [f"user-{number:04}" for number in range(650)]
    for start in range(0, len(users), 100):
        customer.add(audience, *users[start : start + 100])

    path, seen = f"/audiences/{audience}", set[str]()
    while path:
        page = shown(server, path)
        seen |= set(re.findall(r"<bdi>(user-\d+)</bdi>", page))
        onward = re.search(r'href="([^"]+)">Arrived before these', page)
        path = onward.group(1) if onward else ""

    assert seen == set(users)


def test_older_audiences_are_one_link_away(customer: Customer, server: InThread) -> None:
    for number in range(35):
        customer.create(f"ours/{number}", name=f"Audience {number:02}")
    first = shown(server)
    older = re.search(r'href="(/\?before=\d+)">Older', first)
    assert "Audience 34" in first
    assert "Audience 04" not in first
    assert older
    assert "Audience 04" in shown(server, older.group(1))


def test_everything_shown_is_escaped(customer: Customer, server: InThread) -> None:
    evil = "<script>alert('x')</script>\"&"
    audience = customer.create(evil, name=evil)
    customer.add(audience, evil)
    for path in ("/", f"/audiences/{audience}"):
        page = shown(server, path)
        assert evil not in page
        assert page.count("<script>") == 1, "only the page's own"
        assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#34;&amp;") >= 3


def test_it_is_self_contained_and_its_policy_allows_nothing_else(server: InThread) -> None:
    answer = requests.get(server.url + "/", timeout=30)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert not re.search(r'\son\w+="|\sstyle="', answer.text), "the policy would block these"


def test_live_answers_what_has_changed_and_nothing_otherwise(customer: Customer, server: InThread) -> None:
    audience = customer.create("ours/1")
    url = f"{server.url}/live.json?path=/"

    first = requests.get(url, timeout=30)
    same = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    customer.add(audience, "arrived")
    changed = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)

    assert "arrived" not in first.json()["main"]
    assert (same.status_code, same.content) == (304, b"")
    assert "arrived" in changed.json()["main"]


def test_it_shows_calls_and_faults(customer: Customer, server: InThread) -> None:
    customer.break_it(status=503, reject_users=["hidden-user"])
    customer.call("GET", "/api/audiences")
    page = shown(server)
    assert "Faults in force" in page
    assert "<b>status</b> 503" in page
    assert "hidden-user" not in page
    assert ">503</b>" in page


@pytest.mark.parametrize("host", ["partner.example", "127.0.0.1.nip.example", "10.0.0.1", "", "[::"])
@pytest.mark.parametrize("path", ["/", "/live.json?path=/", "/audiences/x"])
def test_a_foreign_site_that_points_its_name_here_is_refused(standing: Customer, path: str, host: str) -> None:
    assert requests.get(standing.server.url + path, headers={"Host": host}, timeout=30).status_code in (400, 403)


def test_an_audience_that_is_not_there_gets_a_readable_page(server: InThread) -> None:
    answer = requests.get(f"{server.url}/audiences/nowhere", timeout=30)
    assert answer.status_code == 404
    assert "There is no audience with this ID" in answer.text


def test_a_page_far_away_is_no_error(server: InThread) -> None:
    for before in ("0", "999999999999999999", "x", "9" * 40, "-1"):
        shown(server, f"/?before={before}")

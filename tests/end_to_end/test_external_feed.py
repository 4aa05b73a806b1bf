"""The second source end to end: the simulated platform creates a feed, connects it and pushes users, and they are at Pangolin."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from relay.local_run import arrival
from relay.simulator.mediarithmics import case_file, people
from relay.simulator.mediarithmics.case_file import Feed
from relay.simulator.mediarithmics.deliveries import Files
from relay.simulator.mediarithmics.platform import DELAY_HEADER, Platform, PlatformAnswer
from relay.simulator.mediarithmics.traffic import FeedSimulation
from tests.emulators import Emulators
from tests.end_to_end.feed_stack import FeedStack, GoogleFeedStack
from tests.end_to_end.stack import ROOT, TOKEN, eventually, free_port
from tests.end_to_end.test_local_run import LocalRun, run
from tests.end_to_end.test_refusing_to_start import refused
from tests.unit.adapters.authentication.server import CLIENT_ID, CLIENT_SECRET, authorization_server

__all__ = ["run"]


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeedStack]:
    made = FeedStack(tmp_path_factory.mktemp("feeds"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


BY_EMAIL = """
name: by-email
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac}}
settings: {{base_url: "http://127.0.0.1:{port}"}}
secrets: {{token: partner-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.email}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.email}}}}
"""


BY_LOGIN = """
name: by-login
adapter: http
inbound: {source: mediarithmics}
settings:
  base_url: URL
  allow_private_network: true
  auth: {type: oauth2, grant: authorization_code, authorize_url: URL/authorize, token_url: URL/token}
  operations:
    add: {effect: add, fields: {id: {required: true}}, request: {method: POST, path: /api, body: "{{ rows }}"}}
  check: {request: {method: GET, path: /api}}
secrets: {client_id: acme-id, client_secret: acme-secret}
actions:
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
"""


def send_rows(feeds: FeedStack, feed: Feed, answer: PlatformAnswer) -> PlatformAnswer:
    """What the platform does with what an update of a batch feed returned."""
    assert answer.accepted, answer.seen
    [key] = {delivery["grouping_key"] for delivery in answer.data}
    contents = [delivery["content"] for delivery in answer.data]
    return feeds.platform.batch_update(feed, contents, {"grouping_key": key}, ts=round(time.time() * 1000))


@pytest.mark.parametrize("delivery", ["queued", "direct", "batch"])
def test_users_who_join_and_leave_a_segment_do_so_at_the_partner(feeds: FeedStack, delivery: str) -> None:
    feed = feeds.ready_feed(delivery)
    for user, operation in (("u1", "UPSERT"), ("u2", "UPSERT"), ("u1", "DELETE")):
        answer = feeds.push(feed, user, operation)
        assert answer.accepted, answer.seen
        if delivery == "batch":
            sent = send_rows(feeds, feed, answer)
            assert (sent.status, sent.body["sent_items_in_success"], sent.body["sent_items_in_error"]) == ("OK", 1, 0)
        else:
            assert answer.stats == [{"identifier": user, "sync_result": "SUCCESS" if delivery == "direct" else "PROCESSED"}]
    if delivery != "queued":
        assert feeds.members(feed.audience) == {"u2"}, "it is there as soon as it is answered"
    eventually(lambda: feeds.members(feed.audience) == {"u2"})


@pytest.mark.parametrize("delivery", ["direct", "batch"])
def test_traffic_of_the_simulated_platform_arrives(feeds: FeedStack, delivery: str) -> None:
    some = [feeds.feed(delivery), feeds.feed(delivery)]
    simulation = FeedSimulation(feeds.platform, feeds.gateway, some, users=40, rate=60, duration_s=1)
    summary = simulation.run()
    assert summary.passed, summary.problems
    pangolin = arrival.Pangolin(f"http://127.0.0.1:{feeds.ports['pangolin']}", TOKEN)
    seen = arrival.wait_for(pangolin, "pangolin", simulation.ledger, pause=lambda: True)
    assert (seen.audiences, seen.differing) == (2, 0)
    assert seen.members > 10


LINES = {
    "plain": "plain\n",
    "with,comma": '"with,comma"\n',
    'with"quote': '"with""quote"\n',
    "=1+1": "=1+1\n",
    "Zoë": "Zoë\n",
}


def test_a_file_is_assembled_of_what_updates_return_byte_for_byte(feeds: FeedStack) -> None:
    feed = feeds.ready_feed("file", destination_token="where-it-goes")
    files = Files()
    for user in LINES:
        for line in feeds.push(feed, user).data:
            assert line["type"] == "FILE_DELIVERY"
            files.add(line["grouping_key"], line["content"], line["destination_token"])
    for line in feeds.push(feed, "gone", "DELETE").data:
        files.add(line["grouping_key"], line["content"], line["destination_token"])
    assert files.contents == {
        f"{feed.audience}/Add": "".join(LINES.values()).encode(),
        f"{feed.audience}/Remove": b"gone\n",
    }
    assert set().union(*files.tokens.values()) == {"where-it-goes"}
    assert files.torn == []
    assert feeds.members(feed.audience) == set(), "the platform delivers the file, not we"


def test_the_example_of_the_platform_s_own_kit_runs(feeds: FeedStack) -> None:
    [feed] = case_file.packaged("example").feeds
    platform = feeds.platform
    created = platform.create(feed)
    assert (created.code, created.status, created.body["visibility"]) == (200, "ok", "PUBLIC"), created.seen
    assert platform.connect(feed).status == "ok"

    users = people.users(2)
    points = [{"type": "USER_POINT", "creation_ts": 1717494873, "user_point_id": user} for user in users]
    updated = platform.call("user_segment_update", {**feed.place, "user_identifiers": points})
    assert (updated.status, len(updated.data), len(updated.stats)) == ("ok", 2, 2)
    contents = [delivery["content"] for delivery in updated.data]
    batched = platform.call("batch_update", {"context": feed.place, "batch_content": contents})
    assert batched.code == 200
    assert (batched.body["sent_items_in_success"], batched.body["sent_items_in_error"]) == (2, 0)
    assert feeds.members(feed.audience) == set(users)

    found = platform.troubleshoot(feed)
    assert found.status == "ok"
    assert found.body["data"]["partner"]["size"] == 2
    assert not [user for user in users if user in str(found.body)]

    whose = {"user_id": "1000", "plugin_version_id": "123"}
    assert platform.authentication_status(datamart_id="1", **whose).status == "authenticated", "Pangolin asks for no login"
    for answer in (platform.authentication(**whose, params={"creds": "ok"}), platform.logout(datamart_id="1", **whose)):
        assert (answer.code, answer.status) == (200, "ok"), answer.seen
    values = platform.dynamic_property_values(datamart_id="1", user_id="1000")
    assert values.status == "ok"
    assert all(each.keys() == {"property_technical_name", "enum"} for each in values.data)


def test_while_anything_of_the_audience_waits_direct_and_batch_are_told_to_come_again(feeds: FeedStack) -> None:
    queued = feeds.ready_feed("queued")
    segment = str(queued.segment["id"])
    direct, batch = (feeds.ready_feed(delivery, segment=segment) for delivery in ("direct", "batch"))
    rows = feeds.push(batch, "batched")
    feeds.publishing.set_enabled("pangolin", False)
    try:
        assert feeds.push(queued, "first").status == "ok"
        told = feeds.push(direct, "first", "DELETE")
        assert (told.code, told.status) == (429, "retry")
        assert told.message
        assert told.body["next_msg_delay_in_ms"] == told.delay_ms
        assert told.delay_ms is not None
        assert told.delay_ms >= 100
        sent = send_rows(feeds, batch, rows)
        assert (sent.code, sent.status) == (503, "RETRY")
        assert feeds.members(queued.audience) == set()
    finally:
        feeds.publishing.set_enabled("pangolin", True)
    eventually(lambda: feeds.push(direct, "first", "DELETE").status == "ok", every_s=0.5)
    assert feeds.members(queued.audience) == set(), "what waited went first"
    assert send_rows(feeds, batch, rows).status == "OK"
    assert feeds.members(queued.audience) == {"batched"}


def test_a_short_wait_that_the_partner_asks_for_is_waited_and_a_long_one_is_what_the_platform_is_told(feeds: FeedStack) -> None:
    feeds.publishing.apply(BY_EMAIL.format(port=feeds.ports["pangolin"]).replace("by-email", "patient").replace("email", "id"))
    feed = feeds.ready_feed("direct", connector="patient")
    feeds.pangolin("PUT", "/api/faults", retry_after=1, calls=1)
    assert feeds.push(feed, "u1").stats == [{"identifier": "u1", "sync_result": "SUCCESS"}]
    feeds.pangolin("PUT", "/api/faults", retry_after=50, calls=1)
    for told in (feeds.push(feed, "u2"), feeds.push(feed, "u2")):
        assert (told.code, told.status) == (429, "retry"), told.seen
        assert told.delay_ms == pytest.approx(50_000, abs=5_000)
    assert feeds.members(feed.audience, connector="patient") == {"u1"}


def test_a_user_whom_the_partner_refuses_for_good_is_rejected_with_a_reason(feeds: FeedStack) -> None:
    direct, batch = feeds.ready_feed("direct"), feeds.ready_feed("batch")
    rows = [delivery["content"] for user in ("bad", "good") for delivery in feeds.push(batch, user).data]
    feeds.pangolin("PUT", "/api/faults", reject_users=["bad"])
    try:
        [stat] = feeds.push(direct, "bad").stats
        sent = feeds.platform.batch_update(batch, rows)
    finally:
        feeds.pangolin("DELETE", "/api/faults")
    assert (stat["identifier"], stat["sync_result"]) == ("bad", "REJECTED")
    assert {tag["key"] for tag in stat["tags"]} == {"code", "hint"}
    assert (sent.status, sent.body["sent_items_in_success"], sent.body["sent_items_in_error"]) == ("OK", 1, 1)
    assert feeds.members(batch.audience) == {"good"}


def test_what_is_sent_together_is_put_in_the_order_of_its_moments(feeds: FeedStack) -> None:
    feed = feeds.ready_feed("batch")
    later = feeds.push(feed, "u1", "UPSERT", ts=2_000).data
    earlier = feeds.push(feed, "u1", "DELETE", ts=1_000).data
    sent = feeds.platform.batch_update(feed, [delivery["content"] for delivery in (*later, *earlier)])
    assert (sent.status, sent.body["sent_items_in_success"]) == ("OK", 2)
    assert feeds.members(feed.audience) == {"u1"}


def test_a_feed_delivers_with_the_access_that_somebody_allowed_for_its_destination(feeds: FeedStack) -> None:
    with authorization_server() as partner:
        feeds.publishing.set_secret("acme-id", CLIENT_ID)
        feeds.publishing.set_secret("acme-secret", CLIENT_SECRET)
        feeds.publishing.apply(BY_LOGIN.replace("URL", partner.url))
        made = feeds.feed("direct", connector="by-login")
        feed = Feed(made.resource, made.segment, made.properties, destination="77")
        chosen = {"technical_name": "connector", "property_type": "STRING", "value": {"value": "by-login"}}
        whose = {"user_id": "3", "plugin_version_id": "710", "feed_destination_id": "77"}

        asked = feeds.platform.authentication_status(datamart_id="1", properties=[chosen], **whose)
        assert (asked.code, asked.status) == (200, "not_authenticated")
        sent_back = requests.get(asked.body["data"]["login_url"], allow_redirects=False, timeout=5)
        back = urlsplit(sent_back.headers["Location"])
        assert back.hostname == "platform.example"
        allowed = feeds.platform.authentication(params=dict(parse_qsl(back.query)), **whose)
        assert (allowed.code, allowed.body) == (200, {"status": "ok"})
        assert feeds.gateway.destinations["77"] == {"scheme": "OAUTH2", "credentials": {"refresh_token": "refresh-1"}}
        assert feeds.platform.authentication_status(datamart_id="1", properties=[chosen], **whose).status == "authenticated"

        for answer in (feeds.platform.create(feed), feeds.platform.connect(feed)):
            assert answer.accepted, answer.seen
        assert [stat["sync_result"] for stat in feeds.push(feed, "u1").stats] == ["SUCCESS"]
        assert partner.called[-1].headers["authorization"].startswith("Bearer access-")
        assert b"u1" in partner.called[-1].body

        assert feeds.platform.logout(datamart_id="1", **whose).status == "ok"
        assert feeds.platform.authentication_status(datamart_id="1", properties=[chosen], **whose).status == "not_authenticated"
        said = feeds.output("external_feed") + feeds.output("worker")
        assert [secret for secret in ("refresh-", "access-", "code-1", CLIENT_SECRET) if secret in said] == []


def test_only_identifiers_of_the_selected_resources_leave(feeds: FeedStack) -> None:
    feeds.publishing.apply(BY_EMAIL.format(port=feeds.ports["pangolin"]))
    [user] = people.users(1)
    made = feeds.feed("direct", connector="by-email")
    selected = {"selected_identifying_resources": [{"type": "USER_ACCOUNT", "compartment_id": "1234"}]}
    feed = Feed({**made.resource, **selected}, made.segment, made.properties)
    feeds.gateway.put(feed)
    assert feeds.platform.create(feed).accepted
    answer = feeds.platform.update(feed, people.identifiers(user), operation="UPSERT")
    assert (answer.code, answer.status) == (400, "no_eligible_identifier")

    feeds.gateway.put(made)
    assert feeds.platform.create(made).accepted, "a creation asks the gateway anew"
    answer = feeds.platform.update(made, people.identifiers(user), operation="UPSERT")
    assert [stat["sync_result"] for stat in answer.stats] == ["SUCCESS"]
    assert feeds.members(made.audience, connector="by-email") == {f"{user}@shop.example"}


def test_killing_the_function_between_requests_loses_nothing_that_was_answered_with_ok(feeds: FeedStack) -> None:
    feed = feeds.ready_feed("queued")
    users = [f"u{number}" for number in range(20)]
    for some in (users[:10], users[10:]):
        assert [feeds.push(feed, user).status for user in some] == ["ok"] * 10
        feeds.kill("external_feed")
        feeds.start("external_feed")
    eventually(lambda: feeds.members(feed.audience) == set(users))


def test_killing_the_function_in_the_middle_of_requests_loses_nothing_that_was_answered_with_ok(feeds: FeedStack) -> None:
    feed = feeds.ready_feed("queued")
    accepted: set[str] = set()

    def push(number: int) -> None:
        if feeds.push(feed, f"u{number}").status == "ok":
            accepted.add(f"u{number}")

    with ThreadPoolExecutor(4) as pool:
        pushed = [pool.submit(push, number) for number in range(200)]
        eventually(lambda: len(accepted) > 20, every_s=0.01)
        feeds.kill("external_feed")
        for one in pushed:
            one.result()
    feeds.start("external_feed")
    assert 20 < len(accepted) < 200
    eventually(lambda: feeds.members(feed.audience) >= accepted)


def test_a_function_that_is_told_to_end_answers_what_it_has_in_hand(feeds: FeedStack) -> None:
    feed = feeds.ready_feed("direct")
    feeds.pangolin("PUT", "/api/faults", latency_ms=700, calls=1)
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(feeds.push, feed, "u1")
        time.sleep(0.3)
        assert feeds.terminate("external_feed") == 0
        assert [stat["sync_result"] for stat in pushed.result().stats] == ["SUCCESS"]
    feeds.start("external_feed")


def test_without_its_credentials_it_says_that_it_is_not_ready(feeds: FeedStack) -> None:
    feeds.start("unready")
    unready = Platform(f"http://127.0.0.1:{feeds.ports['unready']}")
    try:
        assert unready.status().code == 503
        assert feeds.platform.status().code == 200
    finally:
        unready.close()
        feeds.kill("unready")


def test_an_unknown_feed_and_a_gateway_that_fails_are_said_in_words(feeds: FeedStack) -> None:
    unknown = Feed({"id": "404"}, {"id": "404", "datamart_id": "1"})
    for answer in (feeds.platform.create(unknown), feeds.push(unknown, "u1")):
        assert answer.code >= 400
        assert answer.message
    feed = feeds.feed("queued")
    feeds.gateway.failing = 500
    try:
        failed = feeds.platform.create(feed)
    finally:
        feeds.gateway.failing = 0
    assert failed.code == 500
    assert failed.message
    assert feeds.platform.create(feed).status == "ok"


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"HOST": "0.0.0.0"}, "Set FEED_ACCESS"),  # noqa: S104 - it is refused
        ({"K_SERVICE": "external-feed", "BACKEND": "google", "GOOGLE_CLOUD_PROJECT": "nowhere"}, "Set FEED_ACCESS"),
        ({"K_SERVICE": "external-feed"}, "BACKEND=google"),
        ({"FEED_ACCESS": "secret", "FEED_SECRET": "short"}, "at least 16 characters"),
    ],
)
def test_it_does_not_start_where_strangers_could_reach_it(variables: dict[str, str], why: str) -> None:
    assert why in refused("external_feed", **variables)


def test_nobody_else_is_answered_where_nothing_guards_it(feeds: FeedStack) -> None:
    for headers in ({"Host": "page.example.com"}, {"Origin": "http://page.example.com"}):
        assert feeds.platform.call("status", method="GET", headers=headers).code == 403


@pytest.mark.once
def test_on_google_users_arrive_in_each_way_of_delivering(tmp_path: Path, emulators: Emulators) -> None:
    feeds = GoogleFeedStack(tmp_path, emulators)
    try:
        feeds.start()
        for delivery in ("queued", "direct", "batch"):
            some = [feeds.feed(delivery)]
            simulation = FeedSimulation(feeds.platform, feeds.gateway, some, users=10, rate=10, duration_s=1)
            summary = simulation.run()
            assert summary.passed, summary.problems
            expected = simulation.ledger.members[some[0].audience]
            eventually(lambda: feeds.members(some[0].audience) == expected)  # noqa: B023 - called at once
    finally:
        feeds.stop()


def test_a_local_run_with_a_port_for_feeds_prints_a_command_that_works(run: LocalRun) -> None:
    port = free_port()
    run.start(FEED_PORT=str(port), GATEWAY_PORT=str(free_port()))
    run.line("ready:")
    words = shlex.split(run.line("FEED_PORT="))
    variables = dict(word.split("=", 1) for word in words if word.partition("=")[0].isupper())
    assert words[len(variables)].endswith("/diy")
    command = [sys.executable, "-m", "relay.cli", *words[len(variables) + 1 :], "--duration", "0.5s"]
    environment: dict[str, Any] = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arrived: the " in done.stdout
    assert DELAY_HEADER not in done.stdout

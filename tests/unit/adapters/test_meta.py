"""What is particular to the adapter for Meta, against a small Meta of our own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import pytest

from adapters.contract import Adapter, Delivered, Option, Prepared, Rejected, Row, RowResult, Target, TokenSource
from adapters.meta import API_VERSION, MAX_USERS, Meta
from adapters.preparing import prepare_one
from adapters.registry import describe, open_adapter
from relay.connectors.document import expand
from relay.domain.clock import SystemClock
from relay.domain.connector import Connector, Inbound, Limits, Timeouts
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    DocumentError,
    Misconfigured,
    PartnerError,
    TryAgain,
    Unsupported,
)
from tests.partners.meta import ACCOUNT, TOKEN, SmallMeta, refusal

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "meta.yaml"
REFERENCE = "meta/a.1"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def opened(url: str, *, secrets: dict[str, str] | None = None, **settings: Any) -> Adapter:
    given = {"account_id": ACCOUNT, "base_url": url, "allow_private_network": True, **settings}
    connector = Connector(
        name="meta",
        document="meta",
        document_version=1,
        adapter="meta",
        inbound=Inbound(hmac_secret="x"),
        actions=(),
        limits=Limits(batch=Meta.description.limits),
        settings={name: value for name, value in given.items() if value is not None},
        timeouts=Timeouts(20, 20, 20),
    )
    secrets = {"access_token": TOKEN} if secrets is None else secrets
    return open_adapter(connector, secrets, clock=SystemClock(), tokens=cast(TokenSource, None))


@pytest.fixture
def meta() -> Iterator[SmallMeta]:
    with SmallMeta() as server:
        yield server


@pytest.fixture
def adapter(meta: SmallMeta) -> Adapter:
    return opened(meta.url)


@pytest.fixture
def target(adapter: Adapter) -> Target:
    return Target("a.1", "Spring", adapter.create_audience("Spring", REFERENCE), REFERENCE)


def prepared(adapter: Adapter, **values: Any) -> dict[str, Any]:
    made = prepare_one(adapter, "add", values)
    assert isinstance(made, Prepared), made
    return made.values


def rows(adapter: Adapter, *users: dict[str, Any]) -> list[Row]:
    return [Row(prepared(adapter, **user), f"event-{number}", 0.0) for number, user in enumerate(users)]


def last_body(meta: SmallMeta) -> Any:
    return meta.calls[-1][2]


# --- identifiers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given", "sent"),
    [
        ("email", " Ann@Example.COM ", sha("ann@example.com")),
        ("email", sha("ann@example.com").upper(), sha("ann@example.com")),
        ("phone", "+1 (650) 555-1212", sha("16505551212")),
        ("phone", "0049 170 123", sha("49170123")),
        ("phone", 16505551212, sha("16505551212")),
        ("phone", sha("16505551212"), sha("16505551212")),
        ("external_id", " CRM-17 ", "CRM-17"),
        ("external_id", 17, "17"),
        ("advertising_id", "AEBE52E7-03EE-455A-B3C4-E57283966239", "aebe52e7-03ee-455a-b3c4-e57283966239"),
    ],
)
def test_each_identifier_is_written_and_hashed_as_meta_wants_it(
    meta: SmallMeta, adapter: Adapter, target: Target, field: str, given: Any, sent: str
) -> None:
    assert adapter.send("add", target, rows(adapter, {field: given})) == [Delivered()]
    assert last_body(meta)["payload"]["data"] == [[sent]]


@pytest.mark.parametrize(
    ("field", "given", "sent"),
    [("first_name", " Ann-Marie ", sha("annmarie")), ("last_name", "O'Brien", sha("obrien")), ("country", " DE", sha("de"))],
)
def test_what_only_supports_an_identifier_is_hashed_as_well(
    meta: SmallMeta, adapter: Adapter, target: Target, field: str, given: str, sent: str
) -> None:
    adapter.send("add", target, rows(adapter, {"external_id": "17", field: given}))
    assert last_body(meta)["payload"]["data"] == [["17", sent]]


def test_a_phone_number_without_digits_is_a_bad_row_only_where_nothing_else_says_who_it_is(adapter: Adapter) -> None:
    assert prepared(adapter, email="ann@example.com", phone="n/a") == {"email": sha("ann@example.com")}
    refused = prepare_one(adapter, "add", {"phone": "n/a"})
    assert isinstance(refused, Rejected)
    assert "Phone number" in refused.hint


def test_a_name_alone_says_not_who_it_is(adapter: Adapter) -> None:
    assert isinstance(prepare_one(adapter, "add", {"first_name": "Ann", "last_name": "Lee", "country": "de"}), Rejected)


def test_a_user_is_known_by_each_identifier(adapter: Adapter) -> None:
    made = prepare_one(adapter, "remove", {"email": "ann@example.com", "external_id": "17", "first_name": "Ann"})
    assert isinstance(made, Prepared)
    assert made.keys == (f"email={sha('ann@example.com')}", "external_id=17")


# --- calls -----------------------------------------------------------------------------------------------------------


def test_users_are_members_once_added_and_no_longer_once_removed(meta: SmallMeta, adapter: Adapter, target: Target) -> None:
    both = rows(adapter, {"email": "ann@example.com"}, {"email": "bob@example.com"})
    assert adapter.send("add", target, both) == [Delivered(), Delivered()]
    assert meta.members[target.partner_id] == {(("EMAIL", sha("ann@example.com")),), (("EMAIL", sha("bob@example.com")),)}
    assert adapter.send("remove", target, both[:1]) == [Delivered()]
    assert meta.members[target.partner_id] == {(("EMAIL", sha("bob@example.com")),)}


def test_the_rows_of_a_call_share_the_columns_that_any_of_them_has(meta: SmallMeta, adapter: Adapter, target: Target) -> None:
    users = ({"phone": "491701"}, {"email": "ann@example.com", "last_name": "Lee"}, {"external_id": "17"})
    assert adapter.send("add", target, rows(adapter, *users)) == [Delivered()] * 3
    assert last_body(meta)["payload"] == {
        "schema": ["EMAIL", "PHONE", "EXTERN_ID", "LN"],
        "data": [["", sha("491701"), "", ""], [sha("ann@example.com"), "", "", sha("lee")], ["", "", "17", ""]],
    }


def test_every_call_is_a_session_of_its_own_that_a_repetition_keeps(meta: SmallMeta, adapter: Adapter, target: Target) -> None:
    users = rows(adapter, *({"external_id": str(number)} for number in range(4)))
    for part in (users, users, users[:2], users[2:]):
        adapter.send("add", target, part)
    sessions = [body["session"] for _, _, body in meta.calls[-4:]]
    assert all((one["batch_seq"], one["last_batch_flag"]) == (1, True) for one in sessions)
    numbers = [one["session_id"] for one in sessions]
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 3
    assert all(0 < number < 2**53 for number in numbers)


def test_a_repetition_counts_as_delivered_though_meta_counts_the_session_so_far(
    meta: SmallMeta, adapter: Adapter, target: Target
) -> None:
    users = rows(adapter, {"external_id": "1"}, {"external_id": "2"})
    assert [adapter.send("add", target, users) for _ in range(3)] == [[Delivered()] * 2] * 3
    assert list(meta.received.values()) == [6]


def test_ten_thousand_users_go_into_one_call_and_not_one_more(adapter: Adapter, target: Target) -> None:
    users = [Row({"external_id": str(number)}, str(number), 0.0) for number in range(MAX_USERS + 1)]
    assert adapter.send("add", target, users[:-1]) == [Delivered()] * MAX_USERS
    with pytest.raises(ValueError, match="10001"):
        adapter.send("add", target, users)


def test_a_preview_shows_what_is_sent_and_needs_neither_secret_nor_audience(
    meta: SmallMeta, adapter: Adapter, target: Target
) -> None:
    users = rows(adapter, {"email": "ann@example.com"})
    adapter.send("add", target, users)
    method, path, body = meta.calls[-1]
    without = opened(meta.url, secrets={})
    assert [(one.method, one.url, one.body) for one in without.preview("add", target, users)] == [(method, meta.url + path, body)]
    nowhere = msgspec.structs.replace(target, partner_id="")
    assert without.preview("add", nowhere, users)[0].url == f"{meta.url}/{API_VERSION}/{{audience}}/users"
    assert [(one.method, urlsplit(one.url).path) for one in without.preview("create_audience", target, ())] == [
        ("GET", f"/{API_VERSION}/act_{ACCOUNT}/customaudiences"),
        ("POST", f"/{API_VERSION}/act_{ACCOUNT}/customaudiences"),
    ]


def test_nothing_is_sent_to_an_audience_that_is_not_there_yet(meta: SmallMeta, adapter: Adapter) -> None:
    with pytest.raises(AudienceNotReady):
        adapter.send("add", Target("a.1", "Spring", "", REFERENCE), rows(adapter, {"external_id": "1"}))
    assert meta.calls == []


def test_an_id_in_the_address_is_quoted(meta: SmallMeta, adapter: Adapter) -> None:
    odd = Target("a.1", "Spring", "a/b?c", REFERENCE)
    assert urlsplit(adapter.preview("add", odd, rows(adapter, {"external_id": "1"}))[0].url).path.endswith("/a%2Fb%3Fc/users")
    with pytest.raises(AudienceGone):
        adapter.describe_audience("a/b?c")
    assert meta.calls[-1][1].startswith(f"/{API_VERSION}/a%2Fb%3Fc?")


def test_only_calls_with_several_users_get_the_time_of_a_batch(adapter: Adapter, target: Target) -> None:
    users = rows(adapter, {"external_id": "1"}, {"external_id": "2"})
    sizes = [adapter.preview(operation, target, users[:n])[0].batch for operation in ("add", "opt_out") for n in (1, 2)]
    assert sizes == [False, True, False, True]


# --- opting out ------------------------------------------------------------------------------------------------------


def test_opting_out_removes_from_every_audience_of_the_account_and_needs_none(meta: SmallMeta, adapter: Adapter) -> None:
    users = rows(adapter, {"email": "ann@example.com"})
    for reference in ("meta/a.1", "meta/a.2"):
        adapter.send("add", Target("", "", adapter.create_audience(reference, reference), reference), users)
    assert adapter.send("opt_out", Target("a.3", "Objections", "", "meta/a.3"), users) == [Delivered()]
    assert list(meta.members.values()) == [set(), set()]
    assert set(last_body(meta)) == {"payload"}


def test_an_account_that_is_not_there_is_no_audience_that_is_gone(meta: SmallMeta) -> None:
    with pytest.raises(Misconfigured) as caught:
        sent(meta, [refusal(100, 33)], operation="opt_out")
    assert caught.value.code == "no_account"


def test_opting_out_is_done_when_meta_says_success_and_only_then(meta: SmallMeta) -> None:
    assert sent(meta, [(200, {"success": True})], operation="opt_out") == [Delivered()] * 2
    with pytest.raises(TryAgain):
        sent(meta, [(200, {"success": False})], operation="opt_out")
    with pytest.raises(TryAgain):
        sent(meta, [(200, {"success": True})], operation="add")


def test_an_action_that_opts_out_must_name_its_audiences() -> None:
    document = EXAMPLE.read_text().replace("  # - name: Opt out", "  - name: Opt out")
    for line in ("trigger: joined", "operation: opt_out", "audiences: [Objections]", "mapping: {email"):
        document = document.replace(f"  #   {line}", f"    {line}")
    assert expand(document, describe=describe)[0].actions[-1].operation == "opt_out"
    with pytest.raises(DocumentError) as caught:
        expand(document.replace("    audiences: [Objections]\n", ""), describe=describe)
    assert [path for path, _ in caught.value.problems] == ["actions[3].audiences"]


# --- what an answer means --------------------------------------------------------------------------------------------


def sent(meta: SmallMeta, planned: list[tuple[int, Any]], *, users: int = 2, operation: str = "add") -> list[RowResult]:
    """What becomes of users 0, 1, … when Meta answers so."""
    adapter = opened(meta.url)
    meta.planned = planned
    known = rows(adapter, *({"external_id": f"user-{number}"} for number in range(users)))
    return adapter.send(operation, Target("a.1", "", "777", ""), known)


@pytest.mark.parametrize(
    "body",
    [
        {"num_received": 1, "num_invalid_entries": 0},
        {"num_received": 3, "num_invalid_entries": 0},
        {"num_received": 0, "num_invalid_entries": 0},
        {"num_received": -2, "num_invalid_entries": 0},
        {"num_received": "2", "num_invalid_entries": 0},
        {"num_received": 2, "num_invalid_entries": -1},
        {"num_invalid_entries": 0},
        {},
        [],
        None,
        b"",
        b"<html>",
    ],
)
def test_an_answer_that_does_not_account_for_all_users_is_no_success(meta: SmallMeta, body: Any) -> None:
    with pytest.raises(TryAgain):
        sent(meta, [(200, body)])


@pytest.mark.parametrize(
    "samples",
    [
        ["user-1"],
        {"1": "user-1"},
        ['["user-1"]'],
        {"1": ["user-1", ""]},
    ],
    ids=str,
)
def test_users_that_the_samples_name_are_rejected_and_their_neighbours_are_not(meta: SmallMeta, samples: Any) -> None:
    body = {"num_received": 3, "num_invalid_entries": 1, "invalid_entry_samples": samples}
    results = sent(meta, [(200, body)], users=3)
    assert [getattr(result, "code", "delivered") for result in results] == ["delivered", "invalid_entry", "delivered"]
    assert "user-1" not in repr(results)


def test_a_sample_names_the_user_whose_identifier_it_is_and_not_one_who_begins_alike(meta: SmallMeta) -> None:
    body = {"num_received": 11, "num_invalid_entries": 1, "invalid_entry_samples": ["user-10"]}
    results = sent(meta, [(200, body)], users=11)
    assert [number for number, result in enumerate(results) if isinstance(result, Rejected)] == [10]


@pytest.mark.parametrize(
    "samples",
    [
        {},
        [],
        None,
        ["user-7"],
        ["user"],
        ["user-1"],
        ["user-0", "user-1", "user-2"],
        {"0": "bad hash"},
        {"user-0": "bad hash", "user-1": "bad hash"},
    ],
    ids=str,
)
def test_where_not_all_are_named_the_call_is_refused_so_that_they_are_searched_for(meta: SmallMeta, samples: Any) -> None:
    body = {"num_received": 3, "num_invalid_entries": 2, "invalid_entry_samples": samples}
    with pytest.raises(BatchRefused) as caught:
        sent(meta, [(200, body)], users=3)
    assert caught.value.code == "invalid_entry"


ANNA, NAMESAKE, CARL = (
    {"email": f"{name}@example.com", "first_name": first} for name, first in (("a", "Anna"), ("b", "Anna"), ("c", "Carl"))
)


def whole(adapter: Adapter, user: dict[str, str]) -> list[Any]:
    return list(prepared(adapter, **user).values())


def judged(adapter: Adapter, invalid: int, samples: Any, *users: dict[str, str]) -> list[bool]:
    """Which of these users are rejected, when Meta finds so many invalid and gives these samples."""
    body = {"num_received": len(users), "num_invalid_entries": invalid, "invalid_entry_samples": samples}
    operation = adapter.description.operation("add")
    assert isinstance(adapter, Meta)
    assert operation is not None
    return [isinstance(result, Rejected) for result in adapter.results(operation, rows(adapter, *users), body)]


def test_a_user_who_shares_a_first_name_with_a_sample_is_not_the_one_that_is_meant(meta: SmallMeta) -> None:
    adapter = opened(meta.url)
    assert judged(adapter, 1, [whole(adapter, ANNA)], ANNA, NAMESAKE, CARL) == [True, False, False]
    with pytest.raises(BatchRefused):  # another is invalid as well, and not among the samples
        judged(adapter, 2, [whole(adapter, ANNA)], ANNA, NAMESAKE, CARL)


def test_a_value_that_stands_alone_names_a_user_only_by_a_key_that_nobody_shares(meta: SmallMeta) -> None:
    adapter = opened(meta.url)
    assert judged(adapter, 1, [whole(adapter, ANNA)[0]], ANNA, NAMESAKE, CARL) == [True, False, False]
    for shared in (whole(adapter, ANNA)[1], whole(adapter, CARL)[1]):
        with pytest.raises(BatchRefused):
            judged(adapter, 1, [shared], ANNA, NAMESAKE, CARL)


def test_a_user_whose_only_value_is_a_part_of_the_samples_is_not_the_one_that_is_meant(meta: SmallMeta) -> None:
    adapter = opened(meta.url)
    both = {"email": "a@example.com", "phone": "+15550001"}
    assert judged(adapter, 1, [whole(adapter, both)], both, {"phone": "+15550001"}) == [True, False]


def test_the_only_user_of_a_call_is_the_one_that_is_meant(meta: SmallMeta) -> None:
    results = sent(meta, [(200, {"num_received": 1, "num_invalid_entries": 1})], users=1)
    assert [getattr(result, "code", "delivered") for result in results] == ["invalid_entry"]


Ask = Callable[[Adapter], object]


def add(adapter: Adapter) -> object:
    return adapter.send("add", Target("a.1", "", "777", ""), [Row({"external_id": "17"}, "e", 0.0)])


def create(adapter: Adapter) -> object:
    return adapter.create_audience("Spring", REFERENCE)


def show(adapter: Adapter) -> object:
    return adapter.describe_audience("777")


def opt_out(adapter: Adapter) -> object:
    return adapter.send("opt_out", Target("a.1", "", "777", ""), [Row({"external_id": "17"}, "e", 0.0)])


NOTHING_LISTED: tuple[int, Any] = (200, {"data": []})


def refused(meta: SmallMeta, ask: Ask, answer: tuple[int, Any]) -> PartnerError:
    meta.planned = [NOTHING_LISTED, answer] if ask is create else [answer]
    with pytest.raises(PartnerError) as caught:
        ask(opened(meta.url))
    assert "somebody" not in caught.value.hint
    return caught.value


EVERYTHING = (add, create, show, opt_out)


@pytest.mark.parametrize("ask", EVERYTHING)
@pytest.mark.parametrize("said", [(190,), (190, 460), (190, 463), (200,), (294,), (10,)])
def test_tokens_that_are_not_good_enough_are_refused_credentials(meta: SmallMeta, ask: Ask, said: tuple[int, ...]) -> None:
    assert isinstance(refused(meta, ask, refusal(*said)), CredentialsRefused)


@pytest.mark.parametrize("ask", EVERYTHING)
@pytest.mark.parametrize("code", [4, 17, 32, 613, 80003])
def test_a_rate_limit_concerns_the_whole_account(meta: SmallMeta, ask: Ask, code: int) -> None:
    error = refused(meta, ask, refusal(code, is_transient=True))
    assert isinstance(error, TryAgain)
    assert error.account
    assert error.code == "rate_limited"


@pytest.mark.parametrize("ask", EVERYTHING)
@pytest.mark.parametrize(("code", "transient"), [(1, False), (2, False), (100, True), (368, True)])
def test_what_passes_is_tried_again(meta: SmallMeta, ask: Ask, code: int, transient: bool) -> None:
    error = refused(meta, ask, refusal(code, is_transient=transient))
    assert isinstance(error, TryAgain)
    assert error.code == "partner_trouble"


@pytest.mark.parametrize("ask", EVERYTHING)
@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 413, 429, 500, 502, 503])
def test_a_page_is_never_metas_own_word(meta: SmallMeta, ask: Ask, status: int) -> None:
    assert isinstance(refused(meta, ask, (status, b"<html>somebody</html>")), TryAgain)


@pytest.mark.parametrize("code", [100, 105, 2650, 1487301, 1487366])
def test_a_refused_call_is_a_refusal_of_users_or_of_the_audience_or_a_matter_of_the_set_up(meta: SmallMeta, code: int) -> None:
    users = refused(meta, add, refusal(code))
    assert (type(users), users.code) == (BatchRefused, f"meta_{code}")
    made = refused(meta, create, refusal(code))
    assert (type(made), made.code) == (BatchRefused, "audience_refused")
    assert isinstance(refused(meta, show, refusal(code)), Misconfigured)


@pytest.mark.parametrize("ask", [add, show])
@pytest.mark.parametrize("answer", [refusal(100, 33), refusal(803), (404, {"error": {"code": 5}}), (404, {})], ids=str)
def test_an_audience_that_meta_does_not_have_is_gone(meta: SmallMeta, ask: Ask, answer: tuple[int, Any]) -> None:
    assert isinstance(refused(meta, ask, answer), AudienceGone)


@pytest.mark.parametrize("ask", [create, opt_out])
def test_an_ad_account_that_meta_does_not_have_is_a_matter_of_the_set_up(meta: SmallMeta, ask: Ask) -> None:
    assert refused(meta, ask, refusal(100, 33)).code == "no_account"


@pytest.mark.parametrize("ask", EVERYTHING)
def test_a_refusal_that_is_not_known_rejects_nobody_and_shows_its_code(meta: SmallMeta, ask: Ask) -> None:
    error = refused(meta, ask, refusal(368))
    assert isinstance(error, Misconfigured)
    assert "(code 368, status 400)" in error.hint
    assert isinstance(refused(meta, ask, (400, {"error": "somebody"})), Misconfigured)


def test_an_audience_that_meta_has_restricted_waits_for_a_person(meta: SmallMeta) -> None:
    error = refused(meta, add, refusal(100, 1713230))
    assert (type(error), error.code) == (Misconfigured, "audience_restricted")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Accept the\nterms \t\u2028first.", " The partner says: “Accept the terms first.”"),
        ("x" * 500, " The partner says: “" + "x" * 199 + "…”"),
        ("somebody@example.com must accept", " The partner says: “… must accept”"),
        (f"{sha('somebody')} must accept", " The partner says: “… must accept”"),
        ("", ""),
        (None, ""),
        (["Accept"], ""),
    ],
)
def test_terms_that_are_not_accepted_are_shown_in_metas_words_on_one_line(meta: SmallMeta, said: Any, shown: str) -> None:
    error = refused(meta, add, refusal(2655, error_user_msg=said))
    assert (type(error), error.code) == (Misconfigured, "terms_not_accepted")
    assert error.hint.partition("customaudiences/tos/")[2] == shown


def test_terms_told_by_a_permission_error_are_no_matter_of_the_token(meta: SmallMeta) -> None:
    error = refused(meta, add, refusal(200, 1870090))
    assert (type(error), error.code) == (Misconfigured, "terms_not_accepted")


def test_metas_words_are_shown_for_the_terms_and_for_what_it_refuses_of_users(meta: SmallMeta) -> None:
    for code in (190, 200, 294, 368):
        assert "Please" not in refused(meta, add, refusal(code, error_user_msg="Please do something.")).hint
    for code in (100, 2650):
        assert "“Please do something.”" in refused(meta, add, refusal(code, error_user_msg="Please do something.")).hint


# --- audiences -------------------------------------------------------------------------------------------------------


def test_the_same_reference_gives_the_same_audience_whatever_its_name_and_page(meta: SmallMeta, adapter: Adapter) -> None:
    made = [adapter.create_audience(f"Audience {number}", f"meta/a.{number}") for number in range(11)]
    assert len(set(made)) == 11
    assert [adapter.create_audience("Another name", f"meta/a.{number}") for number in range(11)] == made
    assert len(meta.audiences) == 11


def test_a_description_that_somebody_has_added_to_still_carries_our_reference(meta: SmallMeta, adapter: Adapter) -> None:
    made = adapter.create_audience("Spring", REFERENCE)
    meta.audiences[made]["description"] = f"Do not touch! {meta.audiences[made]['description']} (Ann)"
    assert adapter.create_audience("Spring", REFERENCE) == made


@pytest.mark.parametrize("reference", ["meta/" + "a" * 2000, "meta/a] [meta/b", "meta/Frühling 🌱", "meta/a b\n"])
def test_a_reference_that_is_long_or_odd_is_carried_by_its_hash(meta: SmallMeta, adapter: Adapter, reference: str) -> None:
    made = adapter.create_audience("Spring", reference)
    assert adapter.create_audience("Spring", reference) == made
    assert adapter.create_audience("Spring", "meta/b") != made
    description = meta.audiences[made]["description"]
    assert len(description) <= 100
    assert description.isascii()


def test_a_long_name_is_cut(meta: SmallMeta, adapter: Adapter) -> None:
    made = adapter.create_audience("n" * 3000, REFERENCE)
    assert meta.audiences[made]["name"] == "n" * 200


def test_an_account_with_too_many_audiences_to_look_through_gets_no_second_one(meta: SmallMeta, adapter: Adapter) -> None:
    meta.planned = [(200, {"data": [{"id": "1"}], "paging": {"cursors": {"after": str(page)}}}) for page in range(100)]
    with pytest.raises(Misconfigured) as caught:
        adapter.create_audience("Spring", REFERENCE)
    assert caught.value.code == "too_many"
    assert {method for method, _, _ in meta.calls} == {"GET"}


def test_a_list_that_names_the_same_page_again_has_ended(meta: SmallMeta, adapter: Adapter) -> None:
    meta.planned = [(200, {"data": [], "paging": {"cursors": {"after": "same"}}})] * 2
    adapter.create_audience("Spring", REFERENCE)
    assert [method for method, _, _ in meta.calls] == ["GET", "GET", "POST"]


@pytest.mark.parametrize(
    ("status", "ready"),
    [(None, True), (0, True), (200, True), (300, False), (400, True), (410, True), (411, True), (412, True)],
)
def test_an_audience_is_ready_unless_it_is_being_updated(
    meta: SmallMeta, adapter: Adapter, target: Target, status: int | None, ready: bool
) -> None:
    meta.audiences[target.partner_id]["operation_status"] = None if status is None else {"code": status}
    assert adapter.is_ready(target.partner_id) is ready


@pytest.mark.parametrize("status", [471, 500])
def test_an_audience_that_waits_for_a_person_says_so(meta: SmallMeta, adapter: Adapter, target: Target, status: int) -> None:
    meta.audiences[target.partner_id]["operation_status"] = {"code": status, "description": "Flagged"}
    with pytest.raises(Misconfigured):
        adapter.is_ready(target.partner_id)


def test_an_audience_is_described_with_the_version_of_the_api(adapter: Adapter, target: Target) -> None:
    assert adapter.describe_audience(target.partner_id) == {
        "id": target.partner_id,
        "name": "Spring",
        "status": "200 Normal",
        "approximate_size": 1000,
        "api_version": API_VERSION,
    }
    assert API_VERSION in Meta.description.summary


# --- setting up ------------------------------------------------------------------------------------------------------


def test_ad_accounts_are_offered_page_by_page_before_one_is_set(meta: SmallMeta) -> None:
    meta.accounts = [{"id": f"act_{n}", "account_id": str(n), "name": f"Account {n}"} for n in range(5)]
    adapter = Meta(opened(meta.url).account)  # type: ignore[attr-defined]
    assert [field.name for field in Meta.description.settings if field.dynamic] == ["account_id"]
    assert adapter.options("account_id", {}) == [Option(str(n), f"Account {n}") for n in range(5)]


def test_audiences_are_offered_of_the_account_that_is_chosen(meta: SmallMeta, target: Target) -> None:
    offered = [Option(target.partner_id, "Spring")]
    assert opened(meta.url).options("audience", {}) == offered
    assert opened(meta.url, account_id="1").options("audience", {"account_id": f"act_{ACCOUNT}"}) == offered
    undecided = opened(meta.url)
    undecided = type(undecided)(msgspec.structs.replace(undecided.account, settings={"base_url": meta.url}))  # type: ignore
    with pytest.raises(Misconfigured) as caught:
        undecided.options("audience", {})
    assert "account_id" in caught.value.hint


def test_nothing_is_offered_for_other_fields(adapter: Adapter) -> None:
    with pytest.raises(Unsupported):
        adapter.options("base_url", {})


@pytest.mark.parametrize("account", [ACCOUNT, f"act_{ACCOUNT}"])
def test_the_ad_account_may_have_act_in_front(meta: SmallMeta, account: str) -> None:
    assert opened(meta.url, account_id=account).create_audience("Spring", REFERENCE) in meta.audiences


@pytest.mark.parametrize("account", ["Ours", "act_", "act_act_1", "1/2", "1 2", "-1"])
def test_an_ad_account_that_is_no_number_is_an_error_of_the_document(account: str) -> None:
    document = EXAMPLE.read_text().replace("act_000000000000000", account)
    with pytest.raises(DocumentError) as caught:
        expand(document, describe=describe)
    assert [path for path, _ in caught.value.problems] == ["settings.account_id"]


def test_the_example_can_be_applied_as_it_is() -> None:
    connector = expand(EXAMPLE.read_text(), describe=describe)[0]
    assert (connector.name, connector.adapter) == ("meta", "meta")
    assert connector.secrets == {"access_token": "meta-access-token"}
    assert [action.operation for action in connector.actions] == ["create_audience", "add", "remove"]


def test_credentials_are_checked_by_asking_whose_they_are(meta: SmallMeta, adapter: Adapter) -> None:
    adapter.check_credentials()
    assert [(method, urlsplit(path).path) for method, path, _ in meta.calls] == [("GET", f"/{API_VERSION}/me")]
    with pytest.raises(CredentialsRefused):
        opened(meta.url, secrets={"access_token": "another"}).check_credentials()
    with pytest.raises(CredentialsRefused) as caught:
        opened(meta.url, secrets={}).check_credentials()
    assert caught.value.code == "secret_missing"


def test_a_server_on_a_private_network_is_called_only_if_the_connector_allows_it(meta: SmallMeta) -> None:
    with pytest.raises(Misconfigured):
        opened(meta.url, allow_private_network=None).check_credentials()
    assert meta.calls == []


def test_without_an_address_it_is_metas_own() -> None:
    adapter = opened("", base_url=None)
    request = adapter.preview("add", Target("a.1", "Spring", "777", REFERENCE), rows(adapter, {"external_id": "17"}))[0]
    assert request.url == f"https://graph.facebook.com/{API_VERSION}/777/users"

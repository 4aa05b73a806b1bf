"""The settings of the HTTP adapter: everything that is wrong with them at once, each with its place and what to do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Description
from adapters.http import Http
from adapters.registry import describe
from relay.connectors.document import expand
from relay.connectors.yaml_text import load
from relay.domain.errors import DocumentError

DOCUMENT = """
base_url: https://api.acme.example/v2
partner: Acme
parameters: {account: "42"}
email: email_no_blanks
auth: {type: oauth2, grant: jwt_bearer, token_url: "https://acme.example/token", scope: a b, app: acme, client_auth: body,
       jwt: {algorithm: ES256, claims: {iss: "{{ parameters.account }}"}, expires: 5m, header: {kid: k}}}
signature: {algorithm: sha512, header: X-Signature, encoding: base64, prefix: "v1=", timestamp_header: X-Time}
audiences:
  find: {request: {method: GET, path: /lists}, list: data, match: {reference: "{{ audience.reference }}"}, id: id,
         next: {value: cursor, query: after}, pages: 3, absent: [404]}
  create: {request: {method: POST, path: /lists, body: {name: "{{ audience.name }}"}}, id: data.id, delivered: {status: 201},
           answers: [{status: 409, means: refused}]}
  ready: {request: {method: GET, path: "/lists/{{ audience.partner_id }}"}, when: ready}
  describe: {request: {method: GET, path: "/lists/{{ audience.partner_id }}"}, show: "{size: count}"}
operations:
  add:
    title: Add users
    help: To the list.
    effect: add
    set_name: list
    fields:
      email: {title: E-mail, normalise: email, form: auto, hashed: true, required: true}
      size: {choices: [S, L], default: S}
      note:
    key: [email]
    max_items: 500
    request:
      method: POST
      path: "/lists/{{ audience.partner_id }}/members"
      query: {dry: false}
      headers: {X-Call: "{{ call_id }}"}
      body: {members: {$rows: {email: "{{ row.email }}", size: "{{ row.size }}"}}}
    delivered: {status: [200, 202], when: ok}
    taken: accepted
    rejected: {list: errors, index: row, base: 1, when: final, again: busy, code: reason, hint: No., hints: {BAD: Bad.}}
    answers: [{status: 403, when: slow, means: try_again, after: seconds, code: error, hint: Wait.}]
  tell:
    fields: {id: }
    triggers: [left]
    max_items: 1
    request: {method: PUT, path: "/users/{{ row.id }}", form: {id: "{{ row.id }}"}}
  load:
    effect: add
    fields: {id: }
    steps:
      - {name: job, request: {method: POST, path: /jobs}, save: {id: id}}
      - name: fill
        request: {method: PUT, path: "/jobs/{{ steps.job.id }}", csv: {Id: "{{ row.id }}"}}
        delivered: {status: 202}
      - {name: wait, request: {method: GET, path: "/jobs/{{ steps.job.id }}"}, until: done, every: 1s, for: 10s}
options:
  size:
    request: {method: GET, path: "/sizes/{{ chosen.kind }}"}
    list: data
    value: id
    label: name
    next: {from: 1, query: page}
check: {request: {method: GET, path: /me}}
answers: [{status: 418, means: misconfigured}]
"""
REMOVE: Any = object()
TELL = load(DOCUMENT)["operations"]["tell"]


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """The settings with something else at these places (`operations.add.key`)."""
    settings = load(DOCUMENT)
    for path, value in changes:
        *before, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inner: Any = settings
        for part in before:
            inner = inner[part]
        if value is REMOVE:
            del inner[last]
        else:
            inner[last] = value
    return settings


def problems_of(settings: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as error:
        Http.describe(settings)
    return error.value.problems


def test_everything_that_can_be_written_is_understood() -> None:
    description = Http.describe(load(DOCUMENT))
    assert (description.title, description.email_rule, description.app) == ("Acme", "email_no_blanks", "acme")
    assert [field.name for field in description.secrets] == ["client_id", "client_secret", "key", "signing_key"]
    assert description.credential_headers == ("Authorization", "X-Signature")
    assert [(one.name, one.kind, one.effect, one.triggers, one.max_items) for one in description.operations] == [
        ("create_audience", "create", None, ("created",), 1),
        ("add", "set", "add", ("joined",), 500),
        ("tell", "event", None, ("left",), 1),
        ("load", "set", "add", ("joined",), 1_000),
    ]
    add = description.operation("add")
    assert add is not None
    assert (add.title, add.help, add.set_name, add.key_fields) == ("Add users", "To the list.", "list", ("email",))
    email, size, note = add.fields
    assert (email.title, email.normalise, email.form, email.hashed, email.required) == ("E-mail", "email", "auto", True, True)
    assert (size.choices, size.default, size.dynamic, note.title) == (("S", "L"), "S", True, "note")
    assert description.limits.max_items == 1_000


WRONG = [
    ("base_url", "ftp://x", "base_url", "This must be a whole URL that begins with http:// or https://."),
    ("base_url", "https://x/?a=b", "base_url", "Parameters of the query belong to the requests."),
    ("base_url", "http://api.acme.example", "base_url",
     "This must begin with https://, unless `allow_private_network` is true."),
    ("auth.token_url", "http://acme.example/t", "auth.token_url",
     "This must begin with https://, unless `allow_private_network` is true."),
    ("parameters", {"account": 1, "a-b": 1}, "parameters.a-b",
     "A name here has letters, digits and underscores, at most 63, and does not begin with a digit."),
    ("auth.type", "oauth", "auth.type",
     "This must be one of: none, basic, bearer, api_key, oauth2, jwt. Did you mean 'oauth2'?"),
    ("auth.token_ur", "x", "auth.token_ur", "There is no key 'token_ur' here. Did you mean 'token_url'?"),
    ("auth.token_url", REMOVE, "auth.token_url", "This is missing."),
    ("auth.authorize_url", "https://x", "auth.authorize_url", "This has no meaning for the grant jwt_bearer."),
    ("auth.jwt", REMOVE, "auth.jwt", "This is missing: what the token says that is given for an access token."),
    ("auth.jwt.claims", {"iss": "{{ secrets.key }}"}, "auth.jwt.claims.iss",
     "A template here knows no 'secrets'. There is parameters, now."),
    ("auth.jwt.claims", ["x"], "auth.jwt.claims", "This must be a mapping of names to values."),
    ("auth.jwt.algorithm", "none", "auth.jwt.algorithm", "This must be one of: HS256, RS256, ES256."),
    ("auth.jwt.expires", "1s", "auth.jwt.expires", "This must be from 10s to 1d."),
    ("auth", {"type": "api_key"}, "auth.header",
     "A key is sent either in a `header` or in the `query`: name the one it goes into."),
    ("auth", {"type": "bearer", "token": "abc"}, "auth.token", "There is no key 'token' here."),
    ("signature.algorithm", "md5", "signature.algorithm", "This must be one of: sha1, sha256, sha512."),
    ("signature.header", "X Y", "signature.header", "This must be a name of letters, digits, hyphens, underscores and dots."),
    ("audience_id", "x", "audience_id", "The partner's answer to `audiences.create` says what the ID is."),
    ("audiences.crate", {}, "audiences.crate", "There is no key 'crate' here. Did you mean 'create'?"),
    ("audiences.create.id", REMOVE, "audiences.create.id", "This is missing."),
    ("audiences.create.request", REMOVE, "audiences.create.request", "This is missing."),
    ("audiences.create.request.body.name", "{{ audience.partner_id }}", "audiences.create.request.body.name",
     "'audience' has no 'partner_id'. There is id, name, reference."),
    ("audiences.create.request.body", {"$rows": 1}, "audiences.create.request.body.$rows",
     "`$rows` stands for the users of a call, and there are none here."),
    ("audiences.create.request.csv", {"a": 1}, "audiences.create.request.csv",
     "A request has only one body; there is `body` already."),
    ("audiences.find.match", REMOVE, "audiences.find.match",
     'Which entry of the list is it? Say what it has, such as `match: {reference: "{{ audience.reference }}"}`.'),
    ("audiences.find.match", {"a..b": "x"}, "audiences.find.match.a..b", "Not a JMESPath expression: trouble at character 3."),
    ("audiences.find.next", {"query": "a"}, "audiences.find.next.value",
     "How is the next page asked for? By one of: `value` (of the answer) with `query`, `from` (number of the first page) with "
     "`query`, or `url`."),
    ("audiences.find.next", {"value": "a"}, "audiences.find.next.query", "This is missing."),
    ("audiences.find.next", {"url": "a", "query": "b"}, "audiences.find.next.query",
     "An address is used as it is, without this."),
    ("audiences.find.next", REMOVE, "audiences.find.pages",
     "There are several pages only where `next` says how to ask for them."),
    ("audiences.find.absent", ["x"], "audiences.find.absent", "This must be a whole number from 100 to 599."),
    ("audiences.ready.when", "now()", "audiences.ready.when", "now() has no meaning for an answer."),
    ("audiences.ready.request.path", "/{{ audience.name }}", "audiences.ready.request.path",
     "'audience' has no 'name'. There is partner_id."),
    ("operations", REMOVE, "operations", "This is missing: what can be done at the partner, each with a name."),
    ("operations.tell", None, "operations.tell", "There is nothing in it."),
    ("operations.a-b", TELL, "operations.a-b",
     "A name here has letters, digits and underscores, at most 63, and does not begin with a digit."),
    ("operations.create_audience", TELL, "operations.create_audience", "`audiences.create` describes `create_audience`."),
    ("operations.add.effect", "ad", "operations.add.effect", "This must be one of: add, remove. Did you mean 'add'?"),
    ("operations.add.triggers", ["created"], "operations.add.triggers[0]", "This must be one of: joined, left."),
    ("operations.add.fields", REMOVE, "operations.add.fields", "This is missing: what the operation can be given of a user."),
    ("operations.add.fields.email.normalise", "emial", "operations.add.fields.email.normalise",
     "This must be one of: email, email_no_blanks, phone_digits, e164, name, lower, trim, country, advertising_id. "
     "Did you mean 'email'?"),
    ("operations.add.fields.e-mail", {}, "operations.add.fields.e-mail",
     "A name here has letters, digits and underscores, at most 63, and does not begin with a digit."),
    ("operations.add.key", REMOVE, "operations.add.key", "This is missing: the fields by which the partner knows a user."),
    ("operations.add.key", ["mail"], "operations.add.key[0]", "This must be one of: email, size, note. Did you mean 'email'?"),
    ("operations.tell.key", ["id"], "operations.tell.key",
     "This is for operations with an `effect`: of others, every change is sent."),
    ("operations.add.max_items", 0, "operations.add.max_items", "This must be a whole number from 1 to 100,000."),
    ("operations.add.request", REMOVE, "operations.add.request", "This is missing."),
    ("operations.add.request", {"method": "POST", "path": "/"}, "operations.add.request",
     "No template here uses `row` or `rows`, so the partner would learn of no user."),
    ("operations.add.request.method", "FETCH", "operations.add.request.method",
     "This must be one of: GET, POST, PUT, PATCH, DELETE. Did you mean 'PATCH'?"),
    ("operations.add.request.method", "GET", "operations.add.request.body", "A GET request has no body."),
    ("operations.add.request.path", "lists", "operations.add.request.path",
     "A path begins with / and is put behind `base_url`."),
    ("operations.add.request.path", "{{ audience.partner_id }}", "operations.add.request.path",
     "A path begins with / and is put behind `base_url`."),
    ("operations.add.request.path", "/a?b", "operations.add.request.path",
     "A path holds only what can stand in an address: parameters go into `query`, and blanks are %20."),
    ("operations.add.request.path", "/a/%2e./b", "operations.add.request.path", "A path has no parts that are dots alone."),
    ("operations.add.request.query", {"a": []}, "operations.add.request.query.a",
     "This must be text, a number, true or false."),
    ("operations.add.request.headers", {"a b": "x"}, "operations.add.request.headers.a b",
     "This cannot be the name of a header."),
    ("operations.add.request.headers", {"Host": "x"}, "operations.add.request.headers.Host",
     "This header is part of the connection; it is filled in when the call is made."),
    ("operations.add.request.headers", {"authorization": "x"}, "operations.add.request.headers.authorization",
     "Credentials are not written into a request; `auth` describes them, and secrets hold them."),
    ("operations.add.request.headers", {"x-signature": "x"}, "operations.add.request.headers.x-signature",
     "Credentials are not written into a request; `auth` describes them, and secrets hold them."),
    ("operations.add.request.body", {"a": [{"b": "{{ row.email }}"}], "c": "{{ rows }}"}, "operations.add.request.body.a[0].b",
     "'row' is of one user, and this call carries several: say `max_items: 1`, or write the part that is of each user under "
     "`$rows`."),
    ("operations.add.request.body", {"$rows": {"$rows": 1}}, "operations.add.request.body.$rows.$rows",
     "`$rows` stands for the users of a call, and there are none here."),
    ("operations.add.request.body", {"$rows": {}, "a": "{{ rows }}"}, "operations.add.request.body.$rows",
     "`$rows` stands for a list, so nothing else can be beside it."),
    ("operations.add.request.body.members.$rows.email", "{{ row.emial }}", "operations.add.request.body.members.$rows.email",
     "'row' has no 'emial'. Did you mean 'email'?"),
    ("operations.tell.request.form", {}, "operations.tell.request.form", "There is nothing in it."),
    ("operations.add.delivered", {}, "operations.add.delivered",
     "This needs a `status`, a condition (`when`), or both; left out, every 2xx is a success."),
    ("operations.add.delivered.status", [], "operations.add.delivered.status",
     "This must be a status from 100 to 599, or a list of them."),
    ("operations.add.taken", "a b", "operations.add.taken", "Not a JMESPath expression: trouble at character 3."),
    ("operations.add.rejected.list", REMOVE, "operations.add.rejected.list", "This is missing."),
    ("operations.add.rejected.id", "x", "operations.add.rejected.id", "A user is found either by `index` or by `id`."),
    ("operations.add.rejected", {"list": "x", "id": "y"}, "operations.add.rejected.field",
     "`id` needs this: `id` is what the answer has, `field` the field that was sent as it."),
    ("operations.add.rejected", {"list": "x"}, "operations.add.rejected.index",
     "How is a user found? By `index`, by `id` with `field`, or by place in the list with `when`."),
    ("operations.add.rejected", {"list": "x", "when": "y", "base": 1}, "operations.add.rejected.base",
     "This says from where an `index` counts, and there is none."),
    ("operations.add.rejected.hint", "a\nb", "operations.add.rejected.hint",
     "This must be a sentence of at most 500 characters."),
    ("operations.add.answers", {}, "operations.add.answers", "This must be a list of rules."),
    ("operations.add.answers", [{"means": "refused"}], "operations.add.answers[0].status",
     "A rule needs a `status`, a condition (`when`), or both."),
    ("operations.add.answers", [{"status": 400, "means": "refuse"}], "operations.add.answers[0].means",
     "This must be one of: delivered, refused, try_again, credentials_refused, audience_gone, audience_not_ready, misconfigured. "
     "Did you mean 'refused'?"),
    ("operations.add.answers", [{"status": 400, "means": "refused", "after": "x"}], "operations.add.answers[0].after",
     "This has no meaning where an answer means refused."),
    ("operations.add.steps", [], "operations.add.steps", "An operation has either one `request` or several `steps`."),
    ("operations.load.steps", [{}], "operations.load.steps",
     "This must be a list of 2 to 20 steps; a single call is a `request`."),
    ("operations.add.abort", {"request": {"method": "POST", "path": "/x"}}, "operations.add.abort",
     "This ends what `steps` have begun; with a single call there is nothing to end."),
    ("operations.load.abort", {}, "operations.load.abort.request", "This is missing."),
    ("operations.load.delivered", {"status": 200}, "operations.load.delivered", "With `steps`, each step says this for itself."),
    ("operations.load.steps.1.name", "job", "operations.load.steps[1].name", "Another step is already named 'job'."),
    ("operations.load.steps.1.request.path", "/{{ steps.wait.id }}", "operations.load.steps[1].request.path",
     "'steps' has no 'wait'. There is job."),
    ("operations.load.steps.2.request.path", "/{{ steps.job.ids }}", "operations.load.steps[2].request.path",
     "'steps.job' has no 'ids'. Did you mean 'id'?"),
    ("operations.load.steps.0.every", "1s", "operations.load.steps[0].every",
     "This says how a call is repeated; `until` says until when, and is missing."),
    ("operations.load.steps.2.for", "80s", "operations.load.steps",
     "At their slowest these calls take 115 seconds, and there is time for 110: wait less long (`for`), or make fewer calls."),
    ("options.size.value", REMOVE, "options.size.value", "This is missing."),
    ("options.size.list", REMOVE, "options.size.list", "This is missing: where the answer has the list."),
    ("check.request.path", "/{{ audience.id }}", "check.request.path",
     "A template here knows no 'audience'. There is parameters, now."),
    ("answers.0.status", 99, "answers[0].status", "This must be a status from 100 to 599, or a list of them."),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "path", "sentence"), WRONG, ids=[f"{one[2]}: {one[3][:30]}" for one in WRONG])
def test_what_is_wrong_is_said_once_and_with_its_place(place: str, value: Any, path: str, sentence: str) -> None:
    assert problems_of(changed((place, value))) == [(path, sentence)]


def test_all_problems_are_listed_in_the_order_of_the_document() -> None:
    settings = changed(("check.request.path", "me"), ("auth.grant", "x"), ("operations.add.max_items", "many"))
    found = [path for path, _ in problems_of(settings)]
    assert found == ["auth.grant", "auth.jwt", "operations.add.max_items", "check.request.path"]


def test_in_a_document_the_places_begin_with_settings() -> None:
    connector = {
        "name": "acme", "adapter": "http", "inbound": {"hmac_secret": "h"}, "settings": changed(("operations.add.key", ["mail"])),
        "actions": [{"name": "Add", "trigger": "joined", "operation": "add", "mapping": {"email": "user.email"}}],
    }  # fmt: skip
    with pytest.raises(DocumentError) as error:
        expand(json.dumps(connector), describe=describe)
    sentence = "This must be one of: email, size, note. Did you mean 'email'?"
    assert ("settings.operations.add.key[0]", sentence) in error.value.problems


def test_in_general_nothing_is_needed_but_an_address_and_operations() -> None:
    general = Http.describe({})
    assert [field.name for field in general.settings if field.required] == ["base_url"]
    assert (general.operations, general.secrets) == ((), ())
    with pytest.raises(DocumentError):
        Http.describe({"base_url": "https://x"})


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in pairs for place in [(*before, key), *paths(one, (*before, key))]]


PLACES = paths(load(DOCUMENT))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["{{ row }}", "{{", "a.b", "/x", "https://x", "5s", "GET", "add", "$rows"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("$rows"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_is_written_anywhere_is_understood_or_refused_with_its_place(place: tuple[Any, ...], value: Any) -> None:
    settings = copy.deepcopy(load(DOCUMENT))
    inner: Any = settings
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    problems = []
    try:
        assert isinstance(Http.describe(settings), Description)
    except DocumentError as error:
        problems = error.problems
    assert all(path and sentence.endswith((".", "?")) for path, sentence in problems)

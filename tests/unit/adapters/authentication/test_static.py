"""Credentials that are sent as they are."""

from __future__ import annotations

import base64

import pytest
from msgspec.structs import replace

from adapters.authentication import Authentication, Combined, NoAuthentication, Secret
from adapters.authentication.static import ApiKey, Basic, Bearer
from adapters.contract import Account, Credentials, Field, HttpRequest
from relay.domain.errors import CredentialsRefused

REQUEST = HttpRequest("POST", "https://api.example.com/users", body={"id": "ü"})
KEY = Secret("Key", "the-key")
UNSET = Secret("The partner's key")


def test_no_authentication_sends_nothing() -> None:
    assert NoAuthentication().credentials(REQUEST) == Credentials()


def test_basic_sends_user_and_password_in_utf_8() -> None:
    sent = Basic(Secret("User", "ä"), Secret("Password", "p:ß")).credentials(REQUEST).headers
    assert base64.b64decode(sent["Authorization"].removeprefix("Basic ")).decode() == "ä:p:ß"


def test_a_user_with_a_colon_would_be_another_user() -> None:
    with pytest.raises(CredentialsRefused, match="'User'") as caught:
        Basic(Secret("User", "a:b"), KEY).credentials(REQUEST)
    assert caught.value.code == "secret_unusable"


def test_a_bearer_token_is_sent_as_one_and_is_not_renewable() -> None:
    bearer = Bearer(KEY)
    assert bearer.credentials(REQUEST) == Credentials({"Authorization": "Bearer the-key"})
    assert not bearer.renewable


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        (ApiKey(KEY, header="X-Key"), Credentials({"X-Key": "the-key"})),
        (ApiKey(KEY, header="Authorization", prefix="Token "), Credentials({"Authorization": "Token the-key"})),
        (ApiKey(KEY, query="api_key"), Credentials({}, {"api_key": "the-key"})),
    ],
)
def test_a_key_is_sent_in_a_header_or_in_the_query(authentication: ApiKey, expected: Credentials) -> None:
    assert authentication.credentials(REQUEST) == expected
    assert (authentication.headers, authentication.query) == (tuple(expected.headers), tuple(expected.query))


@pytest.mark.parametrize("places", [{}, {"header": "X-Key", "query": "key"}])
def test_a_key_has_one_place(places: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="either"):
        ApiKey(KEY, **places)


@pytest.mark.parametrize(
    "authentication", [Basic(KEY, UNSET), Basic(UNSET, KEY), Bearer(UNSET), ApiKey(UNSET, header="X"), ApiKey(UNSET, query="x")]
)
def test_a_secret_that_is_not_set_is_named_by_its_title(authentication: Authentication) -> None:
    with pytest.raises(CredentialsRefused, match="'The partner's key' is not set") as caught:
        authentication.credentials(REQUEST)
    assert caught.value.code == "secret_missing"


def test_combined_credentials_are_sent_together() -> None:
    both = Combined(Bearer(KEY), ApiKey(KEY, header="X-Gateway"), ApiKey(KEY, query="key"))
    headers = {"Authorization": "Bearer the-key", "X-Gateway": "the-key"}
    assert both.credentials(REQUEST) == Credentials(headers, {"key": "the-key"})
    assert (both.headers, both.query, both.renewable) == (("Authorization", "X-Gateway"), ("key",), False)


def test_neither_a_secret_nor_credentials_show_their_values(account: Account) -> None:
    secret = Secret.of(replace(account, secrets={"key": "the-value"}), Field("key", "Key"))
    assert secret.required() == "the-value"
    assert "the-value" not in repr([secret, Bearer(secret).credentials(REQUEST), ApiKey(secret, query="k").credentials(REQUEST)])

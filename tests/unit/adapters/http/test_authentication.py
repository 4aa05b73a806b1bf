"""Every way to authenticate that a document can ask for, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from adapters.contract import Credentials, HttpRequest
from relay.domain.errors import CredentialsRefused, Misconfigured
from tests.clock import TurnedClock
from tests.unit.adapters.http.conftest import TARGET, Opening, users
from tests.unit.adapters.http.partner import Call, Partner, Reply

OPERATIONS = """
parameters: {account: "42"}
operations:
  add: {effect: add, fields: {id: }, request: {method: POST, path: /add, query: {a: "1"}, body: "{{ rows }}"}}
"""
BODY = b'[{"id":"u"}]'


def called(open_http: Opening, partner: Partner, auth: str, **secrets: str) -> Call:
    open_http(OPERATIONS + auth, **secrets).send("add", TARGET, users(["u"]))
    return partner.calls[-1]


def test_none(open_http: Opening, partner: Partner) -> None:
    assert "authorization" not in called(open_http, partner, "").headers
    assert "authorization" not in called(open_http, partner, "auth: {type: none}").headers


def test_basic(open_http: Opening, partner: Partner) -> None:
    call = called(open_http, partner, "auth: {type: basic}", user="me", password="p:w")
    assert call.headers["authorization"] == "Basic " + base64.b64encode(b"me:p:w").decode()


def test_bearer(open_http: Opening, partner: Partner) -> None:
    assert called(open_http, partner, "auth: {type: bearer}", token="t").headers["authorization"] == "Bearer t"


def test_api_key(open_http: Opening, partner: Partner) -> None:
    call = called(open_http, partner, "auth: {type: api_key, header: X-Key, prefix: 'Bot '}", api_key="k")
    assert call.headers["x-key"] == "Bot k"
    call = called(open_http, partner, "auth: {type: api_key, query: key}", api_key="k&b")
    assert call.query == {"a": "1", "key": "k&b"}


def keys() -> dict[str, tuple[str, OctKey | RSAKey | ECKey]]:
    rsa, ec = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
    return {
        "HS256": ("a shared secret of enough length!", OctKey.import_key(b"a shared secret of enough length!")),
        "RS256": (rsa.as_pem(private=True).decode(), rsa),
        "ES256": (ec.as_pem(private=True).decode(), ec),
    }


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_jwt(open_http: Opening, partner: Partner, clock: TurnedClock, algorithm: str) -> None:
    secret, key = keys()[algorithm]
    claims = 'claims: {iss: "{{ parameters.account }}", aud: [acme], at: "{{ now }}"}, expires: 2m, header: {kid: k1}'
    call = called(open_http, partner, f"auth: {{type: jwt, algorithm: {algorithm}, {claims}}}", key=secret)
    token = jwt.decode(call.headers["authorization"].removeprefix("Bearer "), key, algorithms=[algorithm])
    now = int(clock.now())
    assert token.claims == {"iat": now, "exp": now + 120, "iss": "42", "aud": ["acme"], "at": "2027-01-15T08:00:00.000Z"}
    assert token.header["kid"] == "k1"


def token_server(call: Call) -> Reply:
    return Reply(200, {"access_token": "fresh", "expires_in": 60}) if call.path == "/token" else Reply(200, {})


@pytest.mark.parametrize(
    ("grant", "secrets", "asked"),
    [
        ("grant: client_credentials, scope: a b", {}, {"grant_type": "client_credentials", "scope": "a b"}),
        ("grant: refresh_token", {"refresh_token": "r"}, {"grant_type": "refresh_token", "refresh_token": "r"}),
    ],
)
def test_oauth2(open_http: Opening, partner: Partner, grant: str, secrets: dict[str, str], asked: dict[str, str]) -> None:
    partner.answer = token_server
    auth = f"auth: {{type: oauth2, token_url: URL/token, token_parameters: {{audience: acme}}, {grant}}}"
    call = called(open_http, partner, auth, client_id="me", client_secret="s", **secrets)
    assert call.headers["authorization"] == "Bearer fresh"
    token_call = partner.calls[0]
    assert token_call.headers["authorization"] == "Basic " + base64.b64encode(b"me:s").decode()
    assert {name: value for name, (value,) in parse_qs(token_call.body.decode()).items()} == {"audience": "acme", **asked}


def test_oauth2_with_the_client_in_the_body_or_without_a_secret(open_http: Opening, partner: Partner) -> None:
    partner.answer = token_server
    auth = "auth: {type: oauth2, grant: client_credentials, token_url: URL/token, client_auth: %s}"
    called(open_http, partner, auth % "body", client_id="me", client_secret="s")
    called(open_http, partner, auth % "none", client_id="you")
    bodies = [parse_qs(call.body.decode()) for call in partner.calls if call.path == "/token"]
    assert [(body["client_id"], body.get("client_secret")) for body in bodies] == [(["me"], ["s"]), (["you"], None)]


def test_oauth2_with_a_signed_assertion(open_http: Opening, partner: Partner) -> None:
    partner.answer = token_server
    secret, key = keys()["ES256"]
    token = 'jwt: {algorithm: ES256, claims: {sub: "{{ parameters.account }}"}}'
    auth = f"auth: {{type: oauth2, grant: jwt_bearer, token_url: URL/token, {token}}}"
    assert called(open_http, partner, auth, key=secret).headers["authorization"] == "Bearer fresh"
    form = parse_qs(partner.calls[0].body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert jwt.decode(form["assertion"][0], key, algorithms=["ES256"]).claims["sub"] == "42"


def test_oauth2_for_whom_nobody_has_connected_yet(open_http: Opening, partner: Partner) -> None:
    auth = "auth: {type: oauth2, grant: authorization_code, authorize_url: URL/authorize, token_url: URL/token, app: acme}"
    http = open_http(OPERATIONS + auth, client_id="me", client_secret="s")
    with pytest.raises(CredentialsRefused) as error:
        http.send("add", TARGET, users(["u"]))
    assert error.value.code == "not_connected"
    assert http.description.app == "acme"
    assert all(field.app for field in http.description.secrets)
    assert http.authorization is not None
    address = http.authorization.address(redirect_uri="http://127.0.0.1:1/", state="s", verifier="v" * 43)
    assert address.startswith(partner.url + "/authorize?")


def test_a_token_that_is_refused_is_renewed_once(open_http: Opening, partner: Partner) -> None:
    given = iter(["stale", "fresh"])

    def answer(call: Call) -> Reply:
        if call.path == "/token":
            return Reply(200, {"access_token": next(given), "expires_in": 3600})
        return Reply(200 if call.headers["authorization"] == "Bearer fresh" else 401, {})

    partner.answer = answer
    auth = "auth: {type: oauth2, grant: client_credentials, token_url: URL/token}"
    called(open_http, partner, auth, client_id="me", client_secret="s")
    assert [call.path for call in partner.calls] == ["/token", "/add", "/token", "/add"]


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_a_signature_of_the_body_beside_a_token(open_http: Opening, partner: Partner, digest: str) -> None:
    auth = f"auth: {{type: bearer}}\nsignature: {{algorithm: {digest}, header: X-Signature, prefix: 'v1='}}"
    call = called(open_http, partner, auth, token="t", signing_key="k")
    assert call.body == BODY
    assert call.headers["x-signature"] == "v1=" + hmac.new(b"k", BODY, digest).hexdigest()
    assert call.headers["authorization"] == "Bearer t"


def test_a_signature_in_base64_with_a_timestamp(open_http: Opening, partner: Partner, clock: TurnedClock) -> None:
    auth = "signature: {header: X-Signature, encoding: base64, timestamp_header: X-Timestamp}"
    call = called(open_http, partner, auth, signing_key="k")
    moment = str(int(clock.now()))
    wanted = hmac.new(b"k", moment.encode() + b"." + BODY, hashlib.sha256).digest()
    assert call.headers["x-timestamp"] == moment
    assert call.headers["x-signature"] == base64.b64encode(wanted).decode()


@pytest.mark.parametrize(
    ("auth", "secrets", "headers"),
    [
        ("", [], ()),
        ("auth: {type: basic}", ["user", "password"], ("Authorization",)),
        ("auth: {type: bearer}", ["token"], ("Authorization",)),
        ("auth: {type: api_key, header: X-Key}", ["api_key"], ("X-Key",)),
        ("auth: {type: api_key, query: key}", ["api_key"], ()),
        ("auth: {type: jwt, algorithm: HS256}", ["key"], ("Authorization",)),
        ("auth: {type: oauth2, grant: client_credentials, token_url: URL}", ["client_id", "client_secret"], ("Authorization",)),
        ("auth: {type: oauth2, grant: client_credentials, token_url: URL, client_auth: none}", ["client_id"], ("Authorization",)),
        ("auth: {type: oauth2, grant: refresh_token, token_url: URL}", ["client_id", "client_secret", "refresh_token"],
         ("Authorization",)),
        ("auth: {type: oauth2, grant: jwt_bearer, token_url: URL, jwt: {algorithm: RS256}}", ["key"], ("Authorization",)),
        ("auth: {type: bearer}\nsignature: {header: X-S}", ["token", "signing_key"], ("Authorization", "X-S")),
    ],
)  # fmt: skip
def test_the_description_asks_for_the_secrets_that_are_needed_and_names_the_headers_to_mask(
    open_http: Opening, auth: str, secrets: list[str], headers: tuple[str, ...]
) -> None:
    http = open_http(OPERATIONS + auth)
    assert [field.name for field in http.description.secrets] == secrets
    assert all(field.required for field in http.description.secrets)
    assert http.description.credential_headers == headers
    assert http.preview("add", TARGET, users(["u"]))  # without any of them
    if secrets:
        with pytest.raises(CredentialsRefused) as error:
            http.authentication.credentials(HttpRequest("POST", "http://127.0.0.1:1/"))
        assert error.value.code == "secret_missing"


def test_templates_never_see_a_secret(open_http: Opening, partner: Partner) -> None:
    http = open_http(OPERATIONS + "auth: {type: bearer}", token="the-secret")
    (request,) = http.preview("add", TARGET, users(["u"]))
    assert "the-secret" not in repr(request)
    assert "the-secret" not in repr(Credentials({"Authorization": "the-secret"}))


def test_claims_that_cannot_be_made_are_the_documents_fault(open_http: Opening, partner: Partner) -> None:
    auth = 'auth: {type: jwt, algorithm: HS256, claims: {iss: "{{ parameters.account.x }}"}}'
    with pytest.raises(Misconfigured) as error:
        called(open_http, partner, auth, key="a shared secret of enough length!")
    assert error.value.code == "bad_claims"

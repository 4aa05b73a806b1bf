"""Access of a user's, or of a destination's, own at the partner: asked for, given in a browser, tried, and taken back."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from handlers.mediarithmics.answers import Result
from handlers.mediarithmics.context import destination_login, offered_of, user_login
from handlers.mediarithmics.desk import Asked, Desk
from handlers.mediarithmics.gateway import OAUTH2, Credentials
from handlers.mediarithmics.login_state import VALID_S, LoginState, Signer
from handlers.mediarithmics.properties import chosen, values_of
from handlers.mediarithmics.requests import Query, read, require
from handlers.mediarithmics.threads import T, within
from handlers.mediarithmics.trouble import Trouble, for_operator, told, trouble_of
from relay.domain.errors import CredentialsRefused, RelayError
from relay.domain.feed import Offered, Use

_DESTINATION = "feed_destination_id"


class Authentication:
    """The routes about access. All of them raise `Trouble`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._signer = Signer(desk.settings.gateway.token)

    async def status(self, asked: Asked) -> Result:
        """`/v1/authentication_status_queries`: whether there is an access, or where it is given."""
        query = read(asked.content, Query)
        asked.record.about(query)
        login = _login(query)
        with told():
            offered, settings = await self._offered(query, asked)
            if not offered.connectable:
                return await self._status_of_own(offered, Use(feed="", settings=settings), asked)
            destination = self._desk.destination
            if await self._desk.threads.store(partial(destination.is_connected, offered.name, login)):
                return Result("authenticated")
            address = await self._address(offered.name, login, query.feed_destination_id)
        return Result("not_authenticated", fields={"data": {"login_url": address}})

    async def redirect_url(self, asked: Asked) -> Result:
        """`/v1/oauth_redirect_url`: the same for a destination."""
        query = read(asked.content, Query)
        require(query, _DESTINATION)
        with told():
            offered, _ = await self._offered(query, asked)
            if not offered.connectable:
                raise Trouble(
                    f"{offered.title}: nobody has to log in; the connector's own secrets are used.", code="not_connectable"
                )
            address = await self._address(offered.name, destination_login(query.feed_destination_id), query.feed_destination_id)
        return Result("ok", fields={"login_url": address})

    async def authenticate(self, asked: Asked) -> Result:
        """`/v1/authentication`: the code that came back is exchanged, and what comes of it stored."""
        query = read(asked.content, Query)
        login = _login(query)
        params = query.params or {}
        text = _param(params, "state")
        with told(login):
            if not text:
                return await self._without_login(query, asked)
            state = self._signer.read(text, now=self._desk.clock.now())
            if state.key != login:
                raise Trouble("The login was begun for somebody else. Please begin it again.", code="wrong_login")
            asked.record.connector = state.connector
            await self._connect(state.connector, login, params, self._signer.verifier(text), query.feed_destination_id)
        return Result("ok")

    async def _without_login(self, query: Query, asked: Asked) -> Result:
        """Where nobody logs in, it is enough that the partner accepts what is there. Else somebody could have sent the browser
        here with a code of his own: only a state of ours says who began the login."""
        offered, settings = await self._offered(query, asked)
        if offered.connectable:
            _require_code(query.params or {})
            sentence = "The login came back without its state: nobody knows who began it. Please log in again."
            raise Trouble(sentence, code="bad_state")
        with told():
            await self._check(offered, Use(feed="", settings=settings), {})
        return Result("ok")

    async def log_out(self, asked: Asked) -> Result:
        """`/v1/logout`: forgets what matches. Tokens are kept for destinations and users; none is kept for a datamart."""
        query = read(asked.content, Query)
        asked.record.about(query)
        logins = []
        if query.feed_destination_id:
            logins.append(destination_login(query.feed_destination_id))
        if query.user_id:
            require(query, "plugin_version_id")
            logins.append(user_login(query.plugin_version_id, query.user_id))
        if not logins:
            require(query, "datamart_id")
        with told():
            for login in logins:
                await self._desk.threads.store(partial(self._desk.destination.disconnect, login))
            self._desk.contexts.forget()
            if query.feed_destination_id:
                await self._forgotten_by_platform(str(query.feed_destination_id))
        return Result("ok")

    async def _forgotten_by_platform(self, destination_id: str) -> None:
        """Else the token that the platform keeps would be taken over again by the next request."""
        desk, what = self._desk, f"the credentials of destination {destination_id}"
        kept = await desk.from_gateway(what, partial(desk.gateway.credentials, destination_id))
        if kept is not None and kept.refresh_token:
            await desk.from_gateway(what, partial(desk.gateway.keep_refresh_token, destination_id, ""))
            desk.contexts.forget()

    async def test(self, asked: Asked) -> Result:
        """`/v1/test_authentication`: whether the partner accepts what the platform keeps for a destination."""
        query, desk = read(asked.content, Query), self._desk
        require(query, _DESTINATION)
        destination_id = str(query.feed_destination_id)
        with told():
            what = f"the credentials of destination {destination_id}"
            kept = await desk.from_gateway(what, partial(desk.gateway.credentials, destination_id))
            if kept is None:
                raise Trouble("The platform keeps no credentials for this destination. Please set them.", code="no_credentials")
            offered, settings = await self._offered(query, asked)
            login, given = await self._as_given(offered, kept, destination_id)
            try:
                await self._check(offered, Use(feed="", settings=settings, login=login), given)
            except CredentialsRefused as error:
                return Result("invalid_credentials", message=error.hint)
        return Result("ok")

    async def _as_given(self, offered: Offered, kept: Credentials, destination_id: str) -> tuple[str, dict[str, str]]:
        if kept.scheme != OAUTH2:
            return "", {name: value for name, value in kept.credentials.items() if isinstance(value, str)}
        if not kept.refresh_token:
            raise Trouble("The destination's credentials hold no refresh token. Please log in again.", code="no_credentials")
        if not offered.connectable:
            raise Trouble(
                f"{offered.title}: nobody logs in there; credentials of the scheme OAUTH2 are not used.", code="not_connectable"
            )
        login = destination_login(destination_id)
        adopt = partial(self._desk.destination.adopt, offered.name, login, kept.refresh_token)
        await self._desk.threads.store(adopt)
        return login, {}

    async def _offered(self, query: Query, asked: Asked) -> tuple[Offered, dict[str, Any]]:
        """The connector that the query's properties choose, and the settings that they set."""
        values = values_of(query.properties or (), await self._desk.contexts.defaults())
        offered = await self._desk.threads.store(partial(offered_of, self._desk.destination, values))
        asked.record.connector = offered.name
        return offered, chosen(values, offered, whole=False).settings

    async def _status_of_own(self, offered: Offered, use: Use, asked: Asked) -> Result:
        try:
            await self._check(offered, use, {})
        except CredentialsRefused as error:
            trouble = trouble_of(error)
            asked.record.note = str(trouble)
            return Result("not_authenticated", fields={"data": {"message": trouble.shown(asked.record.error_id)}})
        return Result("authenticated")

    async def _check(self, offered: Offered, use: Use, given: dict[str, str]) -> None:
        await self._ask(offered.name, partial(self._desk.destination.check_credentials, offered.name, use, given))

    async def _address(self, connector: str, login: str, destination_id: str) -> str:
        redirect_uri = self._redirect_uri()
        state = self._signer.sign(LoginState(connector, login, self._desk.clock.now() + VALID_S))
        work = partial(
            self._desk.destination.login_address,
            connector,
            redirect_uri=redirect_uri,
            state=state,
            verifier=self._signer.verifier(state),
        )
        address = await self._ask(connector, work)
        return _with(address, _DESTINATION, destination_id) if destination_id else address

    async def _connect(self, connector: str, login: str, params: dict[str, Any], verifier: str, destination_id: str) -> None:
        code = _require_code(params)
        desk = self._desk
        redirect_uri = self._redirect_uri()
        work = partial(desk.destination.connect, connector, login, code=code, redirect_uri=redirect_uri, verifier=verifier)
        token = await self._ask(connector, work)
        desk.contexts.forget()
        if destination_id and token:
            try:
                what = f"the credentials of destination {destination_id}"
                await desk.from_gateway(what, partial(desk.gateway.keep_refresh_token, str(destination_id), token))
            except RelayError as error:
                sentence = f"The access was allowed, but the platform did not keep it. {error}"
                raise for_operator(sentence, code="not_kept") from error

    def _redirect_uri(self) -> str:
        if not self._desk.settings.redirect_url:
            raise for_operator("FEED_REDIRECT_URL is not set: nobody can be sent back after a login.", code="no_redirect_url")
        return self._desk.settings.redirect_url

    async def _ask(self, connector: str, work: partial[T]) -> T:
        try:
            return await within(self._desk.threads.partner(connector, work), self._desk.bounds.partner_s)
        except TimeoutError:
            raise Trouble("The partner has not answered in time. Please try again.", code="too_slow", passes=True) from None


def _login(query: Query) -> str:
    """Whose access it is: a destination's, or a user's for a version of the plugin."""
    if query.feed_destination_id:
        return destination_login(query.feed_destination_id)
    require(query, "plugin_version_id", "user_id")
    return user_login(query.plugin_version_id, query.user_id)


def _require_code(params: dict[str, Any]) -> str:
    code = _param(params, "code")
    if not code:
        raise Trouble("The partner sent no code back: the access was not allowed. Please log in again.", code="no_code")
    return code


def _param(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise Trouble(f"Field params.{name}: it must be text.", code="bad_field")
    return value or ""


def _with(address: str, name: str, value: str) -> str:
    """The address with a parameter more."""
    parts = urlsplit(address)
    query = [(given, kept) for given, kept in parse_qsl(parts.query, keep_blank_values=True) if given != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, str(value))])))

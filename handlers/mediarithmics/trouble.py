"""Why a route cannot do what it was asked to, by who can act on it: the user of the platform, nobody but time, or an operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from handlers.creation import code_of, sentence_of
from relay.domain.errors import (
    AudienceNotReady,
    Conflict,
    CredentialsRefused,
    DocumentError,
    Misconfigured,
    NotFound,
    PartnerError,
    RelayError,
    StoreUnavailable,
    TryAgain,
    UsedOtherwise,
)

_SHOWN = 600
"""Characters of a sentence that the platform is told."""

_CLIENTS = frozenset({"client_refused", "secret_missing"})
"""Codes of refused credentials that are the connector's, whosever access it is."""

_FEEDS = frozenset({"feed_settings", "no_such_secret"})
"""Codes of what is configured wrongly where a feed, or its destination, says it."""

_STORE = "The state of the audience could not be read or written at the moment. Please send the request again."


class Trouble(RelayError):
    """`str(trouble)` is a sentence for whoever can act on it; without an identifier of a person, without a secret.

    code     a short name of it, for the log
    public   a user of the platform may read it; else it is for the operator's log, and the user gets an error ID
    passes   it is worth trying again later
    delay_s  when, in seconds, where that is known
    """

    def __init__(
        self, sentence: str, *, code: str, public: bool = True, passes: bool = False, delay_s: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.public = public
        self.passes = passes
        self.delay_s = delay_s

    def shown(self, error_id: str) -> str:
        """What the platform is told."""
        if self.public:
            return _short(str(self))
        return f"The request failed, and an operator has to look at it. Please contact your support with the error ID {error_id}."


def for_operator(sentence: str, *, code: str, passes: bool = False) -> Trouble:
    """One that only an operator can do something about."""
    return Trouble(sentence, code=code, public=False, passes=passes)


def trouble_of(error: RelayError, *, login: str = "") -> Trouble:
    """What the partner, the store or a connector did, as a feed is told of it. login: whose access was used; empty: the
    connector's own, about which no user of the platform can do anything."""
    match error:
        case Trouble():
            return error
        case DocumentError():
            listed = " ".join(f"{_property_in(path)}: {sentence}" for path, sentence in error.problems)
            return Trouble(f"The feed's properties cannot be used. {listed}", code="bad_settings")
        case StoreUnavailable():
            return Trouble(_STORE, code="store_unavailable", passes=True)
        case TryAgain() | AudienceNotReady():
            return Trouble(sentence_of(error), code=code_of(error), passes=True, delay_s=error.after_s)
        case CredentialsRefused() if not login or error.code in _CLIENTS:
            return for_operator(sentence_of(error), code=code_of(error))
        case Misconfigured() if error.code not in _FEEDS:
            return for_operator(sentence_of(error), code=code_of(error))
        case PartnerError() | NotFound() | UsedOtherwise():
            return Trouble(sentence_of(error), code=code_of(error))
        case Conflict():  # the connector is off or incomplete, until somebody sees to it
            return for_operator(sentence_of(error), code=code_of(error), passes=True)
    return for_operator(f"{type(error).__name__}: {error}", code=code_of(error))


@contextmanager
def told(login: str = "") -> Iterator[None]:
    """Raises `Trouble` for every error of ours within. login: see `trouble_of`."""
    try:
        yield
    except RelayError as error:
        raise trouble_of(error, login=login) from error


def _property_in(path: str) -> str:
    return path.rpartition(".")[2] or "settings"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


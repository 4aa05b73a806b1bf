"""From a partner's answers to typed errors, by a table.

Each adapter has one `AnswerTable`: its own rules first, `DEFAULTS` behind them. The first rule that matches says what to do next;
an answer that no rule calls a failure is a success only if its status is 2xx and its body can be read.

Hints are our own sentences. What a partner writes can repeat the identifiers that it was sent: it is shown only for refused
users, and only through `adapters.quoting`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from adapters.contract import HttpAnswer
from relay.domain.clock import Clock
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    Misconfigured,
    PartnerError,
    TryAgain,
)

LONGEST_WAIT_S = 366 * 86400.0
"""A partner's wish to be left alone for longer than a year is read as a year."""


class Answered(msgspec.Struct, frozen=True):
    """One answer, as rules look at it. `body`: its JSON, None if there is none or it cannot be read, as when it was too long and
    is cut (`readable` False).
    `after_s`: seconds to wait, from Retry-After. `audience`: whether the call concerned one audience by its ID at the partner."""

    status: int
    headers: Mapping[str, str]
    body: Any
    readable: bool
    after_s: float | None
    audience: bool


Make = Callable[[Answered], PartnerError]


class Rule(msgspec.Struct, frozen=True):
    """Matches an answer on all that is given, and says which error it is.

    make      None: it is a success
    statuses  None: every status
    body      path into the JSON body (`error.code`) → the values that match there
    headers   name (without regard to case) → the values that match there
    audience  True: only calls that concern one audience by its ID
    readable  whether the body is JSON (or empty); None: either
    when      anything else that must hold
    """

    make: Make | None
    statuses: range | tuple[int, ...] | None = None
    body: Mapping[str, tuple[Any, ...]] = {}
    headers: Mapping[str, tuple[str, ...]] = {}
    audience: bool = False
    readable: bool | None = None
    when: Callable[[Answered], bool] | None = None

    def matches(self, answered: Answered) -> bool:
        """Whether this rule speaks of such an answer."""
        return (
            (self.statuses is None or answered.status in self.statuses)
            and (not self.audience or answered.audience)
            and (self.readable is None or self.readable == answered.readable)
            and all(value_at(answered.body, path) in values for path, values in self.body.items())
            and all(header(answered.headers, name) in values for name, values in self.headers.items())
            and (self.when is None or self.when(answered))
        )


WORDS = ("error.message", "error_description", "message", "detail", "error", "title")
"""Where partners usually write what is wrong (the last four: https://www.rfc-editor.org/rfc/rfc9457#section-3.1, and habit)."""


class AnswerTable:
    """The partner's own `rules`, then `DEFAULTS`."""

    def __init__(self, *rules: Rule, words: tuple[str, ...] = WORDS, named: str = "") -> None:
        """words: paths to where the partner writes what is wrong, the best first. named: to where its own code for it is, if it
        has codes that are words."""
        self._rules = (*rules, *DEFAULTS)
        self._by_status: dict[int, tuple[Rule, ...]] = {}
        self._words = words
        self._named = named

    def read(self, answer: HttpAnswer, *, clock: Clock, audience: bool = False) -> Any:
        """The JSON of a successful answer, None if its body is empty; raises the typed error of any other, whatever its kind with
        the partner's Retry-After."""
        body, readable = (None, False) if answer.cut else _json(answer.content)
        after_s = retry_after_s(header(answer.headers, "Retry-After"), clock.now())
        answered = Answered(answer.status, answer.headers, body, readable, after_s, audience)
        for rule in self._rules_of(answer.status):
            if rule.matches(answered):
                if rule.make is None:
                    break
                raise self._told(rule.make(answered), answered)
        return body

    def _told(self, error: PartnerError, answered: Answered) -> PartnerError:
        """With what the partner says beside its status."""
        if error.after_s is None:  # a rule may know better: headers have whole seconds only
            error.after_s = answered.after_s
        said = (value_at(answered.body, path) for path in self._words)
        error.words = next((one for one in said if isinstance(one, str) and one), "")
        named = value_at(answered.body, self._named) if self._named else ""
        error.named = named if isinstance(named, str) else ""
        return error

    def _rules_of(self, status: int) -> tuple[Rule, ...]:
        """Those that can match it; there are no more statuses than numbers of three digits."""
        found = self._by_status.get(status)
        if found is None:
            found = tuple(rule for rule in self._rules if rule.statuses is None or status in rule.statuses)
            self._by_status[status] = found
        return found


# --- what a rule can make --------------------------------------------------------------------------------------------


def try_again(hint: str, *, code: str | None = None, account: bool = False, applied_unknown: bool = False) -> Make:
    """`TryAgain`, with the partner's Retry-After, which always concerns the whole account."""

    def make(answered: Answered) -> PartnerError:
        return TryAgain(
            _with_status(hint, answered),
            after_s=answered.after_s,
            account=account or answered.after_s is not None,
            applied_unknown=applied_unknown,
            code=code,
            status=answered.status,
        )

    return make


def batch_refused(hint: str, *, code: str | None = None) -> Make:
    """`BatchRefused`."""
    return lambda answered: BatchRefused(_with_status(hint, answered), code=code, status=answered.status)


def credentials_refused(hint: str, *, code: str | None = None, account: bool = False) -> Make:
    """`CredentialsRefused`."""
    return lambda answered: CredentialsRefused(
        _with_status(hint, answered), account=account, code=code, status=answered.status
    )


def audience_not_ready(hint: str, *, code: str | None = None) -> Make:
    """`AudienceNotReady`."""
    return lambda answered: AudienceNotReady(_with_status(hint, answered), code=code, status=answered.status)


def audience_gone(hint: str, *, code: str | None = None) -> Make:
    """`AudienceGone`."""
    return lambda answered: AudienceGone(_with_status(hint, answered), code=code, status=answered.status)


def misconfigured(hint: str, *, code: str | None = None) -> Make:
    """`Misconfigured`."""
    return lambda answered: Misconfigured(_with_status(hint, answered), code=code, status=answered.status)


def unreadable(hint: str, *, status: int | None = None) -> TryAgain:
    """A success whose body is not what was agreed: an unknown answer is never success, and what it answers may have been done."""
    return TryAgain(hint, code="unreadable_answer", status=status, applied_unknown=True)


# --- what holds for most partners ------------------------------------------------------------------------------------

DEFAULTS: tuple[Rule, ...] = (
    Rule(credentials_refused("The partner does not accept the credentials."), (401, 403)),
    Rule(audience_gone("The partner no longer has this audience."), (404, 410), audience=True),
    Rule(misconfigured("The partner has nothing at this address; check the connector's address."), (404, 410)),
    Rule(batch_refused("What was sent cannot be taken as it is."), (400, 413, 422)),
    Rule(try_again("The partner asks for fewer calls.", code="rate_limited", account=True), (429,)),
    Rule(try_again("The partner was not ready for the call."), (408, 425)),
    # A gateway gave up waiting: what stands behind it may still be at work.
    Rule(try_again("A gateway of the partner had no answer.", code="partner_trouble", applied_unknown=True), (502, 504)),
    Rule(try_again("The partner has trouble.", code="partner_trouble"), range(500, 600)),
    # A redirect is not followed: it would take the credentials to a place that nobody configured.
    Rule(misconfigured("The partner points to another address; check the connector's address."), range(300, 400)),
    # Not a refusal of the users: as one, they would be rejected for good for a reason that nobody has understood.
    Rule(misconfigured("The partner refuses this kind of call."), range(400, 500)),
    Rule(
        try_again("The partner's answer cannot be read.", code="unreadable_answer", applied_unknown=True),
        range(200, 300),
        readable=False,
    ),
    *(
        Rule(try_again("The partner's answer has an unknown status.", code="unreadable_answer"), statuses)
        for statuses in (range(200), range(600, 1000))
    ),
)


def retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3: seconds, or an HTTP date; `now` in seconds since the epoch).
    None if there is none or it cannot be read; a date in the past is 0."""
    text = (value or "").strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment.timestamp() - now, 0.0), LONGEST_WAIT_S)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The header of that name, without regard to case."""
    wanted = name.lower()
    for key, value in headers.items():
        if key.lower() == wanted:
            return value
    return None


def value_at(body: Any, path: str) -> Any:
    """What is at `error.code` of a JSON body; None if nothing is."""
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body


def _json(content: bytes) -> tuple[Any, bool]:
    if not content.strip():
        return None, True
    try:
        return msgspec.json.decode(content), True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, False


def _with_status(hint: str, answered: Answered) -> str:
    return f"{hint.removesuffix('.')} (status {answered.status})."

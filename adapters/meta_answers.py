"""What Meta's answers mean: https://developers.facebook.com/docs/graph-api/guides/error-handling and, for the limits of the rate,
https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from __future__ import annotations

import contextlib

import msgspec

from adapters.answers import (
    Answered,
    AnswerTable,
    Make,
    Rule,
    audience_gone,
    batch_refused,
    credentials_refused,
    header,
    misconfigured,
    try_again,
    value_at,
)
from adapters.quoting import with_words
from relay.domain.errors import Misconfigured, PartnerError, TryAgain

_REFUSED = {
    100: "Meta finds something in the call invalid. If it is one user, correct what the DMP knows of that user.",
    105: "The call holds more than Meta takes. Lower `limits.batch` in the connector's document.",
    2650: "Meta could not update the audience with this call.",
    1487301: "Meta does not let this ad account use the audience.",
    1487366: "Meta does not let the audience be changed.",
}
_GONE = audience_gone("Meta no longer has this audience, or the access token may not see it.")
_TERMS = (
    "The terms for custom audiences are not accepted for this ad account. Accept them in the Ads Manager: "
    "https://business.facebook.com/ads/manage/customaudiences/tos/"
)
FLAGGED = "Meta has restricted this audience, or something else is wrong with it: open it in the Audience Manager and resolve it."


def _terms(answered: Answered) -> PartnerError:
    """With what Meta says about them, whatever call met it."""
    hint = with_words(_TERMS, value_at(answered.body, "error.error_user_msg"))
    return Misconfigured(hint, code="terms_not_accepted", status=answered.status)


class _Usage(msgspec.Struct, frozen=True):
    estimated_time_to_regain_access: float = 0.0


def _fewer_calls(answered: Answered) -> PartnerError:
    """How long to stay away, Meta says in a header of its own, in minutes for each kind of limit."""
    usage: dict[str, list[_Usage]] = {}
    with contextlib.suppress(msgspec.DecodeError):
        usage = msgspec.json.decode(header(answered.headers, "X-Business-Use-Case-Usage") or "{}", type=dict[str, list[_Usage]])
    minutes = max((one.estimated_time_to_regain_access for each in usage.values() for one in each), default=0.0)
    after_s = max(answered.after_s or 0.0, min(60 * minutes, 86400.0)) or answered.after_s
    hint = f"Meta asks for fewer calls (status {answered.status})."
    return TryAgain(hint, after_s=after_s, account=True, code="rate_limited", status=answered.status)


def _unknown(answered: Answered) -> PartnerError:
    """Not a refusal of the users: as one, they would be rejected for good for a reason that nobody has understood."""
    number = value_at(answered.body, "error.code")
    named = f"code {number}" if isinstance(number, int) else "no code"
    hint = f"Meta refuses the call for a reason that is not known here ({named}, status {answered.status})."
    return Misconfigured(hint, code="unknown_refusal", status=answered.status)


def _on(make: Make, *codes: int, sub: int | None = None, audience: bool = False) -> Rule:
    body: dict[str, tuple[int, ...]] = {"error.code": codes, **({"error.error_subcode": (sub,)} if sub else {})}
    return Rule(make, body=body, audience=audience)


def _table(*refused: Rule) -> AnswerTable:
    return AnswerTable(
        # A page is never Meta's own word: not even a 401 is about the token then. Of the others the defaults say the same.
        Rule(try_again("Meta answers with a page.", code="unreadable_answer"), (*range(429), *range(430, 500)), readable=False),
        _on(credentials_refused("Meta does not accept the access token."), 102, 190),
        _on(_fewer_calls, 4, 17, 32, 341, 613, 80003, 80004),
        Rule(_fewer_calls, (429,)),
        _on(_terms, 2655),
        _on(misconfigured(_TERMS, code="terms_not_accepted"), 200, sub=1870090),
        _on(try_again("Meta has trouble.", code="partner_trouble"), 1, 2),
        Rule(try_again("Meta has trouble.", code="partner_trouble"), body={"error.is_transient": (True,)}),
        _on(credentials_refused("The access token may not do this: it needs ads_management."), 10, *range(200, 300)),
        _on(misconfigured(FLAGGED, code="audience_restricted"), 100, sub=1713230),
        _on(_GONE, 100, sub=33, audience=True),
        _on(_GONE, 803, audience=True),
        _on(misconfigured("Meta has no such ad account, or the access token may not see it.", code="no_account"), 100, sub=33),
        *refused,
        Rule(_unknown, (400, 422)),
        words=("error.error_user_msg", "error.message"),
    )


_NOT_MADE = "Meta does not make an audience like this one: give it another name in the DMP and share it again."
_NOT_ASKED = "Meta does not understand the question; check the ad account and the address."

CREATING = _table(_on(batch_refused(_NOT_MADE, code="audience_refused"), *_REFUSED))
ASKING = _table(_on(misconfigured(_NOT_ASKED), *_REFUSED))
CHANGING = _table(*(_on(batch_refused(hint, code=f"meta_{number}"), number) for number, hint in _REFUSED.items()))
"""Of calls that make an audience, ask something, or send users."""

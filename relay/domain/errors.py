"""Every error of the project, chosen by what the one who meets it can do next.

Texts are read by marketers (the DMP shows them) and by operators: no identifier of a person, no secret, no stack trace.
"""

from __future__ import annotations


class RelayError(Exception):
    """Root of our errors; `str(error)` is a sentence that may be shown."""


# --- inbound: what the DMP is told -----------------------------------------------------------------------------------


class Refusal(RelayError):
    """A request that is answered with `status` and `{"error": sentence}`. `code`: a short name of it for the log."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None, *, code: str = "refused") -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.headers = headers or {}


# --- ours: the store, the queue, the turn ----------------------------------------------------------------------------


class StoreUnavailable(RelayError):
    """The store or the queue could not be reached or is full. The one reason to give a message back to the queue."""


class BadPush(RelayError):
    """A call to the worker that brings no queue message."""


class TurnLost(RelayError):
    """The fence: another turn of this audience has begun since, or the budget is over. Write nothing, acknowledge nothing."""


class JournalBehind(RelayError):
    """Not everything that a replay sends again has arrived in the journal yet: it is looked at again later."""


class NotTaken(RelayError):
    """A notice was not taken by its receiver, or nobody knows whether it was. `code`: a short name of the trouble."""

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class ConfigurationError(RelayError):
    """The process cannot start or the command cannot run as configured; one clear line, then exit."""


class DocumentError(RelayError):
    """A connector document with its errors, all of them: `(path, sentence)` each."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{path or '(document)'}: {sentence}" for path, sentence in problems))
        self.problems = problems


class NotFound(RelayError):
    """The named connector, audience, version, hold or secret does not exist."""


class Conflict(RelayError):
    """The change contradicts what exists (a mode fixed by its audiences, a name already taken)."""


class UsedOtherwise(Conflict):
    """Another feed uses the audience with other settings or another login. `feed`: its ID at the source."""

    def __init__(self, sentence: str, *, feed: str) -> None:
        super().__init__(sentence)
        self.feed = feed


# --- the partner: typed by what to do next ---------------------------------------------------------------------------


class PartnerError(RelayError):
    """The partner's answer to one call, classified. `hint` is for the operator; `status` is the HTTP status, if any.

    words, named: what the partner wrote, and how it names the trouble, as they came. They can repeat identifiers: never shown but
    through `adapters.quoting`.
    after_s: the partner's own wish (Retry-After) in seconds, obeyed in full whatever else the answer says; None if it has none.
    """

    code = "partner_error"
    words = ""
    named = ""
    after_s: float | None = None

    def __init__(self, hint: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(hint)
        self.hint = hint
        self.code = code or type(self).code
        self.status = status


class TryAgain(PartnerError):
    """Trouble that should pass.

    `applied_unknown`: the call may still be applied later (a time-out, a broken connection): it is not repeated at once.
    `account`: the trouble concerns the whole account, not this audience only (unreachable, rate limit).
    """

    code = "try_again"

    def __init__(
        self,
        hint: str,
        *,
        after_s: float | None = None,
        applied_unknown: bool = False,
        account: bool = False,
        code: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(hint, code=code, status=status)
        self.after_s = after_s
        self.applied_unknown = applied_unknown
        self.account = account


class BatchRefused(PartnerError):
    """The whole call was refused for good, without saying which row is to blame: it is halved until found.

    For a call that carries one row, or for a creation, it is that one that is refused.
    """

    code = "refused"


class CredentialsRefused(PartnerError):
    """The partner does not accept the connector's credentials. `account`: that is certain for every call, such as where it gives
    no token; else it may be this one that is not allowed."""

    code = "credentials_refused"

    def __init__(self, hint: str, *, account: bool = False, code: str | None = None, status: int | None = None) -> None:
        super().__init__(hint, code=code, status=status)
        self.account = account


class AudienceNotReady(PartnerError):
    """The audience exists, or will, and cannot take members yet. `look_after_s`: seconds after which we may look again, where we
    know that ourselves."""

    code = "audience_not_ready"

    def __init__(
        self, hint: str, *, look_after_s: float | None = None, code: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(hint, code=code, status=status)
        self.look_after_s = look_after_s


class AudienceGone(PartnerError):
    """The partner no longer has this audience."""

    code = "audience_gone"


class Misconfigured(PartnerError):
    """Nothing sent to this place can succeed until someone changes the connector or the partner's account."""

    code = "misconfigured"


class Unsupported(PartnerError):
    """This adapter does not offer that."""

    code = "unsupported"

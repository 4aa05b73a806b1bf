"""What most adapters do alike: normalising rows, previewing, calling with credentials, and reading answers by a table.

An adapter may build on `Partner` and then says only what is its partner's own: the description, the requests, and what an answer
means for each row. The contract (`adapters.contract.Adapter`) is what counts; nobody has to use this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from adapters.answers import AnswerTable, unreadable
from adapters.authentication import Authentication
from adapters.contract import (
    DELIVERED,
    Account,
    Description,
    HttpAnswer,
    HttpRequest,
    Mapped,
    Operation,
    Option,
    Prepared,
    Rejected,
    Row,
    RowResult,
    Target,
)
from adapters.preparing import Preparing
from adapters.quoting import code_of, with_words
from relay.domain.errors import AudienceNotReady, BatchRefused, Unsupported

AUDIENCE = "{audience}"
"""Stands in a preview where the partner's ID of an audience will be that does not exist yet."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Partner:
    """Base of an adapter: see `adapters.contract.Adapter` for what each method is for.

    A subclass gives `description` and `answers`, sets `authentication`, and writes `request` and `results`; where it speaks of
    audiences also `create_audience` and so on. What it leaves out is `Unsupported`.
    """

    description: Description
    answers: ClassVar[AnswerTable] = AnswerTable()
    authentication: Authentication

    def __init__(self, account: Account) -> None:
        self.account = account
        self._preparing: dict[str, Preparing] = {}

    @classmethod
    def called(cls, settings: Mapping[str, Any]) -> str:
        """See the contract."""
        return cls.description.title

    @classmethod
    def describe(cls, settings: Mapping[str, Any]) -> Description:
        """See the contract."""
        return cls.description

    # what a subclass writes

    def request(self, operation: Operation, target: Target, rows: Sequence[Row]) -> HttpRequest:
        """The one call that carries these rows, at most `operation.max_items` and of one group. Where the operation creates: the
        one call that makes the audience; there are no rows."""
        raise NotImplementedError

    def requests(self, operation: Operation, target: Target, rows: Sequence[Row]) -> list[HttpRequest]:
        """All calls for these rows, or for a creation, as a preview shows them: the one, unless written anew."""
        return [self.request(operation, target, rows)]

    def results(self, operation: Operation, rows: Sequence[Row], body: Any) -> list[RowResult]:
        """What a successful answer with this JSON means for each row; unless written anew, all were taken."""
        return [DELIVERED] * len(rows)

    def authentication_of(self, operation: Operation) -> Authentication:
        """How calls of this operation prove who calls."""
        return self.authentication

    def concerns_audience(self, operation: Operation) -> bool:
        """Whether its calls are about one audience by its ID at the partner; unless written anew, those that change a set are."""
        return operation.kind == "set"

    # what the worker asks for

    def prepare(self, operation: str, users: Mapped) -> list[Prepared | Rejected]:
        """By the rules of the operation's fields. What cannot be used is left out as long as another key field remains."""
        if operation not in self._preparing:
            self._preparing[operation] = Preparing(self.operation(operation), self._title)
        return self._preparing[operation].rows(users)

    def preview(self, operation: str, target: Target, rows: Sequence[Row]) -> list[HttpRequest]:
        """More rows than fit in one call give several requests; a creation is the request for no rows."""
        known = self.operation(operation)
        if known.kind == "create":
            return self.requests(known, target, ())
        chunks = (rows[start : start + known.max_items] for start in range(0, len(rows), known.max_items))
        return [request for chunk in chunks for request in self.requests(known, target, chunk)]

    def send(self, operation: str, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """By `carry_out`, for rows that it can take. What the partner says of a refusal is added to its hint."""
        known = self.operation(operation)
        if known.kind == "create":
            raise Unsupported("An audience is created by create_audience, not sent.")
        if len(rows) > known.max_items:
            raise ValueError(f"{len(rows)} rows in one call; {self._title} takes {known.max_items}")
        if not rows:
            return []
        self.require_audience(known, target)
        try:
            return self.carry_out(known, target, rows)
        except BatchRefused as error:
            # Only of users: about credentials a partner can say what they are.
            sent = [self.account.secrets, *(row.values for row in rows)]
            error.hint = with_words(error.hint, error.words, sent)
            error.code = code_of(error.named, sent) or error.code
            raise

    def carry_out(self, operation: Operation, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """One call."""
        request = self.request(operation, target, rows)
        about_audience = self.concerns_audience(operation)
        body = self.call(request, self.answers, audience=about_audience, authentication=self.authentication_of(operation))
        return self.results(operation, rows, body)

    def require_audience(self, operation: Operation, target: Target) -> None:
        """Raises `AudienceNotReady` where the operation concerns an audience that the partner does not have yet."""
        if self.concerns_audience(operation) and not target.partner_id:
            raise AudienceNotReady(f"The audience does not exist at {self._title} yet.")

    def create_audience(self, name: str, reference: str) -> str:
        """Not offered."""
        raise Unsupported(f"Audiences cannot be made at {self._title} from here.")

    def is_ready(self, partner_id: str) -> bool:
        """At once."""
        return True

    def describe_audience(self, partner_id: str) -> dict[str, Any]:
        """Not offered."""
        raise Unsupported(f"{self._title} does not describe its audiences.")

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:
        """Not offered."""
        raise Unsupported(f"{self._title} has no values to offer for {field!r}.")

    def check_credentials(self) -> None:
        """Not offered."""
        raise Unsupported(f"{self._title} has no call to check credentials by.")

    # what a subclass uses

    def operation(self, name: str) -> Operation:
        """The operation of that name. Raises `Unsupported`."""
        found = self.description.operation(name)
        if found is None:
            raise Unsupported(f"{self._title} has no operation named {name!r}.")
        return found

    def call(
        self,
        request: HttpRequest,
        answers: AnswerTable | None = None,
        *,
        audience: bool = False,
        authentication: Authentication | None = None,
    ) -> Any:
        """The JSON of a successful answer. A token that the partner no longer accepts is renewed once. Raises the typed error of
        any other answer. `audience`: the call concerns one audience by its ID."""
        answer = self.exchange(request, authentication)
        return (answers or self.answers).read(answer, clock=self.account.clock, audience=audience)

    def exchange(self, request: HttpRequest, authentication: Authentication | None = None) -> HttpAnswer:
        """The partner's answer as it came."""
        scheme = authentication or self.authentication
        credentials = scheme.credentials(request)
        answer = self.account.client.send(request, auth=credentials)
        if answer.status == 401 and scheme.renewable:
            answer = self.account.client.send(request, auth=scheme.credentials(request, refused=credentials))
        return answer

    def shaped(self, body: Any, shape: type[Shape]) -> Shape:
        """The body as this type. An answer that is not what was agreed is never success: raises `TryAgain`."""
        try:
            return msgspec.convert(body, shape)
        except msgspec.ValidationError:
            raise unreadable(f"{self._title}'s answer is not what its API promises.") from None

    @property
    def _title(self) -> str:
        return self.description.title

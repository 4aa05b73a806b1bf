"""The adapter that is described instead of written: any HTTP API, by the settings of a connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from adapters.answers import AnswerTable
from adapters.authentication import Combined
from adapters.contract import Account, Description, HttpRequest, Operation, Option, Row, RowResult, Target
from adapters.http import scope, steps
from adapters.http.description import GENERAL, description_of
from adapters.http.document import read_document, title_of
from adapters.http.looking import Code, Fits, anything, as_json, found, identifier, tells, texts_in
from adapters.http.operations import Described
from adapters.http.scope import Scope
from adapters.partner import Partner
from relay.domain.errors import AudienceNotReady, BatchRefused, Misconfigured, PartnerError
from relay.domain.malformed import Malformed

if TYPE_CHECKING:
    from adapters.authentication.authorization_code import OAuth2AuthorizationCode


class Http(Partner):
    """Fulfils `adapters.contract.Adapter`, by what `document.Document` says."""

    description = GENERAL

    @classmethod
    def called(cls, settings: Mapping[str, Any]) -> str:
        """See the contract."""
        return title_of(settings)

    @classmethod
    def describe(cls, settings: Mapping[str, Any]) -> Description:
        """See the contract."""
        return description_of(read_document(settings)) if settings else GENERAL

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._document = read_document(account.settings)
        self._base_url = self._document.base_url
        self.description = description_of(self._document)
        scheme = self._document.scheme
        main = scheme.make(account)
        self.authentication = Combined(main, scheme.sign(account)) if scheme.sign else main
        self.authorization = cast("OAuth2AuthorizationCode", main) if scheme.by_consent else None

    def requests(self, operation: Operation, target: Target, rows: Sequence[Row]) -> list[HttpRequest]:
        """See the base. Steps show `{steps.<name>.<what>}` where an answer says more."""
        if operation.kind == "create":
            return self._creation_requests(target)
        described = self._document.operations[operation.name]
        with _filling(BatchRefused):
            made = self._scope_of(described, self._with_its_id(target), rows)
            return steps.requests(described.steps, self._base_url, made)

    def carry_out(self, operation: Operation, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """See the base."""
        described = self._document.operations[operation.name]

        def exchange(request: HttpRequest, step: steps.Step) -> Any:
            fits = described.outcomes.fits if step is described.steps[-1] else anything
            return self._ask(request, step.table, audience=step.request.concerns_audience, fits=fits)

        with _filling(BatchRefused), _without_identifiers(rows):
            body = steps.run(
                described.steps,
                self._base_url,
                self._scope_of(described, target, rows),
                exchange,
                self.account.clock,
                abort=described.abort,
            )
        return described.outcomes.results(rows, body)

    def _with_its_id(self, target: Target) -> Target:
        """With the ID that it would get without a call, where that is how the partner's IDs are made."""
        audiences = self._document.audiences
        if target.partner_id or audiences.named is None or audiences.find or audiences.create:
            return target
        made = self._general(audience=scope.of_new(target.name, target.reference))
        return replace(target, partner_id=audiences.named.text(made.context).strip())

    def concerns_audience(self, operation: Operation) -> bool:
        """See the base. So are those that name it."""
        described = self._document.operations[operation.name]
        return operation.kind == "set" or any(("audience", "partner_id") in step.request.uses for step in described.steps)

    def create_audience(self, name: str, reference: str) -> str:
        """See the contract. The one that has our reference, else a new one, else the ID that `audience_id` gives without a call.
        Raises `AudienceNotReady` where IDs are only linked by hand."""
        audiences = self._document.audiences
        made = self._general(audience=scope.of_new(name, reference))
        with _filling(BatchRefused):
            if audiences.find and (known := audiences.find.run(self._base_url, made, self._ask)):
                return known
            if audiences.create:
                create = audiences.create
                return create.id_of(self._ask(create.step.request.fill(self._base_url, made), create.step.table))
            if audiences.named is None:
                hint = f"Audiences are not made at {self._title} from here. Make it there, then: diy audiences link"
                raise AudienceNotReady(hint, code="not_linked")
            partner_id = audiences.named.text(made.context).strip()
        if not partner_id or not partner_id.isprintable():
            raise BatchRefused("`settings.audience_id` gives no usable ID for this audience.", code="bad_audience_id")
        return partner_id

    def is_ready(self, partner_id: str) -> bool:
        """See the contract."""
        ready = self._document.audiences.ready
        return ready is None or ready.holds(self._ask_about(ready.step, partner_id))

    def describe_audience(self, partner_id: str) -> dict[str, Any]:
        """See the contract."""
        describe = self._document.audiences.describe
        if describe is None:
            return super().describe_audience(partner_id)
        return describe.shown(self._ask_about(describe.step, partner_id))

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:
        """See the contract."""
        choices = self._document.options.get(field)
        if choices is None:
            return super().options(field, chosen)
        options = []
        with _filling(Misconfigured):
            for entry in choices.paged.entries(self._base_url, self._general(chosen=chosen), self._ask):
                value = identifier(found(choices.value, entry))
                label = identifier(found(choices.label, entry)) if choices.label else ""
                if value:
                    options.append(Option(value, label or value))
        return options

    def check_credentials(self) -> None:
        """See the contract."""
        check = self._document.check
        if check is None:
            super().check_credentials()
            return
        with _filling(Misconfigured):
            self._ask(check.request.fill(self._base_url, self._general()), check.table)

    def _ask(self, request: HttpRequest, table: AnswerTable, *, audience: bool = False, fits: Fits = anything) -> Any:
        """The JSON of a successful answer, and other formats as if they were JSON. `fits`: see `as_json`."""
        return table.read(as_json(self.exchange(request), fits), clock=self.account.clock, audience=audience)

    def _ask_about(self, step: steps.Step, partner_id: str) -> Any:
        with _filling(Misconfigured):
            request = step.request.fill(self._base_url, self._general(audience={"partner_id": partner_id}))
            return self._ask(request, step.table, audience=True)

    def _general(self, **more: Any) -> Scope:
        return scope.general(self._document.parameters, self.account.clock, **more)

    def _scope_of(self, described: Described, target: Target, rows: Sequence[Row]) -> Scope:
        made = self._general(audience=scope.of_target(target))
        return scope.of_rows(made, rows, described.fields, single=described.single)

    def _creation_requests(self, target: Target) -> list[HttpRequest]:
        audiences = self._document.audiences
        made = self._general(audience=scope.of_new(target.name, target.reference))
        found_by = [audiences.find.paged.request] if audiences.find else []
        made_by = [audiences.create.step.request] if audiences.create else []
        with _filling(BatchRefused):
            return [request.fill(self._base_url, made) for request in (*found_by, *made_by)]


@contextmanager
def _filling(error: type[BatchRefused] | type[Misconfigured]) -> Iterator[None]:
    """What it means that a request cannot be made of these values."""
    try:
        yield
    except Malformed as problem:
        raise error(f"The request cannot be made: {problem}", code="unusable_value") from None


@contextmanager
def _without_identifiers(rows: Sequence[Row]) -> Iterator[None]:
    """A code that a partner made of what it was sent is not shown."""
    try:
        yield
    except PartnerError as error:
        if isinstance(error.code, Code):
            told = tells(error.code, texts_in(row.values for row in rows))
            error.code = type(error).code if told else str(error.code)
        raise

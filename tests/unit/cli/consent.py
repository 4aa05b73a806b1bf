"""A partner that wants somebody's consent, and `diy` with an adapter for it: `python -m tests.unit.cli.consent VERB …`."""

from __future__ import annotations

from collections.abc import Sequence

from adapters import registry
from adapters.authentication import Secret
from adapters.authentication.authorization_code import OAuth2AuthorizationCode
from adapters.authentication.token_call import Client
from adapters.contract import Account, Description, Field, HttpRequest, Operation, Row, Target
from adapters.partner import Partner
from relay.domain.connector import BatchLimits

CLIENT_ID = Field("client_id", "Client ID", required=True, app=True)
CLIENT_SECRET = Field("client_secret", "Client secret", required=True, app=True)


class Consent(Partner):
    """Fulfils `adapters.contract.Adapter`: `settings.base_url` is that of the tests' authorization server."""

    description = Description(
        name="consent",
        title="Consent",
        summary="A partner that wants somebody's consent.",
        settings=(Field("base_url", "Address", type="url", required=True),),
        secrets=(CLIENT_ID, CLIENT_SECRET),
        operations=(
            Operation(
                "add", "Add", "event", ("joined",), fields=(Field("id", "User ID", required=True),), max_items=100
            ),
        ),
        required_triggers=("joined",),
        limits=BatchLimits(max_items=100, max_bytes=1_000_000),
        app="consent",
        connect=True,
    )

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._base = account.settings["base_url"]
        self.authorization = self.authentication = OAuth2AuthorizationCode(
            account,
            Client(Secret.of(account, CLIENT_ID), Secret.of(account, CLIENT_SECRET)),
            authorize_url=f"{self._base}/authorize",
            token_url=f"{self._base}/token",
            scope="audiences offline",
            authorize_parameters={"prompt": "consent"},
        )

    def request(self, operation: Operation, target: Target, rows: Sequence[Row]) -> HttpRequest:
        return HttpRequest("POST", f"{self._base}/api", body=[row.values for row in rows])

    def create_audience(self, name: str, reference: str) -> str:
        return reference

    def check_credentials(self) -> None:
        self.call(HttpRequest("GET", f"{self._base}/api"))


PLACE = "tests.unit.cli.consent:Consent"

if __name__ == "__main__":
    registry.ADAPTERS = {**registry.ADAPTERS, "consent": PLACE}
    from relay.cli import main

    main()

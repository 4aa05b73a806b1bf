"""What a connector with the HTTP adapter needs and offers: in general, and by its document."""

from __future__ import annotations

from msgspec.structs import replace

from adapters.contract import Description, Field, Operation
from adapters.http.document import Document
from adapters.http.operations import CREATE, MAX_ITEMS
from adapters.normalisation import RULES
from relay.domain.connector import BatchLimits

GENERAL = Description(
    name="http",
    title="HTTP",
    summary="Any HTTP API, described in the connector's document: requests, answers, authentication.",
    settings=(
        Field("base_url", "Address", "url", "What all paths are put behind, such as https://api.acme.example/v2", required=True),
        Field("partner", "Partner", help="What the partner is called in sentences; its host unless given."),
        Field(
            "allow_private_network", "Private network", "boolean",
            "Lets the address be in your own network, and begin with http://.", default=False,
        ),
        Field(
            "follow_redirects", "Redirects", "boolean",
            "Follows them; credentials and users stay within the origin of the address.", default=False,
        ),
        Field("parameters", "Parameters", "object", "Values of your own, for templates: `parameters.account`."),
        Field("auth", "Authentication", "object", "How calls are authenticated; none unless given."),
        Field("signature", "Signature", "object", "A signature of the body, beside the authentication."),
        Field("email", "E-mail rule", "choice", "What `email()` in mappings stands for.", default="email", choices=tuple(RULES)),
        Field("audience_id", "Audience ID", help="Template for the partner's ID where no call makes it; `linked`: by hand only."),
        Field("audiences", "Audiences", "object", "How an audience is found, made, awaited and described at the partner."),
        Field("operations", "Operations", "object", "What can be done with users, by names of your own."),
        Field("options", "Options", "object", "Questions whose answers are the values that a field can take."),
        Field("check", "Check", "object", "A call that the partner answers well only if it accepts the credentials."),
        Field("answers", "Answers", "object", "Rules for every answer, behind those of an operation."),
    ),
    secrets=(),
    operations=(),
    required_triggers=("joined",),
    limits=BatchLimits(max_items=MAX_ITEMS, max_bytes=1_000_000),
    our_page="docs/connectors.md#http",
)  # fmt: skip


def description_of(document: Document) -> Description:
    """Of a connector with this document."""
    described = [one.operation for one in document.operations.values()]
    if document.audiences.create is not None:
        described.insert(0, Operation(CREATE, "Create the audience", "create", ("created",), max_items=1))
    return replace(
        GENERAL,
        title=document.title,
        secrets=document.scheme.secrets,
        operations=tuple(described),
        limits=BatchLimits(max((one.max_items for one in described), default=MAX_ITEMS), GENERAL.limits.max_bytes),
        credential_headers=document.scheme.headers,
        credential_query=document.scheme.query,
        app=document.scheme.app,
        email_rule=document.email_rule,
        one_audience=_is_one(document),
        connect=document.scheme.by_consent,
        linked=document.audiences.named is None and document.audiences.create is None,
    )


def _is_one(document: Document) -> bool:
    """Whether every audience gets one and the same ID: no call gives it, and what gives it looks at nothing of the audience."""
    audiences = document.audiences
    if audiences.named is None or audiences.find is not None:
        return False
    return not any(path[:1] == ("audience",) for path in audiences.named.uses)

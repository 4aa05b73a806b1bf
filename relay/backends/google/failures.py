"""Errors of gRPC as `StoreUnavailable`, in sentences that an operator understands, without what the service said: its texts name
documents, and so audiences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from relay.domain.errors import StoreUnavailable

_SENTENCES = {
    grpc.StatusCode.UNAVAILABLE: "{} could not be reached.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "{} did not answer in time.",
    grpc.StatusCode.PERMISSION_DENIED: "{} refused: this service account lacks a role (see deploy/README.md).",
    grpc.StatusCode.UNAUTHENTICATED: "{} refused: this process has no valid credentials of Google Cloud.",
    grpc.StatusCode.NOT_FOUND: "{} does not have what this needs: was deploy/deploy.sh run to its end for this project?",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "{} refused: a quota of the project is used up.",
    grpc.StatusCode.ABORTED: "{} gave up: too many wanted to change the same record.",
    grpc.StatusCode.INVALID_ARGUMENT: "{} refused the request as invalid.",
    grpc.StatusCode.FAILED_PRECONDITION: "{} refused the request in its present state (a missing index, a disabled version).",
}

NO_BUCKET = (
    "There is no bucket for the journal: JOURNAL_BUCKET is not set. deploy/deploy.sh makes the bucket and prints the variable."
)
"""Said where one is needed."""


@contextmanager
def readable(service: str) -> Iterator[None]:
    """Turns errors of the service within the block into `StoreUnavailable`."""
    # Not at the top: the receiver has no use for Google's clients, and would wait for them at every start.
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    try:
        yield
    except GoogleAPICallError as error:
        raise unavailable(service, error.grpc_status_code) from error
    except RetryError as error:
        # It was tried until the time was over: what it met then says more than that.
        met = error.cause
        code = met.grpc_status_code if isinstance(met, GoogleAPICallError) else None
        raise unavailable(service, code or grpc.StatusCode.DEADLINE_EXCEEDED) from error
    except grpc.RpcError as error:
        raise unavailable(service, error.code() if isinstance(error, grpc.Call) else None) from error


def unavailable(service: str, code: grpc.StatusCode | None) -> StoreUnavailable:
    """The error for such an answer."""
    sentence = _SENTENCES.get(code, "{} could not carry out an operation ({}).") if code else "{} failed."
    return StoreUnavailable(sentence.format(service, code.name if code else ""))

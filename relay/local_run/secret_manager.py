"""Secret Manager on this machine, for local runs and tests: `python -m relay.local_run.secret_manager --port N`.

A gRPC server with the service's own messages. It keeps everything in memory, writes no payload anywhere, and
serves 127.0.0.1 alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from google.cloud.secretmanager_v1 import types
from google.protobuf import empty_pb2

from relay.domain.errors import ConfigurationError
from relay.local_run.kept_secrets import KeptSecrets, Refused
from relay.local_run.stand_in import given_port, told_to_end

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
SIGN = "the Secret Manager stand-in listens on"
"""What it prints when it can be used."""

_THREADS = 4
_STOPPED_WITHIN_S = 0.5


class SecretManagerServer:
    """Serves while it is open."""

    def __init__(self, port: int = 0, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """port: 0 for a free one. Raises `ConfigurationError` if it cannot be had."""
        kept = KeptSecrets(now)
        # Without this option two servers could share a port, each answering some of the calls.
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "secret-manager"), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, _handlers(kept)),))
        try:
            bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            raise ConfigurationError(f"Port {port} cannot be used by the Secret Manager stand-in.") from error
        self.address = f"127.0.0.1:{bound}"
        self._server.start()

    def close(self) -> None:
        """Calls under way may finish within half a second."""
        self._server.stop(_STOPPED_WITHIN_S).wait(4 * _STOPPED_WITHIN_S)


@contextmanager
def running() -> Iterator[str]:
    """host:port of one in this process, empty at first."""
    server = SecretManagerServer()
    try:
        yield server.address
    finally:
        server.close()


def _handlers(kept: KeptSecrets) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    return {
        "CreateSecret": _handler(kept.create_secret, types.CreateSecretRequest, types.Secret),
        "GetSecret": _handler(kept.get_secret, types.GetSecretRequest, types.Secret),
        "UpdateSecret": _handler(kept.update_secret, types.UpdateSecretRequest, types.Secret),
        "ListSecrets": _handler(kept.list_secrets, types.ListSecretsRequest, types.ListSecretsResponse),
        "DeleteSecret": _handler(kept.delete_secret, types.DeleteSecretRequest, None),
        "AddSecretVersion": _handler(kept.add_secret_version, types.AddSecretVersionRequest, types.SecretVersion),
        "AccessSecretVersion": _handler(
            kept.access_secret_version, types.AccessSecretVersionRequest, types.AccessSecretVersionResponse
        ),
        "GetSecretVersion": _handler(kept.get_secret_version, types.GetSecretVersionRequest, types.SecretVersion),
        "ListSecretVersions": _handler(
            kept.list_secret_versions, types.ListSecretVersionsRequest, types.ListSecretVersionsResponse
        ),
        "DisableSecretVersion": _handler(kept.disable_secret_version, types.DisableSecretVersionRequest, types.SecretVersion),
        "EnableSecretVersion": _handler(kept.enable_secret_version, types.EnableSecretVersionRequest, types.SecretVersion),
        "DestroySecretVersion": _handler(kept.destroy_secret_version, types.DestroySecretVersionRequest, types.SecretVersion),
    }


def _handler(method: Callable[[Any], Any], request: Any, response: Any) -> grpc.RpcMethodHandler[Any, Any]:
    """request, response: the message types; response None: the empty message."""

    def handle(asked: Any, context: grpc.ServicerContext) -> Any:
        try:
            answer = method(asked)
        except Refused as refused:
            context.abort(refused.code, refused.details)
        return empty_pb2.Empty() if response is None else answer

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request.deserialize,
        response_serializer=empty_pb2.Empty.SerializeToString if response is None else response.serialize,
    )


def main() -> int:
    """Serves until Ctrl-C or a TERM. The exit code: 1 if it could not start."""
    port = given_port("relay.local_run.secret_manager", __doc__)
    over = told_to_end()
    try:
        server = SecretManagerServer(port)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    print(SIGN, server.address, flush=True)
    over.wait()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

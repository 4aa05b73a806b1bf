"""What is in a topic on the Pub/Sub emulator, and trouble on the way there."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.pubsub_v1 import types

from relay.configuration import Configuration
from relay.domain.message import Message, decode


class Topic:
    """The topic that the configuration names, with a subscription as the worker's."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        project = f"projects/{self.configuration.google_cloud_project}"
        topic = f"{project}/topics/{self.configuration.topic}"
        self._subscription = f"{project}/subscriptions/{self.configuration.topic}-deliver"
        self._channel = grpc.insecure_channel(configuration.pubsub_emulator)
        subscription = {"name": self._subscription, "topic": topic, "enable_message_ordering": True, "ack_deadline_seconds": 60}
        self._call("CreateSubscription", types.Subscription(subscription))

    def taken(self) -> dict[str, list[Message]]:
        """Everything in it by ordering key, in order; afterwards it is empty."""
        found: defaultdict[str, list[Message]] = defaultdict(list)
        pull = types.PullRequest(subscription=self._subscription, max_messages=1_000, return_immediately=True)
        while received := types.PullResponse.deserialize(self._call("Pull", pull)).received_messages:
            for one in received:
                found[one.message.ordering_key].append(decode(one.message.data))
            acknowledged = [one.ack_id for one in received]
            self._call("Acknowledge", types.AcknowledgeRequest(subscription=self._subscription, ack_ids=acknowledged))
        return dict(found)

    def _call(self, method: str, request: Any) -> bytes:
        call: Callable[..., bytes] = self._channel.unary_unary(f"/google.pubsub.v1.Subscriber/{method}")
        return call(type(request).serialize(request), timeout=30)

    def close(self) -> None:
        self._channel.close()


Answer = grpc.StatusCode | str | None
"""A status; `hang`: none until the caller gives up; `unconfirmed`: taken, but not every message is named; None: the usual one."""


class TroubledWay(grpc.GenericRpcHandler):
    """A gRPC server between a program and the emulator, which answers Publish calls as it is told and passes on the others.

    answers: what comes next, for one call each; afterwards calls are passed on. decide: something else that decides.
    calls: those that came. given_up: is set when a call that hangs was given up.
    """

    def __init__(self, emulator: str) -> None:
        self._onward = grpc.insecure_channel(emulator)
        self.answers: list[Answer] = []
        self.decide: Callable[[types.PublishRequest], Answer] = lambda _request: self.answers.pop(0) if self.answers else None
        self.calls: list[types.PublishRequest] = []
        self.at_once = 0
        self.most_at_once = 0
        self.given_up = threading.Event()
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(64), handlers=[self])
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Nobody listens there any more."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def close(self) -> None:
        self.stop()
        self._onward.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        method = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._serve(method, request, context))

    def _serve(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = types.PublishRequest.deserialize(request)
        with self._lock:
            self.calls.append(asked)
        with self._counted():
            answer = self.decide(asked)
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, f"{asked.messages[0].ordering_key} is not wanted")
            if answer == "hang":
                gone = threading.Event()
                context.add_callback(gone.set)
                gone.wait(30)
                self.given_up.set()
                context.abort(grpc.StatusCode.CANCELLED, "")
            onward: Callable[..., Any] = self._onward.unary_unary(method)
            response: bytes = onward(request, timeout=10)
            return b"" if answer == "unconfirmed" else response

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1

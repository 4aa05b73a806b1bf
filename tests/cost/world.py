"""The whole path on the google back end, each message pushed by Pub/Sub, and everything that Google would bill for it counted.

What is counted is what the real clients sent: their gRPC calls are intercepted between them and the emulators. Pushes are handled
one at a time and the clock is turned, so that no count depends on chance.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import msgspec
import requests
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from starlette.requests import Request
from starlette.responses import Response

from adapters.registry import describe
from handlers.inbound import InboundView
from handlers.mapp.arrival import Deadlines
from handlers.mapp.receiver import Receiver
from relay.backends import open_backend
from relay.backends.google.channels import Channels
from relay.backends.google.names import safe_name
from relay.backends.google.publisher import GooglePublisher
from relay.backends.google.push import PushedMessage, read_push
from relay.backends.google.queue import GoogleQueue
from relay.backends.records import INBOUND
from relay.configuration import read
from relay.connectors.publishing import Publishing
from relay.domain.message import VERSION as MESSAGE_VERSION
from relay.domain.message import Message, Mutation
from relay.local_run.push_subscription import subscribe
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.cost.pushes import PATIENCE_S, Pushes
from tests.cost.used import Used
from tests.emulators import Emulators, end_pushing, place
from tests.emulators.pubsub_rules import LEAST_BILLED_BYTES
from worker.creator import InProcessCreator
from worker.tick import tick_for
from worker.tidying import tidy_up
from worker.turn import Worker

TOKEN = "pangolin-token-value"
HMAC_SECRET = "hmac-secret-value"

PATIENT = Deadlines(publish_s=PATIENCE_S, store_s=PATIENCE_S, creator_s=PATIENCE_S, creation_s=PATIENCE_S)

DOCUMENT = """
name: pangolin
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac, audience_id: own, unknown_audience: create}}
settings: {{base_url: "{url}"}}
secrets: {{token: partner-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
limits: {{batch: {{max_items: 100, max_age: {max_age}}}, rate: {rate}}}
timeouts: {{connect: 5s, answer: 5s, batch_answer: 10s}}
"""

EXPIRING = ("attempts", "rejections", "replies")
"""Collections whose documents are deleted one by one when their time has come. Counters have one too, but few documents."""

_TIMESTAMP_BYTES = 20


class World:
    """One relay on Google's services, its DMP and its partner."""

    def __init__(
        self, emulators: Emulators, pangolin: InThread, directory: Path, *, rate: str = "{concurrency: 8}", max_age: str = "0s"
    ) -> None:
        """emulators: nobody else uses their proxies."""
        self.pangolin = pangolin
        self.clock = TurnedClock()
        self._proxies = emulators.proxies
        self._addresses = emulators.addresses
        self._place = place(emulators)
        self._looking = grpc.insecure_channel(self._addresses.firestore)
        self._pushes = Pushes()
        subscribe(read(self._place), endpoint=self._pushes.url)
        self.backend: Any = open_backend(read(self._place), self.clock)
        self.publishing = Publishing(self.backend, describe, "test")
        for name, value in {"dmp-hmac": HMAC_SECRET, "partner-token": TOKEN}.items():
            self.publishing.set_secret(name, value)
        self.publishing.apply(DOCUMENT.format(url=pangolin.url, rate=rate, max_age=max_age))
        inbound_file = directory / "inbound"
        inbound: Any = self.backend.inbound.read()
        inbound_file.write_bytes(INBOUND.write(inbound))
        self.faults()
        self._loop = asyncio.Runner()
        # An instance of `diy`.
        self._receiving: Any = open_backend(read({**self._place, "INBOUND_FILE": str(inbound_file)}), self.clock)
        configuration = read(self._place)
        # What is repeated because the machine is slow would be counted, too.
        self._publisher = GooglePublisher(Channels(configuration), configuration, self.clock, deadline_s=2 * PATIENCE_S)
        creator = InProcessCreator(self._receiving, self.clock)
        view = InboundView(self._receiving.inbound, reread_s=3600)
        self._receiver = Receiver(view, self._publisher, creator, self.clock, deadlines=PATIENT)
        self._instances: list[Any] = []
        self.start_worker()
        self.begin_counting()

    def start_worker(self) -> None:
        """An instance of `deliver` that has handled nothing yet."""
        self._instances.append(open_backend(read(self._place), self.clock))
        self.worker = Worker(self._instances[-1], self.clock, random.Random(1))

    def close(self) -> None:
        self.faults()
        self._loop.run(self._publisher.close())
        self._loop.close()
        for backend in (self._receiving, self.backend, *self._instances):
            backend.close()
        end_pushing(self._place)
        self._pushes.close()
        self._looking.close()

    # the DMP

    def accept(self, mutations: Sequence[tuple[str, str]]) -> None:
        """One signed request in which these (audience, user) join, each as in the example of docs/wire-format.md."""
        entries = [{"Audience": audience, "User": user, "Customer": 123} for audience, user in mutations]
        self._send("ADD_TO_AUDIENCE", {"Type": "ADD_TO_AUDIENCE", "Mutations": entries})

    async def _post(self, kind: str, body: bytes) -> Response:
        signature = hmac.new(HMAC_SECRET.encode(), body, hashlib.sha1).hexdigest()
        scope = {
            "type": "http", "method": "POST", "path": "/pangolin", "raw_path": b"/pangolin", "root_path": "", "scheme": "http",
            "query_string": f"type={kind}".encode(), "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"127.0.0.1"), (b"x-hmac", signature.encode()), (b"content-length", b"%d" % len(body))],
        }  # fmt: skip
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return parts.pop() if parts else {"type": "http.disconnect"}

        return await self._receiver(Request(scope, receive))

    def announce(self, audience: str) -> None:
        """A signed CREATE_AUDIENCE."""
        self._send("CREATE_AUDIENCE", {"Type": "CREATE_AUDIENCE", "Name": audience, "Customer": 123, "Audience": audience})

    def ask(self, audience: str, user: str) -> None:
        """A feed's direct delivery of one user, from its message to the reply; whoever asks looks once, and finds it."""
        now, request_id = self.clock.now(), f"{random.getrandbits(128):032x}"
        mutation = Mutation(0, "joined", {"id": user})
        message = Message(
            MESSAGE_VERSION, "change", "pangolin", audience, request_id, now, mutations=(mutation,), answer_by=now + 20
        )
        self._loop.run(self._publisher.publish([message]))
        self.deliver()
        assert self._receiving.replies.find(request_id, 0).mutations[0].outcome == "delivered"

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        answer = self._loop.run(self._post(kind, msgspec.json.encode(content)))
        assert answer.status_code == 200, answer.body

    # the functions

    def deliver(self, messages: int = 1) -> None:
        """Handles so many pushes as the function `deliver` does; each must be settled."""
        queue: GoogleQueue = self._instances[-1].queue
        for _ in range(messages):
            push = self._pushes.next()
            self._pushes_seen.append(max(LEAST_BILLED_BYTES, _billed_bytes(read_push(push.body).message)))
            leased = queue.receive(push.body)
            self.worker.handle(leased)
            settled = queue.settled(leased)
            push.answer(204 if settled else 503)
            assert settled, "it would be pushed again"

    def tick(self, seconds: float = 0.0) -> int:
        """The function `tick`, which waits for so many seconds. How many resumes it published."""
        return tick_for(seconds, self._instances[-1], self.worker.catalog, self.clock, stopping=lambda: False)

    def tidy(self) -> None:
        """The same function at /tidy."""
        assert not tidy_up(self._instances[-1], self.worker.catalog, self.clock).failed

    # the partner

    def faults(self, **faults: Any) -> None:
        """What the partner does wrong from now on."""
        self._ask_partner("PUT", "/api/faults", json=faults)

    def _partner_calls(self) -> int:
        return int(self._ask_partner("GET", "/api/calls").json()[-1]["number"])

    def _ask_partner(self, method: str, path: str, **arguments: Any) -> requests.Response:
        answer = requests.request(
            method, f"{self.pangolin.url}{path}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10, **arguments
        )
        assert answer.status_code < 300, answer.text
        return answer

    # what is billed

    def begin_counting(self) -> None:
        """What was used so far is forgotten."""
        for proxy in (self._proxies.pubsub, self._proxies.firestore, self._proxies.secret_manager):
            proxy.reset_counts()
        self._pushes_seen: list[int] = []
        self._before = self._at_the_beginning()

    def used(self) -> Used:
        """Since counting began."""
        pubsub, firestore, secrets = (
            self._proxies.pubsub.counts, self._proxies.firestore.counts, self._proxies.secret_manager.counts,
        )  # fmt: skip
        expiring, partner_calls = self._at_the_beginning()
        return Used(
            publish_calls=pubsub.calls.get("Publisher/Publish", 0),
            messages=pubsub.billed.messages,
            pushes=len(self._pushes_seen),
            throughput=pubsub.billed.message_bytes + sum(self._pushes_seen),
            firestore_calls=sum(firestore.calls.values()),
            reads=firestore.billed.reads + firestore.billed.aggregation_reads,
            writes=firestore.billed.writes,
            deletes=firestore.billed.deletes,
            expiring=expiring - self._before[0],
            accesses=secrets.calls.get("SecretManagerService/AccessSecretVersion", 0),
            lookups=secrets.calls.get("SecretManagerService/GetSecret", 0),
            partner_calls=partner_calls - self._before[1],
        )

    def expiring(self) -> list[Any]:
        """The documents that Firestore will delete by themselves, as protobuf knows them."""
        configuration = read(self._place)
        database = f"projects/{configuration.google_cloud_project}/databases/{configuration.firestore_database}"
        api = FirestoreClient(transport=FirestoreGrpcTransport(channel=self._looking))
        metadata = [("google-cloud-resource-prefix", database), ("authorization", "Bearer owner")]
        return [
            type(document).pb(document)
            for collection in EXPIRING
            for document in api.list_documents(
                request={"parent": f"{database}/documents", "collection_id": collection, "page_size": 300}, metadata=metadata
            )
        ]

    def _at_the_beginning(self) -> tuple[int, int]:
        """What can only be counted by comparison: documents that expire, calls that the partner got."""
        return len(self.expiring()), len(self._ask_partner("GET", "/api/calls").json())


def _billed_bytes(message: PushedMessage) -> int:
    """As for what is published. The emulator leaves the ordering key out of what it pushes; Google does not."""
    return len(message.data) + len(message.message_id) + len(safe_name(message.key)) + _TIMESTAMP_BYTES

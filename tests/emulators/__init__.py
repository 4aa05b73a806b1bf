"""Google's services on this machine: the official emulators behind proxies that are as strict as Google, a Secret Manager, and a
Cloud Storage.

Every run of the tests loads this module, and only some need the services: what is large is loaded when it is used.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.emulators.running import Addresses

if TYPE_CHECKING:
    from tests.emulators.proxy import StrictProxy

INDEX_FILE = Path(__file__).parents[2] / "deploy" / "firestore.indexes.json"


class Proxies(msgspec.Struct, frozen=True):
    """Where what goes through is counted, and can be interrupted."""

    pubsub: StrictProxy
    firestore: StrictProxy
    secret_manager: StrictProxy


class Emulators:
    """What one process of a test run uses. The emulators are shared by all of them: isolation is by project.

    pubsub, firestore, secret_manager  host:port of their proxies
    addresses  those of the emulators themselves
    storage    the stand-in for Cloud Storage, of which each project has a bucket of its own
    """

    def __init__(self, addresses: Addresses) -> None:
        import grpc

        from relay.local_run.cloud_storage import StorageServer
        from relay.local_run.secret_manager import SecretManagerServer
        from tests.emulators.proxy import ProxyProcess, Spec

        self.addresses = addresses
        self._secret_manager = SecretManagerServer()
        self.storage = StorageServer()
        self._direct = grpc.insecure_channel(addresses.pubsub)
        self._process = ProxyProcess(
            Spec("pubsub", addresses.pubsub, "pubsub"),
            Spec("firestore", addresses.firestore, "firestore", str(INDEX_FILE)),
            Spec("secret_manager", self._secret_manager.address, "none"),
        )
        self.proxies = Proxies(**self._process.proxies)
        self.pubsub = self.proxies.pubsub.address
        self.firestore = self.proxies.firestore.address
        self.secret_manager = self.proxies.secret_manager.address

    def project(self) -> str:
        """The ID of a project in which there is nothing yet."""
        return f"test-{uuid.uuid4().hex[:12]}"

    def create_topic(self, project: str, topic: str) -> None:
        """Past the proxy: it is not counted."""
        from google.pubsub_v1 import types

        create: Any = self._direct.unary_unary("/google.pubsub.v1.Publisher/CreateTopic")
        create(types.Topic.serialize(types.Topic(name=f"projects/{project}/topics/{topic}")), timeout=30)

    def close(self) -> None:
        self._process.close()
        self._direct.close()
        self._secret_manager.close()
        self.storage.close()


def place(emulators: Emulators) -> dict[str, str]:
    """Environment variables that name an empty place of the google back end, with its topic: other processes open it by them."""
    from relay.configuration import read

    variables = {
        "BACKEND": "google",
        "GOOGLE_CLOUD_PROJECT": emulators.project(),
        "GOOGLE_CLOUD_REGION": "",
        "PUBSUB_EMULATOR_HOST": emulators.pubsub,
        "FIRESTORE_EMULATOR_HOST": emulators.firestore,
        "SECRET_MANAGER_EMULATOR_HOST": emulators.secret_manager,
        "STORAGE_EMULATOR_HOST": emulators.storage.address,
        "JOURNAL_BATCH_S": "0.1",
    }
    variables["JOURNAL_BUCKET"] = f"{variables['GOOGLE_CLOUD_PROJECT']}-journal"
    emulators.storage.make(variables["JOURNAL_BUCKET"])
    configuration = read(variables)
    emulators.create_topic(configuration.google_cloud_project, configuration.topic)
    return variables


def end_pushing(place: dict[str, str]) -> None:
    """Deletes the place's push subscription: the emulator would go on pushing what was not taken to a port where nobody is, all
    the time that the tests run."""
    import grpc
    from google.pubsub_v1 import types

    from relay.configuration import read
    from relay.local_run.push_subscription import SUBSCRIPTION_SUFFIX

    configuration = read(place)
    name = f"projects/{configuration.google_cloud_project}/subscriptions/{configuration.topic}{SUBSCRIPTION_SUFFIX}"
    with grpc.insecure_channel(configuration.pubsub_emulator) as channel, suppress(grpc.RpcError):
        delete: Any = channel.unary_unary("/google.pubsub.v1.Subscriber/DeleteSubscription")
        delete(types.DeleteSubscriptionRequest.serialize(types.DeleteSubscriptionRequest(subscription=name)), timeout=10)

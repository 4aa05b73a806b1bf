"""What a confirmed publish costs: our publisher beside Google's clients and, as the floor, the bare asynchronous stub with a
request made beforehand. On the Pub/Sub emulator, in one run, in processes of their own.

`PUBSUB_EMULATOR_HOST=127.0.0.1:8601 python -m bench.publishing [--publishes 1000]` prints tables and writes
`bench/results/publishing.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from bench.tables import print_table, spread, write_results
from relay.backends.google.channels import Channels
from relay.backends.google.publisher import GooglePublisher
from relay.backends.google.pubsub_messages import PublishResponse
from relay.backends.google.pubsub_wire import PUBLISH, Destination, calls_of
from relay.configuration import Configuration, read
from relay.domain.clock import SystemClock
from relay.domain.message import Message, Mutation, encode

AT_ONCE = 16
"""Publishes under way at the same time, as a busy receiver has them."""

MUTATIONS = 100
"""In each message: about 8 KB."""

KEYS = (1, 10, 100, 1_000)
"""Audiences in one request."""

ROUNDS = 5

IMPORTS = {
    "nothing": "",
    "framework": "import functions_framework.aio",
    "receiver": "import functions_framework.aio, handlers.mapp.receiver, relay.backends.google.publisher",
    "api_core": "import functions_framework.aio, google.api_core.grpc_helpers_async",
    "types": "import functions_framework.aio, google.pubsub_v1.types",
    "pubsub_v1": "import functions_framework.aio, google.cloud.pubsub_v1",
    "all clients": "import google.cloud.pubsub_v1, google.cloud.firestore, google.cloud.secretmanager_v1",
}


def batch(number: int, audience: str = "") -> Message:
    """A message as the receiver makes it; each of an audience of its own unless one is given."""
    users = tuple(Mutation(index=index, user={"id": f"user-{index:08d}-{'x' * 30}"}) for index in range(MUTATIONS))
    return Message(1, "change", "bench", audience or f"a.{number}", f"request-{number}", time.time(), mutations=users)


async def _at_once(publishes: int, publish: Callable[[int], Awaitable[object]]) -> None:
    numbers = iter(range(publishes))

    async def lane() -> None:
        for number in numbers:
            await publish(number)

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


async def floor(configuration: Configuration, publishes: int) -> float:
    """The bare stub, and one request that was made beforehand."""
    destination = Destination(configuration)
    [(ordering_key, bodies)] = destination.bodies([batch(0)]).items()
    [call] = calls_of(destination.topic, ordering_key, bodies)
    channel = Channels(configuration).pubsub_async()
    publish: Any = channel.unary_unary(PUBLISH, response_deserializer=PublishResponse.FromString)
    return await _measured(publishes, lambda _number: publish(call.request, timeout=10))


async def ours(configuration: Configuration, publishes: int) -> float:
    """`GooglePublisher`: encoded, grouped by key, confirmed."""
    publisher = GooglePublisher(Channels(configuration), configuration, SystemClock(), deadline_s=10)
    return await _measured(publishes, lambda number: publisher.publish([batch(number)]))


async def async_client(configuration: Configuration, publishes: int) -> float:
    """google.pubsub_v1's PublisherAsyncClient."""
    from google.pubsub_v1 import PublisherAsyncClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
    from google.pubsub_v1.types import PubsubMessage

    channel = Channels(configuration).pubsub_async()
    client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
    topic = Destination(configuration).topic

    async def publish(number: int) -> None:
        message = batch(number)
        await client.publish(topic=topic, messages=[PubsubMessage(data=encode(message), ordering_key=message.key)], timeout=10)

    return await _measured(publishes, publish)


async def client(configuration: Configuration, publishes: int) -> float:
    """google.cloud.pubsub_v1's PublisherClient, which gathers for 10 ms in threads of its own."""
    from google.cloud.pubsub_v1 import PublisherClient  # type: ignore[import-untyped]
    from google.cloud.pubsub_v1.types import PublisherOptions  # type: ignore[import-untyped]
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    transport = PublisherGrpcTransport(channel=Channels(configuration).pubsub())
    publisher = PublisherClient(publisher_options=PublisherOptions(enable_message_ordering=True), transport=transport)
    topic = Destination(configuration).topic

    async def publish(number: int) -> None:
        message = batch(number)
        await asyncio.wrap_future(publisher.publish(topic, encode(message), ordering_key=message.key))

    return await _measured(publishes, publish)


async def _measured(publishes: int, publish: Callable[[int], Awaitable[object]]) -> float:
    """Milliseconds of this process's CPU for each publish, once it is warm."""
    await _at_once(publishes // 5, publish)
    began = time.process_time()
    await _at_once(publishes, publish)
    return (time.process_time() - began) / publishes * 1000


async def keys(configuration: Configuration, publishes: int) -> float:
    """Milliseconds until one publish with so many keys is confirmed."""
    publisher = GooglePublisher(Channels(configuration), configuration, SystemClock(), deadline_s=60)
    messages = [Message(1, "change", "bench", f"a.{number}", "r", 0.0) for number in range(publishes)]
    await publisher.publish(messages[:1])
    began = time.monotonic()
    await publisher.publish(messages)
    return (time.monotonic() - began) * 1000


WAYS = {way.__name__: way for way in (floor, ours, async_client, client)}


def in_a_process(way: str, project: str, publishes: int) -> float:
    """One measurement, without what others have loaded or keep running."""
    program = [sys.executable, "-m", "bench.publishing", "--way", way, "--project", project, "--publishes", str(publishes)]
    return float(json.loads(subprocess.run(program, capture_output=True, check=True).stdout))


def import_ms(program: str) -> float:
    """From the start of a process to the end of its imports."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (time.monotonic() - began) * 1000


def _configuration(project: str) -> Configuration:
    return replace(read(), google_cloud_project=project)


def _made_topic(configuration: Configuration) -> None:
    from google.pubsub_v1.types import Topic

    create: Any = Channels(configuration).pubsub().unary_unary("/google.pubsub.v1.Publisher/CreateTopic")
    create(Topic.serialize(Topic(name=Destination(configuration).topic)), timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publishes", type=int, default=1_000)
    parser.add_argument("--way", choices=[*WAYS, keys.__name__], help="one measurement, in this process")
    parser.add_argument("--project", default=f"bench-{uuid.uuid4().hex[:12]}")
    arguments = parser.parse_args()
    configuration = _configuration(arguments.project)
    if not configuration.pubsub_emulator:
        parser.error("PUBSUB_EMULATOR_HOST must name the Pub/Sub emulator.")
    if arguments.way:
        print(json.dumps(asyncio.run({**WAYS, keys.__name__: keys}[arguments.way](configuration, arguments.publishes))))
        return
    _made_topic(configuration)
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(ROUNDS):  # in turns, so that what else the machine does hits all of them
        for way, values in cpu.items():
            values.append(in_a_process(way, arguments.project, arguments.publishes))
        for name, values in imports.items():
            values.append(import_ms(IMPORTS[name]))
    least = min(cpu["floor"])
    of_cpu = {way: {"min": min(values), "max": max(values), "x floor": min(values) / least} for way, values in cpu.items()}
    of_keys = {f"{number} keys": spread([in_a_process("keys", arguments.project, number) for _ in range(3)]) for number in KEYS}
    of_imports = {name: spread(values) for name, values in imports.items()}
    print(f"CPU of a confirmed publish, {MUTATIONS} mutations, {AT_ONCE} at once, milliseconds")
    print_table(of_cpu)
    print("One publish with so many keys, until all are confirmed, milliseconds")
    print_table(of_keys)
    print("From the start of a process to the end of its imports, milliseconds")
    print_table(of_imports)
    write_results("publishing", {**of_cpu, **of_keys, **{f"import {name}": row for name, row in of_imports.items()}})


if __name__ == "__main__":
    main()

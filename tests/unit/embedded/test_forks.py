"""SQLite does not survive a fork: connections, threads and what is pending stay with the parent."""

from __future__ import annotations

from pathlib import Path

from relay.backends.embedded import EmbeddedBackend
from tests.unit.embedded.programs import output


def test_parent_and_child_both_go_on_after_a_fork(backend: EmbeddedBackend, state_dir: Path) -> None:
    output(
        state_dir,
        """
backend.queue.publish([message("before")])
child = os.fork()
backend.queue.publish([message("child" if child == 0 else "parent")])
if child == 0:
    backend.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
backend.queue.publish([message("after")])
backend.close()
""",
    )
    keys = []
    while (leased := backend.queue.take()) is not None:
        keys.append(leased.key)
    assert sorted(keys) == ["pangolin/after", "pangolin/before", "pangolin/child", "pangolin/parent"]


def test_a_publisher_used_before_a_fork_works_in_the_child(backend: EmbeddedBackend, state_dir: Path) -> None:
    output(
        state_dir,
        """
import asyncio
publisher = backend.publisher()
if os.fork() == 0:
    async def publish():
        await publisher.publish([message("child")])
        await publisher.close()
    asyncio.run(publish())
    os._exit(0)
assert os.wait()[1] == 0
""",
    )
    assert backend.queue.depth().messages == 1


def test_a_child_forked_while_another_thread_was_connected_refuses_to_work(backend: EmbeddedBackend, state_dir: Path) -> None:
    written = output(
        state_dir,
        """
connected, done = threading.Event(), threading.Event()
def hold():
    backend.queue.depth()
    connected.set()
    done.wait()
thread = threading.Thread(target=hold)
thread.start()
connected.wait()
if os.fork() == 0:
    try:
        backend.queue.publish([message("child")])
    except StoreUnavailable as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
done.set()
thread.join()
backend.queue.publish([message("parent")])
""",
    )
    assert "forked" in written
    assert backend.queue.depth().messages == 1

"""Closing while others are at work: SQLite ends the process if a connection is closed under the feet of another thread."""

from __future__ import annotations

from pathlib import Path

from relay.backends.embedded import EmbeddedBackend
from tests.contract.backends.given import message
from tests.unit.embedded.programs import output

_WORK = """
def closing_during(work):
    begun = threading.Event()
    def run():
        try:
            print(work(begun.set), flush=True)
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    backend.close()
    thread.join()
"""


def _output(state_dir: Path, program: str) -> str:
    return output(state_dir, _WORK + program)


def test_closing_during_a_query_of_another_thread_lets_it_end(state_dir: Path) -> None:
    written = _output(
        state_dir,
        """
def query(begun):
    def told():
        begun()
        return 0
    backend.database.connection().set_progress_handler(told, 1000)
    many = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000) SELECT count(*) FROM n"
    return backend.database.row(many)[0]
closing_during(query)
""",
    )
    assert written == "1000000\n"


def test_closing_during_a_transaction_of_another_thread_lets_it_commit(backend: EmbeddedBackend, state_dir: Path) -> None:
    written = _output(
        state_dir,
        """
closed = threading.Event()
def publish(begun):
    from relay.backends.embedded.messages import append, rows_of
    with backend.database.transaction() as connection:
        append(connection, rows_of([message("during")]), now=0.0)
        begun()
        closed.wait()
    return "committed"
original = backend.database.close
def close():
    original()
    closed.set()
backend.database.close = close
closing_during(publish)
backend.queue.publish([message("after")])
print(len(backend.database._all))
""",
    )
    assert written == "committed\n1\n", "the connection that was in use was closed by its thread"
    assert backend.queue.depth().messages == 2


def test_closing_again_and_again_while_threads_publish_and_read_loses_nothing(
    backend: EmbeddedBackend, state_dir: Path
) -> None:
    output(
        state_dir,
        """
def work():
    for number in range(40):
        backend.queue.publish([message(f"a.{threading.get_ident()}.{number}")])
        backend.audiences.all()
        backend.queue.depth()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    backend.database.close()
    time.sleep(0.001)
backend.close()
assert not backend.database._all
""",
    )
    assert backend.queue.depth().messages == 160


def test_a_connection_that_nobody_uses_is_closed_at_once(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])
    backend.close()
    assert not (state_dir / "relay.db-wal").exists(), "SQLite removes it with the last connection"

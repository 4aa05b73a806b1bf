"""What a local run says, and the bar below it."""

from __future__ import annotations

import io

import pytest

from relay.local_run.terminal import Terminal


class Screen(io.StringIO):
    """A terminal, or a pipe; closed, it is one that nobody reads."""

    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def never() -> None:
    raise AssertionError("somebody reads")


def test_a_line_does_not_tear_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(tty=True)
    terminal = Terminal(never, out=screen)

    terminal.show_bar(1, 2)
    terminal.pass_on("worker", "trouble")
    terminal.end_bar()
    terminal.say("done")

    bar = "  [###############---------------] 1 of 2 requests"
    clear = "\r\x1b[K"
    assert screen.getvalue() == f"{bar}{clear}worker   | trouble\n{bar}{clear}done\n"


def test_a_pipe_gets_no_bar() -> None:
    screen = Screen(tty=False)
    terminal = Terminal(never, out=screen)

    terminal.show_bar(1, 2)
    terminal.say("done")

    assert screen.getvalue() == "done\n"


def test_when_nobody_reads_any_more_it_is_told() -> None:
    screen = Screen(tty=True)
    lost: list[bool] = []
    terminal = Terminal(lambda: lost.append(True), out=screen)
    screen.close()

    terminal.say("into the void")

    assert lost == [True]

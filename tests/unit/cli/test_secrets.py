"""`diy secrets`: values go in, and never come out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.unit.cli.conftest import Diy

ROOT = Path(__file__).parents[3]


def current(diy: Diy, name: str) -> tuple[str, ...]:
    with diy.backend() as backend:
        return backend.secrets.get(name)


@pytest.mark.parametrize("piped", ["the value", "the value\n", "the value\r\n"])
def test_a_value_is_read_from_standard_input_without_its_line_end(diy: Diy, piped: str) -> None:
    result = diy("secrets", "set", "pangolin-token", input=piped)
    assert current(diy, "pangolin-token") == ("the value",)
    assert "the value" not in result.output


@pytest.mark.parametrize("piped", ["", "\n", "one\ntwo\n", " padded "])
def test_what_cannot_be_a_value_is_refused(diy: Diy, piped: str) -> None:
    result = diy("secrets", "set", "pangolin-token", input=piped)
    assert result.exit_code == 2
    assert "padded" not in result.output


def test_what_is_not_text_is_refused_and_not_repeated(diy: Diy) -> None:
    result = diy("secrets", "set", "pangolin-token", input=b"\xff\xfevalue-to-keep")
    assert result.exit_code == 2
    assert "value-to-keep" not in result.output


PEM = "-----BEGIN PRIVATE KEY-----\nMIIabc\nXYZ=\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("written", [PEM, PEM.replace("\n", "\r\n"), PEM.removesuffix("\n")])
@pytest.mark.parametrize("verb", ["set", "rotate"])
def test_a_private_key_is_read_from_its_file_and_becomes_one_line(diy: Diy, written: str, verb: str) -> None:
    file = diy.directory / "key.pem"
    file.write_bytes(written.encode())
    diy("secrets", "set", "acme-key", input="before")
    result = diy("secrets", verb, "acme-key", "--file", str(file))
    assert result.exit_code == 0
    assert current(diy, "acme-key")[0] == r"-----BEGIN PRIVATE KEY-----\nMIIabc\nXYZ=\n-----END PRIVATE KEY-----"
    assert "MIIabc" not in result.output


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"\xff\xfevalue-to-keep", b"", b"\n"])
def test_a_file_that_holds_no_value_is_refused_and_not_repeated(diy: Diy, content: bytes) -> None:
    file = diy.directory / "value.txt"
    file.write_bytes(content)
    result = diy("secrets", "set", "acme-key", "--file", str(file))
    assert result.exit_code == 2
    assert "value-to-keep" not in result.output
    assert "two" not in result.output


def test_a_value_comes_from_one_place(diy: Diy) -> None:
    file = diy.directory / "value.txt"
    file.write_text("value")
    assert diy("secrets", "set", "acme-key", "--generate", "--file", str(file)).exit_code == 2


def test_at_a_terminal_a_value_is_asked_for_twice_and_not_echoed(diy: Diy) -> None:
    # A process of its own gives the command a controlling terminal, without forking this one.
    terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    command = [sys.executable, "-c", terminal, sys.executable, "-m", "relay.cli", "secrets", "set", "pangolin-token"]
    environment = {"STATE_DIR": str(diy.state), "PATH": "", "TERM": "dumb"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        for prompt in (b"Value of pangolin-token: ", b"Repeat for confirmation: "):
            while not seen.endswith(prompt):
                letter = process.stdout.read(1)
                assert letter, seen
                seen += letter
            process.stdin.write(b"typed-value\n")
            process.stdin.flush()
        seen += process.stdout.read()
    assert process.returncode == 0, seen
    assert b"typed-value" not in seen
    assert current(diy, "pangolin-token") == ("typed-value",)


def test_a_value_is_no_argument(diy: Diy) -> None:
    assert diy("secrets", "set", "pangolin-token", "the-value").exit_code == 2


def test_setting_forgets_the_value_before(diy: Diy) -> None:
    diy.fine("secrets", "set", "pangolin-token", input="old")
    diy.fine("secrets", "set", "pangolin-token", input="new")
    assert current(diy, "pangolin-token") == ("new",)


def test_rotating_keeps_the_value_before_until_it_is_retired(diy: Diy) -> None:
    diy.fine("secrets", "set", "pangolin-hmac", input="old")
    diy.fine("secrets", "rotate", "pangolin-hmac", input="new")
    assert current(diy, "pangolin-hmac") == ("new", "old")
    diy.fine("secrets", "retire", "pangolin-hmac")
    assert current(diy, "pangolin-hmac") == ("new",)


def test_a_secret_that_is_not_set_cannot_be_rotated(diy: Diy) -> None:
    diy.apply()
    assert diy("secrets", "rotate", "nothing", input="new").exit_code == 1


def test_who_generates_a_secret_for_notices_is_told_that_nobody_can_read_it(diy: Diy) -> None:
    document = msgspec.yaml.decode((ROOT / "connectors" / "pangolin.yaml").read_bytes())
    document["notify"] = {"webhook": "https://hooks.example/", "secret": "hook-secret"}
    assert diy("connectors", "apply", "-", input=msgspec.yaml.encode(document).decode()).exit_code == 0

    assert "choose a value yourself" in diy("secrets", "set", "hook-secret", "--generate").stderr
    assert "activation NAME --show-secrets" in diy("secrets", "set", "pangolin-hmac", "--generate").stderr


def test_a_generated_value_is_long_new_each_time_and_not_printed(diy: Diy) -> None:
    values = set()
    for _ in range(2):
        result = diy("secrets", "set", "pangolin-hmac", "--generate")
        (value,) = current(diy, "pangolin-hmac")
        assert len(value) >= 40
        assert value not in result.output
        values.add(value)
    assert len(values) == 2


def test_a_rotated_secret_reaches_the_receiver_at_once(diy: Diy) -> None:
    diy.apply()
    diy.fine("secrets", "rotate", "pangolin-hmac", input="the next one")
    with diy.backend() as backend:
        document = backend.inbound.read()
    assert document is not None
    assert document.connectors[0].hmac_secrets == ("the next one", "an-hmac-secret")


def test_the_list_shows_what_is_set_and_what_is_only_named(diy: Diy) -> None:
    diy.fine("connectors", "apply", diy.document())
    diy.fine("secrets", "set", "pangolin-token", input="a-value-to-keep")
    listed = {one["name"]: (one["set"], one["used_by"]) for one in diy.json("secrets", "list")}
    assert listed == {
        "pangolin-basic": (False, ["pangolin"]),
        "pangolin-hmac": (False, ["pangolin"]),
        "pangolin-token": (True, ["pangolin"]),
    }
    assert "a-value-to-keep" not in diy("secrets", "list").output


def test_setting_a_secret_that_no_connector_names_says_so(diy: Diy) -> None:
    diy.apply()
    typo = diy("secrets", "set", "pangolin-tokn", input="value")
    assert typo.exit_code == 0
    assert "No connector that runs names it. Did you mean 'pangolin-token'?" in typo.stderr
    assert "No connector" not in diy("secrets", "set", "pangolin-token", input="value").stderr


def test_a_secret_is_deleted_after_asking(diy: Diy) -> None:
    diy.apply()
    diy.fine("secrets", "set", "pangolin-tokn", input="value")
    assert diy("secrets", "delete", "pangolin-tokn", input="n\n").exit_code == 1
    assert current(diy, "pangolin-tokn") == ("value",)
    diy.fine("secrets", "delete", "pangolin-tokn", "--yes")
    assert current(diy, "pangolin-tokn") == ()
    assert diy("secrets", "delete", "pangolin-tokn", "--yes").exit_code == 1


@pytest.mark.parametrize("name", ["pangolin-hmac", "pangolin-basic", "pangolin-token"])
def test_a_secret_that_a_connector_names_is_not_deleted(diy: Diy, name: str) -> None:
    diy.apply()
    result = diy("secrets", "delete", name, "--yes")
    assert result.exit_code == 1
    assert f"'{name}' is named by pangolin" in result.stderr
    assert current(diy, name)

"""What is uploaded: what the functions need and nothing else, by gcloud and by browser alike."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy import package
from tests.deploy.scripts import REAL_GCLOUD, ROOT, needs_gcloud

FUNCTIONS = ("diy", "create", "deliver", "tick", "console", "external_feed")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as Google has it."""
    directory = tmp_path_factory.mktemp("package")
    package.pack(directory / "diy-relay.zip")
    with zipfile.ZipFile(directory / "diy-relay.zip") as archive:
        archive.extractall(directory / "source")
    return directory / "source"


@needs_gcloud
def test_the_zip_holds_what_gcloud_uploads(tmp_path: Path) -> None:
    words = [REAL_GCLOUD or "gcloud", "meta", "list-files-for-upload", str(ROOT)]
    environment = {"PATH": os.environ["PATH"], "CLOUDSDK_CONFIG": str(tmp_path)}
    listed = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert package.files() == sorted(listed)


def test_it_is_the_code_and_nothing_else() -> None:
    names = package.files()

    tops = {"main.py", "requirements.txt", "adapters", "handlers", "relay", "worker"}
    assert {name.partition("/")[0] for name in names} == tops
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/." in name] == []
    assert "relay/console/templates/home.html" in names


def test_what_git_does_not_know_stays_out(tmp_path: Path) -> None:
    for name in (
        "relay/__pycache__/x.pyc",
        "relay/.secret",
        "relay/x.py~",
        ".state/relay.sqlite",
        "tests/test_x.py",
        "relay/x.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gcloudignore").write_text((ROOT / ".gcloudignore").read_text())

    assert package.files(tmp_path) == ["relay/x.py"]


@pytest.mark.parametrize("rules", ["", "!/relay/\n", "/*\n!/relay/console/\n", "/*\n!relay\n", "/*\nrelay/console\n"])
def test_rules_that_are_no_allow_list_are_refused(tmp_path: Path, rules: str) -> None:
    (tmp_path / ".gcloudignore").write_text(rules)

    with pytest.raises(ValueError, match="gcloudignore"):
        package.files(tmp_path)


def test_the_same_content_gives_the_same_zip(tmp_path: Path) -> None:
    for directory in ("a", "b"):
        (tmp_path / directory / "relay").mkdir(parents=True)
        (tmp_path / directory / ".gcloudignore").write_text("/*\n!/relay/\n")
        (tmp_path / directory / "relay" / "x.py").write_text("x = 1\n")
        os.utime(tmp_path / directory / "relay" / "x.py", (0, 0) if directory == "a" else None)
        package.pack(tmp_path / f"{directory}.zip", tmp_path / directory)

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_starts_from_the_package_alone(unpacked: Path, name: str) -> None:
    """As the buildpack's server loads it, with nothing of this directory within reach; what is installed is what is pinned."""
    code = f"""
import sys
sys.path[:] = [path for path in sys.path if path != {str(ROOT)!r}]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
from functions_framework import create_app
create_app({name!r}, "main.py")
import relay.functions
print(relay.functions.__file__)
"""
    environment = {
        "PATH": os.environ["PATH"],
        "BACKEND": "google",
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "GOOGLE_CLOUD_REGION": "europe-west1",
        "K_SERVICE": f"diy-relay-{name}",
        "FUNCTION_TARGET": name,
        "IAP_AUDIENCE": "/projects/1/locations/europe-west1/services/diy-relay-console",
        "FEED_ACCESS": "iam",
        "INBOUND_FILE": "/secrets/inbound/document",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    started = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=unpacked, env=environment, capture_output=True, text=True
    )

    assert started.returncode == 0, started.stderr
    assert Path(started.stdout.strip()).is_relative_to(unpacked)

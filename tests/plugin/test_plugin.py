"""A third party's package: it is installed as one, tests itself with our suites, and works in the command line.

Its page `docs/plugins.md` shows the very files. To write them into it anew: EVALUATOR_WRITE_TRANSCRIPTS=1.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.testing.peers import nobody
from evaluator.testing.wire import Heard, Reply, WireServer

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).parent / "package"
PAGE = ROOT / "docs" / "plugins.md"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.suffix in {".py", ".toml"})

SETTINGS = """
[sources.search]
type    = "elasticsearch"
url     = "{url}"
api_key = "s3cret-api-key"

[notifiers.journal]
type = "journal"
path = "journal.jsonl"
"""
RULES = """
[rule.search-red]
source   = "search"
query    = "status"
severity = "P1"
at_least = 2
summary  = "The cluster {cluster} is red"
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Install the package into a folder of its own, without a network, and run Python where it is installed."""
    work = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(PACKAGE, work / "source", ignore=shutil.ignore_patterns("__pycache__"))
    target = work / "site"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=source,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    options = "-qq --disable-pip-version-check --no-input --no-index --no-deps --no-build-isolation --target"
    done = python("-m", "pip", "install", *options.split(), str(target), str(source))
    assert done.returncode == 0, done.stderr
    # What is tested is what was installed.
    shutil.rmtree(source / "evaluator_acme")
    return python


def test_the_page_shows_the_package() -> None:
    text = PAGE.read_text()
    shown = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)```\n", text, re.MULTILINE | re.DOTALL))
    # `__init__.py` says nothing that a reader needs.
    assert sorted(shown) == sorted(name for name in FILES if not name.endswith("__init__.py"))
    for name, code in shown.items():
        if os.environ.get("EVALUATOR_WRITE_TRANSCRIPTS"):
            text = text.replace(code, (PACKAGE / name).read_text())
            PAGE.write_text(text)
        else:
            assert code == (PACKAGE / name).read_text(), name


def test_the_package_passes_our_suites_where_it_is_installed(run: Run) -> None:
    done = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "test_acme.py"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None
    assert int(found[1]) > 40
    assert "skipped" not in done.stdout


def test_the_types_are_known_to_the_command_line(run: Run, tmp_path: Path) -> None:
    def cluster(heard: Heard) -> Reply:
        assert heard.headers["authorization"] == "ApiKey s3cret-api-key"
        return Reply(200, json.dumps({"status": "red", "cluster_name": "search"}).encode())

    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "search.toml").write_text(RULES)
    config = tmp_path / "evaluator.toml"

    def evaluator(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = run("-m", "evaluator", *arguments, "--config", str(config))
        assert "Traceback" not in done.stderr
        assert "s3cret" not in done.stdout + done.stderr
        return done

    with WireServer(cluster) as server:
        config.write_text(SETTINGS.format(url=server.url))
        checked, asked, well = evaluator("check"), evaluator("eval", "search-red"), evaluator("doctor", "search")
    assert checked.returncode == 0, checked.stdout
    assert asked.returncode == 0, asked.stdout
    assert re.search(r"cluster=search +2 +breach", asked.stdout)
    assert well.returncode == 0
    assert "search answers, and is red" in well.stdout
    config.write_text(SETTINGS.format(url=f"http://127.0.0.1:{nobody()}"))
    ill = evaluator("doctor", "search")
    assert ill.returncode == 1
    assert "nobody listens there" in ill.stdout
    assert "mend: start it, or correct `url`" in ill.stdout

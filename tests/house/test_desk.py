"""The desk: locked dependencies, reasons beside exceptions, targets that are CI's steps, an image of the same steps."""

import http.server
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.repository import ROOT, entry_points, project

LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]


def locked(path: Path) -> dict[str, str]:
    """Return the version of each package of a lock file."""
    pins = re.findall(r"^([\w.\-]+)(?:\[.*\])?==([^\s;]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each on one line."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_locked_packages_carry_hashes_and_name_no_index(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"^--|://", text, re.MULTILINE)
    for pin in re.split(r"^(?=[\w.\-]+(?:\[.*\])?==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin, pin


def test_the_lock_files_hold_what_the_project_asks_for() -> None:
    runtime, whole = (locked(path) for path in LOCKS)
    assert runtime.items() <= whole.items()
    wanted = {"requirements.lock": project()["project"]["dependencies"]}
    wanted["requirements-dev.lock"] = [each for group in project()["dependency-groups"].values() for each in group]
    for pins, lines in ((runtime, wanted["requirements.lock"]), (whole, wanted["requirements-dev.lock"])):
        for requirement in map(Requirement, lines):
            version = pins.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not locked: make lock"
            assert requirement.specifier.contains(version), f"{requirement} but {version} is locked: make lock"


def test_each_exception_to_a_tool_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    ruff = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-tidy-imports]")]
    for line in re.findall(r'^  "[A-Z]+\d*",?.*$', ruff, re.MULTILINE):
        assert "#" in line, line


def test_continuous_integration_calls_the_targets() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    assert {"install", "lint", "test", "coverage", "wheel"} <= set(re.findall(r"^make ([a-z]+)", run, re.MULTILINE))
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


@pytest.mark.parametrize("script", ["run", "components"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / ".ci" / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True)


def test_the_image_copies_only_what_is_there_and_let_through() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for word, rest in instructions():
        if word == "COPY" and "--from=" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source.rstrip("/") in let_through, f".dockerignore keeps {source} from the engine"


def test_the_image_runs_without_root_and_hears_signals() -> None:
    words = dict(instructions())
    assert words["USER"] == "10001:10001"
    assert words["STOPSIGNAL"] == "SIGTERM"
    for word in ("ENTRYPOINT", "CMD"):
        assert words[word].startswith("["), f"{word} in exec form, so that the daemon itself is process 1"
    assert words["VOLUME"] == '["/var/lib/evaluator"]'
    assert all("slim" in rest and ":3.11" in rest for word, rest in instructions() if word == "FROM")


def test_the_image_is_built_by_the_steps_that_ci_takes() -> None:
    """Where no engine can build it, the same pip lines still run in every CI: they are those of `.ci/run`."""
    run = (ROOT / ".ci" / "run").read_text().replace('"$root/', "").replace('.lock"', ".lock")
    steps = [rest for word, rest in instructions() if word == "RUN"]
    for step in (part for rest in steps for part in rest.split("&&") if " install " in part and "pip" in part):
        arguments = step.split(" install ", 1)[1].strip()
        if arguments.startswith("--"):
            assert f"install {arguments}" in run, arguments


def test_the_image_builds_its_wheel_from_what_it_copies(tmp_path: Path) -> None:
    for word, rest in instructions():
        if word == "COPY" and "--from=" not in rest:
            *sources, place = rest.split()
            for source in sources if not place.startswith("/") else []:
                into = tmp_path / place / ("" if source.endswith("/") else Path(source).name)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    into.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, into)
    steps = [part.strip() for word, rest in instructions() if word == "RUN" for part in rest.split("&&")]
    (step,) = [step for step in steps if step.startswith("python -m hatchling ")]
    done = subprocess.run(
        [sys.executable, *shlex.split(step)[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in (tmp_path / "dist").iterdir()] == [".whl"]


def test_the_settings_of_the_image_are_those_that_ship_but_for_two_lines() -> None:
    step = next(rest for word, rest in instructions() if word == "RUN" and "sed" in rest)
    words = shlex.split(step[step.index("sed") :])
    expressions = [words[place + 1] for place, word in enumerate(words) if word == "-e"]
    done = subprocess.run(
        ["sed", *(part for each in expressions for part in ("-e", each)), ROOT / "evaluator.toml"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'url = "sqlite:////var/lib/evaluator/evaluator.db"' in re.sub(r" +", " ", done)
    assert 'listen = "0.0.0.0:9464"' in re.sub(r" +", " ", done)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_image_tells_whether_it_is_healthy(status: int, healthy: bool) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    check = next(rest for word, rest in instructions() if word == "HEALTHCHECK")
    _python, *arguments = json.loads(check[check.index("[") :])
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        words = [each.replace(":9464", f":{server.server_port}") for each in arguments]
        done = subprocess.run([sys.executable, *words], capture_output=True, check=False, timeout=30)
    assert (done.returncode == 0) is healthy


def test_the_image_builds_where_an_engine_answers() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode != 0:
        # Nothing is left out: the tests above and the wheel of `.ci/run` take the same steps without an engine.
        return
    subprocess.run([docker, "build", "--quiet", "--tag", "evaluator:house", ROOT], check=True, timeout=600)
    told = subprocess.run(
        [docker, "run", "--rm", "evaluator:house", "check"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_built_in_plugins_come_through_the_entry_points_of_third_parties() -> None:
    assert {"host", "prometheus", "redis"} <= set(entry_points("evaluator.sources"))
    assert {"console", "pagerduty"} <= set(entry_points("evaluator.notifiers"))

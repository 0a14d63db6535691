"""The unit: well-formed, as closed as promised, and open where the host source looks."""

import re
import subprocess
from pathlib import Path

from tests.house.repository import ROOT

UNIT = ROOT / "systemd" / "evaluator.service"
EXPOSURE = 1.5


def settings() -> dict[str, list[str]]:
    """Return the unit's settings; a key may be there more than once."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/evaluator/bin/evaluator", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_is_as_closed_as_promised() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = re.search(r"Overall exposure level for evaluator\.service: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= EXPOSURE, done.stdout


def test_the_host_source_still_sees_the_machine() -> None:
    unit = settings()
    assert unit["ProcSubset"] == ["all"], "/proc/stat, meminfo, loadavg and net/dev"
    assert unit["ProtectHome"] == ["read-only"], "a hidden home has another size"
    assert "PrivateNetwork" not in unit, "interfaces and everything that is polled"


def test_stopping_outlasts_the_drain_and_a_wrong_setting_is_not_tried_again() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert int(unit["TimeoutStopSec"][0]) > 10
    assert int(unit["WatchdogSec"][0]) >= 30
    assert unit["RestartPreventExitStatus"] == ["2"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_crashes_are_tried_again_for_ever() -> None:
    unit = settings()
    tries = int(unit["StartLimitIntervalSec"][0]) / int(unit["RestartSec"][0])
    assert tries < int(unit["StartLimitBurst"][0]), "the limit must not be reached by restarts alone"

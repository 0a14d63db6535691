"""What a rule may ask of this machine, and the settings of the source `host`.

This module knows the words. It never reads the machine.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluator.sources.fields import Options, Seconds, Strict, refuse_idle_options

Measure = Literal[
    "up",
    "cpu",
    "memory",
    "memory_available",
    "swap",
    "load",
    "disk",
    "disk_free",
    "disk_inodes",
    "network_errors",
    "network_drops",
    "network_bytes",
    "uptime",
    "processes",
]

DISKS = frozenset({"disk", "disk_free", "disk_inodes"})
"""Measures with a series for each mounted file system."""
NETWORK = frozenset({"network_errors", "network_drops", "network_bytes"})
"""Measures with a series for each network interface; all of them are growing counts."""

_OPTIONS: Options = {
    "mount": (DISKS, "the disk measures"),
    "each": (frozenset({"cpu"}), "cpu"),
    "minutes": (frozenset({"load"}), "load"),
    "per_core": (frozenset({"load"}), "load"),
    "interface": (NETWORK, "the network measures"),
    "direction": (NETWORK, "the network measures"),
    "per": (NETWORK, "growing counts (the network measures)"),
}


class HostSettings(Strict):
    """Settings of `type = "host"`."""

    timeout: Seconds = Field(
        10.0, description="A poll that takes longer has failed (a network file system that hangs)."
    )
    host: str | None = Field(
        None,
        min_length=1,
        description="Adds the label `host` with this text to every series. Not set: no such label, since the name "
        "that "
        "a container or a cloud gives a machine may change, and the identity of a series must not.",
    )


class HostQuery(Strict):
    """What a rule asks: `query = { measure = "disk", mount = "/" }`, or `query = "cpu"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `cpu`, `memory`, `swap`, `disk`, `disk_inodes` (percent used, 0 to 100), "
        "`load` (runnable processes, per core), "
        "`memory_available`, `disk_free` (bytes), `network_errors`, `network_drops` (packets), "
        "`network_bytes` (bytes), `uptime` (seconds), `processes` (count), `up` (1)."
    )
    mount: str | tuple[str, ...] = Field(
        "*",
        description="Disk measures: where the file system is mounted, a list of such, or `*` for all; `*` and `?` "
        "match as in a shell. A mount that is named exactly and is not there is a failed poll.",
    )
    each: bool = Field(default=False, description="cpu: `true` for a series for each logical CPU (label `cpu`).")
    minutes: Literal[1, 5, 15] = Field(5, description="load: over how many minutes the system averages it.")
    per_core: bool = Field(
        default=True, description="load: divided by the number of logical CPUs; `false`: as `uptime` shows it."
    )
    interface: str = Field("*", description="Network measures: the interface's name; `*` and `?` match as in a shell.")
    direction: Literal["in", "out", "both"] = Field(
        "both", description="Network measures: which way; `both` is the sum."
    )
    per: Seconds | None = Field(
        None,
        description='Network measures: the growth in this time (`"1m"`: a minute) instead of the count since boot.',
    )

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        return self

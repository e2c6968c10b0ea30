"""The source `hwmon`: the kernel's hardware monitors and thermal zones, asked for at a steady pace.

Each answer is a message: a row for the decoder `scans`, in the channels' units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from edge.protocol import Key, SourceConfig
from edge.sources.hwmon.inputs import Inputs, Wanted
from edge.sources.sysfs import SysfsSource, poll_ns, texts_by_channel
from ingest.errors import UsageError

_EXAMPLE = '"cpu_thermal.temp1"'


class HwmonSource(SysfsSource):
    """Polls inputs."""

    keys: ClassVar[Mapping[str, Key]] = {
        "inputs": Key(
            "table of inputs by channel",
            "Where a channel's value comes from: `chip.input` or `chip.label`, as `sensors` lists them; of several "
            "chips of one name `chip@place.input`. `thermal.TYPE` is a thermal zone.",
            '{ cpu = "cpu_thermal.temp1" }',
            synonyms=("sensors", "input", "chips"),
        ),
        "poll": Key("duration", "How often they are asked.", '"10s"', "1s", ("interval", "period", "every")),
    }

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        inputs = texts_by_channel(config, "inputs", _EXAMPLE)
        for channel, text in inputs.items():
            wanted = Wanted.of(text)
            if not wanted.chip or not wanted.input:
                raise UsageError(
                    f'{config.where}: inputs: {channel}: found "{text}", expected a chip and its input, as in '
                    f"{_EXAMPLE}"
                )
        return cls(Inputs(inputs, config.channels), poll_ns(config, "1s"))

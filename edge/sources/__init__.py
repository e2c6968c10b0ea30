"""Sources by name; a module is imported when a configuration names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from edge.plugins import plugin
from edge.protocol import Source, SourceConfig
from edge.sources.sharing import Shared

SOURCES: Final[dict[str, str]] = {
    "exec": "edge.sources.exec.source:ExecSource",
    "gpio": "edge.sources.gpio.source:GpioSource",
    "gpsd": "edge.sources.gpsd.source:GpsdSource",
    "hwmon": "edge.sources.hwmon.source:HwmonSource",
    "i2c": "edge.sources.i2c.source:I2cSource",
    "iio": "edge.sources.iio.source:IioSource",
    "modbus": "edge.sources.modbus.source:ModbusSource",
    "mqtt": "edge.sources.mqtt.source:MqttSource",
    "onewire": "edge.sources.onewire.source:OnewireSource",
    "replay": "edge.sources.replay.source:ReplaySource",
    "serial": "edge.sources.serial.source:SerialSource",
    "sparkplug": "edge.sources.sparkplug.source:SparkplugSource",
}
DECODERS: Final[dict[str, str]] = {
    **dict.fromkeys(("gpio", "hwmon", "i2c", "iio", "sparkplug"), "scans"),
    "onewire": "w1",
}
"""The decoder of those that know what a sample is: their tables name none."""
KERNEL: Final = ("gpio", "iio")
"""Those of them that read records which the kernel has stamped, unless they are told to `poll`."""


def source_type(name: str, where: str) -> type[Source]:
    """The source class of that name. Raises `UsageError` where there is none, or its library is missing."""
    found: type[Source] = plugin("source", SOURCES, name, where)
    return found


def _new(config: SourceConfig) -> Source:
    return source_type(config.type, config.where).from_config(config)


def sources_of(configs: Sequence[SourceConfig], new: Callable[[SourceConfig], Source] = _new) -> list[Source]:
    """The source of each table, in their order; tables with tags on one port share one. Raises `UsageError`."""
    found, shared = list[Source](), dict[str, Iterator[Source]]()
    for config in configs:
        port = config.options.get("port", "") if config.tag else ""
        if not port:
            found.append(new(config))
            continue
        if port not in shared:
            from edge.sources.serial.source import SerialSource

            both = [other for other in configs if other.tag and other.options.get("port") == port]
            shared[port] = iter(Shared(SerialSource.of_all(both), len(both)).views)
        found.append(next(shared[port]))
    return found

"""Sources by name; a module is imported when a configuration names it."""

from __future__ import annotations

from typing import Final

from edge.protocol import Source, plugin

SOURCES: Final[dict[str, str]] = {
    "exec": "edge.sources.exec.source:ExecSource",
    "gpio": "edge.sources.gpio.source:GpioSource",
    "gpsd": "edge.sources.gpsd.source:GpsdSource",
    "i2c": "edge.sources.i2c.source:I2cSource",
    "modbus": "edge.sources.modbus.source:ModbusSource",
    "mqtt": "edge.sources.mqtt.source:MqttSource",
    "replay": "edge.sources.replay.source:ReplaySource",
    "serial": "edge.sources.serial.source:SerialSource",
    "sparkplug": "edge.sources.sparkplug.source:SparkplugSource",
}
DECODERS: Final[dict[str, str]] = {"gpio": "scans", "i2c": "scans", "sparkplug": "scans"}
"""The decoder of those that know what a sample is: their tables name none."""
KERNEL: Final = ("gpio",)
"""Those of them that read records which the kernel has stamped."""


def source_type(name: str, where: str) -> type[Source]:
    """The source class of that name. Raises `UsageError` where there is none, or its library is missing."""
    found: type[Source] = plugin("source", SOURCES, name, where)
    return found

"""The keys of agent.toml that are no source's and no decoder's own, and all of them as a text for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge.protocol import Key

TABLES: Final[Mapping[str, Mapping[str, Key]]] = {
    "": {
        "device": Key(
            "text",
            "Which device's streams these are; a source may say another one.",
            '"pump-7"',
            "the host's name",
            ("device_id", "id", "name", "host", "hostname"),
        ),
        "agent": Key("text", "Under which name the agent reports, for people.", '"pi-kitchen"', "the host's name"),
        "log": Key(
            "text",
            "Where the streams go: `kafka://host:9092`, or `segments:DIR`, a folder on this machine; a relative one "
            "starts from the configuration's folder.",
            '"kafka://127.0.0.1:9092"',
            synonyms=("url", "broker", "server", "kafka", "output", "sink", "bootstrap_servers"),
        ),
        "include": Key(
            "text, or list of texts",
            "Files of more sources and templates, or patterns of such; relative ones start from the configuration's "
            "folder, and paths in each from its own.",
            '"sources/*.toml"',
            "none",
            ("includes", "import", "imports"),
        ),
        "rules": Key(
            "text",
            "A file of event rules that run here too; a relative path starts from the configuration's folder.",
            '"rules.yaml"',
            "none",
            ("rule_file", "rules_file"),
        ),
    },
    "spool": {
        "dir": Key(
            "text",
            "The folder that holds what the log does not have yet: on a disk, and this agent's alone; a relative one "
            "starts from the configuration's folder.",
            '"/var/lib/sensorloom/spool"',
            synonyms=("path", "folder", "directory"),
        ),
        "max_bytes": Key("size", "How large it may become.", '"8GB"', "2GB", ("size", "max_size", "limit")),
        "max_age": Key("duration", "What is older is dropped.", '"30d"', "without bound", ("age", "retention")),
        "drop": Key(
            "one of oldest, newest, thin",
            "What a full one does: drops the oldest, refuses the newest, or thins what it has.",
            '"thin"',
            "oldest",
            ("policy", "drop_policy", "overflow"),
        ),
        "fsync_interval": Key(
            "duration",
            "How often what was read is made durable: so much is lost by a power cut. Shorter writes more.",
            '"5s"',
            "1s",
            ("fsync", "interval", "sync_interval", "flush_interval", "commit_interval"),
        ),
    },
    "chunk": {
        "span": Key(
            "duration", "How much time a chunk spans at most.", '"2s"', "1s", ("length", "duration", "seconds")
        ),
        "bytes": Key("size", "How large a chunk's values are at most.", '"64kB"', "32kB", ("size", "max_bytes")),
    },
    "recording": {
        "silence": Key(
            "duration", "So long without a sample ends a recording.", '"30min"', "10min", ("timeout", "idle", "gap")
        ),
        "set": Key(
            "table of texts",
            "What is so of every recording from now on, as in who wears the sensor: datasets are split by it. Names of "
            "a to z, 0 to 9 and _; up to 32 texts of one line, 200 characters each.",
            '{ subject = "u07", site = "B" }',
            "none",
            ("attributes", "tags", "labels", "meta", "metadata"),
        ),
    },
    "remote": {
        "allow": Key(
            "list of change, add, remove, command",
            "What may come through the log while the agent runs: a configuration that changes sources of this file, "
            "adds sources of its templates, or leaves sources out; commands that a source's `commands` name. Programs, "
            "secrets, files and addresses never do.",
            '["change", "command"]',
            "nothing",
            ("enable", "enabled", "permit", "may"),
        ),
        "keys": Key(
            "list of texts",
            "Which keys of sources a configuration may set.",
            '["rate", "scale", "expect"]',
            "all that are never what must stay here",
            ("allowed_keys", "fields"),
        ),
        "patience": Key(
            "duration",
            "So long a configuration is on trial: where a source that spoke before falls silent, the one before is "
            "back. 1s to 60min.",
            '"5min"',
            "60s",
            ("timeout", "trial", "rollback_after", "within"),
        ),
        "max_age": Key(
            "duration",
            "A command that was given longer ago is refused. 1s to 60min.",
            '"10s"',
            "60s",
            ("age", "stale_after", "expiry"),
        ),
    },
    "metrics": {
        "listen": Key(
            "address",
            "Where Prometheus reads this agent's figures (`http://HOST:PORT/metrics`). Whoever reaches it may read "
            "them: a loopback address, or that of a network of one's own.",
            '"127.0.0.1:9477"',
            "nowhere",
            ("address", "port", "bind", "prometheus"),
        ),
    },
    "clock": {
        "trust": Key(
            "one of system, ntp",
            "When the system's clock is believed: as soon as it says a year that can be, or when the kernel says that "
            "it is synchronised.",
            '"ntp"',
            "system",
            ("source", "sync"),
        ),
        "unsynced": Key(
            "one of wait, publish",
            "What happens to data until then: they wait in the spool, or go out marked as unsynced.",
            '"publish"',
            "wait",
        ),
        "pps": Key(
            "device, or gpsd",
            "Whose pulse per second leads the times of what arrives or the kernel stamps: a PPS device, or `gpsd` "
            "(`gpsd:PORT`), the one on this machine. Which second a pulse begins is known of gpsd, of the receiver's "
            "fixes (`receiver`), or of a system's clock that is synchronised; else the times stay as they are, which "
            "is told.",
            '"/dev/pps0"',
            "none",
            ("pulse", "pps_device", "refclock"),
        ),
        "receiver": Key(
            "text",
            "The source whose fixes say which second a pulse begins, of the receiver that makes it; `none`: no one's.",
            '"gps"',
            "the first serial one with the decoder nmea or ubx",
            ("pps_receiver", "gps", "number_from"),
        ),
    },
}
"""By table; the file's top has no name."""

SOURCE: Final[Mapping[str, Key]] = {
    "name": Key("text", "What the source is called in messages; each once.", '"imu"', synonyms=("id", "label")),
    "template": Key(
        "text",
        "Which `[template.NAME]` it takes up: what that says holds, but for what is said here.",
        '"acc"',
        "none",
        ("extends", "inherits", "use", "like"),
    ),
    "type": Key(
        "text",
        "What brings the bytes: `exec`, `gpio`, `gpsd`, `hwmon`, `i2c`, `iio`, `modbus`, `mqtt`, `onewire`, "
        "`replay`, `serial`, `sparkplug`.",
        '"serial"',
        synonyms=("kind", "source"),
    ),
    "decoder": Key(
        "text",
        "What turns the bytes into samples: `binary`, `cbor`, `csv`, `json`, `keyvalue`, `nmea`, `regex`, `senml`, "
        "`ubx`. "
        "Of types gpio, hwmon, i2c, iio, onewire and sparkplug it is none: they know what a sample is.",
        '"csv"',
        synonyms=("format", "parser", "codec", "decode", "encoding"),
    ),
    "device": Key(
        "text",
        "Which device's stream this is. Where a source brings several, what tells them apart stands in braces: named "
        "parts of an MQTT topic, or fields of JSON and CBOR; each has recordings, books and a status of its own.",
        '"pump-8"',
        "the file's device; `{device}` where the topic has such a part",
        ("device_id", "device_name"),
    ),
    "max_devices": Key(
        "whole number",
        "How many devices a source of several tells apart, or streams of them; what further ones say is left out, told "
        "and counted as too_many_devices.",
        "500",
        "100",
        ("devices", "device_limit", "max_device"),
    ),
    "stream": Key(
        "text",
        "What the stream is called; without a dot. Named parts of an MQTT topic in braces: several streams, alike in "
        "all else that the table says.",
        '"acc"',
        "must be given, but for `{stream}` where the topic has such a part",
        synonyms=("stream_name", "measurement"),
    ),
    "channels": Key(
        "table of units",
        "The stream's channels in their order, each with its unit.",
        '{ x = "g", y = "g", z = "g" }',
        synonyms=("channel", "units", "signals"),
    ),
    "rate": Key(
        "rate",
        "How many samples a second the sensor gives, nominally: a hint, the true rate is learned.",
        '"100Hz"',
        "irregular",
        ("frequency", "freq", "sample_rate", "sampling_rate", "samplerate", "fs", "hz", "odr"),
    ),
    "dtype": Key(
        "one of int8, uint8, int16, uint16, int32, float32, float64",
        "As what samples are stored; an integer refuses fractions.",
        '"int16"',
        "float32; nmea and ubx float64; of one channel with named values the smallest integer",
        ("datatype", "data_type", "sample_type", "format"),
    ),
    "scale": Key(
        "number, or table of numbers by channel",
        "How much of its unit one count of a channel is.",
        "0.000244140625",
        "1",
        ("scales", "factor", "gain", "scaling", "resolution", "lsb"),
    ),
    "offset": Key(
        "number, or table of numbers by channel",
        "What a channel is, in its unit, where its count is 0: its value is count * scale + offset.",
        "-40",
        "0",
        ("offsets", "shift", "zero", "intercept", "b"),
    ),
    "calibration": Key(
        "table",
        "What a calibration found: what is recorded is matrix * (value - bias), in the channels' units. `channels` in "
        "the order of the rows, or all; `bias`, a number for each; `matrix`, a row for each; `date`; `reference`, for "
        "people. It is kept in the stream's description.",
        '{ bias = [0.02, -0.01, 0.13], date = 2026-11-20, reference = "gravity, six positions" }',
        "none",
        ("calibrate", "correction", "calib", "bias"),
    ),
    "axes": Key(
        "table of channels",
        "Which of the sensor's axes each channel is, where it is mounted turned: a channel, or its opposite with a "
        "minus.",
        '{ x = "-y", y = "x" }',
        "each its own",
        ("orientation", "axis_map", "remap", "mount", "rotation"),
    ),
    "min": Key(
        "number, or table of numbers by channel",
        "The least value that can be, in the channel's unit: a sample with a smaller one is refused, counted.",
        "-16",
        "none",
        ("minimum", "low", "lower", "min_value"),
    ),
    "max": Key(
        "number, or table of numbers by channel",
        "The greatest value that can be, in the channel's unit: a sample with a greater one is refused, counted.",
        "{ x = 16, y = 16 }",
        "none",
        ("maximum", "high", "upper", "max_value"),
    ),
    "max_step": Key(
        "number, or table of numbers by channel",
        "The most by which a value can differ from the one before, in the channel's unit: what jumps further is "
        "refused, counted.",
        "5",
        "none",
        ("step", "max_jump", "max_delta", "max_change", "delta"),
    ),
    "values": Key(
        "table of names by code, or table of such tables by channel",
        "The channel says a state, not a quantity: what each of its values means. Nothing is interpolated between two "
        "of them; a sample with another value is refused, counted.",
        '{ 0 = "raised", 1 = "down" }',
        "none",
        ("states", "enum", "enumeration"),
    ),
    "expect": Key(
        "duration",
        "A sample comes at least this often: a longer silence is told.",
        '"5s"',
        "learned from its rhythm",
        ("timeout", "silence", "interval", "period", "every"),
    ),
    "clock": Key(
        "one of arrival, device, counted, kernel",
        "Where a sample's time comes from: when its bytes came, the sensor's own time, a replay's rate, or the "
        "kernel's stamp.",
        '"device"',
        "device where there is such a time, else arrival; counted for a replay, kernel for gpio and iio",
        ("timestamps", "time_source"),
    ),
    "sensor": Key("text", "Which sensor it is, for people.", '"MPU-6050"', "none", ("model", "sensor_type")),
    "mounting": Key(
        "text", "How and where it is mounted, for people.", '"on the housing, x up"', "none", ("position", "location")
    ),
}
"""Of every `[[source]]`, whatever its type."""


def synonyms(keys: Mapping[str, Key]) -> dict[str, str]:
    """Which key is meant by another name; the first that claims a name has it."""
    found: dict[str, str] = {}
    for name, key in keys.items():
        for other in key.synonyms:
            found.setdefault(other, name)
    return found

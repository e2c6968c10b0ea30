from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from edge.config import load_config
from ingest.errors import UsageError
from ingest.records import Channel

DESIGN = """
device = "pump-7"
log = "kafka://127.0.0.1:9092"

[spool]
dir = "/var/lib/sensorloom/spool"
max_bytes = "2GB"

[[source]]
name = "imu"
type = "serial"
port = "/dev/ttyUSB0"
baud = 115200
decoder = "csv"
stream = "acc"
channels = { x = "g", y = "g", z = "g" }
rate = "100Hz"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_rules_that_do_not_fit_a_stream_of_its_own_are_refused_at_their_place(tmp_path: Path) -> None:
    """They would mark nothing, in silence."""
    (tmp_path / "rules.yaml").write_text(
        "version: 1\nrules:\n  - {label: other, when: gps.speed > 3}\n  - {label: hot, when: acc.x > 80degC}\n"
    )
    with pytest.raises(UsageError, match=r"rules\.yaml:4:\d+: degC does not fit g in: acc.x > 80degC"):
        load_config(write(tmp_path, 'rules = "rules.yaml"\n' + DESIGN))
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - {label: fast, when: gps.speed > 3}\n")
    assert load_config(write(tmp_path, 'rules = "rules.yaml"\n' + DESIGN)).rule_set is not None


def test_the_designs_example_is_good(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, DESIGN))
    (source,) = config.sources
    assert (config.devices, config.spool.max_bytes, config.log) == (("pump-7",), 2 * 10**9, "kafka://127.0.0.1:9092")
    assert (source.rate, source.clock, source.dtype) == (Fraction(100), "arrival", "float32")
    assert source.options == {"port": "/dev/ttyUSB0", "baud": 115200}
    assert [channel.name for channel in config.descriptions[0].channels] == ["x", "y", "z"]


def test_scales_types_and_defaults(tmp_path: Path) -> None:
    text = DESIGN + 'scale = 0.5\ndtype = "int16"\ndevice = "other"\nsensor = "MPU"\n[clock]\ntrust = "ntp"\n'
    config = load_config(write(tmp_path, text))
    assert config.sources[0].scales == {"x": 0.5, "y": 0.5, "z": 0.5}
    assert config.descriptions[0].dtype == "int16"
    assert (config.devices, config.clock.trust) == (("other",), "ntp")


NMEA = DESIGN.replace('decoder = "csv"', 'decoder = "nmea"').replace(
    'x = "g", y = "g", z = "g"', 'lat = "deg", lon = "deg"'
)


def test_positions_are_float64_and_have_the_receivers_time(tmp_path: Path) -> None:
    (source,) = load_config(write(tmp_path, NMEA)).sources
    assert (source.dtype, source.clock) == ("float64", "device")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('log = "kafka', 'lgo = "kafka', 'unknown key "lgo".*Did you mean "log"'),
        ('device = "pump-7"', "device = 7", "device: found 7, expected text"),
        ('dir = "/var', 'dri = "/var', 'agent.toml: spool: unknown key "dri"'),
        ('max_bytes = "2GB"', 'max_bytes = "2 apples"', 'spool: max_bytes: size: found unit "apples"'),
        ('max_bytes = "2GB"', 'max_bytes = "2kB"', "expected at least 1MB"),
        ('max_bytes = "2GB"', 'drop = "all"', 'drop: unknown value "all"; known: newest, oldest, thin'),
        ('max_bytes = "2GB"', 'fsync_interval = "0s"', "expected above 0 to 60s"),
        ('type = "serial"', 'type = "seral"', 'unknown source type "seral"; known: .*Did you mean "serial"'),
        ('decoder = "csv"', 'decoder = "cvs"', 'unknown decoder type "cvs".*Did you mean "csv"'),
        ('decoder = "csv"', 'decodr = "csv"', '"decoder" is missing, and "decodr" is.*Did you mean "decoder"'),
        ('type = "serial"', 'typ = "serial"', '"type" is missing, and "typ" is.*Did you mean "type"'),
        ("baud = 115200", "buad = 115200", 'source "imu": unknown key "buad".*Did you mean "baud"'),
        ("baud = 115200", "baud = 5", "5 is no usual rate; the nearest are 50"),
        ('port = "/dev/ttyUSB0"', "", '"port" is missing'),
        ('stream = "acc"', 'stream = "a.b"', "has a dot"),
        ('stream = "acc"', "", '"stream" is missing'),
        ('{ x = "g", y = "g", z = "g" }', "{ }", "expected units by name"),
        ('{ x = "g", y = "g", z = "g" }', "{ x = 1 }", "is no channel"),
        ('rate = "100Hz"', 'rate = "100"', "rate"),
        ('rate = "100Hz"', 'clock = "device"', "needs a time_column"),
        ('rate = "100Hz"', 'clock = "counted"', "is for a replay"),
        ('rate = "100Hz"', "scale = { w = 2 }", 'scale: unknown channel "w"; known: x, y, z'),
        ('rate = "100Hz"', "scale = 0", "no number above or below 0"),
        ("[[source]]", "[source]", r"found \[source\]; write \[\[source\]\]"),
        ("[[source]]", "[[sources]]", 'unknown key "sources".*Did you mean "source"'),
        ('name = "imu"', "", r'\[\[source\]\] number 1: "name" is missing'),
        ('port = "/dev/ttyUSB0"', 'device_file = "/dev/ttyUSB0"', 'Did you mean "port"'),
        ("baud = 115200", "baudrate = 115200", 'Did you mean "baud"'),
        ("baud = 115200", 'parity = "none"', 'Did you mean "framing"'),
        ("baud = 115200", 'delimiter = ";"', 'Did you mean "separator"'),
        ('rate = "100Hz"', "rate = 100", 'rate: found 100, .* as in rate = "100Hz"'),
        ('rate = "100Hz"', "rate = 0.5", 'as in rate = "0.5Hz"'),
        ('rate = "100Hz"', "frequency = 100", 'Did you mean "rate"'),
        ('rate = "100Hz"', "expect = 5", 'as in expect = "5s"'),
        ('rate = "100Hz"', 'expect = "0s"', "expected a duration above 0"),
        ('max_bytes = "2GB"', "max_bytes = 2000000", 'as in max_bytes = "2000000B"'),
        ('max_bytes = "2GB"', "fsync_interval = 1", 'spool: fsync_interval: found 1, .* as in fsync_interval = "1s"'),
        ('max_bytes = "2GB"', "max_bytes = true", "found true, expected text"),
        ('{ x = "g", y = "g", z = "g" }', '["x", "y"]', 'channels = { x = "UNIT", y = "UNIT" }'),
        ('{ x = "g", y = "g", z = "g" }', '"x"', "channels: found 'x', expected units by name"),
        ('channels = { x = "g", y = "g", z = "g" }', "", '"channels" is missing: units by name'),
        ('x = "g"', 'x = "gg"', 'channels: x: unknown unit "gg"; did you mean'),
        ('x = "g"', 'x = "celsius"', 'did you mean "degC"'),
        ('x = "g"', 'x = "counts"', 'did you mean "1"'),
        ('x = "g"', 'x = "hpa"', 'did you mean "hPa"'),
        ('x = "g"', 'x = ""', 'unknown unit "".*own stands in braces'),
        ('device = "pump-7"', 'device = "${NO_SUCH_NAME}"', "NO_SUCH_NAME is not set in the environment"),
        ('device = "pump-7"', 'device = "$HOSTNAME"', "taken as it is written.*has braces.*leave device out"),
        ('device = "pump-7"', 'device = "hall/pump"', "has a slash"),
        ('stream = "acc"', 'stream = "a/b"', "has a slash"),
        ('rate = "100Hz"', "min = 5\nmax = { y = 1 }", "max: y: found 1, expected more than its min, 5"),
        ('rate = "100Hz"', "max_step = 0", "expected a number above 0"),
        ('rate = "100Hz"', "max = { w = 1 }", 'max: unknown channel "w"'),
        ('rate = "100Hz"', 'max = "5"', "max: found '5', expected a number"),
        ('rate = "100Hz"', "max = nan", "x = nan is no number"),
        ('rate = "100Hz"', 'values = { 0 = "up" }\nscale = 2', "scale: x has named states, .* leave its scale out"),
        ('rate = "100Hz"', 'values = { w = { 0 = "up" } }', 'values: unknown channel "w"'),
        ('rate = "100Hz"', 'values = { x = "up" }', 'values: "x" is no code'),
        ('rate = "100Hz"', 'values = { x = { 0 = "up" }, y = "up" }', "values: y: found 'up', expected a table"),
        ('rate = "100Hz"', 'values = { x = { 0 = "up", 1 = "up" } }', "values: x: 1 = .*each name is given once"),
        ('rate = "100Hz"', 'values = ["up", "down"]', "values: found .*, expected a table of names by code"),
        ('rate = "100Hz"', 'states = { 0 = "up" }', 'unknown key "states".*Did you mean "values"'),
        ("[spool]", 'rules = "no.yaml"\n[spool]', r"agent\.toml: rules: .*no\.yaml: no such file"),
        ("[spool]", 'rules = "."\n[spool]', r"agent\.toml: rules: .*: is no file"),
        ("[spool]", f'rules = "{300 * "r"}"\n[spool]', r"agent\.toml: rules: r*.*: File name too long"),
        ("[spool]", 'rules = "a\\u0000b"\n[spool]', r"agent\.toml: rules: found 'a\\x00b', whose \\x00 no name"),
        ('dir = "/var', 'dir = "\\u0000/var', r"agent\.toml: spool: dir: found .*, whose \\x00 no name"),
        ('dir = "/var', f'dir = "new/{256 * "s"}/var', r"agent\.toml: spool\.dir: [\d,]+ bytes, 256 of them one"),
        ('dir = "/var', f'dir = "{20 * ("s" * 200 + "/")}', r"agent\.toml: spool\.dir: 4,\d+ bytes, 200 of them one"),
        ('dir = "/var', 'dir = "agent.toml/var', r"spool\.dir: .*/agent\.toml/var.*: a file is where a folder should"),
        ('port = "/dev', 'port = "\\u0000/dev', r'source "imu": port: found .*, whose \\x00 no name'),
        ("baud = 115200", 'start = ["\\u0000", 7]', r"start\[1\]: found 7"),
        ("[spool]", "recording.set.subject = 7\n[spool]", "recording.set: subject: found 7"),
        ("[spool]", 'recording.set.Subject = "u07"\n[spool]', "recording.set: 'Subject' is no attribute's name"),
        ("[spool]", 'recording.set.device = "u07"\n[spool]', "recording.set: device: .* choose another name"),
        ("[spool]", f'recording.set.subject = "{201 * "u"}"\n[spool]', "1 to 200 characters"),
        ("[spool]", 'recording.set = "u07"\n[spool]', "recording.set: found 'u07', expected a table"),
        ("[spool]", 'recording.attributes.subject = "u07"\n[spool]', 'unknown key "attributes".*Did you mean "set"'),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in DESIGN
    with pytest.raises(UsageError, match=message) as found:
        load_config(write(tmp_path, DESIGN.replace(old, new)))
    assert "agent.toml" in str(found.value)


def test_recordings_are_given_attributes(tmp_path: Path) -> None:
    text = DESIGN.replace("[spool]", '[recording.set]\nsubject = "u07"\nsite = "Halle 3"\n[spool]')
    assert load_config(write(tmp_path, text)).rules.attributes == {"site": "Halle 3", "subject": "u07"}
    assert load_config(write(tmp_path, DESIGN)).rules.attributes == {}


def test_names_and_streams_are_taken_once(tmp_path: Path) -> None:
    second = DESIGN[DESIGN.index("[[source]]") :]
    with pytest.raises(UsageError, match=r'name "imu" is taken by \[\[source\]\] number 1'):
        load_config(write(tmp_path, DESIGN + second))
    second = second.replace('"imu"', '"imu2"')
    with pytest.raises(UsageError, match='stream "pump-7/acc" is taken'):
        load_config(write(tmp_path, DESIGN + second))


def test_a_port_is_read_by_one_source_also_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("/dev/ttyUSB0")
    second = DESIGN[DESIGN.index("[[source]]") :].replace('"imu"', '"imu2"').replace('"acc"', '"acc2"')
    with pytest.raises(UsageError, match=r'source "imu2": port "/dev/ttyUSB0" is taken by \[\[source\]\] number 1'):
        load_config(write(tmp_path, DESIGN + second))
    with pytest.raises(UsageError, match='port "by-id" is taken'):
        load_config(write(tmp_path, DESIGN + second.replace("/dev/ttyUSB0", "by-id")))
    assert len(load_config(write(tmp_path, DESIGN + second.replace("USB0", "USB1"))).sources) == 2


def test_paths_are_relative_to_the_configuration_the_logs_too(tmp_path: Path) -> None:
    text = DESIGN.replace("kafka://127.0.0.1:9092", "segments:log?partitions=2").replace("/var/lib/", "")
    config = load_config(write(tmp_path, text))
    assert (config.log, config.spool_dir) == (f"segments:{tmp_path}/log?partitions=2", tmp_path / "sensorloom/spool")
    text = text.replace("segments:log", f"segments:{tmp_path}/other")
    assert load_config(write(tmp_path, text)).log == f"segments:{tmp_path}/other?partitions=2"


def test_what_can_be_of_a_value_is_said_for_all_channels_or_for_each(tmp_path: Path) -> None:
    (source,) = load_config(write(tmp_path, DESIGN + 'min = -16\nmax = {x = 16}\nmax_step = 2\nexpect = "5s"')).sources
    assert source.low == {"x": -16.0, "y": -16.0, "z": -16.0}
    assert (source.high, source.step["z"], source.expect_ns) == ({"x": 16.0}, 2.0, 5_000_000_000)


def test_values_are_named_for_all_channels_or_for_each(tmp_path: Path) -> None:
    states = ((-1, "stuck"), (0, "raised"), (1, "down"))
    table = '{ 1 = "down", 0 = "raised", -1 = "stuck" }'
    config = load_config(write(tmp_path, DESIGN + f"values = {{ y = {table} }}"))
    assert config.sources[0].states == {"y": states}
    assert [channel.states for channel in config.descriptions[0].channels] == [(), states, ()]
    assert config.descriptions[0].dtype == "float32"  # a cell of three may be missing
    alone = DESIGN.replace('{ x = "g", y = "g", z = "g" }', '{ gate = "1" }')
    config = load_config(write(tmp_path, alone + f"values = {table}"))
    assert config.descriptions[0].channels == (Channel("gate", "1", states=states),)
    assert config.descriptions[0].dtype == "int8"
    assert load_config(write(tmp_path, alone + f'values = {table}\ndtype = "int32"')).descriptions[0].dtype == "int32"


@pytest.mark.parametrize("unit", ["1", "degC", "°C", "%", "m/s^2", "ppm", "lx", "rpm", "{items/tray}"])
def test_a_unit_is_a_known_one_or_ones_own_in_braces(tmp_path: Path, unit: str) -> None:
    config = load_config(write(tmp_path, DESIGN.replace('x = "g"', f'x = "{unit}"')))
    assert config.sources[0].channels["x"] == unit


def test_a_replay_needs_times(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    text = DESIGN.replace('type = "serial"', 'type = "replay"\nfile = "a.csv"')
    text = text.replace('port = "/dev/ttyUSB0"\nbaud = 115200\n', "")
    assert load_config(write(tmp_path, text)).sources[0].clock == "counted"
    with pytest.raises(UsageError, match="clock"):
        load_config(write(tmp_path, text.replace('rate = "100Hz"', "")))
    with pytest.raises(UsageError, match="no such file"):
        load_config(write(tmp_path, text.replace("a.csv", "b.csv")))

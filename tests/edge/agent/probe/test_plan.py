"""What was heard as a file: whatever a sensor calls its channels, the file is read and its decoder reads the sensor."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.agent.probe.plan import UNKNOWN, Planned, as_toml, heard_lines, named, with_names
from edge.agent.probe.scoring import Heard, probe
from edge.config import load_config
from edge.decoders import decoder_type
from edge.protocol import Frame
from tests.edge.agent.probe.hearing import lines

SAID = {
    "rows": "1,2,3",
    "columns": "imu;1,5;2,5;3",
    "pairs": "ax=1 ay=2 az=3",
    "words": "At 1 m it has 2 degrees and 3 percent",
    "object": '{"m": {"ä \\"x\\"": 1, "b.c": 2}, "z": 3}',
    "pack": '[{"bn": "urn:a:", "n": "x", "v": 1}, {"n": "y", "v": 2}, {"n": "z/1", "v": 3}]',
}


def plan(text: str, wish: str = "sensor") -> Planned:
    return named([(wish, "serial", {"port": "/dev/null", "baud": 9600}, probe(lines([text] * 9))[0])])[0]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_what_is_written_reads_what_was_heard(tmp_path: Path, said: str, own: bool) -> None:
    source = with_names(plan(said), ["u", "v w", 'q"'][: len(plan(said).channels)]) if own else plan(said)
    path = tmp_path / "agent.toml"
    path.write_text(as_toml("pump ü", "segments:log", "spool", [source]))
    (config,) = load_config(path).sources
    assert (config.name, config.stream, config.device, float(config.rate or 0)) == ("sensor", "sensor", "pump ü", 10)
    assert config.channels == source.channels
    assert set(config.channels.values()) == {UNKNOWN}
    (frame,) = list(decoder_type(config.decoder, "").from_config(config).feed(said.encode() + b"\n"))
    assert isinstance(frame, Frame)
    assert frame.values.tolist() == [list(source.candidate.values)]


def test_names_are_each_once_and_fit_a_stream() -> None:
    candidate = probe(lines(["1,2"] * 5))[0]
    found = named([(wish, "mqtt", {}, candidate) for wish in ("a.b/c", "a b c", "a-b-c", "", "é")])
    assert [source.name for source in found] == ["a-b-c", "a-b-c-2", "a-b-c-3", "csv", "csv-2"]
    with pytest.raises(ValueError, match="2 names are wanted, each once, as in c1,c2"):
        with_names(found[0], ["x"])
    with pytest.raises(ValueError, match="2 names are wanted"):
        with_names(found[0], ["x", "x"])


def test_people_are_shown_what_was_heard() -> None:
    shown = "\n".join(heard_lines(plan("imu;1,5;2,5")))
    assert "sensor: /dev/null at 9600 baud: csv, reads 100 % of it, 10 samples a second" in shown
    assert "  raw      imu;1,5;2,5" in shown
    assert "  decoded  c2 = 1.5, c3 = 2.5" in shown
    assert '  note     c1, as in "imu", is not read' in shown
    assert probe([Heard(b"1\n", 1)])[0].per_s is None

"""What is found, from a glance a second at sources that are simulated in ordinary numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.agent.diagnosis import Diagnosis, Glance, S
from edge.agent.hearing import Hearing
from edge.decoders import decoder_type
from edge.protocol import Arrival, ClockKind, Fault, SourceConfig
from tests.edge.configs import source_config


class Sensor:
    """Sends good and bad lines at rates; glances are taken at each second."""

    def __init__(self, config: SourceConfig) -> None:
        keys = decoder_type(config.decoder, "").keys
        self.diagnosis = Diagnosis(config, keys)
        self.config = config
        self.hearing = Hearing()
        self.samples = 0
        self.second = 0
        self.said: list[tuple[int, str]] = []

    def run(
        self,
        seconds: int,
        good: float = 0,
        bad: float = 0,
        *,
        reason: str = "columns",
        raw: bytes = b"1,2",
        waited_ns: int = 0,
        is_open: bool = True,
        trouble: str = "",
        rate_hz: float | None = None,
    ) -> Sensor:
        for _ in range(seconds):
            self.second += 1
            for count, found in ((good, []), (bad, [Fault(reason, 0, raw=raw)])):
                fresh = int(self.second * count) - int((self.second - 1) * count)
                for number in range(fresh):
                    at_ns = int((self.second - 1 + (number + 1) / (fresh + 1)) * S)
                    self.hearing.note(Arrival(raw + b"\n", at_ns, at_ns, waited_ns=waited_ns), found)
                    self.samples += not found
            glance = Glance(
                self.second * S,
                trouble=trouble,
                is_open=is_open,
                arrivals=self.hearing.arrivals,
                size_bytes=self.hearing.size_bytes,
                waited=self.hearing.waited,
                heard_ns=self.hearing.heard_ns,
                samples=self.samples,
                decoded=self.hearing.samples,
                faults=dict(self.hearing.faults),
                bad=tuple(self.hearing.bad),
                newest=self.hearing.newest,
                rate_hz=rate_hz,
                absent=[list(self.config.channels)[number] for number in sorted(self.hearing.absent)],
            )
            self.glance = glance
            found_now = self.diagnosis.look(glance)
            self.said += [(self.second, text) for text in self.diagnosis.news(found_now, glance.at_ns)]
        return self

    @property
    def texts(self) -> str:
        return "\n".join(text for _, text in self.said)


def sensor(**given: object) -> Sensor:
    return Sensor(source_config(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize("hertz", [0.2, 0.5, 1, 7, 100])
def test_a_sensor_that_works_is_not_spoken_of(hertz: float) -> None:
    assert sensor(rate=None).run(300, good=hertz).said == []


@pytest.mark.parametrize("hertz", [1, 2, 10, 100])
def test_a_rate_that_is_the_configured_one_is_not_spoken_of(hertz: int) -> None:
    assert sensor(rate=hertz).run(120, good=hertz).said == []


@pytest.mark.parametrize("bad", [0.5, 1, 100])
def test_nothing_but_bad_lines_is_told_within_ten_seconds_and_once(bad: float) -> None:
    found = sensor().run(60, bad=bad)
    ((second, text),) = found.said
    assert second <= 10
    assert 'columns, another number of cells than of columns, as in "1,2"; 2 cells, but columns are x, y, z' in text


def test_a_line_now_and_then_is_left_to_the_minutes_figures() -> None:
    assert sensor().run(60, good=100, bad=0.5).said == []
    assert sensor().run(60, good=10, bad=0.02).said == []


def test_some_bad_lines_among_good_ones_are_told_with_their_share() -> None:
    found = sensor().run(30, good=50, bad=5, reason="checksum", raw=b"$GPRMC,1*00")
    assert "lines give no sample: checksum" in found.texts
    assert len(found.said) == 1


def test_samples_that_come_twice_are_not_called_unreadable() -> None:
    found = sensor().run(30, good=50, bad=5, reason="not_rising", raw=b"1,2,3")
    assert "not_rising, the time is that of the sample before" in found.texts
    assert "does somebody send samples twice" in found.texts
    assert "as in" not in found.texts


def test_repetitions_are_no_bad_lines_unless_nothing_else_comes() -> None:
    """Half of the messages where two gateways hear each frame; all of them, of a node that begins to count anew."""
    node = sensor(decoder="json", unique=["dev_eui", "fcnt"])
    frame = b'{"dev_eui": "A8", "fcnt": 7, "decoded": {"temp": 20.5, "rssi": -80}}'
    assert node.run(60, good=1, bad=2, reason="repeated", raw=frame).said == []
    assert not node.hearing.bad
    assert node.run(10, bad=1, reason="repeated", raw=frame).said == []
    node.run(10, bad=1, reason="repeated", raw=frame)
    assert "20 samples" not in node.texts
    assert "17 samples in a row were left out as repetitions" in node.texts
    assert 'unique = ["dev_eui", "devaddr", "fcnt"]' in node.texts


def test_a_silence_of_no_second_is_not_called_one_of_0_s() -> None:
    one = sensor()
    one.run(1, is_open=False)
    (finding,) = one.diagnosis.conclude(replace(one.glance, is_open=True))
    assert finding.text.startswith("nothing has come yet, less than a second after it was opened; is the sensor on")


def test_who_looks_no_longer_is_told_what_is_not_sure_yet() -> None:
    for one, said in (
        (sensor().run(2), "nothing has come for 1 s; is the sensor on"),
        (sensor().run(2, bad=1), "none of the last 2 lines gives a sample: columns"),
        (sensor().run(1, bad=1), "the only line that came gives no sample: columns"),
    ):
        assert one.said == []
        assert [said in finding.text for finding in one.diagnosis.conclude(one.glance)] == [True]
    good = sensor().run(2, good=1, bad=1)
    assert good.diagnosis.conclude(good.glance) == []


def test_it_is_told_when_a_good_sensor_turns_bad_and_when_it_is_good_again() -> None:
    found = sensor().run(100, good=10).run(60, bad=10).run(120, good=10)
    assert next(second for second, _ in found.said) <= 110
    assert "none of the last" in found.said[0][1] or "of the last" in found.said[0][1]
    assert found.said[-1][1] == "good again"


def test_what_goes_on_is_told_again_after_an_hour() -> None:
    found = sensor().run(3700, bad=1)
    assert [second // 3600 for second, _ in found.said] == [0, 1]


@pytest.mark.parametrize(("rate", "second"), [(None, 9), (100, 6), (1, 11)])
def test_a_sensor_that_never_speaks_is_told(rate: int | None, second: int) -> None:
    found = sensor(rate=rate).run(60)
    assert len(found.said) == 1
    assert found.said[0][0] <= second + 1
    assert "nothing has come for" in found.texts
    assert "is the sensor on" in found.texts


def test_a_silence_is_measured_by_the_rhythm_that_was_usual() -> None:
    found = sensor().run(60, good=1).run(60)
    assert [second for second, _ in found.said] == [70]
    assert "nothing more has come for 10 s, usual is something every 1 s" in found.texts
    assert sensor().run(600, good=0.1).run(60).said == []
    assert sensor().run(600, good=0.1).run(140).said != []


def test_a_topic_that_nobody_publishes_on_is_named() -> None:
    found = sensor(kind="mqtt", decoder="json", topic="Plant/acc").run(20)
    assert 'does anyone publish on "Plant/acc", written just so' in found.texts


def test_a_rate_that_is_not_the_configured_one_is_told_with_both() -> None:
    for rate, true in ((10, 100), (100, 50), (100, 160), (50, 8)):
        found = sensor(rate=rate).run(10, good=true)
        assert f'{true} samples a second come, rate = "{rate}Hz" says {rate}' in found.texts
        assert len(found.said) == 1


@pytest.mark.parametrize(
    ("kind", "clock", "true", "options", "todo"),
    [
        ("modbus", "arrival", 50, {"poll": "20ms"}, "correct rate, or poll"),
        ("iio", "kernel", 50, {}, "correct rate, or set the sensor's by frequency"),
        ("iio", "kernel", 200, {}, "correct rate, or set the sensor's by frequency"),
        ("serial", "device", 50, {}, "correct rate, or the sensor's setting"),
        ("serial", "device", 200, {}, ""),
        ("serial", "device", 90, {}, ""),
    ],
)
def test_a_rate_that_is_not_the_configured_one_is_told_whoever_stamps(
    kind: str, clock: ClockKind, true: int, options: dict[str, str], todo: str
) -> None:
    """With times of the device's own, only one that is too low: what comes faster may be what it had kept."""
    found = sensor(rate=100, kind=kind, clock=clock, **options).run(20, good=true)
    assert found.texts.endswith(todo)
    assert bool(found.said) == bool(todo)


def test_what_a_device_hands_over_now_and_then_is_no_rate() -> None:
    found = sensor(rate=100, clock="device")
    for _ in range(10):
        found.run(1, good=120).run(2)
    assert "samples a second" not in found.texts


def test_a_silent_source_is_told_where_to_look() -> None:
    for kind, where in (("exec", "stdbuf -oL"), ("sparkplug", "are group_id, edge_node_id and device_id the node's")):
        assert where in sensor(kind=kind).run(60).texts


def test_a_learned_rate_is_told_where_it_is_off_by_a_hundredth() -> None:
    assert sensor(rate=100).run(30, good=100, rate_hz=100.9).said == []
    assert "96 samples a second come" in sensor(rate=100).run(10, good=96, rate_hz=96.0).texts


def test_how_fast_a_backlog_comes_is_no_rate() -> None:
    assert sensor(rate=10, kind="mqtt", topic="t").run(3, good=10).run(10, good=500, waited_ns=S).said == []


def test_a_source_that_waits_is_told_by_others_and_what_it_says_itself_comes_first() -> None:
    assert sensor(rate=10).run(60, is_open=False).said == []
    found = sensor(rate=10).run(60, trouble="4,096 bytes and no line end; is baud = 9600 right?")
    assert found.texts == "4,096 bytes and no line end; is baud = 9600 right?"


def test_samples_that_wait_for_a_disk_are_whole_lines() -> None:
    one = sensor()
    for second in range(1, 20):
        one.hearing.size_bytes += 200
        one.hearing.samples += 10
        one.hearing.arrivals += 1
        one.hearing.heard_ns = second * S
        one.run(1)
    assert not one.said


def test_bytes_that_give_no_line_are_told() -> None:
    one = sensor()
    for second in range(1, 20):
        one.hearing.size_bytes += 200
        one.hearing.arrivals += 1
        one.hearing.heard_ns = second * S
        one.hearing.newest = b"\xf8\x80\x00\xfe" * 50
        one.run(1)
    ((second, text),) = one.said
    assert second <= 10
    assert "bytes came and gave neither a sample nor a whole line" in text
    assert "is baud = 115200 right" in text


def test_a_channel_that_never_has_a_value_is_named_with_the_fields_that_are_there() -> None:
    one = Sensor(source_config("json", ("x", "y")))
    one.hearing.absent = {0, 1}
    decoder = decoder_type("json", "").from_config(one.config)
    line = b'{"ax": 1, "y": 2}\n'
    one.hearing.note(Arrival(line, S, S), list(decoder.feed(line)))
    assert one.hearing.absent == {0}
    one.run(10, good=5, raw=line.strip())
    ((_, text),) = one.said
    assert text.startswith("no sample of ")
    assert 'has a value of x, as in "{"ax": 1, "y": 2}"; it has no field "x"; its fields are ax, y' in text


def test_a_silence_while_the_process_stood_still_is_not_the_sensors() -> None:
    one = sensor().run(30, good=10)
    one.second += 25
    assert one.run(60, good=10).said == []
    one.second += 25
    assert "nothing more has come" in one.run(40).texts


def test_what_came_before_the_first_look_counts() -> None:
    one = sensor().run(1, good=7, bad=12).run(2)
    assert "12 of the last 19 lines give no sample: columns" in one.texts

"""The NMEA decoder against what gpsd made of the same logs."""

from __future__ import annotations

from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynmeagps import NMEAReader

from edge.decoders.nmea.decoder import UNITS, NmeaDecoder
from edge.decoders.nmea.sentences import KNOT_M_S, fault_of, kind_of
from edge.decoders.nmea.sentences import read as read_sentence
from edge.protocol import Fault
from ingest.errors import UsageError
from ingest.units import parse_time
from tests.edge.configs import source_config
from tests.edge.decoders.receivers import LOGS, around, near, positions, read
from tests.edge.decoders.splitting import check_splits, cut, reasons, run, samples
from tests.support.data import data_dir

CHANNELS = tuple(UNITS)
THEIRS = {"speed": "spd", "course": "cog", "satellites": "numSV", "hdop": "HDOP"}
"""What the other parser calls them."""


def new(channels: tuple[str, ...] = CHANNELS) -> NmeaDecoder:
    return NmeaDecoder.from_config(source_config("nmea", channels, units=dict(UNITS)))


def sentence(body: str) -> bytes:
    return f"${body}*{reduce(xor, body.encode(), 0):02X}\r\n".encode()


RMC = sentence("GPRMC,120000.00,A,5200.6000,N,00436.0000,E,10.0,90.0,241126,,,A")
GGA = sentence("GPGGA,120000.00,5200.6000,N,00436.0000,E,1,08,0.9,12.5,M,40.0,M,,")
NEXT = sentence("GPRMC,120001.00,A,5200.6000,N,00436.0600,E,10.0,90.0,241126,,,A")
AT_NS = parse_time("2026-11-24T12:00:00Z")


def test_sentences_of_an_epoch_are_one_fix() -> None:
    (fix, following) = samples(run(new(), [RMC + GGA + NEXT]))
    (lat, lon, alt, speed, course, hdop, _, satellites, quality), at_ns = fix
    assert (lat, alt, course, hdop, satellites, quality) == (52.01, 12.5, 90, 0.9, 8, 1)
    assert lon == pytest.approx(4.6, abs=1e-9)
    assert speed == pytest.approx(10 * 1852 / 3600)
    assert at_ns == AT_NS
    assert following[1] == AT_NS + 10**9


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (RMC.replace(b"5200", b"5201"), "checksum"),
        (RMC[:40] + b"\r\n", "no_checksum"),
        (b"hello\r\n", "garbage"),
        (b"$" + b"G" * 2000 + b"\r\n", "too_long"),
        (sentence("GPGGA,,,,,,0,00,,,M,,M,,"), "no_time"),
        (sentence("GPRMC,115959.00,A,9900.0,N,00436.0,E,1,9,241126,,,A"), "sentence"),
    ],
)
def test_nothing_of_a_bad_line_becomes_a_sample(bad: bytes, reason: str) -> None:
    found = run(new(), [RMC + bad + GGA + NEXT])
    assert reasons(found) == [reason]
    assert samples(found) == samples(run(new(), [RMC + GGA + NEXT]))


def test_a_torn_sentence_before_a_whole_one_costs_only_itself() -> None:
    found = run(new(), [RMC[:30] + GGA + NEXT])
    assert reasons(found) == ["garbage"]
    assert len(samples(found)) == 2


def test_an_epoch_without_a_position_is_a_fault() -> None:
    void = sentence("GPRMC,115959.00,V,,,,,,,241126,,,N")
    assert run(new(), [void + RMC]) == [Fault("no_fix", 0, 0, void[:-1]), *run(new(), [RMC])]


def test_midnight_begins_a_new_day() -> None:
    late = sentence("GPRMC,235959.00,A,5200.6,N,00436.0,E,10.0,90.0,241126,,,A")
    early = sentence("GPGGA,000000.00,5200.6,N,00436.0,E,1,08,0.9,12.5,M,40.0,M,,")
    assert [at for _, at in samples(run(new(), [late + early]))] == [AT_NS + 43_199 * 10**9, AT_NS + 43_200 * 10**9]


def test_without_a_date_there_is_no_time() -> None:
    assert [at for _, at in samples(run(new(), [GGA]))] == [None]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_positions_are_those_that_gpsd_found(path: Path) -> None:
    wanted = positions(path.with_suffix(".log.chk"))
    ended = [sample for sample, _ in samples(run(new(("lat", "lon")), [read(path)], reset=False))]
    assert near(ended) <= {*around(wanted)}
    every = [sample for sample, _ in samples(run(new(("lat", "lon")), [read(path)]))]
    missing = wanted - {*around(near(every))}
    assert len(missing) == (1 if path.stem == "mtk-3301" else 0)  # gpsd believes a sentence without a checksum


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_sentences_say_what_another_parser_reads_in_them(path: Path) -> None:
    compared = 0
    for line in set(read(path).splitlines()):
        text = line.strip()
        if not text.startswith(b"$") or fault_of(text) or kind_of(text) not in ("RMC", "GGA", "GLL", "GNS"):
            continue
        said, other = read_sentence(text, kind_of(text)), NMEAReader.parse(text + b"\r\n")
        at = other.time
        wanted = (at.hour * 3600 + at.minute * 60 + at.second) * 10**9 + at.microsecond * 1000 if at else None
        assert said.clock_ns == (wanted if at != "" else None)
        if said.day is not None:
            assert said.day == other.date
        for channel, value in said.values.items():
            scale = KNOT_M_S if channel == "speed" else 1
            assert value == pytest.approx(getattr(other, THEIRS.get(channel, channel)) * scale, abs=1e-9)
            compared += 1
    assert compared


@pytest.mark.parametrize("path", LOGS[::4], ids=lambda path: path.stem)
def test_real_logs_in_any_pieces(path: Path) -> None:
    data = read(path)[:20_000]
    whole = run(new(), [data])
    for size in (1, 7, 1000):
        assert run(new(), [data[at : at + size] for at in range(0, len(data), size)]) == whole


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([RMC, GGA, NEXT, b"noise\n", RMC[:20], b"$\r\n", b"\x00\xff"]), max_size=8),
    st.lists(st.integers(0, 600), max_size=6),
)
def test_any_split_gives_the_same(parts: list[bytes], places: list[int]) -> None:
    check_splits(new, b"".join(parts), places)


@pytest.mark.parametrize("path", sorted((data_dir() / "pynmeagps_logs").glob("*.log")), ids=lambda path: path.stem)
def test_other_makers_logs_never_raise(path: Path) -> None:
    data = path.read_bytes()
    assert run(new(), cut(data, range(0, len(data), 501))) == run(new(), [data])


@pytest.mark.parametrize(("channels", "units"), [(("height",), {}), (("speed",), {"speed": "km/h"})])
def test_unknown_channels_and_units_are_refused(channels: tuple[str, ...], units: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"unknown channel|expected \"m/s\""):
        NmeaDecoder.from_config(source_config("nmea", channels, units=units))

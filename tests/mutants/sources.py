"""The mutants of what sources say, and of when: each stands for a mistake that somebody could make, or has made."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_ARRIVALS: Final = "edge/recording/arrivals.py"
_UNRATED: Final = "edge/recording/unrated.py"
_BURSTS: Final = "edge/recording/bursts.py"
_DEVICE: Final = "edge/recording/device.py"
_CATCHUP: Final = "edge/recording/catchup.py"
_REGRESSION: Final = "edge/recording/regression.py"
_KEPT: Final = "edge/sources/mqtt/kept.py"
_DESCRIBING: Final = "edge/agent/describing.py"
_STALLS: Final = "edge/sources/serial/stalls.py"
_HANDOVER: Final = "edge/sources/serial/handover.py"
_SHARING: Final = "edge/sources/sharing.py"
_I2C: Final = "edge/sources/i2c/bus.py"
_I2C_READER: Final = "edge/sources/i2c/reader.py"
_T_TIMEBASE: Final = "tests/edge/recording/test_timebase.py"
_T_BURSTS: Final = "tests/edge/recording/test_bursts.py"
_T_CATCHUP: Final = "tests/edge/recording/test_catchup.py"
_T_POSTERIOR: Final = "tests/edge/recording/test_posterior.py"
_T_KEPT: Final = "tests/edge/sources/test_mqtt_kept.py"
_T_DESCRIBING: Final = "tests/edge/agent/test_describing.py"
_T_RECORDER: Final = "tests/edge/recording/test_recorder.py"
_T_SERIAL: Final = "tests/edge/sources/test_serial_stalls.py tests/edge/sources/test_serial_handover.py"
_T_SHARING: Final = "tests/edge/sources/test_sharing.py"
_T_I2C: Final = "tests/edge/sources/test_i2c.py"
_T_I2C_READER: Final = "tests/edge/sources/test_i2c_reader.py"

SOURCES: Final[list[Mutant]] = [
    # --- parts on a bus: what they say is believed while they are as they were set up
    Mutant(
        "believes what a part said that was reset",
        _I2C,
        """        self._check()
        return Found""",
        """        return Found""",
        _T_I2C,
    ),
    Mutant(
        "takes a full FIFO for one that lost nothing",
        _I2C,
        "is_full |= count >= self.capacity > 1",
        "pass",
        _T_I2C,
    ),
    Mutant(
        "reads what an overrun left in a FIFO of bytes, wherever it begins",
        _I2C,
        """            self._write(*fifo.overrun.clear)
            count = 0
""",
        """            self._write(*fifo.overrun.clear)
""",
        _T_I2C,
    ),
    Mutant(
        "says that what a FIFO kept was lost, too",
        _I2C_READER,
        "at_ns = max(seen_ns + 1, found.monotonic_ns - kept_ns)",
        "at_ns = found.monotonic_ns",
        _T_I2C_READER,
    ),
    Mutant(
        "takes what comes behind a known loss for a backlog",
        _ARRIVALS,
        "self._is_over = self._interrupted and is_over",
        "self._is_over = False",
        _T_I2C_READER,
    ),
    # --- a port that several streams share
    Mutant(
        "closes a shared source with the first who goes",
        _SHARING,
        "if any(view.is_open for view in self.views):",
        "if False:",
        _T_SHARING,
    ),
    Mutant(
        "gives what a shared source had at its end to nobody",
        _SHARING,
        "self._hand_out(list(self.source.left()), also_closed=True)",
        "self._hand_out(list(self.source.left()))",
        _T_SHARING,
    ),
    # --- times
    Mutant(
        "places rated samples before what was promised",
        _ARRIVALS,
        "step, first = self._step, max(self._last + self._step, self._floor)",
        "step, first = self._step, self._last + self._step",
        _T_TIMEBASE,
    ),
    Mutant(
        "takes the nominal rate for the true one",
        _ARRIVALS,
        "wanted = period * (1 + off / soon_ns)",
        "wanted = self._nominal * (1 + off / soon_ns)",
        _T_TIMEBASE,
    ),
    Mutant(
        "does not see that samples are missing",
        _ARRIVALS,
        "hole = (earliest, first) if first - earliest > period else None",
        "hole = None",
        f"{_T_TIMEBASE} {_T_RECORDER}",
    ),
    Mutant(
        "spreads what waited up to its arrival",
        _UNRATED,
        "        if stamp.waited_ns:  # somewhere in between\n",
        "        if False:\n",
        _T_TIMEBASE,
    ),
    Mutant(
        "takes a burst for the rate",
        _BURSTS,
        "at_ns - before_ns < FASTER * count * period_ns and",
        "False and",
        _T_BURSTS,
    ),
    Mutant(
        "keeps the arrival at which a tick cut a burst",
        _ARRIVALS,
        "            line.take_back()\n",
        "",
        _T_BURSTS,
    ),
    Mutant(
        "takes the first read of a burst for the end of a silence",
        _ARRIVALS,
        "late > SILENT_NS + _KEPT * self._kept_ns",
        "late > SILENT_NS",
        _T_BURSTS,
    ),
    Mutant(
        "ignores by how much a device's clock is ahead anyway",
        _DEVICE,
        "> max(0, lead) + DEVICE_STEP_NS",
        "> DEVICE_STEP_NS",
        _T_TIMEBASE,
    ),
    Mutant(
        "forgets by how much a device's clock was ahead",
        _DEVICE,
        "lead = int(device_ns[0]) - stamp.time_ns if self._lead is None else self._lead",
        "lead = int(device_ns[0]) - stamp.time_ns if self._lead is None else 0",
        _T_TIMEBASE,
    ),
    Mutant(
        "believes what comes in a heap after a silence",
        _CATCHUP,
        "return at_ns - silence.begin_ns if silence.kept else 0",
        "return 0",
        _T_CATCHUP,
    ),
    Mutant(
        "never believes a stream again that had a silence",
        _CATCHUP,
        "        if silence.is_over(at_ns):\n",
        "        if False:\n",
        _T_CATCHUP,
    ),
    Mutant(
        "takes every silence for a heap's",
        _CATCHUP,
        "< FASTER * self.pace * behind",
        "<= 2 * self.pace * (behind + 1)",
        _T_CATCHUP,
    ),
    Mutant(
        "takes the likeliest line of a few arrivals for the truth",
        _REGRESSION,
        "if self._old.count <= FEW and (found := self._old.expected()) is not None:",
        "if self._old.count < 0 and (found := self._old.expected()) is not None:",
        _T_POSTERIOR,
    ),
    # --- brokers, and the log's descriptions
    Mutant(
        "believes what a publisher kept of an absence",
        _KEPT,
        "if self._absent_ns and not self._has_come(now_ns):",
        "if False:",
        _T_KEPT,
    ),
    Mutant(
        "takes a pause in what a publisher kept for its end",
        _KEPT,
        "pause_ns > max(PAUSE_NS, 4 * pace_ns)",
        "False",
        _T_KEPT,
    ),
    Mutant(
        "takes another topic for the one that was written to",
        _DESCRIBING,
        "            self._ends[partition] = found.end\n",
        "",
        _T_DESCRIBING,
    ),
    # --- the serial port's stalls
    Mutant(
        "does not notice that the process stood still",
        _STALLS,
        "if at_ns - self._looked_ns > (FULL_NS if is_full else STALL_NS):",
        "if False:",
        _T_SERIAL,
    ),
    Mutant(
        "does not mind a full buffer after a short stall",
        _STALLS,
        "(FULL_NS if is_full else STALL_NS)",
        "STALL_NS",
        _T_SERIAL,
    ),
    Mutant(
        "says nothing of what a full buffer has lost",
        _STALLS,
        "self.since_ns if self._was_full else None",
        "None",
        _T_SERIAL,
    ),
    Mutant(
        "joins reads across a stall",
        _HANDOVER,
        "return self.since_ns == before.since_ns and abs(step_ns) <= STEP_NS",
        "return abs(step_ns) <= STEP_NS",
        _T_SERIAL,
    ),
]

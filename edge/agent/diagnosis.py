"""What is wrong with a source, found from what is heard of it; told once, and again only after a long time. Pure.

A `Glance` a second goes in. Out comes what a person should know: lines that give no sample, bytes that give no line, a
silence, a rate that is not the one configured; each with what was found and what to do next.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from edge.agent.advice import WORDS, advise
from edge.agent.hearing import BadLine
from edge.protocol import RAW_BYTES, REPEATED, Key, SourceConfig
from ingest.showing import shown_bytes

S: Final = 1_000_000_000
WINDOW_NS: Final = 5 * S
"""So far back faults and rates are looked at."""
LONG_WINDOW_NS: Final = 60 * S
"""So far back faults are looked at that are a few among many good lines."""
FIRST_NS: Final = 3 * S
"""So long after the first fault a source that never gave a sample is told."""
SILENCE_NS: Final = 8 * S
"""A silence that is told where nothing says how long one may be."""
_POLLED: Final = ("hwmon", "modbus", "onewire")
"""Sources whose `poll` has a default."""
UNKNOWN_NS: Final = 30 * S
"""The same, of a sensor that has spoken so seldom that its rhythm is not known."""
RHYTHM: Final = 32
"""So many pauses between arrivals are remembered, to learn how long one may be."""
AGAIN_NS: Final = 3600 * S
"""What goes on is told again after this."""
BLIND_NS: Final = 5 * S
"""Two glances that lie further apart: the process stood still, and has seen nothing in between."""
CALM_NS: Final = 10 * S
"""What was told is over when it was not seen for so long."""
FEW: Final = 3
MANY: Final = 8
"""So many samples are counted before their rate is judged."""
REPETITIONS: Final = 17
"""So many repetitions without a new sample between them are none: no more than 16 samples are known."""
LINE_BYTES: Final = 64
"""So many bytes without a line are no line that has just begun."""
EXAMPLE: Final = 60
"""Characters of an example."""
RATE_OFF: Final = 0.01
"""A learned rate that differs by more is told."""
ROUGH_RATE_OFF: Final = 0.25
"""A rate that was just counted differs by more."""
REFUSED: Final = frozenset(("range", "implausible", "unknown_state", "time", "no_time"))
"""Reasons of losses behind the decoder that say something of the sensor."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known of a source at an instant. Counts are since the agent began."""

    at_ns: int
    trouble: str = ""
    """What the source itself says is wrong."""
    is_open: bool = True
    """It is being read: it waits for no device, and is not at its end."""
    arrivals: int = 0
    size_bytes: int = 0
    waited: int = 0
    heard_ns: int | None = None
    samples: int = 0
    """That are recorded, a commit later than they are decoded."""
    decoded: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    """Lines and messages that gave no sample, and samples that were refused, by reason."""
    bad: Sequence[BadLine] = ()
    newest: bytes = b""
    absent: Sequence[str] = ()
    """Channels that never had a value."""
    rate_hz: float | None = None
    """The true rate, so far as it was learned and has settled."""


class Finding(NamedTuple):
    """Something that is wrong with a source."""

    kind: str
    """`trouble`, `faults`, `some_faults`, `no_line`, `silence`, `absent`, `rate`."""
    text: str


class Diagnosis:
    """Looks at one source."""

    def __init__(self, config: SourceConfig, keys: Mapping[str, Key]) -> None:
        self._config = config
        self._keys = keys
        """Its decoder's."""
        self._seen: deque[Glance] = deque()
        self._pauses_ns: deque[int] = deque(maxlen=RHYTHM)
        self._opened_ns: int | None = None
        self._fault_ns: int | None = None
        """Of the first fault since the last sample."""
        self._clean: Glance | None = None
        """The newest glance that had a new sample; the first one at the beginning."""
        self._told: dict[str, tuple[int, int]] = {}
        """By kind, when it was told and when it was seen last."""

    def look(self, now: Glance) -> list[Finding]:
        """All that is wrong now."""
        self._learn(now)
        if not now.is_open:
            return []
        if now.trouble:
            return [Finding("trouble", now.trouble)]
        found = self._faults(now) or self._no_line(now) or self._silence(now) or self._absent(now) or self._rate(now)
        return [] if found is None else [found]

    def conclude(self, now: Glance) -> list[Finding]:
        """All that is wrong where nobody will look any longer: of a source without a sample, also what is not sure
        yet."""
        found = self.look(now)
        if found or not now.is_open or now.samples:
            return found
        if _total(now):
            return [self._finding("faults", now, self._seen[0])]
        return [self._unended(now, now.size_bytes) if now.size_bytes else self._unheard(now, "")]

    def news(self, found: Sequence[Finding], now_ns: int) -> list[str]:
        """What of it is to be told now: what is new, what has gone on for long, what is over."""
        lines: list[str] = []
        for finding in found:
            told_ns = self._told.get(finding.kind, (None, 0))[0]
            if told_ns is None or now_ns - told_ns >= AGAIN_NS:
                lines.append(finding.text)
                told_ns = now_ns
            self._told[finding.kind] = (told_ns, now_ns)
        over = [kind for kind, (_, seen_ns) in self._told.items() if now_ns - seen_ns >= CALM_NS]
        for kind in over:
            del self._told[kind]
        if over and not self._told:
            lines.append("good again")
        return lines

    def _learn(self, now: Glance) -> None:
        if self._clean is None and not self._seen:  # what came before the first look came since the agent began
            self._seen.append(Glance(now.at_ns - S, is_open=now.is_open))
            self._clean = self._seen[0]
        before = self._seen[-1] if self._seen else None
        if before is not None and now.at_ns - before.at_ns > BLIND_NS:  # a silence meanwhile was the agent's own
            self._seen.clear()
            self._clean, before = now, None
            self._fault_ns = self._opened_ns = None
        if not now.is_open:
            self._opened_ns = None
        elif self._opened_ns is None:
            self._opened_ns = now.at_ns
        if before is not None and now.arrivals > before.arrivals and None not in (now.heard_ns, before.heard_ns):
            assert now.heard_ns is not None and before.heard_ns is not None  # noqa: PT018 - for the type checker
            self._pauses_ns.append((now.heard_ns - before.heard_ns) // (now.arrivals - before.arrivals))
        if self._clean is None or now.samples > self._clean.samples:
            self._clean, self._fault_ns = now, None
        elif self._fault_ns is None and _total(now) > _total(self._clean):
            self._fault_ns = now.at_ns
        self._seen.append(now)
        while now.at_ns - self._seen[0].at_ns > LONG_WINDOW_NS:
            self._seen.popleft()

    def _before(self, now: Glance, window_ns: int) -> Glance:
        """The oldest glance that is not older than the window."""
        return next(glance for glance in self._seen if now.at_ns - glance.at_ns <= window_ns)

    # --- rules

    def _faults(self, now: Glance) -> Finding | None:
        assert self._clean is not None
        if self._repeated(now) >= REPETITIONS:
            return Finding("faults", self._anew(self._repeated(now)))
        recent = self._before(now, WINDOW_NS)
        faults, samples = _total(now) - _total(recent), now.samples - recent.samples
        in_a_row = _total(now) - _total(self._clean)
        is_first = self._fault_ns is not None and not now.samples and now.at_ns - self._fault_ns >= FIRST_NS
        if (faults >= FEW and faults >= samples) or in_a_row >= FEW or (in_a_row and is_first):
            since = recent if faults >= FEW and samples else self._clean
            return self._finding("faults", now, since)
        long = self._before(now, LONG_WINDOW_NS)
        faults, samples = _total(now) - _total(long), now.samples - long.samples
        if faults >= FEW and 100 * faults >= samples:
            return self._finding("some_faults", now, long)
        return None

    def _repeated(self, now: Glance) -> int:
        """Samples since the newest new one that came before, as a frame does that several gateways heard."""
        assert self._clean is not None
        return now.faults.get(REPEATED, 0) - self._clean.faults.get(REPEATED, 0)

    def _anew(self, count: int) -> str:
        unique = self._config.option("unique", list, [])
        longer = ", ".join(f'"{path}"' for path in [*unique[:-1], "devaddr", *unique[-1:]])
        return (
            f"{count:,} samples in a row were left out as repetitions, by unique: does what counts begin anew at each "
            f"start? Then name in it also what changes at a start, as in unique = [{longer}]"
        )

    def _finding(self, kind: str, now: Glance, since: Glance) -> Finding:
        counts = {name: count - since.faults.get(name, 0) for name, count in now.faults.items() if name != REPEATED}
        reason = max(counts, key=lambda name: counts[name])
        faults, samples = sum(counts.values()), now.samples - since.samples
        whole = f"none of the last {faults:,} lines gives a sample"
        whole = "the only line that came gives no sample" if faults == 1 else whole
        few = f"{faults:,} of the last {faults + samples:,} lines give no sample"
        raw = next((bad.raw for bad in reversed(now.bad) if bad.reason == reason), b"") or _last_line(now.newest)
        is_bad = raw.strip() and reason != "not_rising"  # the newest line is as good as any of those
        example = f', as in "{shown_bytes(raw.strip(), EXAMPLE)}"' if is_bad else ""
        text = f"{few if samples else whole}: {reason}, {WORDS.get(reason, 'see its decoder')}{example}"
        return Finding(kind, f"{text}; {advise(self._config, self._keys, reason, raw, now.newest)}")

    def _no_line(self, now: Glance) -> Finding | None:
        assert self._clean is not None
        size, still = now.size_bytes - self._clean.size_bytes, self._before(now, WINDOW_NS).size_bytes < now.size_bytes
        if now.decoded > self._clean.decoded or self._repeated(now):  # who waits for a disk has not recorded them yet
            return None
        if size < LINE_BYTES or not still or now.at_ns - self._clean.at_ns < WINDOW_NS:
            return None
        return self._unended(now, size)

    def _unended(self, now: Glance, size: int) -> Finding:
        example = shown_bytes(now.newest.strip(), EXAMPLE)
        text = f'{size:,} bytes came and gave neither a sample nor a whole line, as in "{example}"'
        raw = now.newest[-RAW_BYTES:]
        return Finding("no_line", f"{text}; {advise(self._config, self._keys, 'torn', raw, now.newest)}")

    def _silence(self, now: Glance) -> Finding | None:
        if self._opened_ns is None or self._config.type == "replay":
            return None
        allowed_ns, why = self._allowed()
        since_ns = self._opened_ns if now.heard_ns is None else max(now.heard_ns, self._opened_ns)
        if now.at_ns - since_ns <= allowed_ns:
            return None
        return self._unheard(now, why)

    def _unheard(self, now: Glance, why: str) -> Finding:
        opened_ns = self._seen[0].at_ns if self._opened_ns is None else self._opened_ns
        since_ns = opened_ns if now.heard_ns is None else max(now.heard_ns, opened_ns)
        what = "nothing has come" if now.heard_ns is None else "nothing more has come"
        silent_s = round((now.at_ns - since_ns) / S)
        how_long = f"for {silent_s} s" if silent_s else "yet, less than a second after it was opened"
        return Finding("silence", f"{what} {how_long}{why}; {self._where_to_look()}")

    def _allowed(self) -> tuple[int, str]:
        """How long a silence may be, and why."""
        if self._config.expect_ns is not None:
            return self._config.expect_ns, f", expected is something every {self._config.expect_ns / S:g} s"
        if len(self._pauses_ns) >= FEW or (self._pauses_ns and self._seen[-1].arrivals >= MANY):
            usual = median(self._pauses_ns)
            allowed = max(5 * S, 10 * int(usual), 3 * max(self._pauses_ns))
            return allowed, f", usual is something every {usual / S:.2g} s"
        if self._config.rate is not None:
            return max(5 * S, int(10 * S / self._config.rate)), f', rate = "{float(self._config.rate):g}Hz" says more'
        if self._pauses_ns or self._seen[-1].heard_ns is not None:
            longest = max(self._pauses_ns, default=0)
            return max(UNKNOWN_NS, 3 * longest), '; where that is usual, say how long may be, as in expect = "5min"'
        return SILENCE_NS, ""

    def _where_to_look(self) -> str:
        if self._config.type == "serial":
            return "is the sensor on, and does its TX go to this port's RX?"
        if self._config.type == "exec":
            return "does its program write each line at once, as with stdbuf -oL, or python -u?"
        if self._config.type == "sparkplug":
            return (
                "are group_id, edge_node_id and device_id the node's own (case counts), is it on, and may this user "
                "read what it publishes?"
            )
        topic = self._config.options.get("topic")
        if topic is not None:
            return (
                f'does anyone publish on "{topic}", written just so (case counts), and may this user read it? A broker '
                "may forbid it and say nothing"
            )
        return "is the sensor on?"

    def _absent(self, now: Glance) -> Finding | None:
        if not now.absent or now.samples < MANY or now.at_ns - self._seen[0].at_ns < FIRST_NS:
            return None
        names, raw = ", ".join(now.absent), _last_line(now.newest)
        text = f'no sample of {now.samples:,} has a value of {names}, as in "{shown_bytes(raw, EXAMPLE)}"'
        return Finding("absent", f"{text}; {advise(self._config, self._keys, 'missing', raw, now.newest)}")

    def _rate(self, now: Glance) -> Finding | None:
        nominal = self._config.rate
        if nominal is None or now.heard_ns is None or now.samples < FEW:
            return None
        found, off = now.rate_hz, RATE_OFF
        if found is None:
            found, off = self._counted_hz(now), ROUGH_RATE_OFF
        if found is None or abs(found / float(nominal) - 1) <= off:
            return None
        if self._config.clock == "device" and (found > nominal or not self._comes_evenly(now)):
            return None  # it may be handing over what it has kept
        return Finding(
            "rate",
            f'{found:.4g} samples a second come, rate = "{float(nominal):g}Hz" says {float(nominal):g}; correct rate, '
            f"or {self._pace()}",
        )

    def _pace(self) -> str:
        """What says how fast samples are taken."""
        if "poll" in self._config.options or self._config.type in _POLLED:
            return "poll"
        return "set the sensor's by frequency" if self._config.type == "iio" else "the sensor's setting"

    def _comes_evenly(self, now: Glance) -> bool:
        """Each glance of late has seen new samples: it does not hand them over in heaps, now and then."""
        recent = [glance.samples for glance in self._seen if glance.at_ns >= now.at_ns - WINDOW_NS]
        return all(map(operator.lt, recent, recent[1:]))

    def _counted_hz(self, now: Glance) -> float | None:
        """How many samples a second came lately; None where that says nothing of the sensor."""
        recent = self._before(now, WINDOW_NS)
        span_ns = now.at_ns - recent.at_ns
        samples = now.samples - recent.samples
        is_steady = all(glance.waited == now.waited and glance.heard_ns is not None for glance in (recent, now))
        assert now.heard_ns is not None
        is_fresh = now.at_ns - now.heard_ns < 2 * S
        if span_ns < WINDOW_NS - S or samples < MANY or not is_steady or not is_fresh:
            return None
        return samples * S / span_ns


def _total(glance: Glance) -> int:
    return sum(count for reason, count in glance.faults.items() if reason != REPEATED)


def _last_line(data: bytes) -> bytes:
    return data.rstrip().rpartition(b"\n")[2][:200]

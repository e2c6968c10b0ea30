"""Which sources a configuration leaves alone, ends and begins; and whether what it has begun speaks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from edge.protocol import SourceConfig

LAPS: Final = 3
"""Who is silent for longer than so many of its usual intervals is silent."""


class Plan(NamedTuple):
    """From one configuration to the next."""

    stay: frozenset[str]
    """Sources that are not touched, by name."""
    leave: tuple[str, ...]
    """Those that end; what is changed ends, and begins anew."""
    come: tuple[SourceConfig, ...]


def planned(before: Sequence[SourceConfig], then: Sequence[SourceConfig]) -> Plan:
    """What is to be done. Streams that share a port stay, or begin anew, together."""
    old, new = _groups(before), _groups(then)
    stay = frozenset(one.name for key, group in new.items() if old.get(key) == group for one in group)
    return Plan(
        stay,
        tuple(one.name for one in before if one.name not in stay),
        tuple(one for one in then if one.name not in stay),
    )


def _groups(sources: Iterable[SourceConfig]) -> dict[tuple[str, str], list[SourceConfig]]:
    """By what they share, or their name; without where each stands."""
    found: dict[tuple[str, str], list[SourceConfig]] = {}
    for source in sources:
        key = ("port", str(source.options.get("port"))) if source.tag else ("name", source.name)
        found.setdefault(key, []).append(replace(source, where=""))
    return found


class Heard(NamedTuple):
    """What was heard of a source before a change."""

    samples: int
    age_ns: int
    """Of the newest."""
    interval_ns: int
    """Between two arrivals, on average; 0 where that is not known."""


def usual_silence_ns(heard: Heard, expect_ns: int | None, patience_ns: int) -> int:
    """For how long a source that works may say nothing at the end of a trial of so long."""
    return max(patience_ns // 2, _usual_ns(heard, expect_ns))


def _usual_ns(heard: Heard, expect_ns: int | None) -> int:
    return max(LAPS * heard.interval_ns, expect_ns or 0)


def spoke(heard: Heard, expect_ns: int | None, patience_ns: int) -> bool:
    """Whether a source spoke up to a change: then it is to speak behind it, too."""
    return heard.samples > 0 and heard.age_ns <= max(patience_ns, _usual_ns(heard, expect_ns))


class Trial:
    """Whether the sources that spoke before a change speak behind it.

    `silence_ns`: of each of them, what `usual_silence_ns` says. The verdict is asked for at least once a second.
    """

    def __init__(self, silence_ns: Mapping[str, int], begun_ns: int, patience_ns: int) -> None:
        self.ends_ns = max([begun_ns + patience_ns, *(begun_ns + span_ns for span_ns in silence_ns.values())])
        self._silence_ns = silence_ns
        self._begun_ns = begun_ns
        self._patience_ns = patience_ns
        self._samples = dict.fromkeys(silence_ns, 0)
        self._spoke_ns: dict[str, int] = {}

    def look(self, now_ns: int, samples: Mapping[str, int], failures: Mapping[str, str]) -> str | None:
        """Why it has failed; empty where it has passed, None while that is open. `samples` since the change."""
        for name, why in failures.items():
            return f"{name}: {why}"
        for name, count in samples.items():
            if name in self._samples and count > self._samples[name]:
                self._samples[name], self._spoke_ns[name] = count, now_ns
        if now_ns < self.ends_ns:
            return None
        for name, span_ns in self._silence_ns.items():
            at_ns = self._spoke_ns.get(name)
            if at_ns is None:
                return f"{name}: no sample in {(now_ns - self._begun_ns) / 1e9:.0f} s; it spoke before"
            if now_ns - at_ns > span_ns:
                return f"{name}: silent since {(now_ns - at_ns) / 1e9:.0f} s, after {self._samples[name]:,} samples"
        return ""

"""The streams that sources feed: one each, or one of each device that a source tells apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from edge.agent.hearing import Hearing
from edge.decoders.guard import GuardedDecoder
from edge.protocol import Arrival, Fault, Frame, SourceConfig
from edge.recording.recorder import Recorder


class Member:
    """One stream of one device, as a source feeds it."""

    def __init__(self, config: SourceConfig, recorder: Recorder, decoder: GuardedDecoder | None, hearing: Hearing):
        self.config: Final = config
        self.recorder: Final = recorder
        self.decoder: Final = decoder
        """None where one decoder serves all devices of a source, and says whose a sample is."""
        self.hearing: Final = hearing
        self._fed = 0
        """Bytes, where the decoder is not its own."""

    def take(self, item: Arrival, fed: int, found: Collection[Frame | Fault]) -> None:
        """What an arrival's bytes were decoded to."""
        self.recorder.take(
            self.config.stream,
            fed,
            found,
            item.monotonic_ns,
            item.wall_ns,
            reads=item.reads,
            waited_ns=item.waited_ns,
            is_message=item.is_message,
        )

    def take_part(self, item: Arrival, fed: int, found: Collection[Frame | Fault]) -> None:
        """What is this device's of an arrival for several; the decoder's offsets are those of all of them."""
        self._fed += fed
        own = [replace(one, offset=self._fed) if isinstance(one, Frame) else one for one in found]
        self.hearing.note(item, own)
        self.take(replace(item, reads=()), fed, own)


@dataclass(slots=True)
class Devices:
    """The devices of an agent: those that its configuration names, and those that its sources find."""

    make: Callable[[str, Sequence[SourceConfig]], Recorder]
    """A recorder for a device with these streams."""
    found: Callable[[str], None] = lambda device: None
    """Hears of each device that a source finds."""
    described: Callable[[SourceConfig], None] = lambda config: None
    """Hears of each stream that a source finds, before anything of it is recorded."""
    recorders: dict[str, Recorder] = field(default_factory=dict)
    """By device."""
    _streams: set[tuple[str, str]] = field(default_factory=set)

    def name(self, sources: Sequence[SourceConfig]) -> None:
        """Those that the configuration names."""
        named = [source for source in sources if not source.is_family]
        self._streams |= {(source.device, source.stream) for source in named}
        for device in dict.fromkeys(source.device for source in named):
            self.recorders[device] = self.make(device, [source for source in named if source.device == device])

    def is_taken(self, config: SourceConfig) -> bool:
        """A source feeds this stream of this device."""
        return (config.device, config.stream) in self._streams

    def change(self, left: Collection[tuple[str, str]], come: Sequence[SourceConfig], monotonic_ns: int) -> list[str]:
        """These streams of devices are fed no more, those that `come` names from now on; the devices that have none
        any more."""
        before = {device for device, _ in self._streams}
        self._streams -= set(left)
        named = [source for source in come if not source.is_family]
        for device in dict.fromkeys([*(device for device, _ in left), *(source.device for source in named)]):
            own = [source for source in named if source.device == device]
            known = self.recorders.get(device)
            if known is None:
                self.recorders[device] = self.make(device, own)
            else:
                known.change({stream for whose, stream in left if whose == device}, own, monotonic_ns)
            if own and device not in before:
                self.found(device)
        self._streams |= {(source.device, source.stream) for source in named}
        return sorted(before - {device for device, _ in self._streams})

    def join(self, config: SourceConfig) -> Recorder | None:
        """The recorder of a stream that a source has found; None where another source has it."""
        if self.is_taken(config):
            return None
        is_new = all(device != config.device for device, _ in self._streams)
        self._streams.add((config.device, config.stream))
        recorder = self.recorders.get(config.device)
        if recorder is None:
            self.recorders[config.device] = recorder = self.make(config.device, [config])
        else:
            recorder.join(config)
        if is_new:
            self.found(config.device)
        return recorder

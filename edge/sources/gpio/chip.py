"""Lines of a GPIO chip, requested through libgpiod 2: found, watched, and what to do where that fails."""

from __future__ import annotations

import errno
import os
import select
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

import gpiod
import numpy as np
from gpiod.line import Bias, Clock, Direction, Edge, Value

from edge.sources.access import way_in
from edge.sources.clock import boottime_ns
from edge.sources.gpio.edges import EVENT, Counts, Edges, Levels
from edge.sources.gpio.quadrature import Quadrature
from edge.sources.gpio.settings import Settings
from edge.sources.kernel import SuspendedError
from edge.sources.serial.handover import READ_BYTES

CHIP_LOST: Final = "chip_lost"
CONSUMER: Final = "sensorloom"
BUFFER: Final = 1024
"""Events that wait in the kernel; it keeps no more (16 for each of a request's 64 lines)."""
DEVICES: Final = Path("/dev")
_RULES: Final = "install.sh's udev rules to the group gpio"
_LOAD: Final = "load its driver (sudo modprobe NAME), or let /dev/gpiochip* into this container"
_EDGES: Final = {"both": Edge.BOTH, "rising": Edge.RISING, "falling": Edge.FALLING}
_BIASES: Final = {
    "as-is": Bias.AS_IS,
    "pull-up": Bias.PULL_UP,
    "pull-down": Bias.PULL_DOWN,
    "disabled": Bias.DISABLED,
}


class UnfitError(OSError):
    """A chip or line is not as the configuration says; the text says what to do."""


@dataclass(slots=True)
class Chip:
    """The lines that settings name; an endpoint of `edge.sources.kernel`."""

    settings: Settings
    label: str = ""
    """Of the chip that had them; empty before."""

    loss: ClassVar[str] = CHIP_LOST
    delays_s: ClassVar[tuple[float, float]] = (0.1, 5.0)
    proves_ns: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.settings.chip or "gpio"

    def open(self) -> Requested:
        """Find the chip and request its lines. Raises `OSError`, `ValueError`."""
        with find_chip(self.settings, self.label) as chip:
            requested = self._request(chip)
            self.label = chip.get_info().label
            return requested

    def _request(self, chip: gpiod.Chip) -> Requested:
        wanted = self.settings
        offsets = [offset_of(chip, line) for line in wanted.lines]
        settings = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=_EDGES[wanted.edge],
            bias=_BIASES[wanted.bias],
            active_low=wanted.active_low,
            debounce_period=timedelta(microseconds=wanted.debounce_ns // 1000),
            event_clock=Clock.MONOTONIC,
        )
        try:
            request = chip.request_lines(dict.fromkeys(offsets, settings), CONSUMER, BUFFER)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise UnfitError(_who_has(chip, offsets)) from None
            if error.errno in (errno.ENXIO, errno.ENOTSUP, errno.EINVAL):
                raise UnfitError(
                    f"does not watch these lines so ({os.strerror(error.errno)}); try them without bias and debounce, "
                    "or other lines: some have no interrupt"
                ) from None
            raise
        every_ns = wanted.every_ns
        edges: Edges
        if wanted.encoder_channels:
            edges = Quadrature(offsets, every_ns, wanted.encoder_channels)
        elif every_ns:
            edges = Counts(offsets, every_ns)
        else:
            edges = Levels(offsets, both=wanted.edge == "both")
        return Requested(request, offsets, edges)

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that opening raised, and what to do."""
        return _described(error)

    def why_lost(self, error: Exception) -> str:
        """What people make of an error that reading raised."""
        if isinstance(error, SuspendedError):
            return "the machine was suspended; the lines are requested anew"
        if isinstance(error, OSError) and error.errno == errno.ENODEV:
            return "the chip is gone; waiting for it to come back"
        return _described(error)

    def others(self, at_ns: int) -> list[str]:
        """Nobody: a line is requested by one program at a time."""
        return []


class Requested:
    """Lines of ours; a `Device` of `edge.sources.kernel`."""

    rest_s: float = 0.0

    def __init__(self, request: gpiod.LineRequest, offsets: list[int], edges: Edges) -> None:
        self.wait_s: float = edges.wait_s
        self._request = request
        self._offsets = offsets
        self._edges = edges
        self._poll = select.poll()
        self._poll.register(request.fd, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._request.release()

    def fileno(self) -> int:
        """Of the events."""
        return self._request.fd

    def read(self) -> bytes:
        """See `Device`."""
        return os.read(self._request.fd, READ_BYTES)

    def begin(self, at_ns: int) -> bytes:
        """See `Device`."""
        self._edges.begin(at_ns)
        return self._look(at_ns)

    def take(self, data: bytes, ahead_ns: int) -> bytes:
        """See `Device`."""
        return self._edges.take(np.frombuffer(data, EVENT), ahead_ns)

    def quiet(self, at_ns: int) -> bytes:
        """See `Device`."""
        return self._edges.quiet(at_ns) or self._look(boottime_ns())

    def _look(self, at_ns: int) -> bytes:
        """The levels, where they are not known; not while an edge waits that was before."""
        if not self._edges.wants_levels:
            return b""
        levels = [float(value is Value.ACTIVE) for value in self._request.get_values(self._offsets)]
        return b"" if self._poll.poll(0) else self._edges.stand(levels, at_ns)


def find_chip(wanted: Settings, label: str = "") -> gpiod.Chip:
    """The chip, open. Raises `OSError`.

    `label`: of the one that it was before. It may come back under another number (Linux 6.1 keeps the old one for ever
    where lines were requested as it went), and another chip may have its number by then.
    """
    if wanted.chip and (path := DEVICES / wanted.chip).exists():  # a path that begins with / stays what it is
        chip = _open(path)
        if label in ("", chip.get_info().label):
            return chip
        chip.close()
    present, again = [], []
    for path in sorted(DEVICES.glob("gpiochip*"), key=lambda path: (len(path.name), path.name)):
        chip = _open(path)
        info = chip.get_info()
        if wanted.chip == info.label or (not wanted.chip and all(_has(chip, str(line)) for line in wanted.lines)):
            return chip
        chip.close()
        present.append(f"{info.name} ({info.label}, {info.num_lines} lines)")
        again += [path] if info.label == label else []
    if len(again) == 1:
        return _open(again[0])
    there = f"there are {', '.join(present)}" if present else f"there is no GPIO chip at all; {_LOAD}"
    what = "no such chip" if wanted.chip else f"no chip has the lines {', '.join(map(str, wanted.lines))}"
    raise UnfitError(f"{what}{f' ({label}) any more' if label else ''}: {there}")


def _open(path: Path) -> gpiod.Chip:
    if not gpiod.is_gpiochip_device(str(path)):
        raise UnfitError("is no GPIO chip; see what there is with gpiodetect")
    try:
        return gpiod.Chip(str(path))
    except PermissionError:
        raise UnfitError(f"{path} may not be opened by this user; {way_in(path, _RULES)}") from None


def _has(chip: gpiod.Chip, name: str) -> bool:
    try:
        chip.line_offset_from_id(name)
    except (OSError, ValueError):
        return False
    return True


def offset_of(chip: gpiod.Chip, line: int | str) -> int:
    """A line's number. Raises `UnfitError`."""
    try:
        return int(chip.line_offset_from_id(line))
    except (OSError, ValueError):
        most = chip.get_info().num_lines - 1
        what = f'line named "{line}"' if isinstance(line, str) else f"line {line}"
        raise UnfitError(f"has no {what}; its lines are 0 to {most}, and gpioinfo says their names") from None


def _who_has(chip: gpiod.Chip, offsets: list[int]) -> str:
    taken = [info for offset in offsets if (info := chip.get_line_info(offset)).used]
    who = " and ".join(f"line {info.offset} by {info.consumer or 'the kernel'}" for info in taken)
    return f"is in use: {who or 'a line, by somebody'}; end that program, or choose another line"


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)

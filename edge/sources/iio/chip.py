"""A sensor's buffer, set up and read through /dev/iio:deviceN, and what to do where that fails."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from edge.sources.access import way_in
from edge.sources.clock import boottime_ns
from edge.sources.iio.folder import RULES, Folder, UnfitError, described, find, set_frequency
from edge.sources.iio.layout import TIMESTAMP, Element, Layout
from edge.sources.iio.reading import MeaningError, Reading, reading
from edge.sources.iio.scans import Scans
from edge.sources.iio.settings import Settings
from edge.sources.kernel import SuspendedError
from edge.sources.serial.handover import READ_BYTES
from edge.sources.serial.port import who_has

DEVICE_LOST: Final = "device_lost"
SYSFS: Final = Path("/sys/bus/iio/devices")
FILES: Final = Path("/dev")
_CLOCK: Final = "current_timestamp_clock"
_CLOCKS: Final[Mapping[str, int]] = {
    "realtime": time.CLOCK_REALTIME,
    "monotonic": time.CLOCK_MONOTONIC,
    "monotonic_raw": time.CLOCK_MONOTONIC_RAW,
    "boottime": time.CLOCK_BOOTTIME,
    "tai": time.CLOCK_TAI,
}
_POLL_HINT: Final = 'read single values with poll = "100ms"'
_LOOKS: Final = 5
_LOOK_NS: Final = 500_000_000
"""So often it is looked whether its buffer is still enabled, while nothing comes."""
_SET_NS: Final = 1_000_000
"""A clock that moved by more between two reads was set."""
_ODD_NS: Final = 1_000_000_000
"""A scan's time may lie so far before its buffer was enabled, or in the future."""


class _ClockSetError(OSError):
    """The clock that scans are stamped by was set, and nobody knows between which of them."""


@dataclass(frozen=True, slots=True)
class Chip:
    """The sensor that settings name; an endpoint of `edge.sources.kernel`."""

    settings: Settings
    sysfs: Path = SYSFS
    files: Path = FILES

    loss: ClassVar[str] = DEVICE_LOST
    delays_s: ClassVar[tuple[float, float]] = (0.1, 5.0)
    proves_ns: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.settings.chip

    def open(self) -> Buffered:
        """Find the sensor, set up its buffer, and begin. Raises `OSError`, `FormatError`, `MeaningError`."""
        folder = find(self.settings.chip, self.sysfs)
        if folder.get("buffer/enable") is None:
            raise UnfitError(f"has no buffer; {_POLL_HINT}")
        file = os.open(self.files / folder.number, os.O_RDONLY | os.O_NONBLOCK)  # who has it open has it alone
        try:
            return _set_up(folder, file, self.settings, self.sysfs)
        except BaseException:
            os.close(file)
            raise

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that opening raised, and what to do."""
        if isinstance(error, PermissionError):
            return f"may not be opened by this user; {way_in(error.filename or self.files, RULES)}"
        if isinstance(error, OSError) and error.errno == errno.EBUSY:
            others = " and ".join(who_has(str(error.filename))) if error.filename else ""
            return f"another program reads it: {others or 'of another user, as iiod may be'}; end that one"
        if isinstance(error, FileNotFoundError):
            return f"has no device file, so no buffer; {_POLL_HINT}"
        return described(error)

    def why_lost(self, error: Exception) -> str:
        """What people make of an error that reading raised."""
        if isinstance(error, SuspendedError):
            return "the machine was suspended; the buffer is set up anew"
        if isinstance(error, _ClockSetError):
            return f"the clock that it stamps by was set; let {_CLOCK} be writable, and boottime is taken"
        if isinstance(error, OSError) and error.errno == errno.ENODEV:
            return "the device is gone; waiting for it to come back"
        return described(error)

    def others(self, at_ns: int) -> list[str]:
        """Nobody: the kernel gives a buffer to one program."""
        return []


class Buffered:
    """A buffer that is enabled; a `Device` of `edge.sources.kernel`."""

    wait_s: float = 1.0

    def __init__(self, folder: Folder, file: int, scans: Scans, size: int, clock: int) -> None:
        self._folder = folder
        self._file = file
        self._scans = scans
        self._read_bytes = max(1, READ_BYTES // size) * size
        self._clock = clock
        self._ahead_ns = _ahead_ns(clock)
        self._begun_ns = self._looked_ns = boottime_ns()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # it is gone
            self._folder.set("buffer/enable", 0)
        os.close(self._file)

    @property
    def rest_s(self) -> float:
        """See `Device`."""
        return self._scans.rest_s

    def fileno(self) -> int:
        """Of the scans."""
        return self._file

    def begin(self, at_ns: int) -> bytes:
        """See `Device`: nothing is known yet."""
        return b""

    def read(self) -> bytes:
        """See `Device`."""
        self._scans.waited(int(self._folder.get("buffer/data_available") or 0))
        try:
            return os.read(self._file, self._read_bytes)
        except BlockingIOError:
            return b""

    def take(self, data: bytes, ahead_ns: int) -> bytes:
        """See `Device`. Raises `OSError` where the times of scans cannot be told."""
        before_ns, self._ahead_ns = self._ahead_ns, _ahead_ns(self._clock)
        if abs(self._ahead_ns - before_ns) > _SET_NS:
            raise _ClockSetError
        rows = self._scans.take(data, self._ahead_ns)
        oldest_ns, newest_ns = self._scans.span_ns
        if oldest_ns < self._begun_ns - _ODD_NS or newest_ns > boottime_ns() + _ODD_NS:
            raise UnfitError(f"its driver stamps scans by a clock of its own; {_POLL_HINT}")
        return rows

    def quiet(self, at_ns: int) -> bytes:
        """See `Device`. Raises `OSError` where no scan will come any more, of which no poll tells."""
        if at_ns - self._looked_ns > _LOOK_NS:
            self._looked_ns = at_ns
            is_enabled = self._folder.get("buffer/enable")
            if is_enabled is None:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            if is_enabled == "0":
                raise UnfitError("its buffer was disabled by somebody else, or by its removal; it is set up anew")
        return b""


def _set_up(folder: Folder, file: int, wanted: Settings, sysfs: Path) -> Buffered:
    folder.set("buffer/enable", 0)  # one that was killed leaves it so; nobody else has it
    trigger = _trigger(folder, wanted.trigger, sysfs)
    if wanted.frequency is not None:
        set_frequency(float(wanted.frequency), [*([trigger] if trigger else []), folder])
    clock = _set_clock(folder)
    scan = Folder(folder.path / "scan_elements")
    known = scan.inputs("_type")
    if TIMESTAMP not in known:
        raise UnfitError(f"has no times in its scans; {_POLL_HINT}")
    elements = [name for name in known if name != TIMESTAMP]
    meant = reading(wanted.elements, wanted.units, elements, folder.input, is_mounted=wanted.is_mounted)
    layout = _enable(scan, known, meant)
    length = 1 << (wanted.buffer - 1).bit_length()  # the kernel's own has so many, whatever less is asked for
    folder.set("buffer/length", length)
    if folder.get("buffer/watermark") is not None:
        folder.set("buffer/watermark", 1)  # else scans may wait that no poll tells of
    try:
        folder.set("buffer/enable", 1)
    except OSError as error:
        if error.errno == errno.EINVAL and trigger is None:
            raise UnfitError(_no_trigger(sysfs)) from None
        raise
    return Buffered(folder, file, Scans(layout, meant, length), layout.size, clock)


def _enable(scan: Folder, known: list[str], wanted: Reading) -> Layout:
    """Let scans have what is wanted, and their time; some drivers add what they cannot do without."""
    names = {*(column.element for column in wanted.columns), TIMESTAMP}
    for name in sorted(known, key=lambda name: name in names):  # some take no more than a few
        scan.set(f"in_{name}_en", int(name in names))
    enabled = [name for name in known if scan.get(f"in_{name}_en") == "1"]
    elements = [
        (int(scan.get(f"in_{name}_index") or 0), name, Element.parse(scan.get(f"in_{name}_type") or ""))
        for name in enabled
    ]
    layout = Layout(elements)
    for column in wanted.columns:
        repeats = layout.repeats.get(column.element, 0)
        if column.part >= repeats:
            raise MeaningError(f"{column.element} has {repeats} values in a scan, numbered from 0; see elements")
    return layout


def _trigger(folder: Folder, wanted: str, sysfs: Path) -> Folder | None:
    """The trigger that is set then; None where the device has none, and needs none."""
    if folder.get("trigger/current_trigger") is None:
        if wanted:
            raise UnfitError(f"takes no trigger; leave trigger out, or {_POLL_HINT}")
        return None
    triggers = {trigger.get("name") or "": trigger for trigger in map(Folder, sorted(sysfs.glob("trigger*")))}
    own = f"{folder.get('name')}-dev{folder.number.removeprefix('iio:device')}"
    name = wanted or folder.get("trigger/current_trigger") or (own if own in triggers else "")
    if not name:
        raise UnfitError(_no_trigger(sysfs))
    if name not in triggers:
        raise UnfitError(f'there is no trigger "{name}"; {_there_are(triggers)}')
    try:
        folder.set("trigger/current_trigger", name)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise UnfitError(f'does not take trigger "{name}"; {_there_are(triggers)}') from None
        raise
    return triggers[name]


def _no_trigger(sysfs: Path) -> str:
    names = [Folder(path).get("name") or "" for path in sorted(sysfs.glob("trigger*"))]
    return f"has no trigger; say trigger = NAME: {_there_are(names)}"


def _there_are(names: Mapping[str, Folder] | list[str]) -> str:
    made = "mkdir /sys/kernel/config/iio/triggers/hrtimer/NAME makes one"
    return f"there are {', '.join(names)}" if names else f"there is none; {made}"


def _set_clock(folder: Folder) -> int:
    """By which clock scans are stamped: CLOCK_BOOTTIME where that can be set. Raises `UnfitError`."""
    with suppress(OSError):
        folder.set(_CLOCK, "boottime")
    name = folder.get(_CLOCK) or "realtime"
    if name not in _CLOCKS:
        raise UnfitError(f"stamps scans by {name}, which is some ms late; let {folder.path / _CLOCK} be boottime")
    return _CLOCKS[name]


def _ahead_ns(clock: int) -> int:
    """How far CLOCK_BOOTTIME is ahead of a clock, by the quickest of a few looks."""
    if clock == time.CLOCK_BOOTTIME:
        return 0
    looks = []
    for _ in range(_LOOKS):
        before_ns, at_ns, behind_ns = boottime_ns(), time.clock_gettime_ns(clock), boottime_ns()
        looks.append((behind_ns - before_ns, (before_ns + behind_ns) // 2 - at_ns))
    return min(looks)[1]

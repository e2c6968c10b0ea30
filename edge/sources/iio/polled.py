"""A sensor's single values, asked for: for one that has no buffer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.sources.iio.chip import SYSFS
from edge.sources.iio.folder import Folder, UnfitError, find, set_frequency
from edge.sources.iio.reading import MeaningError, Reading, reading
from edge.sources.iio.settings import Settings
from edge.sources.sysfs import number, row_of


class Values:
    """Files of a device; see `edge.sources.sysfs`. A file `…_input` is in the kernel's unit already."""

    def __init__(self, settings: Settings, sysfs: Path = SYSFS) -> None:
        self._settings = settings
        self._sysfs = sysfs
        self._reading: Reading | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._settings.chip

    def find(self) -> Sequence[Path]:
        """See `Files`. Raises `UnfitError`."""
        wanted, folder = self._settings, find(self._settings.chip, self._sysfs)
        if wanted.frequency is not None:
            set_frequency(float(wanted.frequency), [folder])
        raw = folder.inputs("_raw")
        processed = [name for name in folder.inputs("_input") if name not in raw]
        try:
            self._reading = reading(
                wanted.elements,
                wanted.units,
                [*raw, *processed],
                folder.input,
                is_mounted=wanted.is_mounted,
                processed=processed,
            )
        except MeaningError as error:
            raise UnfitError(str(error)) from None
        return [self._file(folder, column.element, raw) for column in self._reading.columns]

    @staticmethod
    def _file(folder: Folder, element: str, raw: list[str]) -> Path:
        return folder.path / f"in_{element}_{'raw' if element in raw else 'input'}"

    def message(self, texts: Sequence[bytes | None]) -> bytes:
        """See `Files`."""
        assert self._reading is not None
        return row_of(self._reading.values(np.array([[number(text) for text in texts]]))[0])

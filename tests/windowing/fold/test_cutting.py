"""Where finished signals lie: in memory that is filled again, but never under a signal that somebody still has."""

from __future__ import annotations

import numpy as np

from windowing.fold.cutting import Finished

CELLS = 500_000


def test_signals_keep_their_values_and_the_memory_of_those_let_go_is_filled_again() -> None:
    held = [(number, Finished().place((1, CELLS, 1))) for number in range(12)]
    for number, signal in held:
        signal[...] = number
    assert all((signal == number).all() for number, signal in held)
    begins = {signal.ctypes.data for _, signal in held}
    part = held[0][1][0, :10]
    del held, signal
    again = [Finished().place((1, CELLS, 1)) for _ in range(12)]
    assert begins & {signal.ctypes.data for signal in again}
    for signal in again:
        signal[...] = np.nan
    assert (part == 0).all()

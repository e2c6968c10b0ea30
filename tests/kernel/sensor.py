"""A sensor: numbered lines on standard output, a hundred a second, each booked in a file before it is said.

Of the standard library alone. The file (its argument) is on the host, so that no power cut of the guest takes it; a
line's number is its record's there, which has the time in ns UTC.
"""

from __future__ import annotations

import os
import struct
import sys
import time

RATE_HZ = 100
RECORD = struct.Struct("<q")
PRIME = 65_521


def check_of(number: int) -> int:
    """Two lines that ran into one another would not have a good one."""
    return number * 7919 % PRIME


def main(path: str) -> None:
    """Until it is killed."""
    book = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    number = os.fstat(book).st_size // RECORD.size
    due_s = time.monotonic()
    while True:
        os.write(book, RECORD.pack(time.time_ns()))
        os.write(1, b"%d,%d\n" % (number, check_of(number)))
        number += 1
        due_s = max(due_s + 1 / RATE_HZ, time.monotonic() - 1)
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1])

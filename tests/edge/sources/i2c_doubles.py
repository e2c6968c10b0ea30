"""A bus with parts on it, as `smbus2.SMBus` shows them: registers, and FIFOs that fill and run over."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Registers:
    """A part that is memory and nothing else."""

    def __init__(self, values: Mapping[int, int] | None = None) -> None:
        self.values = dict(values or {})

    def read(self, register: int, length: int) -> list[int]:
        return [self.values.get(register + at, 0) for at in range(length)]

    def write(self, register: int, value: int) -> None:
        self.values[register] = value


class Adxl345(Registers):
    """An ADXL345's FIFO: a stream of samples whose newest are kept; each read of the data registers takes one out."""

    def __init__(self) -> None:
        super().__init__({0x00: 0xE5})
        self.kept = deque[bytes](maxlen=33)
        self.has_overrun = False

    def sample(self, *counts: int) -> None:
        if self.values.get(0x2D) == 0x08:
            self.has_overrun |= len(self.kept) == self.kept.maxlen
            self.kept.append(b"".join(count.to_bytes(2, "little", signed=True) for count in counts))

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]

    def read(self, register: int, length: int) -> list[int]:
        if register == 0x30:
            return [int(self.has_overrun)]
        if register == 0x39:
            return [len(self.kept)]
        if register == 0x32:
            assert length == 6, "each read takes one sample out"
            self.has_overrun = False
            return list(self.kept.popleft())
        return super().read(register, length)

    def write(self, register: int, value: int) -> None:
        super().write(register, value)
        if (register, value) == (0x38, 0):
            self.kept.clear()


class Bus:
    """Parts by address; a number in a part's place is the error that it gives."""

    def __init__(self, parts: Mapping[int, Registers | int]) -> None:
        self.parts = dict(parts)
        self.is_closed = False
        self.fails = 0
        """Everything fails with this number."""
        self.before: Callable[[], Any] = lambda: None
        """Called before each read."""

    def _part(self, address: int) -> Registers:
        if self.fails:
            raise failed(self.fails)
        part = self.parts.get(address, errno.EREMOTEIO)
        if isinstance(part, int):
            raise failed(part)
        return part

    def read_byte(self, i2c_addr: int) -> int:
        self._part(i2c_addr)
        return 0

    def write_quick(self, i2c_addr: int) -> None:
        self._part(i2c_addr)

    def read_byte_data(self, i2c_addr: int, register: int) -> int:
        self.before()
        return self._part(i2c_addr).read(register, 1)[0]

    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None:
        self._part(i2c_addr).write(register, value)

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        self.before()
        assert length <= 32, "an SMBus block"
        return self._part(i2c_addr).read(register, length)

    def close(self) -> None:
        self.is_closed = True

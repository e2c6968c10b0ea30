"""The source `modbus`: a device's registers, coils or inputs, asked for at a steady pace, by pymodbus.

Each answer is a message: the registers' bytes, or a byte a coil or input, as the decoder `binary` reads them. The pace
is the agent's own clock; an answer that takes longer than that costs the questions that were due meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import termios
import traceback
from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Final, Self

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse

from edge.decoders.framing.shape import Endian
from edge.protocol import Key, SourceConfig
from edge.sources.modbus import rtu
from edge.sources.modbus.order import KEPT_ANSWERS, doubt
from edge.sources.modbus.settings import BITS, KEYS, Settings, read_settings
from edge.sources.polled import PolledSource, PollError
from edge.sources.serial.port import Line, device_file, why_closed

REFUSALS: Final[Mapping[int, str]] = {
    1: "does not know this kind of request; try the other table",
    2: "has none at such addresses; see address, table, and the fields' length, in its manual",
    3: "refuses so many at once; see the fields' length in its manual",
    4: "has failed by itself; see its display or its log, and unit_id",
    6: "is busy; say a longer poll, and see whether another master asks it",
    10: "gateway: has no way to this unit; see unit_id",
    11: "gateway: the unit behind it does not answer; see unit_id, the wiring and the bus's baud",
}
"""What is told, by the exception's code (Modbus Application Protocol 1.1b3, section 7)."""
_NO_ANSWER_OF_HOST: Final = (
    "does not answer; see its power, whether host and tcp_port are its own, unit_id, and answer_within"
)
_CODES: Final[Mapping[str, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""The function codes of the questions, and of their answers (section 6)."""
_FIRST_DIGITS: Final[Mapping[str, int]] = {"discrete": 1, "input": 3, "holding": 4}
"""Of the numbers that manuals count from 1 in each table; those of coils begin with 0."""
logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # what goes wrong is told by the source itself
Client = AsyncModbusTcpClient | AsyncModbusSerialClient


class ModbusSource(PolledSource):
    """Polls one device."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.name, settings.poll_ns)
        self._settings = settings
        self._client: Client | None = None
        self._asked = rtu.question(settings.unit_id, _CODES[settings.table], settings.address, settings.count)
        self._came = b""
        """Since the last question, on a serial line."""
        self._is_garbled = False
        """What came since the last question was no Modbus."""
        self._answers: deque[bytes] = deque(maxlen=KEPT_ANSWERS)
        """The newest."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        return cls(read_settings(config))

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        wanted = self._settings
        seen = doubt(self._answers, wanted.fields, wanted.endian, is_swapped=wanted.is_swapped)
        return super().trouble or (seen and not self.waiting_for and f"{self._name}: {seen}") or ""

    async def _poll(self) -> bytes:
        """The bytes of what is asked for. Raises `PollError`."""
        wanted, client = self._settings, self._client
        if client is None or not client.connected:
            client = await self._connect()
        ask = {
            "holding": client.read_holding_registers,
            "input": client.read_input_registers,
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
        }[wanted.table]
        self._is_garbled, self._came = False, b""
        try:
            found = await ask(wanted.address, count=wanted.count, device_id=wanted.unit_id)
        except ModbusException:
            self._drop()
            if self._is_garbled:
                raise PollError("answers what is no Modbus; see whether host and tcp_port are its own") from None
            raise PollError(rtu.what_came(self._came, self._asked) if wanted.port else _NO_ANSWER_OF_HOST) from None
        except OSError as error:
            self._drop()
            raise PollError(f"the connection broke: {error.strerror or error}") from None
        if isinstance(found, ExceptionResponse):
            code = found.exception_code
            raise PollError(REFUSALS.get(code, f"answers with an error (code {code})") + self._counted_from_one(code))
        if found.isError() or found.function_code != _CODES[wanted.table]:
            raise PollError(f"answers another question (function code {found.function_code}); is another master there?")
        of_bits = wanted.table in BITS
        values = found.bits[: wanted.count] if of_bits else found.registers  # bits are filled up to whole bytes
        if len(values) != wanted.count:
            raise PollError(f"answers {len(values)} values to a question for {wanted.count}; see its manual")
        order: Endian = "little" if (wanted.endian == "little") is not wanted.is_swapped else "big"
        answer = b"".join(int(value).to_bytes(1 if of_bits else 2, order) for value in values)
        self._answers.append(answer)
        return answer

    def _counted_from_one(self, code: int) -> str:
        """A hint for who took an address from a manual as it stands there."""
        at, first = self._settings.address, 10_000 * _FIRST_DIGITS.get(self._settings.table, 0) + 1
        is_of_manual = code == 2 and 1 < first <= at < first + 9_999
        return f"; a manual's {at} is address = {at - first}" if is_of_manual else ""

    async def _connect(self) -> Client:
        wanted = self._settings
        self._drop()
        try:
            self._client = client = _client(wanted)
            self._take_anything(client)
            is_connected = await client.connect()
        except (OSError, ModbusException) as error:
            raise PollError(str(error)) from None
        except termios.error as error:  # pymodbus lets it through, and the port open, as long as its frames live
            traceback.clear_frames(error.__traceback__)
            raise PollError(why_closed(_line(wanted), error)) from None
        if not is_connected:
            self._drop()
            raise PollError(
                await asyncio.to_thread(_why_no_port, wanted)
                if wanted.port
                else "cannot be reached; is it on, are host and tcp_port right?"
            )
        return client

    def _take_anything(self, client: Client) -> None:
        """Let what is no Modbus be nothing worse than no answer: pymodbus raises into the event loop, which closes the
        connection and prints a traceback. On a serial line the answer is looked for in it."""
        read, is_serial = client.ctx.callback_data, bool(self._settings.port)

        def callback_data(data: bytes, addr: tuple[str, int] | None = None) -> int:
            if is_serial:
                self._came = data[-rtu.KEPT_BYTES :]
                answer = rtu.answer_in(self._came, self._asked)
                if answer:
                    read(answer, addr)
                return len(data) if answer else max(0, len(data) - rtu.KEPT_BYTES)
            try:
                return read(data, addr)
            except ModbusException:
                self._is_garbled = True
                return len(data)

        client.ctx.callback_data = callback_data  # type: ignore[method-assign]

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _let_go(self) -> None:
        self._drop()


def _line(wanted: Settings) -> Line:
    return Line(wanted.port, wanted.baud, wanted.framing)


def _why_no_port(wanted: Settings) -> str:
    """pymodbus keeps to itself why a port does not open."""
    try:
        with _line(wanted).open():
            pass
    except (OSError, ValueError, termios.error) as error:
        return why_closed(_line(wanted), error)
    return "could not be opened; trying again"


def _client(wanted: Settings) -> Client:
    """Not connected yet. Raises `OSError` where a port that is named by what is plugged in is not there."""
    timeout_s = wanted.answer_ns / 1e9
    if wanted.host:
        return AsyncModbusTcpClient(wanted.host, port=wanted.tcp_port, timeout=timeout_s, retries=0, reconnect_delay=0)
    bits, parity, stop = tuple(wanted.framing)
    return AsyncModbusSerialClient(
        device_file(wanted.port),
        baudrate=wanted.baud,
        bytesize=int(bits),
        parity=parity,
        stopbits=int(stop),
        timeout=timeout_s,
        retries=0,
        reconnect_delay=0,
    )

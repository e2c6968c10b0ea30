"""The source `modbus`: a device's registers, asked for at a steady pace, by pymodbus.

Each answer is a message: the registers' bytes, as the decoder `binary` reads them. The pace is the agent's own clock;
an answer that takes longer than that costs the questions that were due meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from typing import ClassVar, Final, Self

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse

from edge.protocol import Arrival, Interruption, Key, Settled, SourceConfig
from edge.sources.backoff import Backoff
from edge.sources.clock import boottime_ns, now
from edge.sources.modbus.settings import KEYS, Settings, read_settings

NO_ANSWER: Final = "no_answer"
DELAYS_S: Final = (0.2, 10.0)
_REFUSALS: Final[Mapping[int, str]] = {
    1: "does not know this kind of request; try the other table",
    2: "has no such registers; see address, and the fields' length, in its manual",
    3: "refuses so many registers; see the fields' length in its manual",
    4: "has failed by itself",
    6: "is busy",
    10: "gateway: has no way to this unit; see unit_id",
    11: "gateway: the unit behind it does not answer; see unit_id, the wiring and the bus's baud",
}
"""By the exception's code (Modbus Application Protocol 1.1b3, section 7)."""
logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # what goes wrong is told by the source itself
Client = AsyncModbusTcpClient | AsyncModbusSerialClient


class _FailedError(Exception):
    """A poll gave nothing. The text says why."""


class ModbusSource:
    """Polls one device."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._is_closed = False
        self._is_unheard = False
        """What it said before the next answer is lost, and that was not announced."""
        self.waiting_for = ""
        """See `edge.protocol.Source`."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        return cls(read_settings(config))

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return ""

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: nobody keeps what registers say meanwhile."""
        return NO_ANSWER if self.waiting_for else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: between two polls it says nothing."""
        return None

    async def open(self) -> None:
        """See `edge.protocol.Source`: returns when the device has answered."""
        self._is_closed = False
        await self._answer(Backoff(*DELAYS_S))

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """See `edge.protocol.Source`."""
        due_ns, poll_ns = boottime_ns(), self._settings.poll_ns
        while not self._is_closed:
            await asyncio.sleep(max(0.0, (due_ns - boottime_ns()) / 1e9))
            try:
                data = await self._poll()
            except _FailedError as error:
                self._fail(error)
                await self._answer(Backoff(*DELAYS_S))
                due_ns = boottime_ns()
                continue
            stamps = now()
            if self._is_unheard:
                self._is_unheard = False
                yield Interruption(NO_ANSWER, *stamps)
            yield Arrival(data, *stamps, is_message=True)
            late_ns = max(0, boottime_ns() - due_ns)
            due_ns += poll_ns * (1 + late_ns // poll_ns)

    async def _answer(self, backoff: Backoff) -> None:
        """Ask until there is an answer."""
        while not self._is_closed:
            try:
                await self._poll()
            except _FailedError as error:
                self._fail(error)
                await asyncio.sleep(backoff.next_s())
            else:
                self.waiting_for = ""
                return

    def _fail(self, error: _FailedError) -> None:
        self._is_unheard = True
        self.waiting_for = f"{self._settings.name}: {error}"

    async def _poll(self) -> bytes:
        """The registers' bytes. Raises `_FailedError`."""
        wanted, client = self._settings, self._client
        if client is None or not client.connected:
            client = await self._connect()
        ask = client.read_holding_registers if wanted.table == "holding" else client.read_input_registers
        try:
            found = await ask(wanted.address, count=wanted.count, device_id=wanted.unit_id)
        except ModbusException:
            self._drop()
            raise _FailedError("does not answer; see its wiring and power, unit_id, and answer_within") from None
        except OSError as error:
            self._drop()
            raise _FailedError(f"the connection broke: {error.strerror or error}") from None
        if found.isError() or len(found.registers) != wanted.count:
            code = found.exception_code if isinstance(found, ExceptionResponse) else 0
            raise _FailedError(_REFUSALS.get(code, f"answers with an error (code {code})"))
        return b"".join(register.to_bytes(2, wanted.endian) for register in found.registers)

    async def _connect(self) -> Client:
        wanted, client = self._settings, self._client
        if client is not None:
            client.close()
        timeout_s = wanted.answer_ns / 1e9
        if wanted.host:
            client = AsyncModbusTcpClient(
                wanted.host, port=wanted.tcp_port, timeout=timeout_s, retries=0, reconnect_delay=0
            )
        else:
            bits, parity, stop = tuple(wanted.framing)
            client = AsyncModbusSerialClient(
                wanted.port,
                baudrate=wanted.baud,
                bytesize=int(bits),
                parity=parity,
                stopbits=int(stop),
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
            )
        self._client = client
        try:
            is_connected = await client.connect()
        except (OSError, ModbusException) as error:
            raise _FailedError(str(error)) from None
        if not is_connected:
            raise _FailedError(
                "cannot be opened; is it there, and may this user read it (sensorloom agent ports)?"
                if wanted.port
                else "cannot be reached; is it on, are host and tcp_port right?"
            )
        return client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def ack(self, token: Hashable) -> None:
        """See `edge.protocol.Source`: nobody waits for an acknowledgement."""

    def settled(self) -> Settled:
        """See `edge.protocol.Source`: no answer comes twice."""
        return Settled()

    def again(self) -> None:
        """See `edge.protocol.Source`: registers keep nothing."""

    async def close(self) -> None:
        """See `edge.protocol.Source`."""
        self._is_closed = True
        self._drop()

    def left(self) -> Iterable[Arrival | Interruption]:
        """See `edge.protocol.Source`: an answer is taken as it comes."""
        return ()

"""The source `modbus`: a device's registers, coils or inputs, asked for at a steady pace, by pymodbus.

Each answer is a message: the registers' bytes, or a byte a coil or input, as the decoder `binary` reads them. The pace
is the agent's own clock; an answer that takes longer than that costs the questions that were due meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar, Final, Self

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse

from edge.protocol import Key, SourceConfig
from edge.sources.modbus.settings import BITS, KEYS, Settings, read_settings
from edge.sources.polled import PolledSource, PollError
from edge.sources.serial.port import device_file

_REFUSALS: Final[Mapping[int, str]] = {
    1: "does not know this kind of request; try the other table",
    2: "has none at such addresses; see address, table, and the fields' length, in its manual",
    3: "refuses so many at once; see the fields' length in its manual",
    4: "has failed by itself",
    6: "is busy",
    10: "gateway: has no way to this unit; see unit_id",
    11: "gateway: the unit behind it does not answer; see unit_id, the wiring and the bus's baud",
}
"""By the exception's code (Modbus Application Protocol 1.1b3, section 7)."""
logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # what goes wrong is told by the source itself
Client = AsyncModbusTcpClient | AsyncModbusSerialClient


class ModbusSource(PolledSource):
    """Polls one device."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.name, settings.poll_ns)
        self._settings = settings
        self._client: Client | None = None

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        return cls(read_settings(config))

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
        try:
            found = await ask(wanted.address, count=wanted.count, device_id=wanted.unit_id)
        except ModbusException:
            self._drop()
            raise PollError("does not answer; see its wiring and power, unit_id, and answer_within") from None
        except OSError as error:
            self._drop()
            raise PollError(f"the connection broke: {error.strerror or error}") from None
        of_bits = wanted.table in BITS
        values = found.bits[: wanted.count] if of_bits else found.registers  # bits are filled up to whole bytes
        if found.isError() or len(values) != wanted.count:
            code = found.exception_code if isinstance(found, ExceptionResponse) else 0
            raise PollError(_REFUSALS.get(code, f"answers with an error (code {code})"))
        return b"".join(int(value).to_bytes(1 if of_bits else 2, wanted.endian) for value in values)

    async def _connect(self) -> Client:
        wanted = self._settings
        self._drop()
        try:
            self._client = client = _client(wanted)
            is_connected = await client.connect()
        except (OSError, ModbusException) as error:
            raise PollError(str(error)) from None
        if not is_connected:
            raise PollError(
                "cannot be opened; is it there, and may this user read it (sensorloom agent ports)?"
                if wanted.port
                else "cannot be reached; is it on, are host and tcp_port right?"
            )
        return client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _let_go(self) -> None:
        self._drop()


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

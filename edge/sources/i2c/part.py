"""What a part's file says of its registers, checked. Pure, but for `load_part`, which reads the file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from ingest.errors import UsageError
from ingest.measures import check_unit
from ingest.settings import suggest
from ingest.units import parse_number, parse_rate

BLOCK_BYTES: Final = 32
"""An SMBus block has no more (System Management Bus Specification 2.0, section 5.5.7)."""
PARTS: Final = Path(__file__).parent / "parts"
"""The files that come with sensorloom."""

Byte: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Bits: TypeAlias = tuple[tuple[Byte, Byte], ...]
"""Registers, each with bits that are set in what is written to it."""
Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Number: TypeAlias = float | str
"""A number, or a fraction as text: `1/256`."""


class Write(Struct, frozen=True, forbid_unknown_fields=True):
    """A register is set."""

    register: Byte
    value: Byte
    wait_ms: Annotated[float, Meta(ge=0, le=1000)] = 0
    """So long it takes."""
    clears: bool = False
    """The part clears it by itself: it is not read back."""


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """A register that says what part this is."""

    register: Byte
    value: Byte


class Count(Struct, frozen=True, forbid_unknown_fields=True):
    """How many samples wait: bits of a register, or of two in the part's byte order."""

    register: Byte
    mask: Positive
    bytes: Literal[1, 2] = 1


class Overrun(Struct, frozen=True, forbid_unknown_fields=True):
    """Bits of which any says that samples were dropped."""

    register: Byte
    mask: Byte
    clear: tuple[Write, ...] = ()
    """Empties the FIFO behind it, where what is left in it has no known beginning."""


class Fifo(Struct, frozen=True, forbid_unknown_fields=True):
    """Where samples wait. Of a part without a FIFO: one sample, and the bit that says that it is new."""

    size: Positive
    count: Count
    data: Byte
    """The register at which a read begins."""
    unit: Literal["samples", "bytes"] = "samples"
    """Of size and count."""
    overrun: Overrun | None = None
    burst: Positive = 1
    """So many samples may be read at once."""


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    """A range: what is set for it, and what a count means then, where it is not the same in all."""

    bits: Bits
    scale: Number | None = None


class Ranges(Struct, frozen=True, forbid_unknown_fields=True):
    """The ranges of a group."""

    default: Name
    codes: dict[str, Range]


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Channels of one kind, which follow one another in a sample."""

    name: Name
    channels: tuple[Name, ...]
    unit: Name
    bits: Annotated[int, Meta(ge=1, le=32)]
    shift: Annotated[int, Meta(ge=0, le=31)] = 0
    """So many bits lie below a value's."""
    signed: bool = True
    scale: Number = 1.0
    offset: Number = 0.0
    """The physical value of 0."""
    enable: Bits = ()
    """Set where any of its channels is wanted; without it they are in every sample."""
    range: Ranges | None = None

    @property
    def value_bytes(self) -> int:
        """Of one channel's value."""
        return (self.bits + self.shift + 7) // 8

    @property
    def size(self) -> int:
        """In bytes, of all its channels."""
        return self.value_bytes * len(self.channels)


class Rates(Struct, frozen=True, forbid_unknown_fields=True):
    """The rates of the part's own clock, and what is set for each."""

    default: Name
    codes: dict[str, Bits]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part's file."""

    name: Name
    addresses: tuple[Annotated[int, Meta(ge=0x08, le=0x77)], ...]
    endian: Literal["little", "big"]
    identity: Identity
    check: Byte
    """The register that is read back behind each read: it has another value where the part was reset meanwhile."""
    writes: tuple[Write, ...]
    """In this order. Bits of rates, ranges and groups are added to the last write of their registers."""
    rate: Rates
    fifo: Fifo
    group: tuple[Group, ...]

    @property
    def groups_by_channel(self) -> dict[str, Group]:
        """Each channel's group, in the order of a sample."""
        return {channel: group for group in self.group for channel in group.channels}


def known_parts() -> list[str]:
    """The names of the parts that come with sensorloom."""
    return sorted(path.stem for path in PARTS.glob("*.toml"))


def load_part(name: str, base: str, where: str) -> Part:
    """A part by its name, or by the path of its file, which begins at `base`. Raises `UsageError`."""
    if "/" in name or name.endswith(".toml"):
        path = Path(base) / name
    else:
        path = PARTS / f"{name.lower().replace('-', '')}.toml"
        if path.stem not in known_parts():
            raise UsageError(
                f'{where}: part: unknown part "{name}"{suggest(name.lower(), known_parts())} (another one is described '
                f'in a file of your own: part = "./{name.lower()}.toml")'
            )
    try:
        return read_part(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{where}: part: {path}: {reason}") from None


def read_part(text: str, where: str) -> Part:
    """What a file says. Raises `UsageError`."""
    try:
        part = msgspec.convert(tomllib.loads(text), Part, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{where}: {str(error).replace('`$.', '`')}") from None
    for wrong in _wrong(part):
        raise UsageError(f"{where}: {wrong}")
    return part


def _wrong(part: Part) -> Iterator[str]:
    """What a part's file contradicts itself in."""
    written = {write.register for write in part.writes}
    if not part.addresses:
        yield "addresses: none is there; say at which the part answers, as in [0x53]"
    if part.check not in {write.register for write in part.writes if not write.clears}:
        yield f"check: 0x{part.check:02X} is not among the writes that stay, so nothing is known of its value"
    for what, bits in _all_bits(part):
        for register, _ in bits:
            if register not in written:
                yield f"{what}: register 0x{register:02X} is not among the writes: say what is written to it"
    yield from _wrong_rates(part)
    names = [channel for group in part.group for channel in group.channels]
    if not names or len(set(names)) < len(names):
        yield "group: " + ("a channel comes twice" if names else "there is no channel")
    for group in part.group:
        yield from _wrong_group(group)
    if sum(group.size for group in part.group) * part.fifo.burst > BLOCK_BYTES:
        yield f"fifo.burst: {part.fifo.burst} samples are more than the {BLOCK_BYTES} bytes of a read"


def _all_bits(part: Part) -> Iterator[tuple[str, Bits]]:
    yield from ((f'rate.codes."{rate}"', bits) for rate, bits in part.rate.codes.items())
    for group in part.group:
        yield f"{group.name}.enable", group.enable
        codes = group.range.codes if group.range else {}
        yield from ((f'{group.name}.range.codes."{name}"', code.bits) for name, code in codes.items())


def _wrong_rates(part: Part) -> Iterator[str]:
    if part.rate.default not in part.rate.codes:
        yield f'rate.default: "{part.rate.default}" is none of its codes'
    for rate in part.rate.codes:
        try:
            parse_rate(rate)
        except UsageError as error:
            yield f"rate.codes: {error}"


def _wrong_group(group: Group) -> Iterator[str]:
    if group.value_bytes > 4:
        yield f"{group.name}: bits and shift are {group.bits + group.shift}; a value has 32 at most"
    if group.range and group.range.default not in group.range.codes:
        yield f'{group.name}.range.default: "{group.range.default}" is none of its codes'
    try:
        check_unit(group.unit)
        for number in _numbers(group):
            exact(number)
    except UsageError as error:
        yield f"{group.name}: {error}"


def _numbers(group: Group) -> Iterable[Number]:
    codes = group.range.codes.values() if group.range else ()
    return [group.scale, group.offset, *(code.scale for code in codes if code.scale is not None)]


def exact(number: Number) -> Fraction:
    """A number as it is written. Raises `UsageError`."""
    above, _, below = str(number).partition("/")
    divisor = parse_number(below) if below else Fraction(1)
    if not divisor:
        raise UsageError(f'"{number}" is no number')
    return parse_number(above) / divisor

"""Several devices in one source, and several streams: `device = "{line}-{pump}"` and `stream = "{side}"` are made of
what each message says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from edge.protocol import SourceConfig

NO_DEVICE: Final = "no_device"
"""What a device is told by is not there, or is neither a text nor a whole number."""
BAD_DEVICE: Final = "bad_device"
"""What a device is told by is no name."""
TOO_MANY: Final = "too_many_devices"
BAD_STREAM: Final = "bad_stream"
"""What a stream is told by is no name."""
STREAM_TAKEN: Final = "stream_taken"
"""Another source has this stream of this device."""
NAMELESS: Final = "{}"
"""In the place of a device's name where there is none."""
NAME_BYTES: Final = 200
_PART: Final = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A device's name with its parts in braces."""

    text: str
    parts: tuple[str, ...]
    """In their order."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises `ValueError` where braces do not match, or hold nothing."""
        if set("{}") & set(_PART.sub("", text)):
            raise ValueError("braces that hold no name")
        return cls(text, tuple(_PART.findall(text)))

    def fill(self, values: Mapping[str, Any]) -> str:
        """The device that these values name; empty where one of them is missing, or no text and no whole number."""
        found = [values.get(part) for part in self.parts]
        if any(isinstance(value, bool) or not isinstance(value, int | str) or value == "" for value in found):
            return ""
        filled = iter(found)
        return _PART.sub(lambda _: str(next(filled)), self.text)


def pattern_of(config: SourceConfig) -> Pattern | None:
    """What tells a source's devices apart; None where it has one."""
    return Pattern.of(config.device) if "{" in config.device else None


def stream_pattern_of(config: SourceConfig) -> Pattern | None:
    """What tells a source's streams apart; None where it has one."""
    return Pattern.of(config.stream) if config.has_streams else None


def why_no_device(name: str) -> str:
    """The reason why this is no device's name; empty where it is one."""
    if name in ("", NAMELESS):
        return NO_DEVICE
    return "" if _is_name(name) else BAD_DEVICE


def why_no_stream(name: str) -> str:
    """The reason why this is no stream's name; empty where it is one."""
    return "" if _is_name(name) and "." not in name else BAD_STREAM


def _is_name(text: str) -> bool:
    is_plain = text.isprintable() and text == text.strip() and not set("/{}$") & set(text)
    return is_plain and 0 < len(text.encode("utf-8", "replace")) <= NAME_BYTES

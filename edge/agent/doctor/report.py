"""What a colleague needs to help from afar, in one archive, without a secret in it."""

from __future__ import annotations

import io
import os
import platform
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.agent.doctor.remedies import Facts, doctor_page, remedies
from edge.sources.serial.listing import Port
from ingest.errors import UsageError
from ingest.showing import masked

HIDDEN: Final = "***"
_SECRET_KEY: Final = re.compile(r"pass|secret|token|credential|auth|user|login|api_?key", re.IGNORECASE)
_SECRET_LENGTH: Final = 4
"""A shorter text is hidden where it stands, and not looked for elsewhere: it would be found in every other word."""
_BEGIN: Final = 6
"""A longer one is hidden also where only so much of it, or more, is left of it: examples are cut off."""
_CUT_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)[^\s/@\"':]+:(?!\d+(?:[/\s\"'…]|$))[^\s/@\"'…]*")
"""A user and the beginning of a password, of a URL that was cut off before its `@`."""
_WORDS: Final = re.compile(r"[\s='\"]+")
_LIBRARIES: Final = (
    "sensorloom", "aiokafka", "cbor2", "google-re2", "msgspec", "numpy", "paho-mqtt", "pymodbus", "pyserial",
)  # fmt: skip


def report_files(
    facts: Facts, tables: Mapping[str, Any], ports: Iterable[Port], environ: Mapping[str, str]
) -> dict[str, bytes]:
    """The files of a report, by name; `tables` are what agent.toml says, with all that was put into it. No secret that
    it holds or names, or that `environ` has under a name of such things, is in them, wherever it was said again."""
    hidden = sorted(
        {*_secrets(tables), *_secret_variables(environ)}, key=len, reverse=True
    )  # one may be a part of another
    told = {
        "agent.json": cleaned(tables),
        "doctor.json": {"remedies": remedies(facts), "facts": facts},
        "status.json": facts.agent,
        "ports.json": [port._asdict() for port in ports],
        "machine.json": _machine(),
    }
    texts = {name: msgspec.json.format(_encoded(thing, hidden)) for name, thing in told.items()}
    texts["doctor.txt"] = _scrubbed(doctor_page(remedies(facts), facts), hidden).encode() + b"\n"
    return texts


def cleaned(tables: Mapping[str, Any]) -> dict[str, Any]:
    """What agent.toml says, without secrets: what a key by its name may hold, what a program is started with, users and
    passwords of URLs."""
    return {key: _clean(key, value) for key, value in tables.items()}


def _clean(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return HIDDEN if _SECRET_KEY.search(key) else cleaned(value)
    if key == "command" and isinstance(value, list):
        return [*value[:1], *[HIDDEN] * len(value[1:])]
    if isinstance(value, list):
        return [_clean(key, one) for one in value]
    if isinstance(value, str):
        return HIDDEN if _SECRET_KEY.search(key) else masked(value)
    return value


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    """The texts that `cleaned` hides, and what lies in the files that hold passwords."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _secrets(one, name)
    elif isinstance(value, list):
        for one in value[1:] if key == "command" else value:
            yield from _secrets(one, f"secret {key}" if key == "command" else key)
    elif isinstance(value, str) and _SECRET_KEY.search(key):
        yield from (word for word in (value, *_WORDS.split(value)) if len(word) >= _SECRET_LENGTH)
        if key.endswith("_file"):
            with suppress(OSError, UnicodeDecodeError):
                yield Path(value).read_text(encoding="utf-8").strip() or value


def _secret_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """What stands in variables of the environment that secrets are kept in; who one is, is no secret."""
    for name, value in environ.items():
        if _SECRET_KEY.search(name) and len(value) > _BEGIN and name not in ("USER", "USERNAME", "LOGNAME"):
            yield value


def _encoded(thing: Any, hidden: Iterable[str]) -> bytes:
    return msgspec.json.encode(_scrubbed_all(msgspec.to_builtins(thing), hidden))


def _scrubbed_all(thing: Any, hidden: Iterable[str]) -> Any:
    if isinstance(thing, str):
        return _scrubbed(thing, hidden)
    if isinstance(thing, Mapping):
        return {_scrubbed(str(key), hidden): _scrubbed_all(value, hidden) for key, value in thing.items()}
    return [_scrubbed_all(one, hidden) for one in thing] if isinstance(thing, list | tuple) else thing


def _scrubbed(text: str, hidden: Iterable[str]) -> str:
    text = _CUT_URL.sub(rf"\g<scheme>{HIDDEN}", masked(text))
    for secret in hidden:
        text = text.replace(secret, HIDDEN)
        if len(secret) > _BEGIN and "/" not in secret:  # the beginning of a path is that of many
            text = re.sub(re.escape(secret[:_BEGIN]) + r"[^\s\"]*", HIDDEN, text)
    return text


def _machine() -> dict[str, Any]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    with suppress(OSError):
        found["system"] = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    python, kernel, machine = platform.python_version(), platform.release(), platform.machine()
    return {"versions": found, "python": python, "kernel": kernel, "machine": machine}


def pack(path: Path, files: Mapping[str, bytes], at_s: float) -> None:
    """Write the archive, for its owner's eyes only. Raises `UsageError` where it cannot be, or is there already."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(f"sensorloom-report/{name}")
            member.size, member.mtime, member.mode = len(data), int(at_s), 0o600
            archive.addfile(member, io.BytesIO(data))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(packed.getvalue())
    except FileExistsError:
        raise UsageError(f"{path}: is there already; name another one (-o FILE)") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None

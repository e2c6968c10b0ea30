"""Every decoder's cases, however their bytes come; and what lies beside a decoder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from edge.config import load_config
from edge.decoders import DECODERS, decoder_type
from edge.protocol import Fault, Frame
from simulators.doubles.suite import Sample, check_decoder, cut, run, shown
from tests.edge.decoders.cases import FOLDER, Case, cases
from tests.edge.decoders.splitting import faults, samples

CASES = list(cases())


def ids(case: Case) -> str:
    return f"{case.decoder}: {case.name}"


def check(case: Case, found: Iterable[Sample | Fault]) -> None:
    found = list(found)
    assert [(fault.reason, fault.samples) for fault in faults(found)] == case.faults
    assert [at for _, at in samples(found)] == [at for _, at in case.samples]
    for (row, _), (wanted, _) in zip(samples(found), case.samples, strict=True):
        assert row == pytest.approx(wanted, rel=1e-14)
    assert all(fault.raw for fault in faults(found))


@pytest.mark.parametrize("case", [case for case in CASES if case.feed], ids=ids)
def test_what_is_fed(case: Case) -> None:
    whole = run(case.new(), [case.feed])
    check(case, whole)
    for size in (1, 2, 3, 7, 50):
        assert run(case.new(), cut(case.feed, range(0, len(case.feed), size))) == whole
    lines = case.feed.splitlines(keepends=True)
    decoder = case.new()
    assert run(decoder, lines) == whole
    assert run(decoder, [case.feed]) == whole, "reset() left something"


@pytest.mark.parametrize("case", [case for case in CASES if case.messages], ids=ids)
def test_messages(case: Case) -> None:
    decoder = case.new()
    items: list[Frame | Fault] = []
    reached = 0
    for message in case.messages:
        found = list(decoder.message(message))
        begin, reached = reached, reached + len(message) + (not message.endswith(b"\n"))
        assert all(begin <= item.byte_offset < reached for item in found if isinstance(item, Fault))
        assert all(item.offset <= reached for item in found if isinstance(item, Frame))
        items += found
    check(case, shown([*items, *decoder.reset()]))


@pytest.mark.parametrize("name", DECODERS)
def test_all_cases_together_pass_the_suite(name: str) -> None:
    plain = [case for case in CASES if case.decoder == name and case.feed and case.is_plain]
    first = plain[0]
    data = b"".join(case.feed + b"\n" for case in plain if case.channels == first.channels)
    check_decoder(first.new, data, len(first.channels), mutations=10)


@pytest.mark.parametrize("name", DECODERS)
def test_what_lies_beside_a_decoder(name: str, tmp_path: Path) -> None:
    folder = FOLDER / name
    text = (folder / "README.md").read_text("utf-8")
    reasons = {reason for case in CASES if case.decoder == name for reason, _ in case.faults}
    assert all(f"`{reason}`" in text for reason in reasons), f"README.md does not say what {reasons} mean"
    assert len([case for case in CASES if case.decoder == name]) > 10
    for key, about in decoder_type(name, "").keys.items():
        default = "must be given" if about.default is None else about.default
        assert f"| `{key}` | {about.kind} | {default} | `{about.example}` | {about.meaning} |" in text
    path = tmp_path / "agent.toml"
    path.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + (folder / "sample.toml").read_text("utf-8"))
    assert {source.decoder for source in load_config(path).sources} == {name}

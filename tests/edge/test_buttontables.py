"""What `[buttons.NAME]` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.buttontables import BUTTON, Led
from edge.config import AgentConfig, load_config
from edge.sources.gpio.settings import Settings
from ingest.errors import UsageError

TOP = """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "doors"
type = "gpio"
chip = "gpiochip0"
lines = { door = 9 }
edge = "rising"
stream = "doors"
channels = { door = "1" }
"""


def load(folder: Path, *buttons: str) -> AgentConfig:
    path = folder / "agent.toml"
    path.write_text(TOP + "".join(f"[buttons.{text}\n" for text in buttons))
    return load_config(path)


def test_a_button_to_ground_needs_its_line_and_what_it_does(tmp_path: Path) -> None:
    (found,) = load(tmp_path, 'fall]\nline = "GPIO17"\npress = "fall"').buttons
    assert found.settings == Settings("", ("GPIO17",), "both", 0, "pull-up", True, 20_000_000)
    assert (found.device, found.author, found.press, found.led) == ("pump", "pump/fall", "fall", None)


def test_all_keys_of_a_button(tmp_path: Path) -> None:
    text = "".join(f"{name} = {key.example}\n" for name, key in BUTTON.items() if name not in ("press", "hold"))
    (found,) = load(tmp_path, f"walk]\n{text}").buttons
    assert (found.start, found.stop, found.undo_ns, found.device, found.author) == (
        *("walk", "walk", 2_000_000_000),
        *("pump-8", "anna"),
    )
    assert found.settings == Settings("pinctrl-rp1", (17,), "both", 0, "pull-down", False, 50_000_000)
    assert found.led == Led("pinctrl-rp1", 5)
    assert found.does == "start = walk, stop = walk"


def test_a_lamp_may_be_shared_and_lie_elsewhere(tmp_path: Path) -> None:
    one, other, third = load(
        tmp_path,
        'a]\nchip = "c"\nline = 1\npress = "a"\nled = 5',
        'b]\nchip = "c"\nline = 2\npress = "b"\nled = { line = 5 }',
        'd]\nchip = "c"\nline = 3\npress = "d"\nled = { chip = "e", line = 5, active_low = true }',
    ).buttons
    assert one.led == other.led == Led("c", 5)
    assert third.led == Led("e", 5, active_low=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a]\nchip = "c"\nline = 1', "found nothing that it does"),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nhold = "b"', "found press, hold that it does"),
        ('a]\nchip = "c"\nline = 1\nstart = "a"', 'no button has stop = "a"'),
        ('a]\nchip = "c"\nline = 1\nstop = "a"', 'no button has start = "a"'),
        ('a]\nchip = "c"\nline = 1\nstart = "a"\nstop = "b"', "have one label"),
        ('a]\nchip = "c"\nline = 1\nhold = "a"\nundo = "2s"', "a long press of this button is a range"),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nundo = "20ms"', "expected 500ms to 60s"),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nundo = 2', 'write it in quotes with its unit, as in undo = "2s"'),
        ('a]\nchip = "c"\nline = 1\npress = " "', "is no label"),
        ('a]\nline = 1\npress = "a"', "chip is missing: whose line 1 is"),
        ('a]\nchip = "c"\npress = "a"', '"line" is missing'),
        ('a]\nchip = "c"\nline = true\npress = "a"', "line: found true"),
        ('a]\nchip = "c"\nline = 1\nlabel = "a"', 'Did you mean "press"'),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nactive_low = "no"', "active_low: found 'no'"),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nbias = "up"', 'bias: unknown value "up"'),
        ('a]\nchip = "c"\nline = 1\npress = "a"\ndebounce = "0s"', "expected 1us to 1s"),
        ('a]\nchip = "gpiochip0"\nline = 9\npress = "a"', 'is taken by source "doors"'),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nled = 1', "led: line 1 is taken by buttons.a"),
        ('a]\nchip = "c"\nline = 1\npress = "a"\nled = { lamp = 1 }', 'unknown key "lamp"'),
        ('"a/b"]\nchip = "c"\nline = 1\npress = "a"', "is no name of a button"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, text)


def test_a_button_of_nobody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        TOP.replace('device = "pump"\n', 'device = "host"\n').replace("[[source]]\n", '[[source]]\ndevice = "a"\n')
    )
    path.write_text(path.read_text() + '[buttons.a]\nline = "x"\npress = "a"\n')
    with pytest.raises(UsageError, match='no source is of "host", they are of a'):
        load_config(path)
    path.write_text("buttons = 3\n" + path.read_text().partition("[buttons")[0])
    with pytest.raises(UsageError, match="expected tables with a name each"):
        load_config(path)

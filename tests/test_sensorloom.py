from __future__ import annotations

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sensorloom
from ingest.commandline import complaint

PROJECT = Path(__file__).resolve().parents[1]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sensorloom", *words], cwd=PROJECT, capture_output=True, text=True, timeout=200
    )


def test_an_unknown_command_is_wrong_usage_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["improt", "readings"]) == 2
    assert 'unknown command "improt"' in (error := capsys.readouterr().err)
    assert error.endswith('Did you mean "import"?\n')
    assert error.count("\n") == 1


def test_help_lists_every_command_without_importing_any() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("demo", "import", "log", "window", "dataset"):
        assert command in done.stdout
    heavy = "{'polars', 'rich', 'numpy'}"
    used = "sensorloom._parser(()); sensorloom.CorruptLogError, sensorloom.SpoolBusyError, sensorloom.RuleError"
    loaded = f"import sys, sensorloom; {used}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=PROJECT, text=True) == "[]\n"


@pytest.mark.parametrize("command", [["import", "readings"], ["window", "run"], ["dataset", "verify"], ["demo"]])
def test_every_command_helps_with_an_example(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "example" in done.stdout


def test_without_a_command_there_is_help_and_no_error() -> None:
    for words in ([], ["agent"], ["log"]):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "usage: sensorloom" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["agent", "rn"], 'unknown action "rn"; there are: init, run, check, '),
        (["agent", "rn"], 'Did you mean "run"?'),
        (["log", "stat", "--log", "segments:x"], 'Did you mean "stats"?'),
        (["agent", "check", "--confg", "x"], 'Did you mean "--config"?'),
        (["agent", "run", "-c", "x", "--log-level", "loud"], "invalid choice: 'loud'"),
        (["agent", "check"], "the following arguments are required: -c/--config"),
    ],
)
def test_what_was_meant_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sensorloom.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_version_is_said_for_short(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("-V", "--version"):
        with pytest.raises(SystemExit) as ended:
            sensorloom.main([option])
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"sensorloom {sensorloom.__version__}\n"


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in dict.fromkeys(action.choices.values()):
                yield from parsers(one)


def test_each_option_of_each_command_has_a_text() -> None:
    modules = dict.fromkeys(command.module for command in sensorloom._COMMANDS.values() if command.module)
    mute = [
        f"{parser.prog} {action.dest}"
        for parser in parsers(sensorloom._parser(tuple(modules)))
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert mute == []


def test_help_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    modules = dict.fromkeys(command.module for command in sensorloom._COMMANDS.values() if command.module)
    lines = [line for one in parsers(sensorloom._parser(tuple(modules))) for line in one.format_help().splitlines()]
    assert [line for line in lines if len(line) > 80] == []


def test_a_word_too_much_is_answered_with_the_usage_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sensorloom.main(["marks", "undo", "m-1", "--author", "ann", "--log", "segments:x"])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("usage: sensorloom marks undo")
    assert error.endswith("sensorloom marks undo: unrecognized arguments: m-1\n")


def test_help_has_what_must_be_given_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sensorloom.main(["agent", "run", "--help"])
    shown = capsys.readouterr().out
    assert shown.index("options:") < shown.index("must be given:\n  -c FILE") < shown.index("output:\n  --json")


@pytest.mark.parametrize(
    ("shell", "has"), [("bash", "complete -"), ("zsh", "#compdef sensorloom"), ("tcsh", "complete sen")]
)
def test_a_shell_can_complete(shell: str, has: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert has in script
    assert "status" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=200)


def test_an_error_is_red_at_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert complaint("a\x1b[2J", Screen()) == "\x1b[31ma\\x1b[2J\x1b[0m"
    assert complaint("a", io.StringIO()) == "a"
    monkeypatch.setenv("NO_COLOR", "1")
    assert complaint("a", Screen()) == "a"


def test_all_that_people_catch_is_at_the_front_door() -> None:
    import edge.errors
    import ingest.errors
    import labeling.rules.errors

    for module in (ingest.errors, edge.errors, labeling.rules.errors):
        for name, one in vars(module).items():
            if isinstance(one, type) and issubclass(one, Exception) and one.__module__ == module.__name__:
                assert getattr(sensorloom, name) is one
                assert name in sensorloom.__all__
    assert set(sensorloom.__all__) <= set(dir(sensorloom))
    assert not hasattr(sensorloom, "NoSuchError")


def test_a_wrong_setup_of_the_log_is_2_and_a_log_that_is_away_1(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code in ((sensorloom.LogConfigError("x"), 2), (sensorloom.LogUnavailableError("x"), 1)):

        def fail(words: object, error: Exception = error) -> int:
            raise error

        monkeypatch.setattr(sensorloom, "_run", fail)
        assert sensorloom.main(["log"]) == code


def test_a_log_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["log", "topics", "--log", "kafkaa://x"]) == 2
    assert "use segments:DIR or kafka://host:9092" in capsys.readouterr().err


def test_what_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert sensorloom.main(["log", "topics", "--log", f"segments:{tmp_path}/file/log"]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("sensorloom: ")
    assert error.count("\n") == 1


def test_a_window_service_does_not_load_what_only_archives_need() -> None:
    """What a worker takes before its first record; where memory is limited, as by a unit's MemoryMax."""
    script = "import sys, service.run, service.commands; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=PROJECT, timeout=200, check=False).returncode == 0


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m sensorloom --help | head -1"
    done = subprocess.run(["sh", "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=200)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        ImportError("libarrow.so.2600: failed to map segment from shared object"),
    ],
    ids=repr,
)
def test_a_memory_limit_is_words(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: object) -> int:
        raise error

    monkeypatch.setattr(sensorloom, "_run", run)
    assert sensorloom.main(["window"]) == 1
    assert capsys.readouterr().err.startswith("sensorloom: out of memory: the system gives this process no more memory")

"""What a configuration touches, and when what it began is judged."""

from __future__ import annotations

from dataclasses import replace

from edge.agent.remote.planning import Heard, Trial, planned, spoke, usual_silence_ns
from tests.edge.configs import source_config

S = 1_000_000_000


def test_only_what_differs_leaves_and_comes() -> None:
    one, two, three = (source_config(stream=name) for name in ("a", "b", "c"))
    changed = replace(two, rate=None, sensor="new", where="configuration x")
    plan = planned([one, two], [replace(one, where="elsewhere"), changed, three])
    assert plan == (frozenset({"a"}), ("b",), (changed, three))
    assert planned([one, two], [two])[1:] == (("a",), ())
    assert planned([one], [one])[1:] == ((), ())


def test_streams_of_one_port_stay_or_leave_together() -> None:
    one, two = (
        replace(source_config(stream=name), tag=name, tags=("a", "b"), options={"port": "p", "tag": name})
        for name in ("a", "b")
    )
    assert planned([one, two], [one, two]).stay == {"a", "b"}
    assert planned([one, two], [one, replace(two, sensor="new")]).leave == ("a", "b")


def test_who_spoke_is_known_by_its_usual_interval() -> None:
    assert usual_silence_ns(Heard(9, 0, S), None, 60 * S) == 30 * S
    assert usual_silence_ns(Heard(9, 0, 600 * S), None, 60 * S) == 1800 * S
    assert usual_silence_ns(Heard(9, 0, S), 90 * S, 60 * S) == 90 * S
    assert spoke(Heard(1, 60 * S, 0), None, 60 * S)
    assert not spoke(Heard(1, 61 * S, 0), None, 60 * S)
    assert not spoke(Heard(0, 0, 0), None, 60 * S)


def test_a_trial_passes_where_all_that_spoke_speak_at_its_end() -> None:
    def verdict(*looks: tuple[int, dict[str, int], dict[str, str]]) -> str | None:
        trial, found = Trial({"a": 30 * S, "b": 30 * S}, 0, 60 * S), None
        for at_s, samples, failures in looks:
            found = trial.look(at_s * S, samples, failures)
        return found

    both = {"a": 1, "b": 1, "new": 0}
    assert verdict((59, both, {})) is None
    assert verdict((31, both, {}), (60, both, {})) == ""
    assert verdict((29, both, {}), (60, both, {})) == "a: silent since 31 s, after 1 samples"
    assert verdict((31, {"a": 1}, {}), (60, {"a": 2}, {})) == "b: no sample in 60 s; it spoke before"
    assert verdict((1, both, {"new": "no password file"})) == "new: no password file"
    assert Trial({"slow": 900 * S}, 5 * S, 60 * S).ends_ns == 905 * S
    assert Trial({}, 0, 60 * S).look(60 * S, {}, {}) == ""

from __future__ import annotations

import numpy as np

from simulators.disturbance import Damage, Disturbance, disturb
from simulators.speech import Utterance

SAID = [Utterance(number * 10**8, b"%d,1,2,3\n" % number, 1) for number in range(5000)]


def heard(line: Disturbance, seed: int = 1) -> tuple[list[Utterance], Damage]:
    damage = Damage()
    return list(disturb(np.random.default_rng(seed), SAID, line, damage)), damage


def test_a_good_line_changes_nothing() -> None:
    assert heard(Disturbance()) == (SAID, Damage())


def test_lost_bytes_are_counted() -> None:
    items, damage = heard(Disturbance(drop_bytes=0.01))
    lost = sum(len(utterance.data) for utterance in SAID) - sum(len(item.data) for item in items)
    assert lost == damage.dropped_bytes
    assert 300 < lost < 600
    torn = sum(item.data != utterance.data for item, utterance in zip(items, SAID, strict=True))
    assert torn == damage.torn == damage.torn_samples


def test_garbage_and_duplicates_come_besides_what_is_said() -> None:
    items, damage = heard(Disturbance(garbage=0.1, duplicates=0.1))
    assert len(items) == len(SAID) + damage.garbage + damage.duplicates
    assert damage.garbage > 300
    assert damage.duplicates > 300
    assert sum(item.samples for item in items) == len(SAID)
    assert all(item.data.count(b"\n") == 1 and item.data.endswith(b"\n") for item in items)
    distinct = set(SAID)
    assert [item for item in items if item in distinct] == SAID


def test_what_falls_into_a_pause_is_said_when_it_is_over() -> None:
    items, damage = heard(Disturbance(pause_ns=2 * 10**9, pause_every_ns=20 * 10**9))
    assert [item.data for item in items] == [utterance.data for utterance in SAID]
    times = [item.t_ns for item in items]
    assert times == sorted(times)
    late = [item.t_ns - utterance.t_ns for item, utterance in zip(items, SAID, strict=True)]
    assert max(late) == 2 * 10**9
    assert 10 < damage.pauses < 40
    assert late.count(2 * 10**9) == damage.pauses
    assert sum(delay > 0 for delay in late) == damage.pauses * 20


def test_the_same_seed_does_the_same_damage() -> None:
    line = Disturbance(0.01, 0.01, 0.01, 10**9, 10**10)
    assert heard(line) == heard(line)
    assert heard(line) != heard(line, seed=2)

"""Pseudonyms, k-anonymity and positions: what is taken away is away, and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curation.exports.anonymity import Rare, rare, require_anonymity
from curation.exports.places import Places, Zone, drawn, load_places
from curation.exports.pseudonyms import Pseudonyms
from ingest.errors import UsageError

KEY = b"0123456789abcdef"
CHANNELS = ("acc.x", "gps.lat", "gps.lon")


def test_pseudonyms_depend_on_key_recipient_and_kind() -> None:
    names = ["anna", None, "ben", "anna"]
    of = Pseudonyms(KEY).of("subject", names)
    assert of[0] == of[3] != of[2]
    assert of[1] is None
    others = (Pseudonyms(KEY, "lab").of("subject", names), Pseudonyms(KEY + b"!").of("subject", names))
    for other in (*others, Pseudonyms(KEY).of("device", names)):
        assert not set(filter(None, of)) & set(filter(None, other))
    with pytest.raises(UsageError, match="16 are needed"):
        Pseudonyms(b"short")


def test_k_anonymity_counts_people_not_windows() -> None:
    rows = [("u1", "f", "30s")] * 9 + [("u2", "f", "30s"), ("u3", "m", None), ("u4", "m", None), ("u5", "m", "80s")]
    table = pl.DataFrame(rows, schema=["subject", "sex", "age"], orient="row")
    assert rare(table, "subject", ["sex", "age"], 2) == [Rare(("m", "80s"), 1)]
    assert require_anonymity(table, ["subject", "sex"], 2).endswith("at least 2 subjects")
    with pytest.raises(UsageError, match=r"fewer than 2 subjects: sex = m, age = 80s: 1; name fewer"):
        require_anonymity(table, ["sex", "age"], 2)


def positions(count: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    X = np.zeros((count, 4, 3), np.float32)
    X[:, :, 0] = np.arange(4)
    X[:, :, 1], X[:, :, 2] = 47.5, 8.5
    return X


def test_a_window_that_touches_a_zone_says_no_place() -> None:
    X = positions(3)
    X[1, 2, 1] = 47.501  # 111 m further north
    places = Places("gps.lat", "gps.lon", (Zone(47.502, 8.5, 150.0),))
    made = places.changed(X, (1, 2), np.zeros(3), np.ones((3, 3)))
    assert np.isnan(made[1, :, 1:]).all()
    np.testing.assert_array_equal(made[[0, 2]], X[[0, 2]])
    np.testing.assert_array_equal(made[:, :, 0], X[:, :, 0])


def test_cells_have_their_size() -> None:
    rng = np.random.default_rng(1)
    X = positions(500)
    X[:, :, 1] += rng.uniform(-0.05, 0.05, (500, 1)).astype(np.float32)
    X[:, :, 2] += rng.uniform(-0.05, 0.05, (500, 1)).astype(np.float32)
    made = Places("gps.lat", "gps.lon", cell_m=1000.0).changed(X, (1, 2), np.zeros(500), np.ones((500, 3)))
    north = np.abs(made[:, 0, 1] - X[:, 0, 1]) * 111_195
    east = np.abs(made[:, 0, 2] - X[:, 0, 2]) * 111_195 * np.cos(np.radians(47.5))
    assert 490 < north.max() <= 501
    assert 490 < east.max() <= 501
    assert len(np.unique(made[:, 0, 1])) < 15


def test_noise_has_the_law_and_the_budget_of_planar_laplace() -> None:
    count = 4000
    X = positions(count)
    places = Places("gps.lat", "gps.lon", level=2.0, within_m=500.0)
    draws = drawn(Pseudonyms(KEY), [f"w{number}" for number in range(count)])
    # Half of the windows are alone in their recording, half share its budget with three others.
    epsilon = places.budget(np.repeat([1, 4], count // 2))
    made = places.changed(X, (1, 2), epsilon, draws).astype(np.float64)
    assert (made[:, 0, 1:] == made[:, 3, 1:]).all()
    north = (made[:, 0, 1] - 47.5) * 111_195
    east = (made[:, 0, 2] - 8.5) * 111_195 * np.cos(np.radians(47.5))
    distance = np.hypot(north, east)
    # Gamma(2, 1/ε) has the mean 2/ε: 500 m where ε is 2/500, and four times that with a quarter of it.
    assert distance[: count // 2].mean() == pytest.approx(500, rel=0.05)
    assert distance[count // 2 :].mean() == pytest.approx(2000, rel=0.05)
    assert abs(np.cos(np.arctan2(north, east)).mean()) < 0.04
    again = drawn(Pseudonyms(KEY), ["w7"])
    np.testing.assert_array_equal(again[0], draws[7])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('latitude = "gps.la"', 'Did you mean "gps.lat"'),
        ('latitude = "gps.lat"\nlongitude = "gps.lon"', "says nothing of what to do"),
        ('latitude = "gps.lat"\nlongitude = "gps.lon"\nlevel = 2', "noise wants both"),
        ('latitude = "gps.lat"\nlongitude = "gps.lon"\ncell = 5', "expected a distance"),
        ('latitude = "gps.lat"\nlongitude = "gps.lon"\n[[zone]]\nlatitude = 91', "zone[0].latitude: found 91"),
    ],
)
def test_places_are_strict(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "places.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        load_places(tmp_path / "places.toml", CHANNELS)
    assert told in str(refused.value)


def test_places_are_read(tmp_path: Path) -> None:
    text = 'latitude = "gps.lat"\nlongitude = "gps.lon"\ncell = "1km"\nlevel = 2\nwithin = "500m"\n'
    (tmp_path / "places.toml").write_text(text + "[[zone]]\nlatitude = 47\nlongitude = 8\nradius = '300m'\n")
    found = load_places(tmp_path / "places.toml", CHANNELS)
    assert found == Places("gps.lat", "gps.lon", (Zone(47.0, 8.0, 300.0),), 1000.0, 2, 500.0)

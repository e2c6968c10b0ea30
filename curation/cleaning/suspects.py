"""Windows whose labels are likely wrong: held-out probabilities of a small model, or one's own, ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.errors import MissingLibraryError, UsageError
from preparing.features import features
from preparing.mislabelled import suspects
from windowing.dataset.dividing import default_group
from windowing.dataset.reader import Dataset

FOLDS: Final = 5
_TREES: Final = 100
_TOGETHER: Final = 4096


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """`label_errors` makes it."""

    dataset: Dataset
    table: pl.DataFrame
    """A row a labelled window, the likeliest errors first: place (in `dataset.windows()`), window, device, recording,
    t0_ns, label (as given), likely (what the model says), score (-1 to 1, smaller is likelier wrong), suspected."""

    def suspected(self) -> Dataset:
        """A handle on the windows that are counted as errors, the likeliest first: for people to look at."""
        return self.dataset.select(self.table.filter(pl.col("suspected"))["place"].to_numpy())


def label_errors(dataset: Dataset, probabilities: NDArray[np.floating] | None = None, *, seed: int = 0) -> LabelErrors:
    """Rank the labelled windows by how likely their label is wrong (confident learning).

    Args:
        dataset: whose windows.
        probabilities: `(windows, classes)`, of every window in the order of `windows()`, by a model that was not
            trained on it; None: `held_out` makes them.
        seed: of that.

    Raises:
        UsageError: probabilities do not fit, or there are too few groups or classes to hold any out.
        MissingLibraryError: none were given, and scikit-learn is not there.
        CorruptError: a window is damaged.
    """
    table = dataset.columns(("window", "device", "recording", "t0_ns", "label"))
    number = {label: place for place, label in enumerate(dataset.classes)}
    y = np.array([number.get(label, -1) for label in table["label"].to_list()], np.int64)
    given = held_out(dataset, seed=seed) if probabilities is None else np.asarray(probabilities, np.float64)
    found = suspects(y, given)
    names = pl.Series([*dataset.classes], dtype=pl.String)
    ranked = table[found.places].with_columns(
        pl.Series("place", found.places),
        names.gather(found.likely).alias("likely"),
        pl.Series("score", found.score),
        pl.Series("suspected", found.suspected),
    )
    columns = ("place", "window", "device", "recording", "t0_ns", "label", "likely", "score", "suspected")
    return LabelErrors(dataset, ranked.select(columns))


def held_out(dataset: Dataset, *, seed: int = 0) -> NDArray[np.float64]:
    """`(windows, classes)`: for each labelled window the probabilities by 100 extremely random trees on
    `preparing.features`, trained on the other folds' groups; NaN for windows without a label. Groups are those that
    `Dataset.folds` goes by: who is held out is no acquaintance. Where there is one group alone, stretches of time are.

    Raises as `label_errors`.
    """
    try:
        from sklearn.ensemble import ExtraTreesClassifier
    except ModuleNotFoundError as error:
        raise MissingLibraryError("a model that finds label errors", error.name, "ml") from None
    classes = len(dataset.classes)
    labels = dataset.columns(("label",))["label"]
    known = labels.is_in([*dataset.classes]).fill_null(value=False).to_numpy()
    labelled = dataset.select(known)
    if len(labelled.counts) < 2:
        raise UsageError("label errors: the windows have fewer than two labels, so nothing can be told apart")
    rate = float(dataset.rate)
    rows, y = [], []
    for batch in labelled.batches(_TOGETHER):
        rows.append(features(batch.X, dataset.channels, rate).values)
        y.append(batch.y)
    table, targets = np.nan_to_num(np.concatenate(rows)), np.concatenate(y)
    found = np.zeros((len(labelled), classes))
    by = default_group(labelled)
    groups = labelled.columns((by,))[by].n_unique()
    for train, test in labelled.folds(min(FOLDS, groups), seed=seed) if groups > 1 else labelled.folds(by="time"):
        model = ExtraTreesClassifier(_TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed)
        model.fit(table[train], targets[train])
        found[np.ix_(test, model.classes_)] = model.predict_proba(table[test])
    whole = np.full((len(dataset), classes), np.nan)
    whole[known] = found
    return whole

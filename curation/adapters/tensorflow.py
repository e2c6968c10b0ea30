"""A handle as a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ingest.errors import MissingLibraryError, UsageError
from windowing.dataset.batching import BatchPlan
from windowing.dataset.reader import Dataset, Unlabelled

if TYPE_CHECKING:
    import tensorflow as tf


def tf_dataset(
    dataset: Dataset,
    size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
    drop_last: bool = False,
    unlabelled: Unlabelled = "drop",
) -> tf.data.Dataset:
    """Batches `(X, y)`: `(windows, steps, channels) float32` and `(windows,) int64`, in the order of `Dataset.batches`.

    `epochs` epochs come one behind the other, each in its own order, from `epoch` on: no `.repeat()` or `.shuffle()` is
    needed. How many batches there are is known to Keras. Batches of one size (`drop_last`) have a static shape.

    Raises:
        UsageError: an argument is out of range.
        MissingLibraryError: TensorFlow is not there.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise MissingLibraryError("tf_dataset", error.name, "tensorflow") from None
    if epochs < 1:
        raise UsageError(f"tf_dataset: epochs: found {epochs}, expected at least 1")
    plan = BatchPlan(size, shuffle, seed, epoch, drop_last)
    chosen = dataset.select(label=[*dataset.classes]) if unlabelled == "drop" else dataset

    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for number in range(epoch, epoch + epochs):
            order: dict[str, Any] = {"shuffle": shuffle, "seed": seed, "epoch": number, "drop_last": drop_last}
            for batch in chosen.batches(size, unlabelled="keep", **order):
                yield batch.X, batch.y

    window = dataset.contents.config.window
    rows = size if drop_last else None
    shapes = (
        tf.TensorSpec((rows, window.length, len(window.channels)), tf.float32),
        tf.TensorSpec((rows,), tf.int64),
    )
    made = tf.data.Dataset.from_generator(batches, output_signature=shapes)
    return made.apply(tf.data.experimental.assert_cardinality(epochs * plan.number_of(len(chosen))))

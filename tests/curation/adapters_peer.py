"""What TensorFlow and Grain get of a dataset; run by a Python that has them. Prints JSON."""

import json
import os
import sys

sys.path.insert(0, sys.argv[1])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

import sensorloom


def with_tensorflow(dataset: sensorloom.Dataset) -> dict[str, object]:
    from curation.adapters.tensorflow import tf_dataset

    given = tf_dataset(dataset, 7, shuffle=True, seed=3, epoch=1, epochs=2)
    wanted = [batch for epoch in (1, 2) for batch in dataset.batches(7, shuffle=True, seed=3, epoch=epoch)]
    got = [(X.numpy(), y.numpy()) for X, y in given]
    same = [
        np.array_equal(X, batch.X) and np.array_equal(y, batch.y) for (X, y), batch in zip(got, wanted, strict=True)
    ]
    static = tf_dataset(dataset, 4, drop_last=True, unlabelled="keep")
    return {
        "same": all(same),
        "batches": len(got),
        "cardinality": int(given.cardinality()),
        "again": len(list(given)),
        "static": static.element_spec[0].shape.as_list(),
    }


def with_grain(dataset: sensorloom.Dataset) -> dict[str, object]:
    import grain.python as grain

    from curation.adapters.source import WindowSource

    source = WindowSource(dataset)
    arrays = dataset.arrays()
    sampler = grain.IndexSampler(len(source), grain.NoSharding(), shuffle=True, num_epochs=1, seed=5)
    loader = grain.DataLoader(data_source=source, sampler=sampler, operations=[grain.Batch(8)], worker_count=2)
    X = np.concatenate([batch["X"] for batch in loader])
    y = np.concatenate([batch["y"] for batch in loader])
    order = np.lexsort(X.reshape(len(X), -1).T), np.lexsort(arrays.X.reshape(len(X), -1).T)
    lazy = grain.MapDataset.source(source).shuffle(seed=1).batch(5)
    return {
        "same": np.array_equal(X[order[0]], arrays.X[order[1]]) and np.array_equal(y[order[0]], arrays.y[order[1]]),
        "shuffled": not np.array_equal(X, arrays.X),
        "lazy": list(lazy[0]["X"].shape),
    }


if __name__ == "__main__":
    opened = sensorloom.open(sys.argv[2])
    print(json.dumps({"tensorflow": with_tensorflow, "grain": with_grain}[sys.argv[3]](opened)))

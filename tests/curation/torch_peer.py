"""What PyTorch gets of a dataset; run by a Python that has it. Prints JSON."""

import json
import pickle
import sys

import numpy as np
import torch
from torch.utils.data import DataLoader

import sensorloom


def same(got: list[list[torch.Tensor]], wanted: list[sensorloom.Batch]) -> bool:
    return len(got) == len(wanted) and all(
        X.dtype == torch.float32
        and y.dtype == torch.int64
        and np.array(X.tolist(), np.float32).tobytes() == batch.X.tobytes()
        and y.tolist() == batch.y.tolist()
        for (X, y), batch in zip(got, wanted, strict=True)
    )


def by_number(dataset: sensorloom.Dataset) -> dict[str, object]:
    windows = sensorloom.torch_windows(dataset)
    wanted = list(dataset.batches(4))
    plain = list(DataLoader(windows, batch_size=4))
    workers = DataLoader(windows, batch_size=4, num_workers=2, multiprocessing_context="spawn")
    generator = torch.Generator().manual_seed(1)
    drawn = list(DataLoader(windows, batch_size=4, shuffle=True, generator=generator))
    together = windows.__getitems__([3, 0])
    return {
        "plain": same(plain, wanted),
        "workers": same(list(workers), wanted),
        "shuffled": not same(drawn, wanted) and sum(len(y) for _, y in drawn) == len(windows),
        "together": [y for _, y in together] == [windows[3][1], windows[0][1]]
        and bool(torch.equal(together[0][0], windows[3][0])),
        "bytes": len(pickle.dumps(windows)),
    }


def as_batches(dataset: sensorloom.Dataset) -> dict[str, object]:
    batches = sensorloom.torch_batches(dataset, 2, shuffle=True, seed=3, unlabelled="keep")

    def wanted(epoch: int, resume: int = 0) -> list[sensorloom.Batch]:
        return list(dataset.batches(2, shuffle=True, seed=3, epoch=epoch, resume=resume, unlabelled="keep"))

    found: dict[str, object] = {"batches": len(batches)}
    for workers in (0, 1, 2, 3):
        context = "spawn" if workers else None
        loader = DataLoader(
            batches,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context=context,
            persistent_workers=workers > 0,
        )
        right = []
        for epoch, resume in ((0, 0), (1, 0), (1, 3)):
            batches.set_epoch(epoch, resume)
            right.append(same(list(loader), wanted(epoch, resume)) and len(loader) == len(wanted(epoch, resume)))
        found[f"{workers} workers"] = all(right)
    return found


def learns(dataset: sensorloom.Dataset) -> bool:
    """A step of a model goes through: what comes is what layers take."""
    X, y = next(iter(DataLoader(sensorloom.torch_batches(dataset, 4), batch_size=None)))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(X[0].numel(), len(dataset.classes)))
    loss = torch.nn.functional.cross_entropy(model(X), y)
    loss.backward()
    return bool(torch.isfinite(loss))


if __name__ == "__main__":
    opened = sensorloom.open(sys.argv[1])
    print(json.dumps({**by_number(opened), **as_batches(opened), "learns": learns(opened)}))

"""Run by a Python that has krippendorff, scikit-learn, statsmodels and crowd-kit: what they say of a table, as JSON."""

from __future__ import annotations

import json
import sys
import warnings

import krippendorff
import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    table, whole = np.load(sys.argv[1]), np.load(sys.argv[2])
    said = [(stretch, who, table[who, stretch]) for who, stretch in zip(*np.nonzero(table >= 0), strict=True)]
    model = DawidSkene(n_iter=50, tol=0).fit(pd.DataFrame(said, columns=["task", "worker", "label"]))
    shares = model.probas_.sort_index()
    json.dump(
        {
            "alpha": krippendorff.alpha(np.where(table < 0, np.nan, table), level_of_measurement="nominal"),
            "cohen": cohen_kappa_score(whole[0], whole[1], sample_weight=np.arange(whole.shape[1])),
            "fleiss": float(fleiss_kappa(aggregate_raters(whole.T)[0])),
            "rounds": len(model.loss_history_),
            "stretches": shares.index.tolist(),
            "shares": shares[sorted(shares.columns)].to_numpy().tolist(),
        },
        sys.stdout,
    )

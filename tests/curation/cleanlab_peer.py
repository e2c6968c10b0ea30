"""What cleanlab says of labels and probabilities; run by a Python that has it."""

import json
import sys

import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

given = np.load(sys.argv[1])
y, p = given["y"], given["p"]
print(
    json.dumps(
        {
            "joint": compute_confident_joint(y, p, calibrate=False).tolist(),
            "margin": get_label_quality_scores(y, p, method="normalized_margin").tolist(),
            "issues": np.flatnonzero(find_label_issues(y, p, filter_by="prune_by_noise_rate")).tolist(),
        }
    )
)

"""The authors' stored results: medians of 10 runs of their scripts, n = 800."""

import numpy as np

STORED_K = np.array([30, 62, 90, 122, 150, 222, 298])
"""Epochs of the authors' stored medians below: 7 of the 68 points of their figures, 10 runs."""

STORED_QUADRATIC = {
    "random_reshuffling": np.array(
        [1.882e-6, 2.526e-7, 1.021e-7, 4.404e-8, 2.355e-8, 7.812e-9, 4.058e-9]
    ),
    "flipflop_random_reshuffling": np.array(
        [1.068e-7, 4.605e-9, 1.021e-9, 3.038e-10, 1.117e-10, 2.651e-11, 1.095e-11]
    ),
    "single_shuffle": np.array(
        [1.210e-5, 2.992e-6, 1.527e-6, 9.021e-7, 6.022e-7, 3.061e-7, 1.781e-7]
    ),
    "flipflop_single_shuffle": np.array(
        [3.678e-7, 2.627e-8, 6.455e-9, 2.198e-9, 1.067e-9, 2.516e-10, 9.001e-11]
    ),
    "incremental": np.array([2.532e-2, 7.203e-3, 3.722e-3, 2.159e-3, 1.488e-3, 7.313e-4, 4.278e-4]),
    "flipflop_incremental": np.array(
        [3.617e-4, 2.773e-5, 7.426e-6, 2.553e-6, 1.243e-6, 3.131e-7, 1.139e-7]
    ),
}
"""The authors' stored median errors on quadratics, at `STORED_K`, n = 800."""

STORED_LOGISTIC = {
    "random_reshuffling": np.array(
        [2.145e-5, 2.634e-6, 1.929e-6, 2.597e-7, 9.230e-7, 1.394e-7, 6.566e-8]
    ),
    "flipflop_random_reshuffling": np.array(
        [5.598e-6, 5.288e-7, 1.390e-8, 9.444e-9, 2.909e-9, 2.445e-10, 1.286e-10]
    ),
    "single_shuffle": np.array(
        [3.630e-5, 6.941e-6, 6.743e-6, 7.919e-6, 3.659e-6, 5.780e-6, 3.291e-6]
    ),
    "flipflop_single_shuffle": np.array(
        [1.069e-5, 7.710e-7, 2.138e-7, 5.643e-8, 8.481e-8, 5.642e-9, 7.314e-10]
    ),
    "incremental": np.array(
        [1.0335e-1, 2.7377e-2, 1.3818e-2, 7.9030e-3, 5.4056e-3, 2.6272e-3, 1.5270e-3]
    ),
    "flipflop_incremental": np.array(
        [1.1589e-2, 9.3341e-4, 2.4563e-4, 8.1713e-5, 3.8545e-5, 9.2049e-6, 3.1267e-6]
    ),
}
"""The authors' stored median errors on the logistic problem, at `STORED_K`, n = 800."""

STORED_SLOPES = {
    "random_reshuffling": -2.72,
    "flipflop_random_reshuffling": -3.94,
    "single_shuffle": -1.83,
    "flipflop_single_shuffle": -3.58,
}
"""Slopes in K of all 68 stored points on quadratics."""

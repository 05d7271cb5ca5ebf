"""What the authors' repository reports."""

PUBLISHED = {
    "weights": 397_000,
    "numbers": 8_337_000,
    "kept": 3_725_871,
    "accuracy": 97.19,
    "seconds": 77_266.02,
    "cores": 36,
}
"""Experiment 1, from the table and the log in the authors' repository."""

PUBLISHED_POPUP = {
    0.025: (12, 10, 46),
    0.05: (38, 67, 83),
    0.1: (96, 97, 97.5),
    0.25: (98, 97, 98),
    0.5: (98, 97, 98),
    0.75: (97.5, 93.5, 98),
    0.9: (96, 79, 97),
    0.95: (89, 57, 95),
    0.975: (74, 29, 91),
    0.98: (70, 23, 90),
    0.99: (39, 18, 87),
}
"""Experiment 2, two layers, h = 500: sparsity -> percent of linear, ReLU and wide, read off the
figure in the authors' repository by eye, to about 1.5 points."""

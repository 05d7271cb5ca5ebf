"""What the chapter's page needs beside the algorithms: a small instrument for subset sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reprise.interactive import Slider, widget
from reprise.notebook import Picture


def subset_explorer(values: ArrayLike, *, target: float, caption: str, alt: str) -> Picture:
    """Two sliders, how many numbers and a target, over a line of all subset sums.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        At most 14; the first slider takes the first 1 to n of them.
    target : float
        Where the second slider, from -1/2 to 1/2, begins.
    caption, alt : str
        As for `reprise.notebook.picture`.

    Raises
    ------
    ValueError
        If there are no values or more than 14.
    """
    numbers = np.round(np.asarray(values, dtype=float), 3).tolist()
    if not 1 <= len(numbers) <= 14:
        raise ValueError(f"values must hold 1 to 14 numbers, got {len(numbers)}")
    return widget(
        "subset_sums",
        sliders=[
            Slider("n", "n, how many numbers", 1, len(numbers), 1, min(5, len(numbers))),
            Slider("z", "z, the target", -0.5, 0.5, 0.005, target),
        ],
        size=(690, 200),
        data={"values": numbers},
        caption=caption,
        alt=alt,
    )

"""What tests of figures need."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import pytest

from reprise import plotting


@pytest.fixture
def style():
    """The book's style while a test draws; its figures are closed afterwards."""
    with matplotlib.rc_context():
        plotting.use_style()
        yield
    plt.close("all")

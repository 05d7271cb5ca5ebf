"""The knobs of the part's overview `shuffling/index`."""

from reprise.parameters import Integer, Knob, Knobs, ListOf, refusal


def consistent(knobs):
    """Workers and local steps must divide the components."""
    for name in ("workers", "local_steps"):
        value = getattr(knobs, name)
        if knobs.components % value:
            raise refusal(name, f"must divide components = {knobs.components}", value)


KNOBS = Knobs(
    Knob("components", 128, Integer(2, multiple_of=2), "n, a multiple of the next two"),
    Knob("workers", 8, Integer(1), "M"),
    Knob("local_steps", 8, Integer(1), "B; at n/M synchronized minibatches have no noise at all"),
    Knob(
        "K_grid",
        [40, 80, 160, 320],
        ListOf(Integer(2, multiple_of=2), 3, order="increasing"),
        "epochs",
    ),
    Knob("runs", 2000, Integer(2), "independent runs of each random way"),
    rules=consistent,
)

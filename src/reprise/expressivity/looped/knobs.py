"""The knobs of the chapter `expressivity/looped`."""

from reprise.parameters import Integer, Knob, Knobs, ListOf, PowerOfTwo

COUNT = Integer(1)

KNOBS = Knobs(
    Knob("fuzz", 300, COUNT, "random programs of the small language"),
    Knob(
        "language_programs",
        5,
        Integer(1, 5),
        "classic programs, the last of 70,000 steps",
    ),
    Knob("authors_cases", 10, COUNT, "cases of each of the authors' four programs, at most"),
    Knob("shapes", 5, Integer(1, 8), "shapes of the differential test"),
    Knob("programs", 20, COUNT, "random SUBLEQ programs for each of them"),
    Knob("steps", 50, COUNT, "at most so many steps of each"),
    Knob(
        "lam_bits",
        [4, 8, 16],
        ListOf(Integer(2, 48), 2, order="increasing"),
        "word lengths N of the temperatures",
    ),
    Knob("lam_columns", [16, 64, 128], ListOf(PowerOfTwo(16)), "its numbers n of columns"),
    Knob("lam_programs", 12, COUNT, "random programs for each threshold"),
    Knob(
        "newton_iters",
        14,
        Integer(8),
        "Newton iterations; under 11 do not converge",
    ),
    Knob("power_iters", 60, COUNT, "power iterations; under 30 do not converge"),
    Knob("sgd_steps", 80, COUNT, "updates of SGD"),
    Knob("mlp_updates", 200, COUNT, "updates of backpropagation"),
    Knob("blocks", 64, PowerOfTwo(32), "blocks of the large machine"),
    Knob("compiled_steps", 31, COUNT, "steps of the matrix machine that both evaluators make"),
)

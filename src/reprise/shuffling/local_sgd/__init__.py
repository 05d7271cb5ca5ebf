"""Minibatch and local SGD with shuffling: M workers, N components each, K epochs.

An epoch has N/B rounds. Minibatch SGD takes one step a round, along the mean of M B gradients;
local SGD lets every worker take B steps alone and then averages. With reshuffling both fall as
1/K^2 where sampling with replacement falls as 1/K. Local SGD pays for the noise and the drift that
a worker collects within a round. Where the workers' data agree, walking one order from M starting
points (synchronized shuffling) averages the noise out within the epoch.

Yun, Rajput, Sra, "Minibatch vs Local SGD with Shuffling: Tight Convergence Bounds and Beyond", ICLR
2022, arXiv 2110.10342.

Both algorithms are `run_rounds` of the shared simulator.

- `algorithms`: them by name, and the orders that both can be given.
- `instances`: the hard function, a sum that is not convex, a data set dealt out to workers.
- `rates`: the step, the terms of the rates, and a model of the error with constants.
- `exact`: small cases without sampling, and the paths of single workers.
- `matching`: workers made equal by naming their components alike.
"""

from reprise.shuffling.local_sgd.algorithms import local_sgd, minibatch_sgd, shuffle_orders
from reprise.shuffling.local_sgd.exact import (
    enumerate_exact,
    round_paths,
)
from reprise.shuffling.local_sgd.instances import (
    kinked_problem,
    logistic_problem,
    pl_problem,
)
from reprise.shuffling.local_sgd.matching import (
    match_components,
    rename_components,
)
from reprise.shuffling.local_sgd.rates import (
    ErrorModel,
    RateTerms,
    crossover_batch,
    epoch_time,
    fit_error_model,
    rate_terms,
    step_size,
    theory_rate,
)

__all__ = [
    "ErrorModel",
    "RateTerms",
    "crossover_batch",
    "enumerate_exact",
    "epoch_time",
    "fit_error_model",
    "kinked_problem",
    "local_sgd",
    "logistic_problem",
    "match_components",
    "minibatch_sgd",
    "pl_problem",
    "rate_terms",
    "rename_components",
    "round_paths",
    "shuffle_orders",
    "step_size",
    "theory_rate",
]

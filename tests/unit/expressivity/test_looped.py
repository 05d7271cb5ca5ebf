"""The looped transformer, its gadgets, the SUBLEQ machine and the compiled evaluator."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise.expressivity.looped import network, page, temperature
from reprise.expressivity.looped.compiled import CompiledMachine, LostProgramError
from reprise.expressivity.looped.gadgets import Neurons, code, lam_for_leak, leak
from reprise.expressivity.looped.interpreter import random_subleq, run_subleq
from reprise.expressivity.looped.network import Head, Layer, LoopedTransformer
from reprise.expressivity.looped.subleq import SubleqMachine


def column(neurons, **values):
    """What the neurons add to one column, by row."""
    w1, w2 = neurons.weights()
    x = torch.zeros(neurons.width, 1, dtype=torch.float64)
    for name, value in values.items():
        x[int(name[1:])] = value
    return (w2 @ torch.relu(w1 @ x))[:, 0].numpy()


def random_layer(d, heads, hidden, seed, soft=False):
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=rng)

    made = [Head(draw(3, d), draw(3, d), draw(d, d), soft=soft) for _ in range(heads)]
    return Layer(made, draw(hidden, d), draw(d, hidden))


# --- codes ----------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.data())
def test_codes_differ_by_their_hamming_distance(bits, data):
    i, j = (data.draw(st.integers(0, 2**bits - 1)) for _ in range(2))
    assert code(i, bits) @ code(j, bits) == bits - 2 * (i ^ j).bit_count()


def test_codes_begin_with_the_lowest_bit():
    np.testing.assert_array_equal(code([1, 6], 3), [[1, -1, -1], [-1, 1, 1]])


@pytest.mark.parametrize("i", [-1, 8, 1.5, [0, 8]])
def test_addresses_that_do_not_fit_are_refused(i):
    with pytest.raises(ValueError, match="i must hold integers from 0 to 7"):
        code(i, 3)


@pytest.mark.parametrize(("bits", "lam"), list(itertools.product([1, 4, 9], [0.3, 1.0, 3.0])))
def test_leak_is_the_attention_of_wrong_columns(bits, lam):
    codes = torch.from_numpy(code(np.arange(2**bits), bits).T.copy())
    eye = torch.eye(bits, dtype=torch.float64)
    P = Head(eye, eye, eye).weights(codes, lam)
    assert abs(1 - P.diagonal().numpy() - leak(bits, lam)).max() < 1e-13
    assert lam_for_leak(bits, leak(bits, lam)) == pytest.approx(lam, rel=1e-12)


@pytest.mark.parametrize(("bits", "eps"), [(4, 0), (4, 1), (4, 0.94), (0, 0.1), (4, float("nan"))])
def test_leaks_without_a_temperature_are_refused(bits, eps):
    with pytest.raises(ValueError, match=r"eps must be between|bits must be"):
        lam_for_leak(bits, eps)


@pytest.mark.parametrize("lam", [0, -1, float("nan")])
def test_leak_refuses_temperatures(lam):
    with pytest.raises(ValueError, match="lam must be positive"):
        leak(4, lam)


# --- gadgets --------------------------------------------------------------------------------------


def neurons(width=8):
    return Neurons(width, one=6, scratch=7)


@given(st.floats(-100, 100))
def test_clearing_takes_back_exactly_what_is_there(value):
    made = neurons()
    made.clear([2])
    assert column(made, r2=value)[2] == -value


@pytest.mark.parametrize("bit", [-1, 0, 1])
@given(noise=st.floats(-0.25, 0.25))
def test_snap_cuts_noise_of_a_quarter(bit, noise):
    made = neurons()
    made.snap({0: 1.0}, 3)
    assert column(made, r0=bit + noise, r6=1)[3] == bit


@given(st.integers(-40, 40), st.integers(-40, 40), st.floats(-0.24, 0.24))
def test_step_compares_integers_in_scratch_columns_only(value, threshold, noise):
    made = neurons()
    made.step({0: 1.0}, threshold, {3: 1.0})
    assert column(made, r0=value + noise, r7=1)[3] == pytest.approx(
        float(value >= threshold), abs=1e-12
    )
    empty = neurons()
    empty.step({0: 1.0}, threshold, {3: 1.0})
    assert column(empty)[3] == 0


@given(st.floats(-1e6, 1e6), st.booleans())
def test_gate_passes_or_closes_exactly(value, closed):
    made = neurons()
    made.gate({0: 1.0}, {1: 1.0}, {3: 1.0}, 1e6)
    assert column(made, r0=value, r1=float(closed))[3] == (0 if closed else value)


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_successor_counts_and_wraps(bits):
    width = 2 * bits + 2
    made = Neurons(width, one=width - 2, scratch=width - 1)
    made.successor(range(bits), range(bits, 2 * bits))
    for i in range(2**bits):
        values = {f"r{k}": v for k, v in enumerate(code(i, bits))} | {f"r{width - 1}": 1}
        np.testing.assert_array_equal(
            column(made, **values)[bits : 2 * bits], code((i + 1) % 2**bits, bits)
        )


@pytest.mark.parametrize("chosen", [0, 1])
def test_select_replaces_what_was_there(chosen):
    made = Neurons(9, one=7, scratch=8)
    made.select(range(0, 2), range(2, 4), 6, range(4, 6))
    given_bits = {"r0": 1, "r1": -1, "r2": -1, "r3": -1, "r4": 1, "r5": 1}
    added = column(made, **given_bits, r6=chosen, r8=1)[4:6]
    np.testing.assert_array_equal(1 + added, [1, -1] if chosen else [-1, -1])


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [None, 0.7])
@pytest.mark.parametrize("soft", [False, True])
def test_a_layer_is_its_equation(lam, soft):
    layer = random_layer(5, 2, 7, 0, soft)
    X = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    Y = X.numpy().copy()
    for head in layer.heads:
        scores = (head.K @ X).numpy().T @ (head.Q @ X).numpy()
        if soft or lam:
            weights = np.exp(scores * (1 if soft else lam))
        else:
            weights = (scores == scores.max(axis=0)).astype(float)
        Y += head.V.numpy() @ X.numpy() @ (weights / weights.sum(axis=0))
    expected = Y + layer.W2.numpy() @ np.maximum(layer.W1.numpy() @ Y, 0)
    np.testing.assert_allclose(layer(X, lam).numpy(), expected, rtol=1e-11, atol=1e-12)


def test_hardmax_shares_among_equals():
    eye = torch.eye(2, dtype=torch.float64)
    X = torch.tensor([[1.0, 1.0, -1.0], [0, 0, 0]], dtype=torch.float64)
    weights = Head(eye, eye, eye).weights(X, None)
    np.testing.assert_array_equal(weights[:, 0], [0.5, 0.5, 0])


def test_attention_is_that_of_every_layer_in_turn():
    first, second = random_layer(4, 2, 5, 4), random_layer(4, 1, 3, 5)
    X = torch.ones(4, 3, dtype=torch.float64) / 8
    shown = LoopedTransformer([first, second]).attention(X, 0.5)
    assert [len(heads) for heads in shown] == [2, 1]
    assert torch.equal(shown[0][1], first.heads[1].weights(X, 0.5))
    assert torch.equal(shown[1][0], second.heads[0].weights(first(X, 0.5), 0.5))


def test_the_loop_only_feeds_back():
    net = LoopedTransformer([random_layer(4, 1, 5, 2), random_layer(4, 0, 3, 3)])
    X = torch.ones(4, 3, dtype=torch.float64) / 8
    states = net.loop(X, 3, trace=True)
    assert torch.equal(states[0], X)
    for before, after in itertools.pairwise(states):
        assert torch.equal(net(before), after)
    assert torch.equal(net.loop(X, 3), states[-1])


def test_batches_run_as_single_sequences():
    machine, memory, program = SubleqMachine(32, 8), *random_programs(8, 20, 8, 5)
    X = machine.init(memory, program)
    together = machine.transformer.loop(X, 4)
    for i in range(5):
        assert torch.equal(together[i], machine.transformer.loop(X[i], 4))


@pytest.mark.parametrize("lam", [0, -1.0, float("nan"), float("inf")])
def test_temperatures_are_checked(lam):
    net = LoopedTransformer([random_layer(4, 1, 5, 2)])
    with pytest.raises(ValueError, match="lam must be positive"):
        net(torch.zeros(4, 3, dtype=torch.float64), lam)


def test_sequences_are_checked():
    net = LoopedTransformer([random_layer(4, 1, 5, 2)])
    with pytest.raises(ValueError, match=r"X must have shape \(\.\.\., 4, n\)"):
        net(torch.zeros(5, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"X must have dtype torch\.float64"):
        net(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"X must have dtype torch\.float64"):
        net.loop(torch.zeros(4, 3), 0)
    with pytest.raises(ValueError, match="steps must be an integer"):
        net.loop(torch.zeros(4, 3, dtype=torch.float64), -1)


def test_layers_may_come_from_a_generator():
    assert len(LoopedTransformer(random_layer(4, 1, 5, seed) for seed in range(3)).layers) == 3


def test_layers_must_fit_together():
    with pytest.raises(ValueError, match="layers must hold at least one"):
        LoopedTransformer([])
    with pytest.raises(ValueError, match="layers must have one width"):
        LoopedTransformer([random_layer(4, 1, 5, 2), random_layer(5, 1, 5, 2)])
    eye = torch.eye(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="V must be square"):
        Head(eye, eye, eye[:2])
    with pytest.raises(ValueError, match="Q and K must both have shape"):
        Head(eye, eye[:2], eye)
    with pytest.raises(ValueError, match="W1 and W2 must have shapes"):
        Layer([], eye, eye[:2])


def test_the_hash_sees_every_weight():
    def build():
        return SubleqMachine(16, 4).transformer

    right = build().sha256()
    assert build().sha256() == right
    seen = {right}
    for layer, name in itertools.product(range(3), ("W1", "W2")):
        net = build()
        getattr(net.layers[layer], name)[0, 0] += 1
        seen.add(net.sha256())
    for layer, name in itertools.product(range(3), ("Q", "K", "U", "O")):
        net = build()
        getattr(net.layers[layer].heads[0], name)[0, 0] += 1
        seen.add(net.sha256())
    net = build()
    net.layers[0].heads[0].soft = True
    seen.add(net.sha256())
    assert len(seen) == 1 + 6 + 12 + 1


ALLOWED = {
    "_assert_tensor_metadata",
    "add",
    "amax",
    "div",
    "eq",
    "mT",
    "matmul",
    "mul",
    "relu",
    "softmax",
    "sum",
    "to",
}


@pytest.mark.parametrize("lam", [None, 3.0])
@pytest.mark.parametrize("snapped", [False, True])
def test_the_machine_is_nothing_but_attention_and_relu_layers(lam, snapped):
    net = SubleqMachine(16, 4, snapped).transformer
    kinds = {type(module).__name__ for module in net.modules()}
    assert kinds == {"LoopedTransformer", "ModuleList", "Layer", "Head", "FeedForward", "ReLU"}
    X = torch.zeros(net.width, 16, dtype=torch.float64)
    graph = torch.export.export(net, (X, lam)).graph
    traced = {str(n.target).split(".")[1] for n in graph.nodes if n.op == "call_function"}
    assert {"matmul", "add", "relu"} <= traced <= ALLOWED


def test_the_loop_runs_the_same_operations_in_every_pass():
    """No Python between two passes depends on the state: the operators run are those of one pass,
    repeated, whatever the program."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    machine = SubleqMachine(16, 4)
    recorded = []
    for seed in range(3):
        memory, program = random_programs(5, 8, 4, 1, seed)
        for steps in (1, 3):
            X = machine.init(memory[0], program[0])
            with Recorder() as recorder:
                machine.transformer.loop(X, steps)
            recorded.append(recorder.seen)
    one, three = recorded[:2]
    assert three == one * 3
    assert recorded == [one, three] * 3
    assert not {name for name in one if "item" in name or "local_scalar" in name}


# --- the machine ----------------------------------------------------------------------------------


def random_programs(words, instructions, bits, count, seed=0):
    return random_subleq(
        words=words,
        instructions=instructions,
        bits=bits,
        count=count,
        rng=np.random.default_rng(seed),
    )


SHAPES = [(6, 16, 4), (8, 32, 8), (14, 64, 8), (16, 128, 16), (8, 32, 30), (4, 16, 2), (6, 32, 48)]


@pytest.mark.parametrize("snapped", [False, True])
@pytest.mark.parametrize(("words", "columns", "bits"), SHAPES)
def test_the_whole_state_is_the_interpreter_after_every_step(words, columns, bits, snapped):
    machine = SubleqMachine(columns, bits, snapped)
    memories, programs = random_programs(words, columns - 2 - words, bits, 6)
    X = machine.init(memories, programs)
    traces = [run_subleq(m, p, bits, steps=12) for m, p in zip(memories, programs, strict=True)]
    for step in range(1, 13):
        X = machine.transformer(X)
        for i, trace in enumerate(traces):
            at = min(step, len(trace.pc) - 1)
            right = machine.init(trace.memory[at], programs[i], trace.pc[at])
            assert torch.equal(X[i], right)


def test_reading_inverts_writing():
    machine = SubleqMachine(32, 8)
    memories, programs = random_programs(8, 20, 8, 4)
    pc = np.array([0, 3, 7, 19])
    reading = machine.read(machine.init(memories, programs, pc), 8)
    np.testing.assert_array_equal(reading.memory, memories)
    np.testing.assert_array_equal(reading.pc, pc)


def test_the_example_of_four_bits():
    """1 - 3 = -2: the branch is taken."""
    machine = SubleqMachine(16, 4)
    X = machine.init([3, 1], [[0, 1, 2], [0, 0, 1], [0, 0, 2]])
    reading = machine.read(machine.transformer(X), 2)
    assert reading.memory.tolist() == [3, -2]
    assert reading.pc == 2


@pytest.mark.parametrize("columns", [16, 32, 128, 1024])
@pytest.mark.parametrize("bits", [2, 8, 20])
def test_width_is_logarithmic_and_no_row_idle(columns, bits):
    machine = SubleqMachine(columns, bits)
    length = columns.bit_length() - 1
    assert machine.width == 9 * length + 2 * bits + max(3 * length, 2 * bits) + 4
    # the buffer is shared: each of its rows is used by some head
    assert bool(machine.transformer.used_rows().all())


def test_the_budget_of_the_smallest_published_shape():
    budget = SubleqMachine(32, 8).transformer.budget()
    assert budget == network.Budget(3, (1, 2, 1), 81, (115, 94, 147), (350, 716, 373))
    assert SubleqMachine(32, 8, snapped=True).transformer.budget().heads == (1, 2, 0, 1)


BAD = [
    ({"columns": 48}, "columns must be a power of two, got 48"),
    ({"columns": 8}, "columns must be at least 16"),
    ({"columns": 16.0}, "columns must be a power of two"),
    ({"bits": 1}, "bits must be an integer from 2 to 48, got 1"),
    ({"bits": 49}, "bits must be an integer from 2 to 48, got 49"),
    ({"bits": True}, "bits must be an integer from 2 to 48"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_impossible_machines_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SubleqMachine(**({"columns": 16, "bits": 4} | change))


BAD_PROGRAMS = [
    ({"memory": [8]}, "memory value must be from -8 to 7, got 8"),
    ({"memory": [0.5]}, "memory must hold integers"),
    ({"memory": []}, "memory must hold at least one word"),
    ({"program": [[1, 0, 0]]}, "program address a must be from 0 to 0, got 1"),
    ({"program": [[0, -1, 0]]}, "program address b must be from 0 to 0, got -1"),
    ({"program": [[0, 0, 1]]}, "program target c must be from 0 to 0, got 1"),
    ({"program": [[0, 0]]}, "program must hold instructions"),
    ({"pc": 1}, "pc must be from 0 to 0, got 1"),
    ({"program": [[0, 0, 0]] * 14}, "need 17 columns, columns is 16"),
]


@pytest.mark.parametrize(("change", "message"), BAD_PROGRAMS)
def test_impossible_programs_are_refused(change, message):
    right = {"memory": [0], "program": [[0, 0, 0]], "pc": 0}
    with pytest.raises(ValueError, match=message):
        SubleqMachine(16, 4).init(**(right | change))


def test_reading_more_words_than_columns_is_refused():
    machine = SubleqMachine(16, 4)
    with pytest.raises(ValueError, match="words must be an integer from 1 to 13, got 14"):
        machine.read(machine.init([0], [[0, 0, 0]]), 14)


@pytest.mark.parametrize(
    ("dtype", "bits", "exact"),
    [(torch.float64, 48, True), (torch.float32, 21, True), (torch.float32, 24, False)],
)
def test_words_are_exact_up_to_the_mantissa(dtype, bits, exact):
    machine = SubleqMachine(16, bits)
    memories, programs = random_programs(6, 8, bits, 8)
    net = machine.transformer.to(dtype)
    X = machine.init(memories, programs).to(dtype)
    right = True
    for step in range(1, 21):
        X = net(X)
        for i in range(8):
            trace = run_subleq(memories[i], programs[i], bits, steps=step)
            right &= torch.equal(
                X[i].double(), machine.init(trace.memory[-1], programs[i], trace.pc[-1])
            )
    assert right == exact


# --- the compiled evaluator -----------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([(3, 16, 4), (8, 32, 8), (20, 64, 11)]),
    st.integers(1, 12),
    st.integers(0, 25),
    st.booleans(),
    st.integers(0, 2**32),
    st.integers(1, 3),
)
def test_compiled_is_dense(shape, count, steps, snapped, seed, threads):
    words, columns, bits = shape
    machine = SubleqMachine(columns, bits, snapped)
    memories, programs = random_programs(words, columns - 2 - words, bits, count, seed)
    X = machine.init(memories, programs)
    run = CompiledMachine(machine).run(X, steps, threads)
    assert torch.equal(run.states, machine.transformer.loop(X, steps))
    for i in range(count):
        trace = run_subleq(memories[i], programs[i], bits, steps=steps)
        assert run.steps[i] == len(trace.pc) - 1


@pytest.mark.parametrize("bits", [4, 6, 8, 12])
def test_thousands_of_random_programs_run_as_on_the_interpreter(bits):
    """2,500 programs of 40 steps in each of four word lengths: no state differs."""
    words, columns, count, steps = 8, 32, 2500, 40
    machine = SubleqMachine(columns, bits)
    memories, programs = random_programs(words, columns - 2 - words, bits, count, bits)
    run = CompiledMachine(machine).run(machine.init(memories, programs), steps)
    traces = [run_subleq(m, p, bits, steps=steps) for m, p in zip(memories, programs, strict=True)]
    last = np.stack([t.memory[-1] for t in traces]), np.array([t.pc[-1] for t in traces])
    assert torch.equal(run.states, machine.init(last[0], programs, last[1]))
    np.testing.assert_array_equal(run.steps, [len(t.pc) - 1 for t in traces])


def test_compiled_reads_every_weight_of_the_last_layer():
    """No interpreter hides behind it: 12 negated weights, 12 other results."""
    memories, programs = random_programs(8, 20, 8, 64)
    rng = np.random.default_rng(0)
    machine = SubleqMachine(32, 8)
    X = machine.init(memories, programs)
    right = CompiledMachine(machine).run(X, 20).states
    entries = machine.transformer.layers[-1].W2.nonzero()
    changed = 0
    for row, neuron in entries[rng.permutation(len(entries))[:12]]:
        broken = SubleqMachine(32, 8)
        broken.transformer.layers[-1].W2[row, neuron] *= -1
        dense = broken.transformer.loop(X, 1)
        matters = not torch.equal(dense, machine.transformer.loop(X, 1))
        try:
            differs = not torch.equal(CompiledMachine(broken).run(X, 20).states, right)
        except LostProgramError:
            differs = True
        assert differs or not matters
        changed += differs
    assert changed >= 11


def test_compiled_refuses_other_attention():
    machine = SubleqMachine(16, 4)
    machine.transformer.layers[1].heads[1].K[0, 0] = 1
    with pytest.raises(ValueError, match="head 1 of layer 1 must have the weights"):
        CompiledMachine(machine)


def test_compiled_stops_a_lost_program():
    machine = SubleqMachine(16, 4)
    X = machine.init([1, 5], [[0, 1, 0], [0, 1, 0]])
    with pytest.raises(LostProgramError, match="program 0 left its instructions after 2 steps"):
        CompiledMachine(machine).run(X[None], 5)


def test_compiled_checks_its_input():
    machine = SubleqMachine(16, 4)
    evaluator = CompiledMachine(machine)
    X = machine.init([1, 5], [[0, 1, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match="states must have shape"):
        evaluator.run(X, 5)
    with pytest.raises(ValueError, match="steps must be an integer"):
        evaluator.run(X[None], -1)
    with pytest.raises(ValueError, match=r"states must be float64, got torch\.float32"):
        evaluator.run(X[None].float(), 5)


def test_runs_leave_their_input_alone():
    machine = SubleqMachine(32, 8)
    X = machine.init(*random_programs(8, 20, 8, 3))
    before = X.clone()
    CompiledMachine(machine).run(X, 10)
    assert torch.equal(X, before)


# --- temperature ----------------------------------------------------------------------------------


def test_thresholds_lie_where_the_snap_says():
    memories, programs = random_programs(6, 8, 4, 6)
    threshold = temperature.temperature_threshold(
        SubleqMachine(16, 4, snapped=True), memories, programs, 20
    )
    assert lam_for_leak(4, 1 / 4) <= threshold <= lam_for_leak(4, 1 / 8) + 0.05


def test_thresholds_separate_right_from_wrong():
    memories, programs = random_programs(6, 8, 8, 6)
    machine = SubleqMachine(16, 8)
    threshold = temperature.temperature_threshold(machine, memories, programs, 20)
    assert temperature.agrees(machine, memories, programs, 20, threshold).all()
    found = temperature.agrees(machine, memories, programs, 20, threshold - 0.2)
    assert not found.all()
    alone = [
        temperature.agrees(machine, memories[[i]], programs[[i]], 20, threshold - 0.2)[0]
        for i in range(6)
    ]
    np.testing.assert_array_equal(found, alone)


def test_brackets_are_checked():
    memories, programs = random_programs(6, 8, 8, 1)
    with pytest.raises(ValueError, match="low, high and tolerance must satisfy"):
        temperature.temperature_threshold(
            SubleqMachine(16, 8), memories, programs, 5, low=3, high=2
        )


def test_a_tolerance_below_the_spacing_of_floats_ends():
    memories, programs = random_programs(6, 8, 8, 1)
    found = temperature.temperature_threshold(
        SubleqMachine(16, 8), memories, programs, 2, tolerance=1e-18, low=1.0, high=12.0
    )
    assert 1.0 < found <= 12.0


# --- the player -----------------------------------------------------------------------------------


def run_of(steps):
    machine = SubleqMachine(16, 4)
    states = machine.transformer.loop(
        machine.init([1, 5], [[0, 1, 1], [0, 0, 1]]), steps, trace=True
    )
    return machine, states


def test_the_player_holds_every_state():
    machine, states = run_of(3)
    picture = page.step_player(
        machine,
        states,
        source="one\ntwo <",
        lines=[1, 2],
        names={"x": 0, "$t": 1},
        caption="A run",
        alt="cells",
    )
    assert repr(picture) == "Figure: A run"
    (text,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', picture.markup)
    data = json.loads(text)
    assert data["names"] == ["x"]
    assert len(data["steps"]) == 3
    assert data["first"] == page.changes(np.zeros_like(states[0]), states[0].int())
    assert "two &lt;" in picture.markup
    assert "http" not in picture.markup


def test_changes_rebuild_the_states():
    _, states = run_of(3)
    cells = states.numpy().astype(int)
    for before, after in itertools.pairwise(cells):
        flat = before.ravel().copy()
        pairs = page.changes(before, after)
        flat[pairs[::2]] = pairs[1::2]
        np.testing.assert_array_equal(flat, after.ravel())


@pytest.mark.parametrize("steps", [0, page.MOST_STATES])
def test_the_player_refuses_long_runs(steps):
    machine, states = run_of(steps)
    with pytest.raises(ValueError, match="states must hold 2 to 400"):
        page.step_player(machine, states, source="", lines=[], names={"x": 0}, caption="", alt="")

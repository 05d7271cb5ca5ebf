"""Broken transformers, machines, programs and compilers of the looped computers."""

from __future__ import annotations

import re

import numpy as np
import torch
from mutants import Mutant, Patch, named, replaced
from mutants.expressivity.shared import altered
from torch import nn

from reprise.expressivity import looped
from reprise.expressivity.looped import compiler, fleq, fleq_programs, products, subleq, temperature
from reprise.expressivity.looped.compiler import _Compiler
from reprise.expressivity.looped.fleq import OPS, FleqMachine
from reprise.expressivity.looped.gadgets import Neurons, add_terms, scaled
from reprise.expressivity.looped.macros import Code
from reprise.expressivity.looped.network import Head
from reprise.expressivity.looped.subleq import SubleqMachine


def edited(machine: type, layer: str, edit) -> Patch:
    """Change the weights of a layer when it is built."""

    def change(right):
        def built(self):
            made = right(self)
            edit(self, made)
            return made

        return built

    return replaced(machine, layer, change, edit.__name__)


def not_cleared(machine: type, register: str) -> Patch:
    """The writing layer leaves a register full."""

    def edit(self, layer):
        layer.W2[list(self.rows[register])] = 0

    edit.__name__ = f"{register}_not_cleared"
    return edited(machine, "_write", edit)


def default(function, **option) -> Patch:
    """Another default of a keyword."""
    ((name, value),) = option.items()
    return named(
        f"{name}_{value:g}",
        lambda monkeypatch: monkeypatch.setitem(function.__kwdefaults__, name, value),
    )


# --- the SUBLEQ machine ---------------------------------------------------------------------------


def compared(name: str, change) -> Patch:
    """Change or drop (None) the comparisons of the subtraction."""

    def patch(monkeypatch):
        right, subtract = Neurons.step, SubleqMachine._subtract

        def built(self):
            def step(neurons, terms, threshold, outputs):
                flag = self.rows["LE"][0] in outputs
                changed = change(threshold, flag, 2.0 ** (self.bits - 1))
                if changed is not None:
                    right(neurons, terms, changed, outputs)

            with monkeypatch.context() as inner:
                inner.setattr(Neurons, "step", step)
                return subtract(self)

        monkeypatch.setattr(SubleqMachine, "_subtract", built)

    return named(name, patch)


def rows_swapped(name: str, method: str) -> Patch:
    """One method of the machine takes A for B."""

    def change(right):
        def swapped(self):
            rows = self.rows
            self.rows = rows | {"A": rows["B"], "B": rows["A"]}
            try:
                return right(self)
            finally:
                self.rows = rows

        return swapped

    return replaced(SubleqMachine, method, change, name)


def carry_lost(right):
    """The next address flips the lowest bit and stops."""

    def successor(self, source, target):
        for i, (row, out) in enumerate(zip(source, target, strict=True)):
            self.step({row: 1.0}, 1.0, {out: 2.0 if i else -2.0})
            self.relu({self.scratch: 1.0}, {out: -1.0 if i else 1.0})

    return successor


def instruction_bits_reversed(right):
    """The program is written highest bit first, positions are not."""
    return lambda i, bits: right(i, bits)[..., :: -1 if np.ndim(i) > 2 else 1]


def snap_is_missing(right):
    """The four-layer machine is the three-layer one."""
    return lambda self, columns, bits, snapped=False: right(self, columns, bits)


def a_head_for_each_address_bit(machine, layer):
    """It fetches the same, but its heads grow with the memory."""
    (fetch,) = layer.heads
    bit = torch.arange(machine.width)[:, None] % machine.address_bits
    layer.heads = nn.ModuleList(
        Head(fetch.Q, fetch.K, fetch.V * (bit == i)) for i in range(machine.address_bits)
    )


def a_register_more(monkeypatch):
    """Of an address, read where it is empty."""
    right = subleq.allocate
    monkeypatch.setattr(subleq, "allocate", lambda sizes: right(sizes | {"D": sizes["A"]}))

    def reads(machine, layer):
        layer.W1[0, list(machine.rows["D"])] = 1

    edited(SubleqMachine, "_write", reads)(monkeypatch)


def hidden_interpreter(right):
    """The evaluator compiles the construction instead of the machine that it is given."""

    def built(self, machine):
        if isinstance(machine, SubleqMachine):
            machine = SubleqMachine(machine.columns, machine.bits, machine.snapped)
        right(self, machine)

    return built


# --- attention ------------------------------------------------------------------------------------


def heated(name: str, change) -> Patch:
    """Scores at another inverse temperature than the one asked for."""
    return replaced(
        Head,
        "weights",
        lambda right: lambda self, X, lam: right(self, X, lam and change(self, lam)),
        name,
    )


def scores_scaled(made, bits):
    """Scores are divided by the root of the length."""
    head, codes = made
    return Head(head.Q / bits**0.5, head.K, head.V), codes


def codes_of_zero_and_one(codes, *_):
    """Instead of -1 and +1."""
    return (codes + 1) / 2


# --- the matrix machine ---------------------------------------------------------------------------


def one_sign(right):
    """Both product heads score with +."""
    return lambda width, rows, sign, *args: right(width, rows, 1.0, *args)


def lost_sign(right):
    """Both score with +, and are weighted with their signs."""

    def head(width, rows, sign, *args):
        made, plus = (right(width, rows, s, *args) for s in (sign, 1.0))
        return Head(plus.Q, made.K, made.V, soft=True)

    return head


def no_sink(head, *_):
    """The empty column takes no attention."""
    return Head(head.Q[:-1], head.K[:-1], head.V, soft=True)


def sum_of_weights_forgotten(right):
    """The scratch columns' share of the attention."""
    return lambda dim, sink: float(np.exp(sink))


def wrong_extrapolation(right):
    """As if the errors at c and 2 c were of first order."""
    return lambda fine, coarse: 2 * fine - coarse


def opened_by_a_large_number(right):
    """A gate that adds K o - K: an open one costs the digits of K."""

    def open_(self, neurons, op, terms, outputs):
        bound = 2 * self.gate
        chosen = {self.rows["OP"][OPS.index(op)]: bound, self.rows["IND"][0]: -bound}
        for sign in (1.0, -1.0):
            neurons.relu(add_terms(scaled(terms, sign), chosen), scaled(outputs, sign))

    return open_


def sigmoid_key_everywhere(machine, layer):
    """The constant of a sigmoid's key stands in every column."""
    rows = machine.rows
    neurons = layer.W2[list(rows["XK"])].any(0) & layer.W1[:, rows["OP"][OPS.index("SIG")]].bool()
    layer.W1[neurons] = 0
    layer.W1[neurons, rows["ONE"][0]] = 1


def flag_at_the_wrong_index(machine, layer):
    """The flag's own column index is asked as +1 in its lowest bit."""
    layer.heads[0].Q[0] *= -1


def flag_before_write(right):
    """The flag is read ahead of the write, where it does not find the result."""

    def built(self, *args, **options):
        right(self, *args, **options)
        layers = self.transformer.layers
        layers[3], layers[4] = layers[4], layers[3]

    return built


def write_without_gate(machine, layer):
    """Every memory column takes what it fetches."""
    words = layer.W1[:, list(machine.rows["MEM"])]
    layer.W1[:, machine.rows["BUF"][machine.dim]] *= words.eq(0).all(1)


def flag_threshold_moved(machine, layer):
    """To the other side of 0."""
    steep = layer.W1[:, machine.rows["BUF"][0]] > 1
    layer.W1[steep, machine.rows["IND"][0]] *= -1


def flat_sigmoid(machine, layer):
    """A sigmoid's key is nine tenths of what it should be."""
    layer.W2[:, layer.W1[:, machine.rows["OP"][OPS.index("SIG")]].bool()] *= 0.9


def seeds_do_not_spare_zero(points, *_):
    """Constant below 2^-10."""
    x, y = points
    return np.append(-1.0, x[1:]), np.append(y[1], y[1:])


# --- programs -------------------------------------------------------------------------------------


def rewritten(name: str, program: str, old: str, new: str) -> Patch:
    """Change a program's text."""
    assert re.search(old, getattr(fleq_programs, program))
    return replaced(fleq_programs, program, lambda text: re.sub(old, new, text), name)


def residual_of_almost_two(task, *_):
    """X <- X (1.9 I - A X)."""
    task.word(task.program.words, "two")[:] *= 0.95
    return task


# --- the compiler ---------------------------------------------------------------------------------


def method(name: str, change, owner: type = _Compiler) -> Patch:
    """Change a method of the compiler, which ``change`` takes first."""
    return replaced(owner, name, lambda right: lambda *args: change(right, *args), change.__name__)


def z_is_left(right, code, x, y):
    """An addition does not clear $z."""
    code.subleq(y, code.z)
    code.subleq(code.z, x)


def z_is_left_by_arrays(right, self, x, element):
    """Nor does reading an element."""
    self.select(element.array, element.index, self.fetch)
    self.code.clear(x)
    self.code.subleq(self.code.z, x)


def less_is_at_most(right, self, *args):
    """Equal numbers jump."""
    self.jump_if_at_most(*args)


def remainder_has_the_divisors_sign(monkeypatch):
    """As in Python."""
    dividend, divisor = _Compiler.dividend_sign, _Compiler.divisor_sign

    def dividend_sign(self, word, remainder):
        if not remainder:
            dividend(self, word, False)

    def divisor_sign(self, word, remainder):
        (dividend if remainder else divisor)(self, word, remainder)

    monkeypatch.setattr(_Compiler, "dividend_sign", dividend_sign)
    monkeypatch.setattr(_Compiler, "divisor_sign", divisor_sign)


def quotient_has_the_dividends_sign(*_):
    """A negative divisor turns nothing."""


def index_is_off_by_one(right, self, array, *args):
    """The next element, and the first for the last."""
    words = self.arrays[array]
    self.arrays[array] = words[1:] + words[:1]
    right(self, array, *args)
    self.arrays[array] = words


def elements_are_not_cleared(right, self, place, w, after):
    """What is stored is added."""
    self.code.subleq(w, place, after)


def array_bodies_run_on(*_):
    """From one element's case into the next."""


def targets_are_written_while_read(*_):
    """No value is said to depend on its target."""
    return False


def and_for_or(right, self, left, second, label, word, when):
    """Every junction is ``and``."""
    right(self, left, second, label, "and", when)


def or_for_and(right, self, left, second, label, word, when):
    """Every junction is ``or``."""
    right(self, left, second, label, "or", when)


def break_leaves_the_outer_loop(right, self, statement):
    """All loops instead of one."""
    if statement.token.text == "break":
        self.code.goto(self.loops[0].exit)
    else:
        right(self, statement)


def continue_falls_through(right, self, statement):
    """It does nothing."""
    if statement.token.text != "continue":
        right(self, statement)


def zero_divisors_pass(right, self, *args):
    """Nothing jumps to the trap."""
    jump, self.code.jump_if_zero = self.code.jump_if_zero, lambda x, label: None
    right(self, *args)
    self.code.jump_if_zero = jump


def less_is_less_or_equal(monkeypatch):
    """The opposite of < is said to be >."""
    monkeypatch.setitem(compiler.OPPOSITE, "<", ">")


# broken compilers, and the smallest numbers of random programs that show them
COMPILERS = {
    less_is_less_or_equal: 6,
    method("add", z_is_left, Code): 2,
    method("read_element", z_is_left_by_arrays): 2,
    method("jump_if_less", less_is_at_most): 2,
    remainder_has_the_divisors_sign: 8,
    method("divisor_sign", quotient_has_the_dividends_sign): 3,
    method("select", index_is_off_by_one): 2,
    method("store", elements_are_not_cleared): 2,
    method("leave_case", array_bodies_run_on): 2,
    method("mentions", targets_are_written_while_read): 4,
    method("junction", and_for_or): 3,
    method("junction", or_for_and): 2,
    method("leave", break_leaves_the_outer_loop): 6,
    method("leave", continue_falls_through): 3,
    method("division", zero_divisors_pass): 3,
}
FLAG_STRICT = compared("flag_strict", lambda t, flag, top: 0.0 if flag and t == 1 else t)
OPERANDS_SWAPPED = rows_swapped("operands_swapped", "_subtract")
WRITTEN_TO_A = rows_swapped("written_to_a", "_write")
CARRY_LOST = replaced(Neurons, "successor", carry_lost)
COUNTER_NOT_CLEARED = not_cleared(SubleqMachine, "PC1")
COARSE_PRODUCTS = default(FleqMachine.__init__, product_scale=1e-2)
FLAG_MOVED = edited(FleqMachine, "_flag", flag_threshold_moved)
TABLE = {
    "C1": [
        replaced(fleq, "product_head", one_sign),
        replaced(fleq, "product_head", lost_sign),
        COARSE_PRODUCTS,
        default(FleqMachine.__init__, sink=12.0),
        FLAG_MOVED,
        altered(fleq, "spline_points", seeds_do_not_spare_zero),
    ],
    "C2": [
        FLAG_STRICT,
        compared("flag_without_first", lambda t, flag, top: None if flag and t == -top else t),
        compared("flag_without_third", lambda t, flag, top: None if flag and t == top else t),
        compared("bits_without_third", lambda t, flag, _: None if not flag and t % 3 == 0 else t),
        OPERANDS_SWAPPED,
        WRITTEN_TO_A,
        COUNTER_NOT_CLEARED,
        not_cleared(SubleqMachine, "BUF"),
        CARRY_LOST,
        replaced(subleq, "code", instruction_bits_reversed),
    ],
    "C3": [a_register_more, edited(SubleqMachine, "_fetch", a_head_for_each_address_bit)],
    "C4": [FLAG_STRICT, OPERANDS_SWAPPED, WRITTEN_TO_A, CARRY_LOST, COUNTER_NOT_CLEARED],
    "C5": [
        altered(temperature, "address_head", scores_scaled),
        altered(temperature, "code", codes_of_zero_and_one),
    ],
    "C6": [
        replaced(SubleqMachine, "__init__", snap_is_missing),
        heated("temperature_ignored", lambda head, lam: None),
        heated("temperature_scaled", lambda head, lam: lam / len(head.Q) ** 0.5),
        heated("temperature_twice", lambda head, lam: lam**2),
    ],
    "C7": [
        replaced(products, "product_head", one_sign),
        altered(products, "product_head", no_sink),
        replaced(products, "total_attention", sum_of_weights_forgotten),
        replaced(products, "_extrapolate", wrong_extrapolation),
        default(looped.product_error, sink=12.0),
        default(looped.product_error, sink=16.0),
    ],
    "C8": [
        altered(fleq_programs, "inverse", residual_of_almost_two),
        COARSE_PRODUCTS,
        default(FleqMachine.__init__, sink=16.0),
    ],
    "C9": [
        rewritten("uphill", "MLP", "SUB W2 G -> W2", "ADD W2 G -> W2"),
        rewritten("slope_forgotten", "MLP", "HAD D G -> D", "HAD D ones -> D"),
        rewritten("untransposed", "MLP", "TN W2 E -> D", "NN W2 E -> D"),
        rewritten(  # the error goes back through weights that are already new
            "back_through_new_weights",
            "MLP",
            r"(TN W2 E -> D\n(?:.*\n){3})((?:.*\n){2}.*SUB W2 G -> W2\n)",
            r"\2      \1",
        ),
        rewritten("without_target", "SGD", "SUB r t -> r", "SUB r zero -> r"),
        edited(FleqMachine, "_operands", flat_sigmoid),
    ],
    "C10": [replaced(looped.CompiledMachine, "__init__", hidden_interpreter)],
    "C11": [
        named("columns_look_aside", lambda monkeypatch: monkeypatch.setattr(fleq, "APART", 10.0)),
        replaced(FleqMachine, "_open", opened_by_a_large_number),
        edited(FleqMachine, "_operands", sigmoid_key_everywhere),
        not_cleared(FleqMachine, "XP"),
        edited(FleqMachine, "_flag", flag_at_the_wrong_index),
        replaced(FleqMachine, "__init__", flag_before_write),
        edited(FleqMachine, "_write", write_without_gate),
        FLAG_MOVED,
        default(FleqMachine.__init__, knots=17),
        default(FleqMachine.__init__, pointwise_scale=1e-2),
        default(FleqMachine.__init__, sink=12.0),
    ],
}
CHEAPER = {
    "C1": {"power_iters": 1, "sgd_steps": 4, "mlp_updates": 2, "compiled_steps": 1},
    "C2": {"shapes": 1, "programs": 8, "steps": 12},
    "C4": {"authors_cases": 1},
    "C6": {"lam_programs": 3, "steps": 10},
    "C9": {"sgd_steps": 4, "mlp_updates": 2},
    "C10": {"compiled_steps": 1},
}
LOST = {"C1": looped.LostProgramError, "C4": RuntimeError}  # a program never ends
MUTANTS = [
    *(
        Mutant(claim, patch, changes=CHEAPER.get(claim, {}), raises=LOST.get(claim))
        for claim, patches in TABLE.items()
        for patch in patches
    ),
    *(
        Mutant("C12", patch, changes={"fuzz": fuzz, "language_programs": 1})
        for patch, fuzz in COMPILERS.items()
    ),
]

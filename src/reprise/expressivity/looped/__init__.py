"""Looped transformers as computers: fixed weights, a program in the sequence, a loop.

Columns of the input are memory, instructions and a scratchpad. A few layers with hand-written
weights execute one instruction; their output is the next input.

- the network: `network`, and `gadgets`, of which weights are put together;
- the small computer: `subleq`, its `interpreter`, `assembler` and `library` of programs;
- the small language: `tree`, `parser`, `language` (what it means), `macros` and `compiler`,
  `random_source`;
- the large computer: `fleq`, `products` and `splines`, its `fleq_interpreter`, `fleq_assembler`,
  `fleq_programs` and `fleq_truth`;
- `compiled` evaluates both machines fast, with `kernels` and `fleq_kernels`;
- `experiments`, `fleq_experiments` and `temperature` measure, `page` draws.

Giannou, Rajput, Sohn, Lee, Lee, Papailiopoulos, "Looped Transformers as Programmable Computers",
ICML 2023, arXiv 2301.13196.
"""

from reprise.expressivity.looped.assembler import (
    SubleqProgram,
    assemble_subleq,
    disassemble_subleq,
)
from reprise.expressivity.looped.compiled import CompiledMachine, Run
from reprise.expressivity.looped.compiler import columns_for, compile_source, variables
from reprise.expressivity.looped.errors import AssemblyError, CompileError, LanguageError
from reprise.expressivity.looped.fleq import FleqMachine
from reprise.expressivity.looped.fleq_assembler import (
    FleqProgram,
    assemble_fleq,
    disassemble_fleq,
)
from reprise.expressivity.looped.fleq_interpreter import AmbiguousFlagError, run_fleq
from reprise.expressivity.looped.gadgets import code, lam_for_leak, leak
from reprise.expressivity.looped.interpreter import (
    LostProgramError,
    random_subleq,
    run_subleq,
    run_subleq_to_end,
)
from reprise.expressivity.looped.language import run_source
from reprise.expressivity.looped.network import Budget, Head, Layer, LoopedTransformer
from reprise.expressivity.looped.products import product_error
from reprise.expressivity.looped.subleq import SubleqMachine
from reprise.expressivity.looped.temperature import temperature_threshold

__all__ = [
    "AmbiguousFlagError",
    "AssemblyError",
    "Budget",
    "CompileError",
    "CompiledMachine",
    "FleqMachine",
    "FleqProgram",
    "Head",
    "LanguageError",
    "Layer",
    "LoopedTransformer",
    "LostProgramError",
    "Run",
    "SubleqMachine",
    "SubleqProgram",
    "assemble_fleq",
    "assemble_subleq",
    "code",
    "columns_for",
    "compile_source",
    "disassemble_fleq",
    "disassemble_subleq",
    "lam_for_leak",
    "leak",
    "product_error",
    "random_subleq",
    "run_fleq",
    "run_source",
    "run_subleq",
    "run_subleq_to_end",
    "temperature_threshold",
    "variables",
]

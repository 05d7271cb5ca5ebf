"""From a text of the small language to its tree, by recursive descent.

Reading a text checks it: names, types and constants are settled before anything runs.
"""

from __future__ import annotations

import re
from typing import NoReturn

from reprise.expressivity.looped.errors import CompileError
from reprise.expressivity.looped.tree import (
    COMPARISONS,
    OPERATIONS,
    Arithmetic,
    Assignment,
    Comparison,
    Condition,
    Element,
    Expression,
    If,
    Junction,
    Leave,
    Negation,
    Not,
    Number,
    Place,
    Source,
    Statement,
    Token,
    Variable,
    While,
    is_condition,
    largest,
)

# program     = {declaration} {statement}                       # comments run to the end of a line
# declaration = "var" variable {"," variable} ";" | "const" constant {"," constant} ";"
#             | "array" array {"," array} ";"
# variable    = name ["=" integer]
# constant    = name "=" integer
# array       = name "[" integer "]" ["=" "{" integer {"," integer} "}"]
# integer     = ["-"] (number | name of a constant)
# statement   = place "=" expression ";" | "while" expression block | choice
#             | ("break" | "continue" | "halt") ";"
# choice      = "if" expression block ["else" (block | choice)]
# block       = "{" {statement} "}"
# place       = name ["[" expression "]"]
# expression  = conjunction {"or" conjunction}
# conjunction = negated {"and" negated}
# negated     = "not" negated | sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
# sum         = term {("+" | "-") term}
# term        = unary {("*" | "/" | "%") unary}
# unary       = "-" unary | "(" expression ")" | number | place

KEYWORDS = frozenset(
    [
        "var",
        "const",
        "array",
        "while",
        "if",
        "else",
        "break",
        "continue",
        "halt",
        "and",
        "or",
        "not",
    ]
)
MOST_ELEMENTS = 1 << 16  # a longer array would not fit any machine that the book builds
MOST_NESTING = 50  # of brackets and blocks: Python's own stack bounds the parser
MOST_OPERATORS = 200  # one below the other in one expression
_TOKENS = re.compile(
    r"(?P<blank>\s+|#[^\n]*)|(?P<number>[0-9][A-Za-z0-9_]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol><=|>=|==|!=|[-+*/%<>=(){}\[\];,])"
)


def tokenize(text: str) -> list[Token]:
    """Split a text into tokens, of which the last has the kind "end".

    Raises
    ------
    CompileError
        At a character or number that the language does not have.
    """
    tokens = []
    at, line, start = 0, 1, 0  # start: where the line begins
    while at < len(text):
        match = _TOKENS.match(text, at)
        column = at - start + 1
        if match is None:
            raise CompileError(f"bad character {text[at]!r}", line, column)
        kind, word = match.lastgroup, match.group()
        if kind == "number" and not word.isdecimal():
            raise CompileError(f"bad number '{word}'", line, column)
        if kind == "blank":
            line += word.count("\n")
            start = at + word.rindex("\n") + 1 if "\n" in word else start
        else:
            tokens.append(Token("keyword" if word in KEYWORDS else kind, word, line, column))
        at = match.end()
    return [*tokens, Token("end", "", line, at - start + 1)]


def parse_source(text: str, bits: int) -> Source:
    """Read and check a program for words of ``bits`` bits.

    Parameters
    ----------
    text : str
    bits : int
        N, 2 to 48: constants lie in -M to M, M = 2^(N-1) - 1.

    Returns
    -------
    Source

    Raises
    ------
    CompileError
        At the first token that breaks a rule.
    ValueError
        If ``bits`` is outside its range.
    """
    return _Parser(tokenize(text), largest(bits)).program()


class _Parser:
    """Recursive descent, a method a rule of the grammar, with the names declared so far."""

    def __init__(self, tokens: list[Token], largest: int) -> None:
        self.tokens, self.largest = tokens, largest
        self.at = self.loops = self.nesting = 0
        self.constants: dict[str, int] = {}
        self.variables: dict[str, int | tuple[int, ...]] = {}

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.at]

    def take(self) -> Token:
        """The next token, which is passed."""
        token = self.token
        self.at += token.kind != "end"
        return token

    def found(self, *words: str) -> Token | None:
        """The next token, passed, if it is one of ``words``."""
        fits = self.token.kind in ("symbol", "keyword") and self.token.text in words
        return self.take() if fits else None

    def expect(self, word: str) -> Token:
        """Pass ``word`` or refuse what stands there."""
        return self.found(word) or self.wanted(f"'{word}'")

    def wanted(self, what: str) -> NoReturn:
        """Refuse the next token."""
        raise self.error(f"expected {what}, got {self.token}", self.token)

    def error(self, message: str, token: Token) -> CompileError:
        return CompileError(message, token.line, token.column)

    # declarations

    def program(self) -> Source:
        declare = {"var": self.variable, "const": self.constant, "array": self.array}
        while word := self.found(*declare):
            declare[word.text]()
            while self.found(","):
                declare[word.text]()
            self.expect(";")
        body = []
        while self.token.kind != "end":
            body.append(self.statement())
        return Source(self.variables, tuple(body), self.tokens[max(self.at - 1, 0)].line)

    def new_name(self) -> str:
        token = self.token
        if token.kind != "name":
            self.wanted("a name")
        if token.text in self.variables or token.text in self.constants:
            raise self.error(f"'{token.text}' is already declared", token)
        return self.take().text

    def variable(self) -> None:
        name = self.new_name()
        self.variables[name] = self.integer() if self.found("=") else 0

    def constant(self) -> None:
        name = self.new_name()
        self.expect("=")
        self.constants[name] = self.integer()

    def array(self) -> None:
        name = self.new_name()
        self.expect("[")
        token = self.token
        length = self.integer()
        if not 1 <= length <= MOST_ELEMENTS:
            raise self.error(f"array length must be from 1 to {MOST_ELEMENTS}, got {length}", token)
        self.expect("]")
        values: list[int] = []
        if self.found("="):
            self.expect("{")
            while not values or self.found(","):
                if len(values) == length:
                    raise self.error(f"too many values for '{name}[{length}]'", self.token)
                values.append(self.integer())
            self.expect("}")
        self.variables[name] = (*values, *[0] * (length - len(values)))

    def integer(self) -> int:
        sign = -1 if self.found("-") else 1
        token = self.token
        if token.kind == "number":
            return sign * self.number().value
        if token.kind != "name":
            self.wanted("an integer")
        if token.text not in self.constants:
            known = token.text in self.variables
            raise self.error(
                f"'{token.text}' is not a constant" if known else f"unknown name '{token.text}'",
                token,
            )
        return sign * self.constants[self.take().text]

    def number(self) -> Number:
        token = self.take()
        digits = token.text.lstrip("0") or "0"
        # Python refuses to read thousands of digits
        if len(digits) > 20 or int(digits) > self.largest:
            raise self.error(f"constant too large: at most {self.largest} allowed", token)
        return Number(int(digits))

    # statements

    def statement(self) -> Statement:
        token = self.token
        if token.kind == "name":
            return self.assignment()
        if self.found("while"):
            condition = self.condition()
            self.loops += 1
            body = self.block()
            self.loops -= 1
            return While(condition, body, token)
        if self.found("if"):
            return self.choice(token)
        if self.found("break", "continue", "halt"):
            if token.text != "halt" and not self.loops:
                raise self.error(f"'{token.text}' outside a loop", token)
            self.expect(";")
            return Leave(token)
        if self.found("var", "const", "array"):
            raise self.error("declarations must come before all statements", token)
        self.wanted("a statement")

    def assignment(self) -> Assignment:
        token = self.token
        if token.text in self.constants:
            raise self.error(f"assignment to the constant '{token.text}'", token)
        target = self.place()
        self.expect("=")
        value = self.value()
        self.expect(";")
        return Assignment(target, value, token)

    def choice(self, token: Token) -> If:
        condition, body = self.condition(), self.block()
        otherwise: tuple[Statement, ...] = ()
        if self.found("else"):
            if following := self.found("if"):
                self.nest(following)
                otherwise = (self.choice(following),)
                self.nesting -= 1
            else:
                otherwise = self.block()
        return If(condition, body, otherwise, token)

    def block(self) -> tuple[Statement, ...]:
        self.nest(self.expect("{"))
        body = []
        while self.token.text != "}" and self.token.kind != "end":
            body.append(self.statement())
        self.expect("}")
        self.nesting -= 1
        return tuple(body)

    def nest(self, token: Token) -> None:
        self.nesting += 1
        if self.nesting > MOST_NESTING:
            raise self.error(f"nested more than {MOST_NESTING} deep", token)

    # expressions

    def value(self) -> Expression:
        """An expression that must be a number."""
        token = self.token
        expression = self.expression()
        if is_condition(expression):
            raise self.error("expected a number, got a condition", token)
        return expression

    def condition(self) -> Condition:
        """An expression that must be a condition."""
        token = self.token
        expression = self.expression()
        if not is_condition(expression):
            raise self.error("expected a condition, got a number", token)
        return expression

    def expression(self) -> Expression:
        left = self.conjunction()
        while operator := self.found("or"):
            left = self.joined(operator, left, self.conjunction())
        return left

    def conjunction(self) -> Expression:
        left = self.negated()
        while operator := self.found("and"):
            left = self.joined(operator, left, self.negated())
        return left

    def negated(self) -> Expression:
        if operator := self.found("not"):
            self.nest(operator)
            operand = self.negated()
            self.nesting -= 1
            self.operands(operator, operand, conditions=True)
            return Not(operand, operator, operand.height + 1)
        left = self.sum()
        if operator := self.found(*COMPARISONS):
            right = self.sum()
            height = self.operands(operator, left, right, conditions=False)
            return Comparison(left, right, operator, height)
        return left

    def sum(self) -> Expression:
        left = self.term()
        while operator := self.found("+", "-"):
            left = self.calculated(operator, left, self.term())
        return left

    def term(self) -> Expression:
        left = self.unary()
        while operator := self.found("*", "/", "%"):
            left = self.calculated(operator, left, self.unary())
        return left

    def unary(self) -> Expression:
        token = self.token
        if token.kind == "number":
            return self.number()
        if token.kind == "name":
            if token.text in self.constants and self.tokens[self.at + 1].text != "[":
                return Number(self.constants[self.take().text])
            return self.place()
        if not self.found("-", "("):
            self.wanted("an expression")
        self.nest(token)
        if token.text == "(":
            inner = self.expression()
            self.expect(")")
        else:
            operand = self.unary()
            height = self.operands(token, operand, conditions=False)
            folded = isinstance(operand, Number)
            inner = Number(-operand.value) if folded else Negation(operand, token, height)
        self.nesting -= 1
        return inner

    def place(self) -> Place:
        """A variable or an array's element."""
        token = self.take()
        declared = self.variables.get(token.text)
        if declared is None and token.text not in self.constants:
            raise self.error(f"unknown name '{token.text}'", token)
        is_array = isinstance(declared, tuple)
        if not self.found("["):
            if is_array:
                raise self.error(f"missing index of the array '{token.text}'", token)
            return Variable(token.text)
        if not is_array:
            raise self.error(f"'{token.text}' is not an array", token)
        self.nest(token)
        first = self.token
        index = self.value()
        self.nesting -= 1
        self.expect("]")
        if isinstance(index, Number) and not 0 <= index.value < len(declared):
            raise self.error(
                f"index {index.value} is outside '{token.text}[{len(declared)}]'", first
            )
        return Element(token.text, index, token)

    def joined(self, operator: Token, left: Expression, right: Expression) -> Junction:
        return Junction(
            left, right, operator, self.operands(operator, left, right, conditions=True)
        )

    def calculated(self, operator: Token, left: Expression, right: Expression) -> Expression:
        """An operation, or its result where both operands are constants."""
        height = self.operands(operator, left, right, conditions=False)
        if operator.text in "/%" and isinstance(right, Number) and right.value == 0:
            raise self.error("division by constant 0", operator)
        if not (isinstance(left, Number) and isinstance(right, Number)):
            return Arithmetic(left, right, operator, height)
        value = OPERATIONS[operator.text](left.value, right.value)
        if abs(value) > self.largest:
            raise self.error(f"constant too large: {value} is beyond {self.largest}", operator)
        return Number(value)

    def operands(self, operator: Token, *operands: Expression, conditions: bool) -> int:
        """Refuse operands of the wrong type or too deep a tree: the height above them."""
        for operand in operands:
            if is_condition(operand) != conditions:
                wanted, got = ("condition", "number") if conditions else ("number", "condition")
                raise self.error(f"'{operator.text}' expected a {wanted}, got a {got}", operator)
        height = 1 + max(operand.height for operand in operands)
        if height > MOST_OPERATORS:
            raise self.error(f"more than {MOST_OPERATORS} operators below one another", operator)
        return height

"""Builds the syntax tree while the parser reduces: one method per rule of grammar/seam.lark.

A method receives the children of its rule, every token included, and returns an ast node. It
looks for the children it needs by kind, so that punctuation in the grammar may change freely.
"""

from __future__ import annotations

from typing import cast

from seamir.source import Span
from seamir.syntax import ast
from seamir.syntax.children import (
    EXPRESSIONS,
    Body,
    ChildFinder,
    Children,
    Delivery,
    Detail,
    Edge,
    Listed,
    Preload,
    Version,
    all_of,
    end_of,
    expression_of,
    is_token,
    maybe,
    one_of,
    start_of,
    tuple_of,
)

SOURCES = (ast.Place, ast.RegisterFile, ast.CarryFlag)


class Builder(ChildFinder):
    """Methods named like rules of the grammar."""

    # -- items

    def start(self, children: Children) -> tuple[ast.Item, ...]:
        return tuple(children)

    def import_(self, children: Children) -> ast.Import:
        return ast.Import(self.texts(children)[0], self.span_of(children))

    def type_(self, children: Children) -> ast.TypeItem:
        name, base, *constants = self.names(children, "NAME")
        return ast.TypeItem(
            name,
            base,
            tuple(constants),
            maybe(children, ast.Slice),
            maybe(children, ast.Range),
            maybe(children, ast.Text),
            self.documentation(children),
            self.span_of(children),
        )

    def positive(self, children: Children) -> ast.Integer:
        return self.make_integer(children[0])

    def negative(self, children: Children) -> ast.Integer:
        integer = self.make_integer(children[1])
        return ast.Integer(-integer.value, self.span_of(children))

    def range(self, children: Children) -> ast.Range:
        low, high = all_of(children, ast.Integer)
        return ast.Range(low.value, high.value, self.span_of(children))

    def spelling(self, children: Children) -> ast.Text:
        return self.texts(children)[0]

    def const(self, children: Children) -> ast.ConstItem:
        name = self.names(children, "NAME")[0]
        return ast.ConstItem(
            name, expression_of(children), self.documentation(children), self.span_of(children)
        )

    def bits(self, children: Children) -> ast.BitsItem:
        return ast.BitsItem(
            self.names(children, "NAME")[0],
            maybe(children, ast.Text),
            tuple(all_of(children, ast.BitField)),
            self.documentation(children),
            self.span_of(children),
        )

    def field(self, children: Children) -> ast.BitField:
        return ast.BitField(
            self.names(children, "NAME")[0],
            one_of(children, ast.Slice),
            self.documentation(children),
            self.span_of(children),
        )

    def layout(self, children: Children) -> ast.LayoutItem:
        return ast.LayoutItem(
            self.names(children, "NAME")[0],
            any(is_token(c, "EXTERN") for c in children),
            tuple(all_of(children, ast.LayoutMember)),
            self.documentation(children),
            self.span_of(children),
        )

    def member(self, children: Children) -> ast.LayoutMember:
        name = self.names(children, "NAME")
        return ast.LayoutMember(
            self.names(children, "REGISTER")[0],
            self.integers(children)[0],
            name[0] if name else None,
            self.documentation(children),
            self.span_of(children),
        )

    def operands(self, children: Children) -> ast.OperandsItem:
        return ast.OperandsItem(
            self.names(children, "NAME")[0],
            tuple(all_of(children, ast.Code)),
            self.documentation(children),
            self.span_of(children),
        )

    def statuses(self, children: Children) -> ast.StatusesItem:
        items = [c for c in children if not isinstance(c, str)]
        return ast.StatusesItem(
            self.names(children, "NAME")[0],
            tuple(items),
            self.documentation(children),
            self.span_of(children),
        )

    def detail(self, children: Children) -> ast.Detail:
        return ast.Detail(
            one_of(children, ast.Slice), self.names(children, "NAME")[0], self.span_of(children)
        )

    def ignore(self, children: Children) -> ast.Ignore:
        return ast.Ignore(one_of(children, ast.Slice), self.span_of(children))

    def success(self, children: Children) -> ast.Success:
        tests = [c for c in children if isinstance(c, ast.SuccessBits | ast.Pattern)]
        return ast.Success(tuple(tests), self.span_of(children))

    def success_bits(self, children: Children) -> ast.SuccessBits:
        return ast.SuccessBits(
            one_of(children, ast.Slice), self.integers(children)[0], self.span_of(children)
        )

    def success_pattern(self, children: Children) -> ast.Pattern:
        return cast(ast.Pattern, children[0])

    def code(self, children: Children) -> ast.Code:
        return ast.Code(
            self.names(children, "NAME")[0],
            tuple(self.integers(children)),
            self.documentation(children),
            self.span_of(children),
        )

    def conduit(self, children: Children) -> ast.ConduitItem:
        name, *base = self.names(children, "NAME")
        items = [c for c in children if not isinstance(c, str)]
        return ast.ConduitItem(
            name,
            base[0] if base else None,
            tuple(items),
            self.documentation(children),
            self.span_of(children),
        )

    def leaf(self, children: Children) -> ast.LeafItem:
        names = self.names(children, "NAME", "DOTTED")
        number = self.integers(children)
        version = maybe(children, Version)
        return ast.LeafItem(
            names[0],
            number[0] if number else None,
            version.number if version else None,
            version.parameter if version else None,
            names[1],
            tuple_of(children, ast.Parameter) or (),
            tuple_of(children, ast.Output) or (),
            next(c.clauses for c in children if isinstance(c, Body)),
            self.documentation(children),
            self.span_of(children),
        )

    def wrapper(self, children: Children) -> ast.WrapperItem:
        names = self.names(children, "NAME", "DOTTED")
        version = maybe(children, Version)
        return ast.WrapperItem(
            names[0],
            names[1],
            version.number if version else None,
            tuple_of(children, ast.Parameter),
            next(c.clauses for c in children if isinstance(c, Body)),
            self.documentation(children),
            self.span_of(children),
        )

    def leaf_body(self, children: Children) -> Body:
        clauses = tuple(c for c in children if not isinstance(c, str))
        return Body(clauses, start_of(children[0]), end_of(children[-1]))

    wrapper_body = leaf_body

    def version(self, children: Children) -> Version:
        number, parameter = self.integers(children), self.names(children, "NAME")
        value = number[0] if number else parameter[0]
        return Version(value, start_of(children[0]), end_of(children[-1]))

    wrapper_version = version

    def parameters(self, children: Children) -> Listed:
        return Listed(children)

    outputs = parameters

    def parameter(self, children: Children) -> ast.Parameter:
        name, type_ = self.names(children, "NAME")
        array = maybe(children, ast.Array)
        span = self.span_of(children)
        return ast.Parameter(name, type_, array, self.documentation(children), span)

    def array(self, children: Children) -> ast.Array:
        count = self.names(children, "NAME")
        length = self.integers(children)[0]
        return ast.Array(count[0] if count else None, length, self.span_of(children))

    def output(self, children: Children) -> ast.Output:
        name, *type_ = self.names(children, "NAME")
        preload = maybe(children, Preload)
        return ast.Output(
            name,
            type_[0] if type_ else None,
            maybe(children, ast.Array),
            next(c for c in children if isinstance(c, SOURCES)),
            maybe(children, ast.Condition),
            preload.value if preload else None,
            bool(self.names(children, "OPTIONAL")),
            self.documentation(children),
            self.span_of(children),
        )

    def condition(self, children: Children) -> ast.Condition:
        alternatives, exceptions = [], []
        excepted = False
        for child in children:
            if is_token(child, "EXCEPT"):
                excepted = True
            elif isinstance(child, ast.Tested):
                alternatives.append(child)
            elif isinstance(child, ast.Pattern) and excepted:
                exceptions.append(child)
            elif isinstance(child, ast.Pattern):
                alternatives.append(ast.Tested(child, child.span))
        return ast.Condition(tuple(alternatives), tuple(exceptions), self.span_of(children))

    def tested_success(self, children: Children) -> ast.Tested:
        return ast.Tested("success", self.span_of(children))

    def tested_error(self, children: Children) -> ast.Tested:
        return ast.Tested("error", self.span_of(children))

    def preload(self, children: Children) -> Preload:
        return Preload(expression_of(children), start_of(children[0]), end_of(children[-1]))

    # -- registers

    def place(self, children: Children) -> ast.Place:
        register = self.names(children, "REGISTER")[0]
        return ast.Place(register, maybe(children, ast.Slice), self.span_of(children))

    def slice(self, children: Children) -> ast.Slice:
        high, *low = self.integers(children)
        return ast.Slice(high, low[0] if low else high, self.span_of(children))

    def registers(self, children: Children) -> ast.Registers:
        first, *last = self.names(children, "REGISTER")
        return ast.Registers(first, last[0] if last else None, self.span_of(children))

    range_of_registers = registers

    def file(self, children: Children) -> ast.RegisterFile:
        return ast.RegisterFile(tuple(all_of(children, ast.Registers)), self.span_of(children))

    def flag(self, children: Children) -> ast.CarryFlag:
        return ast.CarryFlag(self.span_of(children))

    def clobbers(self, children: Children) -> ast.Clobbers:
        words = [c.word for c in children if isinstance(c, ast.Flag)]
        return ast.Clobbers(
            tuple(all_of(children, ast.Registers)),
            "memory" in words,
            "simd" in words,
            self.span_of(children),
        )

    def preserves(self, children: Children) -> ast.Preserves:
        return ast.Preserves(tuple(all_of(children, ast.Registers)), self.span_of(children))

    # -- patterns, outcomes and clauses

    def pattern(self, children: Children) -> ast.Pattern:
        name = self.names(children, "NAME")[0]
        detail = next((c for c in children if isinstance(c, Detail)), None)
        return ast.Pattern(name, detail.value if detail else None, self.span_of(children))

    def detail_name(self, children: Children) -> Detail:
        return Detail(self.make_name(children[0]))

    def detail_value(self, children: Children) -> Detail:
        return Detail(self.make_integer(children[0]))

    def detail_any(self, children: Children) -> Detail:
        return Detail("*")

    def name_list(self, children: Children) -> Listed:
        return Listed(self.names(children, "NAME"))

    def instruction(self, children: Children) -> ast.Instruction:
        return ast.Instruction(
            self.names(children, "NAME")[0], self.texts(children)[0], self.span_of(children)
        )

    def status(self, children: Children) -> ast.StatusPlace:
        return ast.StatusPlace(
            maybe(children, ast.Place),
            tuple_of(children, ast.Name) or (),
            self.span_of(children),
        )

    def outcome(self, children: Children) -> ast.Outcome:
        edge = one_of(children, Edge)
        action = next(
            c for c in children if isinstance(c, ast.ReturnAction | ast.TrapAction | ast.CallAction)
        )
        span = self.span_of(children)
        return ast.Outcome(edge.kind, edge.vector, edge.refusal, action, span)

    def edge_carry(self, children: Children) -> Edge:
        return Edge("carry")

    def edge_fault(self, children: Children) -> Edge:
        vector = self.names(children, "FAULT")
        return Edge("fault", vector[0] if vector else None)

    def edge_refused(self, children: Children) -> Edge:
        return Edge("refused", refusal=maybe(children, ast.Refusal))

    def refusal(self, children: Children) -> ast.Refusal:
        return ast.Refusal(
            one_of(children, ast.Place),
            tuple_of(children, ast.Name) or (),
            expression_of(children),
            self.span_of(children),
        )

    def action_return(self, children: Children) -> ast.ReturnAction:
        return ast.ReturnAction(expression_of(children), self.span_of(children))

    def action_trap(self, children: Children) -> ast.TrapAction:
        return ast.TrapAction(self.span_of(children))

    def action_call(self, children: Children) -> ast.CallAction:
        values = [c for c in children if isinstance(c, EXPRESSIONS)]
        return ast.CallAction(
            self.names(children, "NAME")[0], values[0] if values else None, self.span_of(children)
        )

    def note(self, children: Children) -> ast.NoteText:
        return ast.NoteText(self.texts(children)[0], self.span_of(children))

    def assign(self, children: Children) -> ast.Assign:
        since = self.texts(children)
        return ast.Assign(
            one_of(children, ast.Place),
            expression_of(children),
            since[0] if since else None,
            self.documentation(children),
            self.span_of(children),
        )

    def assign_file(self, children: Children) -> ast.AssignFile:
        since = self.texts(children)
        preload = maybe(children, Preload)
        return ast.AssignFile(
            one_of(children, ast.RegisterFile),
            expression_of(children),
            preload.value if preload else None,
            since[0] if since else None,
            self.documentation(children),
            self.span_of(children),
        )

    def retry(self, children: Children) -> ast.Retry:
        return ast.Retry(
            self.integers(children)[0],
            tuple(all_of(children, ast.Pattern)),
            self.span_of(children),
        )

    def resume(self, children: Children) -> ast.Resume:
        steps = [c for c in children if isinstance(c, ast.StepAssign | ast.StepCarry)]
        return ast.Resume(
            self.integers(children)[0],
            tuple(all_of(children, ast.Pattern)),
            tuple(steps),
            self.span_of(children),
        )

    def step_assign(self, children: Children) -> ast.StepAssign:
        return ast.StepAssign(
            one_of(children, ast.Place), expression_of(children), self.span_of(children)
        )

    def step_carry(self, children: Children) -> ast.StepCarry:
        return ast.StepCarry(tuple(all_of(children, ast.Registers)), self.span_of(children))

    def check(self, children: Children) -> ast.Check:
        status = next((c for c in children if isinstance(c, ast.Pattern)), None)
        return ast.Check(self.names(children, "NAME")[0], status, self.span_of(children))

    def check_status(self, children: Children) -> ast.Pattern:
        return cast(ast.Pattern, children[0])

    def deliver(self, children: Children) -> ast.Deliver:
        delivery = next(c for c in children if isinstance(c, Delivery))
        optional = bool(self.names(children, "OPTIONAL"))
        return ast.Deliver(delivery.kind, delivery.struct, optional, self.span_of(children))

    def deliver_pointers(self, children: Children) -> Delivery:
        return Delivery("pointers", None)

    def deliver_struct(self, children: Children) -> Delivery:
        struct = self.names(children, "NAME")
        return Delivery("struct", struct[0] if struct else None)

    def deliver_register(self, children: Children) -> Delivery:
        return Delivery("register", None)

    def keep(self, children: Children) -> ast.OfOutputs:
        return ast.OfOutputs("keep", tuple_of(children, ast.Name) or (), self.span_of(children))

    def drop(self, children: Children) -> ast.OfOutputs:
        return ast.OfOutputs("drop", tuple_of(children, ast.Name) or (), self.span_of(children))

    def allow(self, children: Children) -> ast.Allow:
        return ast.Allow(self.names(children, "REGISTER")[0], self.span_of(children))

    def alias(self, children: Children) -> ast.AliasOf:
        return ast.AliasOf(self.names(children, "NAME", "DOTTED")[0], self.span_of(children))

    def word(self, children: Children) -> ast.Flag:
        return ast.Flag(str(children[0]), self.span_of(children))

    noinstr = noreturn = scrub = effect = clobbers_memory = clobbers_simd = word

    def since(self, children: Children) -> ast.Since:
        return ast.Since(self.texts(children)[0], self.span_of(children))

    def requires(self, children: Children) -> ast.Requires:
        return ast.Requires(self.names(children, "NAME")[0], self.span_of(children))

    def deprecated(self, children: Children) -> ast.Deprecated:
        reason = self.texts(children)
        return ast.Deprecated(reason[0] if reason else None, self.span_of(children))

    def check_trap(self, children: Children) -> ast.Flag:
        return self.word(children)

    # -- expressions

    def binary(self, children: Children) -> ast.Expr:
        left, operator, right = children
        span = Span(self._current.source, left.span.start, right.span.end)
        return ast.BinaryExpr(str(operator), left, right, span)

    union = plus = minus = shift_left = shift_right = binary

    def name(self, children: Children) -> ast.NameExpr:
        return ast.NameExpr(None, self.make_name(children[0]), self.span_of(children))

    def qualified(self, children: Children) -> ast.NameExpr:
        family, name = self.names(children, "NAME")
        return ast.NameExpr(family, name, self.span_of(children))

    def literal(self, children: Children) -> ast.LiteralExpr:
        return ast.LiteralExpr(self.make_integer(children[0]).value, self.span_of(children))

    def atom(self, children: Children) -> ast.Expr:
        return cast(ast.Expr, children[1])

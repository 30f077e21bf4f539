"""What the other side does, from a script such as `TDX_OPERAND_BUSY(RCX)*2; #UD`.

    script   outcome; outcome; ...     one an attempt, the last one for all attempts after it
    outcome  (carry | #UD | end [{ rcx = 5, output = 6, output.field = 7 }]) [*COUNT]
    end      X | X(ID) | X(0x12) | 0x8000... | completed | refused = (X | 0x8000...)

Takes a plan and the text, gives a ScriptedSide. Errors have a caret under the text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from seamir.diagnostics import Diagnostics
from seamir.emulate.junk import Junk
from seamir.emulate.script import Carry, Completed, Fault, Outcome
from seamir.ir.leaf import Bits, Plan
from seamir.model.instructions import FAULT_VECTORS
from seamir.model.registers import ALL_BITS, CARRY_FLAG, REGISTERS, slice_mask
from seamir.model.scope import suggest
from seamir.run.values import (
    Token,
    Vocabulary,
    field_of,
    fits,
    name_of_status,
    number_of,
    tokens_of,
)
from seamir.source import Source

LONGEST = 65_535  # attempts, as of a wrapper


@dataclass(frozen=True, slots=True)
class Setting:
    """Bits of a register that the other side returns, the value in its place."""

    register: str
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side does at `count` attempts.

    `failure` is how the instruction fails; None: it comes back with `status`, if the conduit has
    one, and with these settings. `name` is the status as the script calls it, "" for a number.
    """

    failure: Carry | Fault | None
    status: int | None
    name: str
    settings: tuple[Setting, ...] = ()
    count: int = 1

    @property
    def registers(self) -> frozenset[str]:
        """The registers that the script gives a value."""
        return frozenset(setting.register for setting in self.settings)


class ScriptedSide:
    """The other side of a call, by a script.

    Registers of outputs keep what they were loaded with where the script does not say it, or hold
    0; all else that may change holds junk.
    """

    def __init__(self, plan: Plan, answers: tuple[Answer, ...]) -> None:
        self._plan = plan
        self._answers = answers
        self._ends = list(accumulate(answer.count for answer in answers))
        self._kept = {delivery.place.register for delivery in plan.deliveries}

    def answer(self, attempt: int) -> Answer:
        """What the script says about an attempt; the first is 0."""
        index = bisect_right(self._ends, attempt)
        return self._answers[min(index, len(self._answers) - 1)]

    def __call__(self, attempt: int, registers: Mapping[str, int]) -> Outcome:
        answer = self.answer(attempt)
        if answer.failure is not None:
            return answer.failure
        names = sorted(self._plan.destroyed)
        values = dict(zip(names, Junk(attempt + 1).words(len(names)), strict=True))
        loaded = {load.register for load in self._plan.loads}
        for name in self._kept & self._plan.destroyed:
            values[name] = registers[name] if name in loaded else 0
        carry = False
        for setting in (*self._usual(answer), *answer.settings):
            if setting.register == CARRY_FLAG:
                carry = bool(setting.value)
                continue
            values[setting.register] &= ~setting.mask & ALL_BITS
            values[setting.register] |= setting.value & setting.mask
        return Completed(values, carry=carry)

    def _usual(self, answer: Answer) -> Iterator[Setting]:
        """What is in registers if the script does not say more: completion, and the status."""
        plan = self._plan
        if plan.edges.refused is not None:
            yield setting_of(plan.edges.refused.place, plan.edges.refused.value)
        if plan.status is not None and answer.status is not None:
            yield setting_of(plan.status, answer.status)


def setting_of(place: Bits, value: int) -> Setting:
    """A value in its place."""
    mask = slice_mask(place.low, place.high)
    return Setting(place.register, mask, value << place.low & mask)


def read_script(plan: Plan, text: str | None, vocabulary: Vocabulary) -> ScriptedSide:
    """The other side that a script describes; without one, all calls succeed.

    Raises SeamError with all that is wrong with the script.
    """
    if text is None:
        return ScriptedSide(plan, (Answer(None, success_status(plan), ""),))
    reader = _Reader(plan, Source("script", text), vocabulary)
    return ScriptedSide(plan, reader.read())


def success_status(plan: Plan) -> int | None:
    """The first status that means success, 0 if none does; None if there are no statuses."""
    if plan.status is None:
        return None
    success = plan.success or ()
    for family in plan.conduit.families:
        for code in family.codes.values():
            if any(match.accepts(code.values[0]) for match in success):
                return code.values[0]
    return success[0].value if success else 0


class _Stop(Exception):
    """The rest of an outcome makes no sense; what is wrong was reported."""


class _Reader:
    """Reads one outcome after the other; an error goes on behind the next semicolon."""

    def __init__(self, plan: Plan, source: Source, vocabulary: Vocabulary) -> None:
        self._plan = plan
        self._vocabulary = vocabulary
        self._tokens = tokens_of(source, 0, len(source.text))
        self._at = 0
        self._sink = Diagnostics()

    def read(self) -> tuple[Answer, ...]:
        """All outcomes."""
        answers: list[Answer] = []
        while True:
            try:
                answers.append(self._outcome())
                self._end_of_outcome()
            except _Stop:
                self._skip()
            if self._next.kind == "end":
                break
            self._take()
            if self._next.kind == "end" and answers:  # a semicolon may be the last character
                break
        self._sink.stop_on_errors()
        return tuple(answers)

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _expect(self, mark: str, after: str) -> None:
        if self._next.text != mark:
            message = f"`{mark}` is missing after {after}"
            raise self._wrong("E0905", message, self._next, f"here is {self._next.shown}")
        self._take()

    def _skip(self) -> None:
        while self._next.kind != "end" and self._next.text != ";":
            self._take()

    def _wrong(self, code: str, message: str, token: Token, help: str | None = None) -> _Stop:
        self._sink.report(code, message, token.span, help=help)
        return _Stop()

    # -- outcomes

    def _outcome(self) -> Answer:
        token = self._next
        if token.kind == "fault":
            return self._fault(self._take())
        if token.kind == "name" and token.text == "carry":
            return self._carry(self._take())
        if token.kind == "name" and token.text == "completed":
            self._take()
            return self._with_registers(success_status(self._plan), "")
        if token.kind == "name" and token.text == "refused":
            return self._refused(self._take())
        if token.kind in ("name", "number"):
            return self._completed()
        message = f"{token.shown} is no outcome" if token.kind != "end" else "an outcome is missing"
        help = f"an outcome is {self._outcomes()}"
        raise self._wrong("E0905", message, token, help)

    def _end_of_outcome(self) -> None:
        if self._next.kind != "end" and self._next.text != ";":
            message = f"{self._next.shown} is not expected after an outcome"
            help = "outcomes are separated by `;`"
            raise self._wrong("E0905", message, self._next, help)

    def _carry(self, token: Token) -> Answer:
        if self._plan.edges.carry is None:
            message = f"{self._plan.symbol} has no carry edge"
            raise self._wrong("E0906", message, token)
        return Answer(Carry(), 0, "", (), self._count())

    def _fault(self, token: Token) -> Answer:
        vector = FAULT_VECTORS.get(token.text)
        digits = token.text[1:]
        if vector is None and digits.isdecimal() and len(digits) <= 3:
            vector = int(digits)
        if vector is None or vector > 255:
            help = suggest(token.text, self._sink, FAULT_VECTORS)
            help = help or f"faults are {', '.join(FAULT_VECTORS)}, and `#` with a number to 255"
            raise self._wrong("E0905", f"{token.shown} is no fault", token, help)
        return Answer(Fault(vector), 0, "", (), self._count())

    def _outcomes(self) -> str:
        """The outcomes that the call may have, in words."""
        words = ["a status" if self._plan.status is not None else "`completed`"]
        words += ["`carry`"] if self._plan.edges.carry is not None else []
        words += ["`refused=VALUE`"] if self._plan.edges.refused is not None else []
        return f"{', '.join(words)}, or a fault such as `#UD`"

    def _completed(self) -> Answer:
        start, index = self._next, self._at
        place = self._plan.status
        if place is None:
            message = f"{self._plan.symbol} has no status"
            raise self._wrong("E0906", message, start, "write `completed`")
        status = self._status(self._vocabulary)
        if not fits(status, place.width, signed=False):
            message = f"{start.shown} does not fit the status in {place}"
            raise self._wrong("E0906", message, start)
        is_named = self._vocabulary.status_code(start.text) is not None
        name = "".join(t.text for t in self._tokens[index : self._at]) if is_named else ""
        return self._with_registers(status, name)

    def _with_registers(
        self, status: int | None, name: str, settings: tuple[Setting, ...] = ()
    ) -> Answer:
        if self._next.text == "{":
            settings += self._settings()
        return Answer(None, status, name, settings, self._count())

    def _refused(self, token: Token) -> Answer:
        """The instruction comes back, and its place says that nobody was reached."""
        refusal = self._plan.edges.refused
        if refusal is None:
            message = f"{self._plan.symbol} has no refused edge"
            raise self._wrong("E0906", message, token)
        self._expect("=", "`refused`")
        start = self._next
        families = (*refusal.families, *self._vocabulary.families)
        value = self._status(Vocabulary(self._vocabulary.constants, families))
        if not fits(value, refusal.place.width, signed=False):
            message = f"{start.shown} does not fit {refusal.place}"
            raise self._wrong("E0906", message, start)
        if value == refusal.value:
            message = f"{start.shown} in {refusal.place} says that the call was not refused"
            raise self._wrong("E0906", message, start)
        return self._with_registers(None, "", (setting_of(refusal.place, value),))

    def _status(self, vocabulary: Vocabulary) -> int:
        """The value of a status; takes its tokens."""
        end = self._at
        while self._tokens[end].kind != "end" and self._tokens[end].text not in (";", "{"):
            if self._tokens[end].text == "*" and self._tokens[end - 1].text != "(":
                break
            end += 1
        tokens = self._tokens[self._at : end]
        value = vocabulary.read([*tokens, self._end_before(end)], "E0905", self._sink)
        if value is None:
            raise _Stop
        self._at = end
        return value

    def _end_before(self, index: int) -> Token:
        return Token("end", self._tokens[index].span)

    def _count(self) -> int:
        if self._next.text != "*":
            return 1
        self._take()
        token = self._take()
        count = number_of(token, LONGEST) if token.kind == "number" else None
        if count is None or count < 1:
            message = f"{token.shown} is no number of attempts"
            raise self._wrong("E0905", message, token, f"it is 1 to {LONGEST}")
        return count

    # -- what the other side returns in registers

    def _settings(self) -> tuple[Setting, ...]:
        self._take()
        settings: list[Setting] = []
        while self._next.text != "}":
            setting, name = self._setting()
            if any(s.register == setting.register and s.mask & setting.mask for s in settings):
                message = f"bits of {name.shown} have a value already"
                raise self._wrong("E0905", message, name)
            settings.append(setting)
            if self._next.text != ",":
                break
            self._take()
        self._expect("}", "the registers")
        return tuple(settings)

    def _setting(self) -> tuple[Setting, Token]:
        name = self._take()
        if name.kind != "name":
            help = "write a register or an output, as in {rcx = 5}"
            raise self._wrong("E0905", f"{name.shown} is no register", name, help)
        place, signed = self._place(name)
        self._expect("=", name.shown)
        start, end = self._next, self._at
        while self._tokens[end].kind != "end" and self._tokens[end].text not in (",", "}", ";"):
            end += 1
        tokens = [*self._tokens[self._at : end], self._end_before(end)]
        value = self._vocabulary.read(tokens, "E0905", self._sink)
        if value is None:
            raise _Stop
        if not fits(value, place.width, signed=signed):
            message = f"{start.shown} does not fit {name.shown}, {place}"
            raise self._wrong("E0906", message, start)
        self._at = end
        return setting_of(place, value), name

    def _place(self, name: Token) -> tuple[Bits, bool]:
        """The bits that a register, an output or a field of one stands for; whether signed."""
        text = name.text
        if text in REGISTERS:
            self._check_register(name)
            return Bits(text, 0, 63, name.span), True
        outputs = {delivery.name: delivery for delivery in self._plan.deliveries}
        if text in outputs:
            return outputs[text].place, outputs[text].type.signed
        owner, _, field_name = text.rpartition(".")
        if owner in outputs:
            field = field_of((outputs[owner].type,), field_name)
            place = outputs[owner].place
            if field is not None and field.high < place.width:
                low, high = place.low + field.low, place.low + field.high
                return Bits(place.register, low, high, name.span), False
        help = suggest(text, self._sink, outputs, REGISTERS)
        if help is None and outputs:
            help = f"outputs are {', '.join(outputs)}"
        raise self._wrong("E0905", f"{name.shown} is no register and no output", name, help)

    def _check_register(self, name: Token) -> None:
        plan, register = self._plan, name.text
        if register not in plan.destroyed:
            names = ", ".join(sorted(plan.destroyed, key=lambda n: REGISTERS[n].number))
            message = f"the other side preserves {register}"
            raise self._wrong("E0906", message, name, f"it may change {names}")
        status = plan.status
        if status is not None and register == status.register and status.width == 64:
            message = f"{register} has the status, which stands before the brace"
            raise self._wrong("E0906", message, name)


def shown_status(plan: Plan, status: int, answer: Answer | None = None) -> str:
    """A status by its name, the script's own if it is the one that the script gave, or ""."""
    if answer is not None and answer.failure is None and answer.name and answer.status == status:
        return answer.name
    refusal = plan.edges.refused
    refusals = refusal.families if refusal is not None else ()
    return name_of_status((*plan.conduit.families, *refusals), status)

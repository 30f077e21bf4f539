"""The tokens of a text, as lark's contextual lexer finds them, in half the time.

What a token is depends on what the parser accepts: words of the language are not reserved. Lark's
lexer has an expression for each set of tokens that may be accepted, some hundred for our grammar,
which are made in every run. This one has a single expression for all tokens. Where what it finds is
accepted, lark would have found the same: both try the same tokens in the same order, lark only
fewer of them. Everywhere else lark's lexer is asked, which also says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

from lark import Token
from lark.common import LexerConf
from lark.lexer import BasicLexer, ContextualLexer, LexerState, PatternStr, TerminalDef
from lark.parsers.lalr_parser_state import ParserState


class Lexer(ContextualLexer):
    """A contextual lexer; of the place in the text it keeps the offset, and not the line."""

    def __init__(
        self,
        conf: LexerConf,
        states: dict[int, Collection[str]],
        always_accept: Collection[str] = (),
    ) -> None:
        self._made_of = conf, states, always_accept
        ordered = BasicLexer(conf).terminals
        self._words = {
            terminal.pattern.value: terminal.name
            for terminal in ordered
            if isinstance(terminal.pattern, PatternStr)
        }
        ignored = [terminal for terminal in ordered if terminal.name in conf.ignore]
        # Words of the language are told from names by their letters, once they are found.
        tokens = [t for t in ordered if t not in ignored and not t.pattern.value.isalpha()]
        self._pattern = re.compile(f"(?:{_any_of(ignored)})*(?:{_any_of(tokens)})?")

    @cached_property
    def _contextual(self) -> ContextualLexer:
        return ContextualLexer(*self._made_of)

    def lex(self, lexer_state: LexerState, parser_state: ParserState[int]) -> Iterator[Token]:
        """The tokens, each looked for when the parser has taken the one before."""
        states, stack = parser_state.parse_conf.states, parser_state.state_stack
        match, words, place = self._pattern.match, self._words, lexer_state.line_ctr
        text, limit = lexer_state.text.text, lexer_state.text.end
        while True:
            found = match(text, place.char_pos, limit)
            assert found is not None  # it matches nothing, too
            kind = found.lastgroup
            accepted = states[stack[-1]]
            if kind is not None:
                value = found[kind]
                word = words.get(value, kind) if kind == "NAME" else kind
                kind = word if word in accepted else kind
            if kind not in accepted:
                token = next(self._contextual.lex(lexer_state, parser_state), None)
                if token is None:
                    return
            else:
                end = place.char_pos = found.end()
                token = Token(kind, value, end - len(value), None, None, None, None, end)
                lexer_state.last_token = token
            yield token


def _any_of(terminals: Sequence[TerminalDef]) -> str:
    return "|".join(f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in terminals)

"""A place in the tokens of a statement, and ways to look ahead and to go on.

This module knows tokens. It never knows what is right or wrong in TOML.
"""

import re

from evaluator.config.reading import understood
from evaluator.config.tokens import Kind, Token, tokens


class Cursor:
    """Reads tokens one after the other."""

    def __init__(self, text: str) -> None:
        """Begin at the first token of a text."""
        self.text = text
        self.tokens = tokens(text)
        self.at = 0

    def go_to(self, offset: int) -> None:
        """Go on at an offset of the text, which may lie inside a token."""
        self.tokens, self.at = tokens(self.text, offset), 0

    def key_ahead(self) -> bool:
        """Return whether `key =` follows."""
        return self.past_blanks().kind in (Kind.WORD, Kind.STRING) and self.past_blanks(1).text == "="

    def _next(self, start: int, *, newlines: bool = False) -> int:
        """Return the index of the next token that says something; `newlines`: these say nothing either."""
        silent = {Kind.BLANK, Kind.NEWLINE, Kind.COMMENT} if newlines else {Kind.BLANK}
        while self.tokens[start].kind in silent:
            start += 1
        return start

    def past_blanks(self, ahead: int = 0, *, newlines: bool = False) -> Token:
        """Return the next token that says something, or one further `ahead`, without taking it."""
        index = self._next(self.at, newlines=newlines)
        for _ in range(ahead):
            index = self._next(min(index + 1, len(self.tokens) - 1), newlines=newlines)
        return self.tokens[index]

    def skip(self, *, newlines: bool = False) -> bool:
        """Skip blanks (and newlines and comments); return whether a newline was among them."""
        start, self.at = self.at, self._next(self.at, newlines=newlines)
        return any(token.kind is Kind.NEWLINE for token in self.tokens[start : self.at])

    def peek(self, ahead: int = 0) -> Token:
        """Return a token without taking it."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Take the next token; the last one stays."""
        token = self.peek()
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def words_end(self, last: Token, *, line: bool) -> int:
        """Take the words of an unquoted text, or the rest of the `line`; return where it ends."""
        while not self.key_ahead():
            after = self.past_blanks()
            alone = line and after.kind not in (Kind.NEWLINE, Kind.COMMENT, Kind.END)
            if not alone and after.kind is not Kind.WORD:
                break
            if after.text in {",", ";"} and self.past_blanks(1).kind in (Kind.NEWLINE, Kind.COMMENT, Kind.END):
                break
            self.skip()
            last = self.take()
        return last.end

    def more_words(self) -> bool:
        """Return whether what follows belongs to the same unquoted text, and is no next value or key."""
        after = self.past_blanks()
        return after.kind is Kind.WORD and not self.key_ahead() and not understood(f"x = {after.text}")

    def thousands(self) -> bool:
        """Return whether `,000` follows without a space: 1,000."""
        comma, digits = self.peek(), self.peek(1)
        return comma.text == "," and re.fullmatch(r"\d{3}", digits.text) is not None and comma.end == digits.start

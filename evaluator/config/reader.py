"""A forgiving reader of `key = value`: it notes each slip and writes the statement again as correct TOML.

This module knows how people mistype TOML. It never knows rules or settings, nor the rest of the file.
"""

import json
import re
from collections.abc import Callable

from evaluator.config.cursor import Cursor
from evaluator.config.reading import Reading, Slip, understood
from evaluator.config.tokens import Kind, Token
from evaluator.config.words import meant_word

LINE = "a line is `key = value`, `[table]` or `# comment`"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DEEPEST = 50
_CLOSING = "”“»\"'\u2018\u2019"
_LAST_COMMA = "no comma before the `}`"


class Reader(Cursor):
    """Reads `key = value` forgivingly, from token to token."""

    def __init__(self, text: str, shows: Callable[[str], bool]) -> None:
        """Begin at the start of a statement. `shows(key)`: whether that key's value may be printed."""
        super().__init__(text)
        self.shows = shows
        self.slips: list[Slip] = []
        self.key = ""
        self.outermost = ""
        self.nesting = 0
        self.lost = False
        self.after_comma = False

    def slip(self, token: Token, message: str, hint: str = "", *, end: int | None = None) -> None:
        """Note a slip at a token."""
        self.slips.append(Slip(token.start, token.end if end is None else end, message, hint))

    def pair(self) -> Reading:
        """Read the whole statement."""
        self.skip(newlines=True)
        meant = self._pair()
        if meant is None or self.lost:
            return Reading(tuple(self.slips), None)
        before = self.peek()
        self.skip(newlines=True)
        rest = self.peek()
        if rest.kind is not Kind.END:
            self._rest(rest, glued=before is rest)
        return Reading(tuple(self.slips), meant)

    def _rest(self, token: Token, *, glued: bool) -> None:
        """Complain of what stands after the value; `glued`: without a blank between."""
        after = self.past_blanks(1)
        if token.text == "," and after.kind in (Kind.WORD, Kind.STRING):
            self.slip(token, "several values need brackets", f"write {self.key} = [first, second]")
        elif token.text in {",", ";"}:
            self.slip(token, f"no `{token.text}` at the end of a line", "delete it")
        elif self.key_ahead():
            self.slip(token, "a second `key = value` on the same line", "begin a new line before it")
        elif token.kind is Kind.STRING or glued or token.text[:1] in "\"'":
            self.slip(token, "a quote inside the text ends it here", "put the text between the other kind of quotes")
        else:
            self.slip(token, "nothing may follow the value on its line", "delete it, or put a # before a comment")

    def _pair(self) -> str | None:
        """Read `key = value`; `None` where no key or no value can be made out."""
        first = self.peek()
        if first.text in {"=", "=="}:
            self.slip(first, "the key before the `=` is missing", "write key = value")
            return None
        key = self._key()
        if key is None:
            return None
        self.key = key
        self.outermost = self.outermost or key
        self.skip()
        value = self.peek()
        if value.kind in (Kind.END, Kind.NEWLINE, Kind.COMMENT) or value.text in {",", "}", "]"}:
            self.slip(first, f"`{key}` has no value", f"write {key} = and a value, or delete the line", end=value.start)
            return None
        return f"{key} = {self.value()}"

    def _key(self) -> str | None:
        """Read a key and its `=`."""
        first, words = self.peek(), []
        if first.kind is Kind.SMART:
            inner = "-".join(_BARE.findall(first.text))
            self.slip(first, "these are typographic quotes", f"write {inner} =")
            words.append(Token(Kind.WORD, inner, *self.take()[2:]))
            self.skip()
        while self.peek().kind in (Kind.WORD, Kind.STRING) and self.peek().text not in {
            ">",
            "<",
            ">=",
            "<=",
            "=>",
            "->",
        }:
            words.append(self.take())
            self.skip()
        if not words:
            self.slip(first, f"`{first.text.strip() or 'this'}` is no key", LINE)
            return None
        key, sign = words[0].text, self.peek()
        if sign.text != "=":
            return self._no_sign(words, sign)
        self.take()
        if len(words) > 1:
            joined = "_".join(_BARE.findall(" ".join(word.text for word in words)))
            self.slip(first, "a key has no spaces", f"write {joined} =", end=words[-1].end)
            return joined
        if not understood(f"{key} = 0"):
            bare = "-".join(_BARE.findall(key))
            self.slip(first, "a key has only letters, digits, - and _", f"write {bare} =" if bare else "")
            return bare or None
        return key

    def _no_sign(self, words: list[Token], sign: Token) -> str | None:
        """Return the key where no `=` follows it, and say what to write."""
        key = words[0].text
        if sign.text in {":", "==", ":=", "=>", "->"}:
            self.take()
            self.slip(sign, f"TOML has `=` here, not `{sign.text}`", f"write {key} = ...")
            return key if _BARE.fullmatch(key) else None
        if sign.text in {">", "<", ">=", "<="} and len(words) == 1:
            self.take()
            name = {">": "above", "<": "below", ">=": "at_least", "<=": "at_most"}[sign.text]
            self.slip(sign, f"`{sign.text}` is no sign of TOML", f"a limit is a key: write {name} = ...")
            return key if _BARE.fullmatch(key) else None
        if sign.text in {"{", "["} and len(words) == 1 and _BARE.fullmatch(key):
            self.slip(words[0], f"the `=` after `{key}` is missing", f"write {key} = ...")
            return key
        if len(words) == 2 and _BARE.fullmatch(key) and sign.kind in (Kind.NEWLINE, Kind.COMMENT, Kind.END):
            self.slip(words[0], f"the `=` after `{key}` is missing", f"write {key} = ...")
            self.at = self.tokens.index(words[1])
            return key
        name, colon, _ = key.partition(":")
        if colon and _BARE.fullmatch(name):
            sign = Token(Kind.SIGN, ":", words[0].start + len(name), words[0].start + len(name) + 1)
            self.slip(sign, "TOML has `=` here, not `:`", f"write {name} = ...")
            self.go_to(sign.end)
            return name
        if len(words) == 1 and sign.kind in (Kind.NEWLINE, Kind.COMMENT, Kind.END):
            self.slip(words[0], f"`{_cut(key)}` stands here alone", LINE)
        else:
            self.slip(words[0], "this is not TOML", LINE, end=words[-1].end)
        return None

    def value(self) -> str:
        """Read a value and return it as correct TOML."""
        token = self.take()
        if token.text in {"{", "["}:
            if self.nesting >= _DEEPEST:
                self.lost = True
                return '""'
            self.nesting += 1
            meant = self._table(token) if token.text == "{" else self._list(token)
            self.nesting -= 1
            return meant
        if token.kind is Kind.STRING:
            return self._string(token)
        if token.kind is Kind.UNCLOSED:
            return self._unclosed(token)
        if token.kind is Kind.SMART:
            inner = token.text[1:-1] if token.text[-1] in _CLOSING else token.text[1:]
            self.slip(token, "these are typographic quotes", 'write straight ones: "..."')
            return json.dumps(inner, ensure_ascii=False)
        return self._word(token)

    def _string(self, token: Token) -> str:
        """Return a quoted text; a backslash in it may be meant as itself."""
        if understood(f"x = {token.text}"):
            return token.text
        inner = token.text.strip("\"'")
        if token.text.startswith('"') and "\\" in inner and "\n" not in inner:
            hint = "write it between single quotes: '...'" if "'" not in inner else r"write each backslash twice: \\"
            self.slip(token, "a backslash between double quotes means something special, and this one nothing", hint)
        else:
            self.slip(token, "this text has a character that TOML does not allow")
        return json.dumps(inner, ensure_ascii=False)

    def _unclosed(self, token: Token) -> str:
        """Return a text whose closing quote is missing."""
        self.lost = self.nesting > 0
        quote = token.text[:3] if token.text[:3] in {'"""', "'''"} else token.text[0]
        what = "closing quote is missing" if len(quote) == 1 else f"closing {quote} is missing"
        end = token.start + len(token.text.split("\n", 1)[0])
        self.slip(token, f"the {what}", f"end the text with {quote}", end=end)
        inner = token.text[len(quote) :].split("\n", 1)[0]
        return json.dumps(re.sub(r"\s+#.*$|[\s,}\]]+$", "", inner), ensure_ascii=False)

    def _word(self, token: Token) -> str:
        """Return a value that is written without quotes."""
        if understood(f"x = {token.text}") and not self.more_words():
            if self.thousands():
                return self._with_thousands(token)
            return token.text
        end = self.words_end(token, line=not self.nesting)
        text = self.text[token.start : end]
        message, hint, meant = meant_word(text, self.key, shown=self.shows(self.key or self.outermost))
        self.slip(token, message, hint, end=end)
        return meant

    def _with_thousands(self, token: Token) -> str:
        """Return a number that was written with commas."""
        last = token
        while self.thousands():
            self.take()
            last = self.take()
        number = self.text[token.start : last.end].replace(",", "")
        self.slip(token, "numbers have no commas", f"write {number}", end=last.end)
        return number

    def _table(self, opening: Token) -> str:
        """Return an inline table."""
        pairs: list[str] = []
        outer, several = self.key, False
        while True:
            several |= self.skip(newlines=True)
            token = self.peek()
            if token.text == "}":
                self.take()
                break
            if token.kind is Kind.END or token.text == "]":
                if self.lost:
                    break
                self.slip(opening, "the closing `}` is missing", end=len(self.text.split("\n", 1)[0]))
                break
            if token.text == ",":
                self._comma(pairs, "}")
                continue
            if pairs and not self.after_comma:
                self.slip(token, f"a comma is missing before `{_cut(token.text)}`", "write { a = 1, b = 2 }")
            pair = self._pair()
            self.after_comma = False
            if pair is None:
                self._resume()
            else:
                pairs.append(pair)
        if several:
            # The comma before the closing bracket is right in the form that is hinted at.
            self.slips = [slip for slip in self.slips if slip.message != _LAST_COMMA]
            first = self.text.find("\n", opening.start)
            hint = "write it on one line, or as a table of its own with a [header]"
            self.slip(opening, "a table in { } has to stay on one line", hint, end=first if first > 0 else None)
        self.key, self.after_comma = outer, False
        return "{ " + ", ".join(pairs) + " }"

    def _comma(self, items: list[str], closing: str) -> None:
        """Take a comma, and complain where it separates nothing."""
        comma = self.take()
        ahead = self.past_blanks(newlines=True)
        if not items or self.after_comma:
            self.slip(comma, "this comma separates nothing", "delete it")
        elif closing == "}" and ahead.text == "}":
            self.slip(comma, _LAST_COMMA, "delete it")
        self.after_comma = True

    def _resume(self) -> None:
        """Go on behind the next comma or before the next closing bracket."""
        while self.peek().kind is not Kind.END and self.peek().text not in {",", "}", "]"}:
            self.take()

    def _list(self, opening: Token) -> str:
        """Return a list."""
        items: list[str] = []
        outer, self.key = self.key, ""
        self.after_comma = False
        while True:
            self.skip(newlines=True)
            token = self.peek()
            if token.text == "]":
                self.take()
                break
            if token.kind is Kind.END or token.text in {"}", "="}:
                if self.lost:
                    break
                self.slip(opening, "the closing `]` is missing", end=len(self.text.split("\n", 1)[0]))
                break
            if token.text == ",":
                self._comma(items, "]")
                continue
            if items and not self.after_comma:
                self.slip(token, "a comma is missing before this", "write [1, 2, 3]")
            items.append(self.value())
            self.after_comma = False
        self.key, self.after_comma = outer, False
        return "[" + ", ".join(items) + "]"


def _cut(text: str, most: int = 30) -> str:
    """Return a text short enough for a sentence."""
    return text if len(text) <= most else text[: most - 1] + "…"

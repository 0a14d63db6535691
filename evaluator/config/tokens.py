"""The tokens of a statement, of whatever quality: every character belongs to one.

This module knows how quotes, words and signs look. It never knows what they mean.
"""

import re
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a token is."""

    BLANK = "blank"
    NEWLINE = "newline"
    COMMENT = "comment"
    STRING = "string"
    UNCLOSED = "unclosed"
    SMART = "smart"
    WORD = "word"
    SIGN = "sign"
    END = "end"


class Token(NamedTuple):
    """A token with its offsets in the statement."""

    kind: Kind
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\r\N{NO-BREAK SPACE}]+)
    | (?P<newline>\n)
    | (?P<comment>\#[^\n]*)
    | (?P<string>\"{3}(?:[^\\]|\\.)*?\"{3,5} | '{3}.*?'{3,5} | "(?!"")(?:[^"\\\n]|\\[^\n])*" | '(?!'')[^'\n]*')
    | (?P<unclosed>\"{3}.* | '{3}.* | ["'][^\n]*)
    | (?P<smart>[“”„«][^“”»"\n]*[“”»"]? | [\u2018\u2019\u201a][^\u2018\u2019'\n]*[\u2018\u2019']?)
    | (?P<sign>==|:=|=>|[={}\[\],;]|:(?=\s|["'\[{]|$)|>=|<=|[<>])
    | (?P<word>(?:[^\s="'#{}\[\],;“”„«\u2018\u2019\u201a<>:]|:(?!\s|["'\[{]|$))+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str, start: int = 0) -> list[Token]:
    """Return the tokens of a text from an offset on; the last one is always `END`."""
    found = [_token(match) for match in _TOKEN.finditer(text, start)]
    return [*found, Token(Kind.END, "", len(text), len(text))]


def _token(match: re.Match[str]) -> Token:
    """Return the token of a match."""
    group = match.lastgroup or "other"
    kind = Kind.WORD if group == "other" else Kind(group)
    return Token(kind, match[0], match.start(), match.end())

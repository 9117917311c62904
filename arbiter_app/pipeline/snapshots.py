"""Pieces of a streamed text that are no deltas: some runtimes send all of it so far each time (snapshots), or all of it again at the end.

What a piece adds is found with care, for models do repeat themselves: a piece that begins with all that was said is a snapshot where
so much is no chance, or where the next one begins with it in turn; until that is known it is held back.
"""

from __future__ import annotations

import orjson

NO_CHANCE_CHARS = 16
"""Of a text that was said in two pieces or more: nobody says all of that again in one piece."""
LEAST_CHARS = 4
"""Of the second of three pieces that each begin with the one before, or half of the third."""
MOST_HELD = 3
HALF = "\ufffd"
"""What stands for a character of which not all bytes have come."""
MOST_JSON_CHARS = 20_000
"""Of arguments that are looked at as JSON while they come."""


class Pieces:
    """What was said of one text so far, in `parts` of `size` characters together; `plain` while nothing speaks for snapshots, so that a
    piece that is shorter than that is a delta. `arguments`: the text is those of a call, a JSON object.
    """

    __slots__ = ("_cumulative", "_first", "_held", "_json", "_quoted", "parts", "plain", "size")

    def __init__(self, *, arguments: bool = False) -> None:
        self.parts: list[str] = []
        self.size = self._first = 0
        self.plain = True
        self._json = arguments
        self._cumulative = False
        self._held: list[str] = []
        self._quoted = False
        """Whether they are arguments that are written once more, as a string of JSON: then all is held back."""

    def __str__(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def begun(self) -> bool:
        """Whether anything was said."""
        return bool(self.size or self._held)

    def is_grown(self, text: str) -> bool:
        """Whether a text is this one and more; it is a snapshot from now on."""
        grown = len(text) > self.size and text.startswith(str(self))
        self._cumulative, self.plain = self._cumulative or grown, self.plain and not grown
        return grown

    def goes_on(self, piece: str) -> bool:
        """Whether a piece of arguments can only belong to those that are there."""
        if not piece or not self.begun:
            return False
        return piece.lstrip()[:1] != "{" or (self.size > 0 and piece.startswith(str(self)))

    def add(self, piece: str, *, ends: bool = False) -> str:
        """What a piece adds to the text, for now; `ends` where it comes with the end of its answer."""
        if not piece:
            return ""
        if self.plain and not self.size:
            return self._begin(piece)
        if self.plain and len(piece) < self.size:
            return self._shorter(piece)
        if self._cumulative:
            return self._grown(piece)
        if self._quoted:
            self._held.append(piece)
            return ""
        last = (self._held[-1] if self._held else str(self)).rstrip(HALF)
        if last.strip() == "{}" and self._held and piece.lstrip()[:1] == "{":
            self._held, self.plain = [], True
            return self._taken(piece)
        if not piece.startswith(last):
            return self._unlike(piece, last)
        if self._is_snapshot(piece, last, ends=ends):
            return self._grown(piece)
        again = bool(self._held) and piece == last
        self._held.append(piece)
        self.plain = False
        return self._given_up() if again or len(self._held) > MOST_HELD else ""

    def rest(self) -> str:
        """What was held back, once nothing more comes that could tell what it is."""
        held = self._held
        if self._quoted:
            self._quoted, self._held = False, [unquoted("".join(held))]
            return self._given_up()
        if held and self._json and is_object(held[-1]) and not is_object(str(self) + "".join(held)):
            return self._grown(held[-1])
        return self._given_up()

    def _begin(self, piece: str) -> str:
        """What the first piece adds: arguments that are empty may stand for those to come."""
        if self._json and piece.strip() == "{}":
            self._held, self.plain = [piece], False
            return ""
        if self._json and piece.lstrip()[:1] == '"':
            self._held, self.plain, self._quoted = [piece], False, True
            return ""
        self._first = len(piece)
        return self._taken(piece)

    def _shorter(self, piece: str) -> str:
        """What a piece adds that is shorter than all before: everything, unless it is the same object, written otherwise."""
        again = self._json and piece[0] == "{" and _same_object(piece, str(self))
        return "" if again else self._taken(piece)

    def _given_up(self) -> str:
        """What was held back, as the deltas that it was then."""
        held, self._held, self.plain = self._held, [], not self._cumulative
        return self._taken("".join(held))

    def _unlike(self, piece: str, last: str) -> str:
        """What a piece adds that does not begin with what was said."""
        if self._held:
            return self._given_up() + self._taken(piece)
        return "" if self._json and _same_object(piece, last) else self._taken(piece)

    def _is_snapshot(self, piece: str, last: str, *, ends: bool) -> bool:
        """Whether a piece that begins with all before it can be nothing else."""
        if self._json and last.lstrip()[:1] == "{" and not last.rstrip().endswith((":", "[", ",")):
            return True  # what begins an object cannot go on with its own beginning
        longer, grew = len(piece) > len(last), bool(self._held) and len(last) > self.size
        if _repeats(last):
            return False
        if len(last) >= NO_CHANCE_CHARS and (self.size > self._first or longer or grew or ends):
            return True
        return grew and longer and (len(last) >= LEAST_CHARS or len(piece) >= 2 * LEAST_CHARS)

    def _grown(self, piece: str) -> str:
        """What a snapshot adds. One that ends in half a character does not yet say which; one that is shorter is an older one."""
        piece = piece.rstrip(HALF)
        added = piece[self.size :]
        self._held, self._cumulative, self.plain = [], True, False
        if added:
            self.parts, self.size = [str(self) + added], self.size + len(added)
        return added

    def _taken(self, piece: str) -> str:
        if piece:
            self.parts.append(piece)
            self.size += len(piece)
        return piece


def _repeats(text: str) -> bool:
    """Whether a text is nothing but one thing several times, such as a line of dashes: then it may well go on like that."""
    half = max(1, len(text) // 2)
    at = text.find(text[:half], 1)
    return text.isspace() or (0 < at <= half and text.startswith(text[at:]))


def unquoted(arguments: str) -> str:
    """Arguments that some models write twice, as a JSON string of the object, as they were meant; others as they are."""
    if arguments.lstrip()[:1] != '"':
        return arguments
    try:
        inner = orjson.loads(arguments)
        return inner if isinstance(inner, str) and isinstance(orjson.loads(inner), dict) else arguments
    except orjson.JSONDecodeError:
        return arguments


def is_object(text: str) -> bool:
    """Whether a text is a whole JSON object, of bounded length."""
    if len(text) > MOST_JSON_CHARS or not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _same_object(piece: str, last: str) -> bool:
    return is_object(piece) and is_object(last) and bool(orjson.loads(piece) == orjson.loads(last))

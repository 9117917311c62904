"""What the prompt itself tells of a model's grade: online regressions on hashed words, used only where they have predicted.

For each model of a bucket the sums of x r and x x are kept, where x are the features of a prompt and r is the grade less the
model's mean before it: one ridge regression for each feature alone (marginal regression, Fan and Lv, 2008), whose sum is
scaled by what it turned out to be worth. Every prediction is made before its grade is seen (prequential validation, Dawid,
1984): sum(p r) over the root of sum((p r)^2) is standard normal while the prompt tells nothing, and only over `PROVEN` of
these standard deviations does a prediction count. It is looked at after every grade, so it has to hold at any time: with
probability 1 - alpha a sum of n steps stays under sqrt((1 + m / n) (ln(1 + n / m) + 2 ln(1 / alpha))) of its standard deviations
for all n at once (Robbins, Statistical methods related to the law of the iterated logarithm, 1970). For m = 60, five is this bound
at alpha = 1 / 10,000 from 240 grades to 43,000, and at alpha = 1 / 350 where it is first looked at, after `LEAST_GRADES`.
All of it is sums, so that processes can add them up; a model takes 6 KB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log1p, sqrt
from zlib import crc32

import numpy as np

from arbiter_app.policy.belief import Array

WORDS = 256
"""Places that words are hashed to: 3 KB a model, and few words of a prompt share one."""
PLAIN = 4
"""Features that are no words, see `features`."""
SIZE = WORDS + PLAIN
"""All features of a prompt."""
READ = 1000
"""Characters of a prompt that are read: what is asked stands early, and reading costs by length."""
RIDGE = 4.0
"""Grades' worth of evidence that pulls each coefficient to zero (a judgement: a word has to be seen some times)."""
PROVEN = 5.0
"""Standard deviations of sum(p r) over which predictions count: a level that chance does not pass at any time (above)."""
LEAST_GRADES = 60.0
"""Weight of grades before which nothing is said: the level above holds from there on, and sums begin to be normal."""
LARGEST_SHIFT = 0.5
"""Largest shift of a quality, 0 to 1, by a prompt: half of what there is."""
BATCH = 16
"""Grades that are learned together: sixteen one by one take six times as long."""

Head = tuple[str, int]
_LETTERS = bytes(at if chr(at).isalnum() or at >= 128 else 32 for at in range(256))
"""Every byte as itself, or a space where it is no part of a word: ASCII letters, digits, and all beyond ASCII are."""


def head(prompt: str) -> Head:
    """What is read of a prompt: its first characters, and its length."""
    return prompt[:READ], len(prompt)


def features(prompts: Sequence[Head]) -> Array:
    """Features [prompts, SIZE]: which hashed words occur in the first characters of each, and four plain ones: its length, and
    the shares of digits, of code's punctuation and of line ends."""
    found, plain = np.zeros((len(prompts), SIZE)), [(0.0, 0.0, 0.0, 0.0)] * len(prompts)
    rows: list[int] = []
    columns: list[int] = []
    for at, (text, length) in enumerate(prompts):
        data = text.lower().encode("utf-8", "replace")
        if data:
            words = {crc32(word) % WORDS for word in data.translate(_LETTERS).split()}
            columns += words
            rows += [at] * len(words)
            digits = len(data) - len(data.translate(None, b"0123456789"))
            marks = len(data) - len(data.translate(None, b"()[]{};="))
            shares = 4 * digits / len(data), 8 * marks / len(data), 16 * data.count(10) / len(data)
            plain[at] = (log1p(length) / 10, *shares)
    found[rows, columns] = 1.0
    found /= np.sqrt(np.maximum(found.sum(axis=1, keepdims=True), 1.0))
    found[:, WORDS:] = plain
    return found


@dataclass(slots=True)
class Teller:
    """The regression of one model in one bucket. `usual` is the sum of all features seen; `proof` holds the grades, sum(p r),
    sum(p p) and sum((p r)^2); `waiting` the grades that are to be learned with the next ones."""

    usual: Array = field(default_factory=lambda: np.zeros(SIZE))
    pull: Array = field(default_factory=lambda: np.zeros(SIZE))
    power: Array = field(default_factory=lambda: np.zeros(SIZE))
    proof: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    waiting: list[tuple[Head, float, float]] = field(default_factory=list, compare=False)
    heard: bool = field(default=False, init=False)
    """Whether there are grades enough to say anything, be it that prompts tell nothing."""
    proven: bool = field(default=False, init=False)
    """Whether predictions have been right by more than chance allows."""

    def __post_init__(self) -> None:
        """See what the grades so far prove."""
        self._prove()

    def hear(self, prompt: str, surprise: float, weight: float) -> None:
        """Count one grade in: `surprise` is the grade less what was expected without the prompt."""
        self.waiting.append((head(prompt), surprise, weight))
        if len(self.waiting) >= BATCH:
            prompts, surprises, weights = zip(*self.waiting, strict=True)
            self.waiting.clear()
            self.learn(features(prompts), np.array(surprises), np.array(weights))

    def learn(self, seen: Array, surprise: Array, weight: Array) -> None:
        """Count grades in, all predicted before any of them is: features [n, SIZE], surprises [n] and weights [n]."""
        said = self._says(seen)
        hits = weight * said * surprise
        grades, all_hits, size, squares = self.proof
        self.proof = (
            grades + float(weight.sum()),
            all_hits + float(hits.sum()),
            size + float((weight * said).dot(said)),
            squares + float(hits.dot(hits)),
        )
        self._prove()
        self.usual += weight.dot(seen)
        self.pull += (weight * surprise).dot(seen)
        self.power += weight.dot(seen * seen)

    def add(self, other: Teller) -> None:
        """Add what another process has learned."""
        self.usual += other.usual
        self.pull += other.pull
        self.power += other.power
        grades, hits, size, squares = self.proof
        more = other.proof
        self.proof = grades + more[0], hits + more[1], size + more[2], squares + more[3]
        self._prove()

    def _prove(self) -> None:
        grades, hits, _, squares = self.proof
        self.heard = grades >= LEAST_GRADES
        self.proven = self.heard and hits > PROVEN * sqrt(squares)

    def shift(self, seen: Array) -> float:
        """How much better than its mean the model will do with a prompt [1, SIZE], scaled by what such predictions were worth."""
        _, hits, size, _ = self.proof
        worth = min(max(hits / size, 0.0), 1.0) if size > 0 else 0.0
        return min(max(worth * float(self._says(seen)[0]), -LARGEST_SHIFT), LARGEST_SHIFT)

    def _says(self, seen: Array) -> Array:
        """The raw predictions [n]: against the usual prompt, so that they are about each alone."""
        said: Array = (seen - self.usual / max(self.proof[0], 1.0)).dot(self.pull / (self.power + RIDGE))
        return said

    def packed(self) -> bytes:
        """As bytes, for the store."""
        return np.concatenate([self.proof, self.usual, self.pull, self.power]).astype("<f4").tobytes()

    @classmethod
    def unpacked(cls, data: bytes) -> Teller:
        """From bytes. Raises ValueError when they are not of this form."""
        flat = np.frombuffer(data, dtype="<f4").astype(np.float64)
        if len(flat) != 4 + 3 * SIZE or not np.isfinite(flat).all():
            raise ValueError("not what a teller packs")
        usual, pull, power = flat[4:].reshape(3, SIZE).copy()
        grades, hits, size, squares = flat[:4].tolist()
        return cls(usual, pull, power, (grades, hits, size, squares))

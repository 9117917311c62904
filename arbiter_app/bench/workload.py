"""What people ask: seeded requests of every kind, or the prompts of a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from arbiter_app.pipeline.types import Json


class NoPrompts(ValueError):
    """A prompt file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to send: `kind` names its template, `body` is the chat request."""

    kind: str
    body: Json


Maker = Callable[[random.Random], Json]

_NAMES = ("orders", "invoices", "sensors", "patients", "flights", "tickets", "players", "books", "devices", "payments")
_LANGUAGES = ("Python", "JavaScript", "TypeScript", "Go", "Rust", "Java", "Bash", "SQL")
_PROGRAMS = (
    "removes duplicates from a list of {thing} but keeps their order",
    "finds the median of a stream of {thing}",
    "groups {thing} by day and counts them",
    "merges two sorted lists of {thing}",
    "retries a call up to {n} times with exponential backoff",
    "validates the check digit of {n}-digit ids of {thing}",
    "finds the shortest path between two {thing} in a weighted graph",
    "reads {thing} line by line and prints the {n} largest",
)
_FACTS = (
    "What is the capital of {place}?",
    "Who wrote the national anthem of {place}?",
    "When did {place} adopt its present constitution?",
    "How many people live in {place}?",
    "Which river is the longest in {place}?",
    "What is the boiling point of {element}?",
    "Who discovered {element}, and in which year?",
    "What is the difference between {element} and {element2}?",
)
_PLACES = ("Portugal", "Kenya", "Japan", "Chile", "Norway", "Vietnam", "Canada", "Ghana", "Poland", "New Zealand")
_ELEMENTS = ("helium", "iodine", "tungsten", "neon", "cobalt", "radium", "lithium", "argon", "zinc", "selenium")
_THEMES = (
    "autumn rain",
    "a lighthouse keeper",
    "the last bus home",
    "two rival bakers",
    "a lost letter",
    "winter in a port",
)
_OPEN = (
    "Write a short story about {theme}.",
    "Write a poem about {theme} in four stanzas.",
    "Draft a polite e-mail to a customer whose {thing} arrived {n} days late.",
    "Give me a slogan for a shop that repairs {thing}.",
    "Compose a speech of {n} sentences for a colleague who retires after {n} years.",
)
_UNSURE = (
    "Thoughts on {thing}?",
    "{theme}, please.",
    "I have {n} {thing} and a free weekend.",
    "Should a small team care about {thing}?",
    "Explícame por qué {n} es suficiente.",
    "{thing} を {n} 個、どう思いますか。",
)
_TOPICS = ("remote work", "city traffic", "learning piano", "household energy", "team meetings", "public libraries")


def workload(n: int, seed: int, stream_share: float) -> list[Ask]:
    """`n` requests in a fixed order for a seed; about `stream_share` of them streamed."""
    rng = random.Random(seed)
    kinds = rng.choices(list(_MAKERS), [weight for weight, _ in _MAKERS.values()], k=n)
    return [Ask(kind, _streamed(_MAKERS[kind][1](rng), rng, stream_share)) for kind in kinds]


def from_prompts(prompts: Sequence[str], n: int, seed: int, stream_share: float) -> list[Ask]:
    """`n` distinct prompts, drawn at random; all of them when there are fewer."""
    rng = random.Random(seed)
    drawn = rng.sample(prompts, min(n, len(prompts)))
    return [Ask("prompt", _streamed(_said(prompt), rng, stream_share)) for prompt in drawn]


def read_prompts(path: Path) -> list[str]:
    """The distinct, non-empty values of the column `prompt` of a JSONL or Parquet file, in order. Raises NoPrompts."""
    try:
        found = _parquet(path) if path.suffix == ".parquet" else _jsonl(path)
        prompts = list(dict.fromkeys(text for text in found if text.strip()))
    except OSError as error:
        raise NoPrompts(f"{path}: {error.strerror or error}") from error
    if not prompts:
        raise NoPrompts(f"{path} holds no prompt: a JSON object a line, or a Parquet file, with a field `prompt`")
    return prompts


def _jsonl(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = orjson.loads(line) if line.strip() else {}
            except orjson.JSONDecodeError as error:
                raise NoPrompts(f"{path}, line {number}: {error}") from error
            prompt = row.get("prompt") if isinstance(row, dict) else None
            if isinstance(prompt, str):
                yield prompt


def _parquet(path: Path) -> Iterator[str]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise NoPrompts("reading Parquet needs pyarrow: `.venv/bin/pip install pyarrow`, or give JSONL") from error
    try:
        table = parquet.read_table(path, columns=["prompt"])
    except ArrowInvalid as error:
        raise NoPrompts(f"{path}: {error}") from error
    if table.num_columns:
        yield from (text for text in table.column("prompt").to_pylist() if isinstance(text, str))


def _said(*turns: str, **fields: object) -> Json:
    """A chat request of alternating turns, the user's first and last."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return {"model": "auto", "messages": messages, **fields}


def _streamed(body: Json, rng: random.Random, share: float) -> Json:
    return {**body, "stream": True} if rng.random() < share else body


def _filled(template: str, rng: random.Random) -> str:
    one, two = rng.sample(_ELEMENTS, 2)
    return template.format(
        thing=rng.choice(_NAMES),
        n=rng.randint(3, 12),
        place=rng.choice(_PLACES),
        element=one,
        element2=two,
        theme=rng.choice(_THEMES),
    )


def _code(rng: random.Random) -> Json:
    return _said(f"Write a function in {rng.choice(_LANGUAGES)} that {_filled(rng.choice(_PROGRAMS), rng)}.")


def _hard_code(rng: random.Random) -> Json:
    program = _filled(rng.choice(_PROGRAMS), rng)
    return _said(
        f"Design and implement in {rng.choice(_LANGUAGES)} a thread-safe, distributed version of a service that {program}. "
        f"Prove that it stays correct when {rng.randint(2, 5)} nodes fail at once, step by step, and state the complexity."
    )


def _arithmetic(rng: random.Random) -> Json:
    a, b, c = (rng.randint(2, 999) for _ in range(3))
    text = rng.choice(("{a} * {b} + {c}", "({a} + {b}) * {c}", "{a} - {b} * {c}", "{a} / {b}", "{a} ** 2 - {b}"))
    return _said(rng.choice(("What is {}?", "Calculate {}.", "Compute {}")).format(text.format(a=a, b=b, c=c)))


def _word_problem(rng: random.Random) -> Json:
    n, price, off = rng.randint(3, 40), rng.randint(2, 90), rng.choice((5, 10, 20, 25))
    thing = rng.choice(_NAMES)
    return _said(
        f"A shop sells {n} {thing} at ${price} each and takes {off}% off. How much does a customer pay in total?"
    )


def _json(rng: random.Random) -> Json:
    return _said(_filled("Return a JSON object for {n} {thing}, with the keys name, count and updated.", rng))


def _schema(rng: random.Random) -> Json:
    fields = {
        "name": {"type": "string"},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    schema = {"type": "object", "properties": fields, "required": ["name", "count"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}}
    return _said(_filled("Describe one of the {n} {thing}.", rng), response_format=form)


def _rows(rng: random.Random) -> Json:
    form = rng.choice(("as CSV with a header line", "as YAML", "as a Markdown table with columns name and count"))
    return _said(_filled("List {n} {thing} ", rng) + form + ".")


def _fact(rng: random.Random) -> Json:
    return _said(_filled(rng.choice(_FACTS), rng))


def _open(rng: random.Random) -> Json:
    return _said(_filled(rng.choice(_OPEN), rng), temperature=0.9)


def _unsure(rng: random.Random) -> Json:
    return _said(_filled(rng.choice(_UNSURE), rng))


def _tools(rng: random.Random) -> Json:
    fields = {"city": {"type": "string"}, "days": {"type": "integer"}}
    schema = {"type": "object", "properties": fields, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "forecast", "description": "Weather ahead", "parameters": schema}}
    return _said(f"What will the weather be in {rng.choice(_PLACES)} for {rng.randint(2, 9)} days?", tools=[tool])


def _turns(rng: random.Random) -> Json:
    topic = rng.choice(_TOPICS)
    return _said(
        f"What should I know about {topic}?",
        f"Start with your goal, then look at what others do about {topic}.",
        rng.choice(
            ("Why does that matter?", "Write a function in Python that scores it from 1 to 10.", "Say it as JSON.")
        ),
    )


_MAKERS: dict[str, tuple[float, Maker]] = {
    "code": (18, _code),
    "code, hard": (4, _hard_code),
    "arithmetic": (14, _arithmetic),
    "word problem": (8, _word_problem),
    "JSON": (8, _json),
    "JSON schema": (5, _schema),
    "CSV, YAML, table": (5, _rows),
    "fact": (14, _fact),
    "open": (12, _open),
    "unsure": (5, _unsure),
    "tools": (4, _tools),
    "conversation": (3, _turns),
}

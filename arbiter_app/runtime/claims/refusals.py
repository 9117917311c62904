"""How runtimes say no: from what real servers answer to what it means (`pipeline.ports.Refused`).

The shapes of error bodies differ as much as the words (`said` reads all of them), and statuses mean little: the same
"no such model" comes as 400, 401, 403, 404, 410 and 422. So a refusal is read from status, code, type, param and words
together; the first row of `wordings` that fits decides. Each row is there because a server answers so (see the tests, which
have one example a row with its source); what no row knows is read by what a sentence speaks of and what it says of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from arbiter_app.pipeline.completions import first_choice
from arbiter_app.pipeline.finish_reasons import is_broken
from arbiter_app.pipeline.ports import Refusal, Refused
from arbiter_app.runtime.claims.said import Said, said
from arbiter_app.runtime.claims.wordings import GENERAL, TABLE, Row

_BY_STATUS = {
    401: Refused.KEY,
    402: Refused.OUT_OF_CREDIT,
    403: Refused.KEY,
    404: Refused.GONE,
    407: Refused.KEY,
    408: Refused.OVERLOADED,
    409: Refused.OVERLOADED,
    410: Refused.GONE,
    420: Refused.RATE_LIMITED,
    421: Refused.OVERLOADED,
    424: Refused.OVERLOADED,
    425: Refused.OVERLOADED,
    429: Refused.RATE_LIMITED,
    444: Refused.OVERLOADED,
    451: Refused.CONTENT,
    460: Refused.OVERLOADED,
    498: Refused.OVERLOADED,
    499: Refused.OVERLOADED,
    503: Refused.OVERLOADED,
    529: Refused.OVERLOADED,
}
_OF_HTTP = frozenset({405, 406, 411, 412, 414, 417, 426, 428, 431, 494, 495, 496, 497})
"""What they refuse (a method, a path, a header) is Arbiter's, which no caller has chosen."""
_THE_CALLERS = frozenset({Refused.CONTENT, Refused.TOO_LONG, Refused.UNSUPPORTED, Refused.FOREIGN, Refused.INVALID})
_OWN = frozenset({400, 413, 415, 416, 422})
_NO_ROUTE = re.compile(
    r"(?:404[\s:]*)?(?:page\s)?not\sfound\.?$|cannot\s(?:post|get)\b|no\sroute|a\spage\sof\shtml", re.VERBOSE
)

_SNAKE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
LEAST_NAME_CHARS = 3
"""Of a model, to be looked for in what is said; a shorter one stands in many words."""

_N = r"\(?~?([\d,]+)\)?"
_NUMBERS = tuple(
    (re.compile(pattern), order)
    for pattern, order in (
        (rf"range of input length should be \[\d+, ?{_N}\]", "w"),
        (rf"at most {_N} input tokens", "w"),
        (rf"input length and .{{0,20}}exceed context limit: {_N} \+ ([\d,]+) > {_N}", "npw"),
        (rf"`inputs` must have less than {_N} tokens\. given: {_N}", "wn"),
        (rf"must be <= {_N}\. given: {_N} `inputs` tokens and {_N}", "wnp"),
        (rf"prompt is too long: {_N} tokens? > {_N}", "nw"),
        (rf"prompt is too long: {_N}, model maximum context length: {_N}", "nw"),
        (rf"token count {_N} exceeds the (?:maximum number of tokens allowed|limit of) {_N}", "nw"),
        (rf"token count of {_N} exceeds the limit of {_N}", "nw"),
        (rf"maximum prompt length is {_N} but the request contains {_N}", "wn"),
        (rf"request \({_N} tokens\) exceeds the available context size \({_N}", "nw"),
        (rf"contains {_N} tokens.{{0,60}}too large for model with {_N}", "nw"),
        (rf"model token limit: {_N} \(requested: {_N}\)", "wn"),
        (rf"max input tokens: {_N}, request input token count: {_N}", "wn"),
        (rf"input \({_N} tokens\) is longer than the model's context length \({_N}", "nw"),
        (rf"\(length {_N}\) is longer than the maximum model length of {_N}", "nw"),
        (rf"total length {_N}\) is too long to fit into the model \(context length {_N}", "nw"),
        (rf"current length is {_N} while limit is {_N}", "nw"),
        (rf"cannot exceed {_N} - received {_N}", "wn"),
        (rf"number of input tokens {_N} cannot exceed the total tokens limit {_N}", "nw"),
        (rf"prompt length {_N} is greater than max_seq_len {_N}", "nw"),
        (rf"maximum sequence length is {_N}", "w"),
        (rf"the limit for this model is {_N}", "w"),
        (rf"max(?:imum)? output tokens \({_N}\) exceeded this model context window limit \({_N}", "nw"),
        (rf"first {_N} tokens.{{0,80}}context length of only {_N}", "nw"),
        (rf"configured limit of {_N} tokens\. your messages resulted in {_N}", "wn"),
        (
            rf"maximum context length is {_N} tokens.*?requested {_N} output tokens and your prompt contains (?:at least )?{_N}",
            "wpn",
        ),
        (
            rf"maximum context length (?:is|of) {_N} tokens.*?(?:resulted in|requested(?: a total of)?(?: about)?|request has) {_N}",
            "wn",
        ),
        (rf"maximum context length (?:is|of) {_N}", "w"),
        (rf"context length of only {_N}", "w"),
        (rf"{_N} exceeds? (?:the )?(?:model's |maximum |max ){{0,2}}context (?:length|window|size)(?: of)? {_N}", "nw"),
        (rf"prompt tokens limit exceeded: {_N} > {_N}", "nw"),
        (rf"input length {_N} exceeds the maximum allowed input length {_N}", "nw"),
        (rf"exceeds? (?:the )?(?:model's |maximum |max ){{0,2}}context (?:length|window|size)(?: of)? {_N}", "w"),
        (rf"max size: {_N} tokens", "w"),
    )
)
_EXCEEDS = re.compile(
    rf"\b{_N}(?: [a-z]+){{0,3}}?,? ?(?:which )?(?:is |are )?(?:>|exceeds?|longer than|greater than|larger than|more than)"
    rf"[^.;\d]{{0,60}}?{_N}"
)
_MOST = re.compile(
    rf"(?:limit|max(?:imum)?|at most|up to|only)\b[^.;\d]{{0,40}}?(?<!\bby ){_N} ?(?:input |context |prompt )?tokens"
)
_NO_TOKENS = re.compile(
    r"characters?|\bbytes?\b|\b[km]i?b\b|pages?\b|pixels?|seconds?|per (?:minute|min|day)|\b[rt]p[md]\b"
)
"""Where the numbers stand: w the window, n what the request needs, p what comes on top of that for the answer."""


def refusal_of(status: int, body: bytes, model: str = "") -> Refusal:
    """What a runtime's error means. `status` is that of HTTP, which may be 200: then what the body states counts.

    `model` is the name that was asked for: what is said of that is said of the model.
    """
    found = said(body)
    if not 400 <= status < 600:
        status = next(iter(found.statuses), 0)
    means, matched = _meaning(status, found, model.lower())
    if means is Refused.OUT_OF_CREDIT and status == 429 and b'"retryDelay"' in body:
        means = Refused.RATE_LIMITED  # Google calls it a quota, and says how long it lasts
    window, needs = _numbers(found) if means is Refused.TOO_LONG else (None, None)
    code = next((one for one in found.codes), None)
    kind = next(iter(found.types), None)
    if status not in _OWN and (means in _THE_CALLERS or not status):
        status = 400 if means in _THE_CALLERS else 502
    return Refusal(means, status, found.message, kind, code, found.param, matched, window, needs)


def states_error(answer: object) -> bool:
    """Whether a parsed body of status 2xx is an error and no answer."""
    if not isinstance(answer, dict):
        return isinstance(answer, list) and bool(answer) and isinstance(answer[0], dict) and "error" in answer[0]
    choice, stated, error = first_choice(answer), answer.get("base_resp"), answer.get("error")
    error = bool(error) and _says_something(error)
    if isinstance(stated, dict) and stated.get("status_code"):
        return True
    if choice is not None:
        inner, ended = choice.get("error"), choice.get("finish_reason")
        broken = ended != "stop" and is_broken(ended)
        return error or broken or (bool(inner) and _says_something(inner))
    if error or answer.get("errors") or answer.get("object") == "error" or answer.get("type") == "error":
        return True
    if isinstance(answer.get("done"), bool):  # a piece of an answer of Ollama's own kind
        return False
    return "choices" not in answer and any(key in answer for key in ("detail", "message", "error_code", "msg"))


def _says_something(error: object) -> bool:
    """Whether an error is one: some runtimes state one without a code and words beside every answer."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _meaning(status: int, found: Said, model: str) -> tuple[Refused, str]:
    """What it means, and the words that said so (empty where a code or the status did)."""
    words = found.words
    known = _first_fitting(TABLE, status, found, words)
    if known is None and found.param != "model":
        known = _in_general(status, found, model)
    if known is not None:
        return known
    if status == 404 and (found.markup or not words or _NO_ROUTE.search(words)):
        return Refused.BROKEN, ""
    if status == 413 and not words:
        return Refused.TOO_LONG, ""
    if status in _OWN:
        return Refused.GONE if found.param == "model" else Refused.INVALID, ""
    invalid = 400 <= status < 500 and status not in _OF_HTTP and words
    return _BY_STATUS.get(status, Refused.INVALID if invalid else Refused.BROKEN), ""


def _in_general(status: int, found: Said, model: str) -> tuple[Refused, str] | None:
    """What the sentences mean that no row of the table knows, by a code that one of them names, or by what is said of what."""
    sentences = found.sentences
    named = set(_SNAKE.findall(sentences))
    for row in (*TABLE, *GENERAL) if named else ():
        if row.codes & named and (not status or status in row.statuses):
            return row.means, min(row.codes & named)
    known = _first_fitting(GENERAL, status, found, sentences)
    if known is None and len(model) >= LEAST_NAME_CHARS and model in sentences:
        known = _first_fitting(GENERAL, status, found, sentences.replace(model, "model"))
        return (known[0], known[1].replace("model", model)) if known is not None else None
    return known


def _first_fitting(rows: Iterable[Row], status: int, found: Said, words: str) -> tuple[Refused, str] | None:
    stated = {one.lower() for one in (*found.codes, *found.types)}
    for row in rows:
        if status and row.statuses and status not in row.statuses:
            continue
        if row.unless is not None and row.unless.search(words):
            continue
        if row.codes & stated:
            return row.means, ""
        match = row.words.search(words) if row.words is not None else None
        if match is not None:
            return row.means, match[0].strip()
    return None


def _numbers(found: Said) -> tuple[int | None, int | None]:
    """The window and what the request needs, where they are stated."""
    for pattern, order in _NUMBERS:
        match = pattern.search(found.words)
        if match is not None:
            numbers = dict(zip(order, _counts(match.groups()), strict=True))
            needs = numbers.get("n")
            return numbers.get("w"), needs + numbers.get("p", 0) if needs is not None else None
    return (found.window, found.needs) if found.window or found.needs else _numbers_in_general(found.sentences)


def _numbers_in_general(words: str) -> tuple[int | None, int | None]:
    """The same where no known sentence states them: what exceeds what, or what is the most; of tokens alone."""
    if _NO_TOKENS.search(words):
        return None, None
    exceeds = _EXCEEDS.search(words)
    if exceeds is not None:
        needs, window = _counts(exceeds.groups())
        return (window, needs) if window < needs else (None, None)
    most = _MOST.search(words)
    return (next(_counts(most.groups())) if most is not None else None), None


def _counts(groups: Iterable[str]) -> Iterator[int]:
    for group in groups:
        digits = group.replace(",", "")
        yield int(digits[:12]) if digits else 0

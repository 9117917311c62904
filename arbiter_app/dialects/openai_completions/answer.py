"""An answer as a text completion: whole, or in frames."""

from __future__ import annotations

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.translation import FirstChoice, body_of
from arbiter_app.pipeline.completions import first_choice
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.thoughts import without_thoughts
from arbiter_app.pipeline.types import Json

KIND = "text_completion"
DONE = b"data: [DONE]\n\n"
CUT = ("length", "content_filter")
"""Why a completion ended, where that is no `stop`."""


def completion(decision: Decision) -> Json:
    """The whole completion, without the `arbiter` object."""
    body = body_of(decision.completion)
    choice = first_choice(body) or {}
    said = choice.get("message")
    text = without_thoughts(_said(said if isinstance(said, dict) else {}))
    ended = _choice(text, _reason(choice.get("finish_reason")))
    return {**_head(decision), "choices": [ended], "usage": body.get("usage")}


class TextFrames:
    """Makes the frames of one answer: `of` each chunk, then its `ending`."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self._head = _head(decision)
        self._choices = FirstChoice()
        self._finish: object = None

    def of(self, chunk: Chunk) -> bytes:
        """What the caller gets of a chunk."""
        texts = []
        for choice, delta, _ in self._choices.of(chunk):
            texts.append(_said(delta))
            self._finish = self._finish or choice.get("finish_reason")
        text = "".join(texts)
        return self._framed({**self._head, "choices": [_choice(text, None)]}) if text else b""

    def ping(self) -> bytes:
        """A chunk that adds nothing, which more clients take than a comment."""
        return self._framed({**self._head, "choices": [_choice("", None)]})

    def ending(self) -> bytes:
        """Why it ended, usage where that was asked for, the `arbiter` object on the last of them, and `[DONE]`."""
        chunks: list[Json] = [{**self._head, "choices": [_choice("", _reason(self._finish))]}]
        done = self._decision.completion
        if self._decision.request.include_usage:
            chunks.append({**self._head, "choices": [], "usage": body_of(done).get("usage")})
        chunks[-1]["arbiter"] = self._decision.public()
        return b"".join(map(self._framed, chunks)) + DONE

    def _framed(self, chunk: Json) -> bytes:
        try:
            return b"data: %b\n\n" % orjson.dumps(chunk)
        except TypeError:  # half of a surrogate pair, whose other half may come in the next piece
            return b"data: %b\n\n" % exact_json.dumps(chunk)


def _head(decision: Decision) -> Json:
    return {
        "id": f"cmpl-{decision.id.removeprefix('d_')}",
        "object": KIND,
        "created": int(decision.at),
        "model": decision.model,
    }


def _choice(text: str, reason: str | None) -> Json:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": reason}


def _said(message: Json) -> str:
    """The text of a message, or of a piece of one; why a model declines is text, too."""
    refused = message.get("refusal")
    return content_text(message.get("content")) or (refused if isinstance(refused, str) else "")


def _reason(finish: object) -> str:
    return finish if isinstance(finish, str) and finish in CUT else "stop"

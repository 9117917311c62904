"""OpenAI's embeddings: the protocol of `POST /v1/embeddings`. A request goes on as it came, to the model that it names."""

from __future__ import annotations

from arbiter_app.dialects.openai_chat import REQUEST_ID, error_body, error_frame, frames, status_of, whole
from arbiter_app.dialects.strict_json import load_json
from arbiter_app.pipeline.errors import BadRequest, Unprocessable
from arbiter_app.pipeline.never_sent import CHOOSES
from arbiter_app.pipeline.plain import is_plain, quoted
from arbiter_app.pipeline.types import Caller, ChatRequest, leaves_choice

__all__ = ["PATHS", "REQUEST_ID", "error_body", "error_frame", "frames", "parse", "status_of", "whole"]

PATHS: tuple[str, ...] = ("/v1/embeddings",)
MAX_VALUES = 1_000_000
"""JSON values in one body: some clients send their texts as tokens, thousands of them for each of hundreds of texts."""
MAX_NAME_CHARS = 200


def parse(body: bytes, caller: Caller, request_id: str) -> ChatRequest:
    """One request, its model as the pin. Raises BadRequest without a model or JSON object, Unprocessable without texts."""
    given = load_json(body, halves=True, most=MAX_VALUES)
    if not isinstance(given, dict):
        raise BadRequest("the body must be a JSON object", code="invalid_json")
    own = next((name for name in given if name.startswith("arbiter_")), None)
    if own is not None:
        raise Unprocessable(f"{quoted(own, 60)} is for requests that are routed; embeddings are not", param=own[:60])
    other = next((name for name in given if name in CHOOSES), None)
    if other is not None:
        raise BadRequest(
            f"{other} would have another model than `model` serve, and vectors of two do not mix", param=other
        )
    name, texts = given.get("model"), given.get("input")
    if not isinstance(name, str) or not name or leaves_choice(name):
        raise BadRequest(
            "model must name the embedding model that is to serve: vectors of different models do not mix, so that Arbiter chooses none",
            param="model",
        )
    if len(name) > MAX_NAME_CHARS or not is_plain(name):
        raise BadRequest(f"model is no name of a model: {quoted(name, 60)}", param="model")
    if not isinstance(texts, str | list) or not texts:
        raise Unprocessable("input is required: a text, or a list of at least one", param="input")
    return ChatRequest(
        request_id=request_id,
        caller=caller,
        payload={"model": name},
        messages=[],
        ask="",
        system="",
        pin=name,
        body_bytes=len(body),
        as_it_came=body,
        texts=1 if isinstance(texts, str) or isinstance(texts[0], int) else len(texts),
    )

"""Everything that can go wrong with a request, as one tree. Each leaf knows its status, type and code.

ArbiterError
|-- BadRequest 400            malformed JSON, a value the API cannot take
|   |-- ContextLengthExceeded 400
|   |-- NoCapableModel 400
|   `-- UpstreamRejected      the runtime says the caller is wrong: 400, 413, 422, in its own words
|-- Unauthorized 401          missing, malformed, unknown or revoked key
|-- OutOfCredit 402           the runtime is out of credit
|-- BudgetExceeded 402        a budget in dollars has too little left
|-- Forbidden 403             wrong role
|   `-- KeyPaused 403
|-- NotFound 404
|   `-- ModelNotFound 404     the pinned model is not served by the runtime
|-- MethodNotAllowed 405
|-- BodyTooLarge 413
|-- Unprocessable 422         well-formed JSON that means nothing here
|-- RateLimited 429           key limit or shed load, with Retry-After
|-- RuntimeUnavailable 502    unreachable or broken after failover
|-- Overloaded 503            draining or overloaded, with Retry-After
|-- DeadlineExceeded 504      the total deadline passed
`-- InternalError 500         a defect of ours; the message never says more than the request id
"""

from __future__ import annotations


class ArbiterError(Exception):
    """Base of the tree. `message` is a sentence for the caller: what was wrong, which field, what to do.

    `decision_id` names the record of the request that failed, once it has one.
    """

    decision_id = ""
    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class BadRequest(ArbiterError):
    status, type, code = 400, "invalid_request_error", "bad_request"


class ContextLengthExceeded(BadRequest):
    code = "context_length_exceeded"


class NoCapableModel(BadRequest):
    code = "no_capable_model"


class UpstreamRejected(BadRequest):
    """The runtime's own refusal, in its words where these are strings."""

    code = "upstream_rejected"

    def __init__(
        self, message: str, *, status: int, type_: str | None = None, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message, status=status, code=code, param=param)
        if type_ is not None:
            self.type = type_


class Unauthorized(ArbiterError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class OutOfCredit(ArbiterError):
    status, type, code = 402, "insufficient_quota", "insufficient_quota"


class BudgetExceeded(ArbiterError):
    """A budget has too little left: `left_usd` as a decimal, and when it renews (ISO 8601, empty where never)."""

    status, type, code = 402, "insufficient_quota", "budget_exceeded"
    left_usd = renews = ""


class Forbidden(ArbiterError):
    status, type, code = 403, "permission_error", "forbidden"


class KeyPaused(Forbidden):
    code = "key_paused"


class NotFound(ArbiterError):
    status, type, code = 404, "invalid_request_error", "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(ArbiterError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class BodyTooLarge(ArbiterError):
    status, type, code = 413, "invalid_request_error", "body_too_large"


class Unprocessable(ArbiterError):
    status, type, code = 422, "invalid_request_error", "invalid_value"


class RateLimited(ArbiterError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class RuntimeUnavailable(ArbiterError):
    status, type, code = 502, "server_error", "runtime_unavailable"


class Overloaded(ArbiterError):
    status, type, code = 503, "server_error", "overloaded"


class DeadlineExceeded(ArbiterError):
    status, type, code = 504, "server_error", "deadline_exceeded"


class InternalError(ArbiterError):
    pass


OF_THE_SERVICE = frozenset(
    {
        *(one.code for one in (OutOfCredit, RuntimeUnavailable, Overloaded, DeadlineExceeded, InternalError)),
        *("runtime_key_refused", "runtime_overloaded", "runtime_rate_limited", "runtime_timeout"),
        *("answers_too_large", "draining", "store_unavailable"),
    }
)
"""Codes of what a caller can do nothing about; every other one says that the request, its key or its budget was refused."""


def too_long(window: int | None, tokens: int, reserve: int, why: str = "") -> ContextLengthExceeded:
    """The refusal of a prompt over every window, in OpenAI's words: agents shorten their history when they read these.

    `tokens` are all that the request needs, with the `reserve` for the answer among them; `why` is a sentence more.
    """
    if window is None:
        said = "The request is longer than the context window of every model that may serve it."
    elif reserve:
        total = max(tokens, window + 1)
        said = (
            f"This model's maximum context length is {window} tokens. However, you requested {total} tokens "
            f"({total - reserve} in the messages, {reserve} in the completion)."
        )
    else:
        said = (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{max(tokens, window + 1)} tokens."
        )
    asked = " or completion" if reserve else ""
    told = f"{said} Please reduce the length of the messages{asked}.{f' {why}' if why else ''}"
    return ContextLengthExceeded(told, param="messages")

"""Everything that can go wrong with a request, as one tree. Each leaf knows its status, type and code.

ArbiterError
|-- BadRequest 400            malformed JSON, a value the API cannot take
|   |-- ContextLengthExceeded 400
|   |-- NoCapableModel 400
|   `-- UpstreamRejected      the runtime says the caller is wrong: 400, 404, 413, 422 passed through
|-- Unauthorized 401          missing, malformed, unknown or revoked key
|-- OutOfCredit 402           the runtime is out of credit
|-- Forbidden 403             wrong role
|   `-- KeyPaused 403
|-- NotFound 404
|-- MethodNotAllowed 405
|-- BodyTooSlow 408          the body did not arrive in time
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
    retryable = False

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

    def body(self) -> dict[str, dict[str, str | None]]:
        """The OpenAI error object."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class BadRequest(ArbiterError):
    status, type, code = 400, "invalid_request_error", "bad_request"


class ContextLengthExceeded(BadRequest):
    code = "context_length_exceeded"


class NoCapableModel(BadRequest):
    code = "no_capable_model"


class UpstreamRejected(BadRequest):
    """The runtime's own refusal; `raw` is its body, which goes back as it came."""

    code = "upstream_rejected"

    def __init__(self, message: str, *, status: int, raw: bytes = b"", code: str | None = None) -> None:
        super().__init__(message, status=status, code=code)
        self.raw = raw


class Unauthorized(ArbiterError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class OutOfCredit(ArbiterError):
    status, type, code = 402, "insufficient_quota", "runtime_out_of_credit"


class Forbidden(ArbiterError):
    status, type, code = 403, "permission_error", "forbidden"


class KeyPaused(Forbidden):
    code = "key_paused"


class NotFound(ArbiterError):
    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(ArbiterError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class BodyTooSlow(ArbiterError):
    status, type, code, retryable = 408, "invalid_request_error", "request_timeout", True


class BodyTooLarge(ArbiterError):
    status, type, code = 413, "invalid_request_error", "body_too_large"


class Unprocessable(ArbiterError):
    status, type, code = 422, "invalid_request_error", "invalid_value"


class RateLimited(ArbiterError):
    status, type, code, retryable = 429, "rate_limit_error", "rate_limit_exceeded", True


class RuntimeUnavailable(ArbiterError):
    status, type, code, retryable = 502, "server_error", "runtime_unavailable", True


class Overloaded(ArbiterError):
    status, type, code, retryable = 503, "server_error", "overloaded", True


class DeadlineExceeded(ArbiterError):
    status, type, code, retryable = 504, "server_error", "deadline_exceeded", True


class InternalError(ArbiterError):
    pass

"""Who may do what: one line a route. What is not listed is denied; a test walks the whole matrix.

Rules: `anonymous` anybody; `reads` callers, and anybody while public reads are on; `caller` any key; `owner` any key, whose
own things it is about (operators: everybody's); `operator` operator keys; `demo` operators, and callers in sandbox mode;
`signup` anybody while sign-up is open; `loopback` anybody from this machine, operators from elsewhere; `project viewer`, `project
member` and `project owner` operators, and people who have at least that role in some project: in which, the services look at, for it is
theirs that a request is about (`services.project_roles`).
"""

from __future__ import annotations

from arbiter_app.pipeline.errors import Forbidden, Unauthorized
from arbiter_app.pipeline.types import Caller, ProjectRole, Role
from arbiter_app.services.project_roles import may_somewhere
from arbiter_app.settings import Settings

IN_PROJECTS = {f"project {role}": role for role in ProjectRole}
"""Rules about roles in projects -> the least role."""
ROLES: dict[tuple[str, str], str] = {
    ("POST", "/v1/chat/completions"): "caller",
    ("POST", "/v1/completions"): "caller",
    ("POST", "/v1/embeddings"): "caller",
    ("POST", "/v1/responses"): "caller",
    ("GET", "/v1/responses/{response_id}"): "caller",
    ("DELETE", "/v1/responses/{response_id}"): "caller",
    ("GET", "/v1/responses/{response_id}/input_items"): "caller",
    ("POST", "/v1/route"): "caller",
    ("POST", "/v1/messages"): "caller",
    ("POST", "/v1/messages/count_tokens"): "caller",
    ("GET", "/v1/models"): "caller",
    ("GET", "/v1/models/{model}"): "caller",
    ("GET", "/"): "anonymous",
    ("GET", "/v1"): "anonymous",
    ("GET", "/health"): "anonymous",
    ("GET", "/readyz"): "anonymous",
    ("GET", "/metrics"): "loopback",
    ("GET", "/v1/report"): "reads",
    ("GET", "/v1/what-if"): "reads",
    ("GET", "/v1/spend-change"): "reads",
    ("GET", "/v1/spend"): "caller",
    ("GET", "/v1/spend.csv"): "caller",
    ("GET", "/v1/policy"): "reads",
    ("GET", "/v1/recent"): "reads",
    ("GET", "/v1/decisions/{decision_id}"): "owner",
    ("GET", "/v1/decisions/{decision_id}/content"): "project owner",
    ("DELETE", "/v1/decisions/{decision_id}/content"): "project owner",
    ("POST", "/v1/decisions/{decision_id}/again"): "project owner",
    ("GET", "/v1/contents"): "project owner",
    ("GET", "/v1/contents.jsonl"): "project owner",
    ("GET", "/v1/timeseries"): "reads",
    ("GET", "/v1/overview"): "reads",
    ("GET", "/v1/pricing"): "reads",
    ("GET", "/v1/alerts"): "reads",
    ("POST", "/v1/feedback"): "caller",
    ("POST", "/v1/simulate-price"): "demo",
    ("POST", "/v1/reset"): "operator",
    ("GET", "/v1/pool/models"): "operator",
    ("POST", "/v1/pool/models"): "operator",
    ("PATCH", "/v1/pool/models/{model}"): "operator",
    ("DELETE", "/v1/pool/models/{model}"): "operator",
    ("POST", "/v1/pool/models/{model}/trial"): "operator",
    ("GET", "/v1/pool/prices.toml"): "operator",
    ("GET", "/v1/pool/prices.csv"): "operator",
    ("POST", "/v1/pool/prices"): "operator",
    ("GET", "/v1/hosts"): "operator",
    ("GET", "/v1/audit"): "operator",
    ("GET", "/v1/audit.csv"): "operator",
    ("POST", "/v1/calibrations"): "operator",
    ("GET", "/v1/calibrations"): "operator",
    ("GET", "/v1/calibrations/{calibration_id}"): "operator",
    ("POST", "/v1/calibrations/{calibration_id}/start"): "operator",
    ("POST", "/v1/calibrations/{calibration_id}/cancel"): "operator",
    ("GET", "/v1/budgets"): "project viewer",
    ("POST", "/v1/budgets"): "project owner",
    ("DELETE", "/v1/budgets/{budget_id}"): "project owner",
    ("GET", "/v1/notifications"): "operator",
    ("POST", "/v1/notifications/{notification_id}/retry"): "operator",
    ("DELETE", "/v1/notifications/{notification_id}"): "operator",
    ("GET", "/v1/notifications/rules"): "operator",
    ("POST", "/v1/notifications/rules"): "operator",
    ("POST", "/v1/notifications/rules/{rule_id}"): "operator",
    ("DELETE", "/v1/notifications/rules/{rule_id}"): "operator",
    ("POST", "/v1/notifications/rules/{rule_id}/mute"): "operator",
    ("POST", "/v1/notifications/rules/{rule_id}/test"): "operator",
    ("POST", "/v1/register"): "signup",
    ("GET", "/v1/key"): "caller",
    ("POST", "/v1/key/pause"): "caller",
    ("POST", "/v1/key/resume"): "caller",
    ("POST", "/v1/key/revoke"): "caller",
    ("POST", "/v1/key/rotate"): "caller",
    ("GET", "/v1/key/budgets"): "caller",
    ("GET", "/v1/keys"): "project viewer",
    ("POST", "/v1/keys"): "project member",
    ("POST", "/v1/keys/{key_id}"): "project member",
    ("POST", "/v1/keys/{key_id}/rotate"): "project member",
    ("GET", "/v1/projects"): "project viewer",
    ("POST", "/v1/projects"): "operator",
    ("POST", "/v1/projects/{project_id}"): "project owner",
    ("GET", "/v1/projects/{project_id}/members"): "project viewer",
    ("POST", "/v1/projects/{project_id}/members"): "project owner",
    ("GET", "/v1/people"): "operator",
    ("POST", "/v1/people/invitations"): "project owner",
    ("DELETE", "/v1/people/invitations/{invitation_id}"): "project owner",
    ("POST", "/v1/people/{person_id}"): "operator",
    ("GET", "/v1/openapi.json"): "anonymous",
    ("GET", "/v1/reference"): "anonymous",
}


def asks_for_key(rule: str, *, loopback: bool) -> bool:
    """Whether a key counts at all; where it does not, a wrong one does no harm."""
    return not (rule in ("anonymous", "signup") or (rule == "loopback" and loopback))


def require(rule: str, caller: Caller | None, settings: Settings, *, loopback: bool) -> None:
    """Raises Unauthorized without a key where one is needed, Forbidden where the key's role is not enough."""
    if rule == "anonymous" or (rule == "reads" and settings.reads_open) or (rule == "loopback" and loopback):
        return
    if rule == "signup":
        if not settings.signup_open:
            raise Forbidden("sign-up is closed on this Arbiter; ask its operator for a key", code="signup_closed")
        return
    if caller is None:
        raise Unauthorized("an API key is needed: send it as `Authorization: Bearer arb_...`", code="missing_api_key")
    if caller.role is Role.OPERATOR or rule in ("caller", "owner", "reads"):
        return
    if rule == "demo" and settings.sandbox:
        return
    least = IN_PROJECTS.get(rule)
    if least is None:
        raise Forbidden("this needs an operator's key")
    if not may_somewhere(caller, least):
        raise Forbidden(f"this needs an operator's key, or the role {least} in a project")

"""How real providers say no, one row a way: what each means, and the window where one is stated.

Sources are the providers' documentation and the public issue threads in which their answers were quoted.
"""

from __future__ import annotations

import json

import pytest

from arbiter_app.pipeline.ports import Refused
from arbiter_app.runtime.claims.refusals import refusal_of, states_error
from arbiter_app.runtime.claims.said import said


def openai(
    message: str, type_: str | None = "invalid_request_error", code: object = None, param: object = None
) -> dict:
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


GONE = [
    (400, openai("Model x has moved to y. Please update your model parameter.")),
    (400, openai("The model name 'x' was renamed to 'y'")),
    (400, openai("The preview period for this model has ended")),
    (400, openai("x reached end-of-life on 2026-01-01 and is no longer served")),
    (400, openai("Model 'x' is not supported")),
    (400, openai("The supported API model names are deepseek-chat or deepseek-reasoner, but you passed gpt-4o.")),
    (403, openai("Your plan does not include access to this model")),
    (403, openai("Model gpt-5 requires an enterprise plan")),
    (403, {"message": "This model is restricted to enterprise customers"}),
    (404, openai("No route for model x")),
    (400, openai("No provider available for model x")),
    (400, {"detail": "No models are currently loaded."}),
    (400, openai("\u8be5\u6a21\u578b\u5df2\u4e0b\u67b6")),
    # songquanpeng/one-api 1494, QuantumNous/new-api 6310: 503 for what is not there, in two languages.
    (
        503,
        {
            "error": {
                "message": "\u5f53\u524d\u5206\u7ec4 default \u4e0b\u5bf9\u4e8e\u6a21\u578b gpt-4o \u65e0\u53ef\u7528\u6e20\u9053 (request id: 2025)",
                "type": "one_api_error",
            }
        },
    ),
    (503, openai("No available channel for model gpt-4o under group default (distributor)", "new_api_error", "")),
    # Volcengine, SiliconFlow, Novita, Venice, LiteLLM, LocalAI, vLLM's router, Bedrock's policies.
    (
        404,
        {
            "error": {
                "code": "ModelNotOpen",
                "message": "Your account has not activated the model deepseek-r1.",
                "type": "Not Found",
            }
        },
    ),
    (403, {"code": 30003, "message": "Model disabled.", "data": None}),
    (400, {"error": {"message": "Model Id deepseek/deepseek-r1 has no permission", "type": "invalid_request"}}),
    (403, openai("Model x is only available to paid users")),
    (
        400,
        openai(
            "litellm.BadRequestError: LLM Provider NOT provided. Pass in the LLM provider you are trying to call. You passed model=x",
            None,
            "400",
        ),
    ),
    (400, openai("Unsupported model: x", None)),
    (400, {"error": "Could not resolve model 'x'"}),
    (400, openai("Requested model 'x' is not being served")),
    (400, openai("The model you requested has been sunset")),
    (
        403,
        {
            "message": "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/x"
        },
    ),
    (403, openai("You do not have permission to use this model")),
    # Where a list of models is part of a server's own schema.
    (
        422,
        {
            "detail": [
                {"type": "literal_error", "loc": ["body", "model"], "msg": "Input should be 'a' or 'b'", "input": "x"}
            ]
        },
    ),
    (
        422,
        {
            "detail": [
                {
                    "loc": ["body", "model"],
                    "msg": "value is not a valid enumeration member; permitted: 'a'",
                    "type": "type_error.enum",
                }
            ]
        },
    ),
    # OpenAI, error code guide and forum: retired, and never had.
    (404, openai("The model `gpt-4-32k` does not exist or you do not have access to it.", code="model_not_found")),
    (
        404,
        openai(
            "The model `gpt-4.5-preview` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations",
            code="model_not_found",
        ),
    ),
    (403, openai("Project `proj_1` does not have access to model `gpt-4o`", code="model_not_found")),
    (
        400,
        openai(
            "Your organization must be verified to stream this model. Please go to: https://platform.openai.com",
            code="unsupported_value",
            param="stream",
        )
        | {"skip": 1},
    ),
    (
        404,
        openai(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?",
            param="model",
        ),
    ),
    (404, openai("This model is only supported in v1/responses and not in v1/chat/completions.", param="model")),
    # Azure OpenAI: chatboxai/chatbox 646.
    (
        404,
        {
            "error": {
                "code": "DeploymentNotFound",
                "message": "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "code": "OperationNotSupported",
                "message": "The chatCompletion operation does not work with the specified model, text-embedding-3-small. Please choose different model and try again.",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "code": "unavailable_model",
                "message": "Unavailable model: Phi-3-mini",
                "details": "Unavailable model: Phi-3-mini",
            }
        },
    ),
    (400, {"error": {"code": "unknown_model", "message": "Unknown model: gpt-9", "details": "Unknown model: gpt-9"}}),
    # Anthropic, errors page.
    (
        404,
        {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-2.0"}, "request_id": "req_1"},
    ),
    # Google Gemini: continuedev/continue 9939 (JSON in a string), and its list of one.
    (
        404,
        [
            {
                "error": {
                    "code": 404,
                    "message": "models/gemini-1.5-pro is not found for API version v1main, or is not supported for generateContent. Call ListModels to see the list of available models.",
                    "status": "NOT_FOUND",
                }
            }
        ],
    ),
    (
        404,
        {
            "error": {
                "message": '{\n  "error": {\n    "code": 404,\n    "message": "models/gemini-pro is not found for API version v1beta, or is not supported for generateContent.",\n    "status": "NOT_FOUND"\n  }\n}\n',
                "code": 404,
                "status": "Not Found",
            }
        },
    ),
    (
        404,
        {
            "error": {
                "code": 404,
                "message": "Publisher Model `projects/p/locations/us-central1/publishers/google/models/gemini-1.0-pro` was not found or your project does not have access to it.",
                "status": "NOT_FOUND",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "You don't have access to this model or the model name is invalid",
                "status": "INVALID_ARGUMENT",
            }
        },
    ),
    # Mistral: tmc/langchaingo 1233.
    (
        400,
        {
            "object": "error",
            "message": "Invalid model: mistral-tiny",
            "type": "invalid_model",
            "param": None,
            "code": "1500",
        },
    ),
    # Groq: ItzCrazyKns/Vane 771.
    (
        400,
        openai(
            "The model `llama-3.3-70b-specdec` has been decommissioned and is no longer supported. Please refer to https://console.groq.com/docs/deprecations.",
            code="model_decommissioned",
        ),
    ),
    (404, openai("The model `gpt-oss-120b` does not exist or you do not have access to it.", code="model_not_found")),
    # Together, error codes page.
    (
        404,
        {
            "id": "1",
            "error": {
                "message": "Unable to access model meta/x. Please visit https://api.together.ai/models",
                "type": "invalid_request_error",
                "param": None,
                "code": "model_not_available",
            },
        },
    ),
    (
        400,
        {
            "error": {
                "message": "Unable to access non-serverless model Qwen/Qwen2. Please visit https://api.together.ai",
                "type": "invalid_request_error",
                "code": "model_not_available",
            }
        },
    ),
    # Fireworks.
    (404, openai("Model not found, inaccessible, and/or not deployed", "invalid_request_error", "NOT_FOUND")),
    # DeepSeek.
    (400, openai("Model Not Exist")),
    # xAI.
    (
        404,
        {
            "code": "The requested resource was not found",
            "error": "The model grok-beta does not exist or your team does not have access to it. Please ensure you're using the correct API key.",
        },
    ),
    (
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Your team is not authorized to use model grok-4 in this region",
        },
    ),
    # Cohere.
    (
        404,
        {
            "message": "model 'command-nightly' not found, make sure the correct model ID was used and that you have access to the model."
        },
    ),
    (
        400,
        {
            "message": "model 'command' was removed on September 15, 2025. See https://docs.cohere.com/docs/models for replacements"
        },
    ),
    # Bedrock: strands-agents/harness-sdk 38, aws-samples 386.
    (403, {"message": "You don't have access to the model with the specified model ID."}),
    (400, {"message": "The provided model identifier is invalid."}),
    (
        400,
        {
            "message": "Invocation of model ID amazon.nova-pro-v1:0 with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an inference profile."
        },
    ),
    (
        404,
        {
            "message": "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days."
        },
    ),
    (
        404,
        {
            "message": "This model version has reached the end of its life. Please refer to the AWS documentation for more details."
        },
    ),
    # OpenRouter.
    (404, {"error": {"message": "No endpoints found for openai/gpt-4-vision.", "code": 404}, "user_id": "u"}),
    (400, {"error": {"message": "gpt-99 is not a valid model ID", "code": 400}}),
    (
        404,
        {
            "error": {
                "message": "No endpoints found matching your data policy (Free model publication). Configure: https://openrouter.ai/settings/privacy",
                "code": 404,
            }
        },
    ),
    (404, {"error": {"message": "No allowed providers are available for the selected model.", "code": 404}}),
    # LiteLLM proxy: BerriAI/litellm 3142, 9663, 37761; keys and teams with a list of models.
    (400, openai("400: {'error': 'Invalid model name passed in model=Lite-GPT-12'}", "None", 400, "None")),
    (
        400,
        {
            "error": {
                "message": "/chat/completions: Invalid model name passed in model=deepseek-v4-flash. Call `/v1/models` to view available models for your key.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "400",
            }
        },
    ),
    (
        401,
        openai(
            "key not allowed to access model. This key can only access models=['gpt-4o']. Tried to access gpt-5",
            "key_model_access_denied",
            "401",
            "model",
        ),
    ),
    (
        403,
        openai(
            "Team not allowed to access model. Team=team-1, Model=gpt-4. Allowed team models = ['gpt-4o']",
            "team_model_access_denied",
            "401",
            "model",
        ),
    ),
    (
        429,
        openai("No deployments available for selected model, Try again in 5 seconds. Passed model=gpt-4o", None, "429"),
    )
    + ("rate_limited",),
    (
        400,
        openai(
            "litellm.BadRequestError: PerplexityException - Invalid model 'perplexity/sonar'. Permitted models can be found in the documentation",
            None,
            "400",
        ),
    ),
    # vLLM, in its older and newer shape.
    (
        404,
        {
            "object": "error",
            "message": "The model `gpt-4o` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
    ),
    (
        404,
        {
            "error": {
                "message": "The model `gpt-4o` does not exist.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }
        },
    ),
    # Ollama.
    (404, openai('model "llama3" not found, try pulling it first', "api_error")),
    (404, {"error": "model 'llama3:8b' not found"}),
    # LM Studio.
    (
        404,
        openai(
            "No models loaded. Please load a model in the developer page or use the `lms load` command.",
            code="model_not_found",
            param="model",
        ),
    ),
    (400, {"error": 'Model "gpt-4o" not found. Please load it first'}),
    # Hugging Face router.
    (400, openai("The requested model 'x/y' does not exist", code="model_not_found", param="model")),
    (
        400,
        openai(
            "The requested model 'x/y' is not supported by any provider you have enabled.",
            code="model_not_supported",
            param="model",
        ),
    ),
    (
        403,
        {
            "error": "Access to model meta-llama/Llama-3 is restricted and you are not in the authorized list. gated repo"
        },
    ),
    # Perplexity.
    (
        400,
        {
            "error": {
                "message": "Invalid model 'llama-3-sonar'. Permitted models can be found in the documentation at https://docs.perplexity.ai",
                "type": "invalid_model",
                "code": 400,
            }
        },
    ),
    # Cerebras.
    (
        404,
        {
            "message": "Model llama3.1-405b does not exist or you do not have access to it.",
            "type": "not_found_error",
            "param": "model",
            "code": "model_not_found",
        },
    ),
    # NVIDIA NIM.
    (
        404,
        {
            "type": "about:blank",
            "status": 404,
            "title": "Not Found",
            "detail": "Function '1f2e': Not found for account 'abc'",
        },
    ),
    (
        410,
        {
            "type": "about:blank",
            "title": "Gone",
            "status": 410,
            "detail": "The model 'meta/llama2-70b' has reached its end of life on 2025-01-01 and is no longer available.",
        },
    ),
    # Databricks.
    (
        404,
        {
            "error_code": "ENDPOINT_NOT_FOUND",
            "message": "The given endpoint does not exist, please retry after checking the specified model and version deployment exists.",
        },
    ),
    (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Endpoint with name 'x' does not exist."}),
    # Cloudflare Workers AI.
    (
        400,
        {
            "errors": [{"message": "AiError: No such model @cf/x/y or task", "code": 5007}],
            "success": False,
            "result": {},
            "messages": [],
        },
    ),
    # DashScope, Zhipu, Moonshot.
    (404, openai("The model `qwen-x` does not exist or you do not have access to it.", code="model_not_found")),
    (
        400,
        {
            "error": {
                "code": "1211",
                "message": "\u6a21\u578b\u4e0d\u5b58\u5728\uff0c\u8bf7\u68c0\u67e5\u6a21\u578b\u4ee3\u7801\u3002",
            }
        },
    ),
    (404, openai("Not found the model moonshot-v9 or Permission denied", "resource_not_found_error")),
    # Others: FastAPI's detail, plain text, a bare 404 with some word, 410 without any.
    (422, {"detail": "Model 'gpt-4o' is not available on this server"}),
    (400, b"model not found"),
    (410, b""),
    (404, {"detail": {"error": "unknown model", "model": "gpt-4o"}}),
]
CREDIT = [
    (400, openai("ExceededTokenBudget: Current spend for token: 7.2e-05; Max Budget for Token: 2e-07", "auth_error")),
    (403, openai("user quota is not enough", "new_api_error")),
    (403, openai("pre-consume quota failed, user remaining quota: 0.01", "new_api_error")),
    (403, {"message": "Your account has payment issues INVALID_PAYMENT_INSTRUMENT: A valid one must be provided."}),
    (403, {"detail": "You have reached the usage cap for your free trial"}),
    (
        403,
        {
            "error": {
                "code": "AllocationQuota.FreeTierOnly",
                "message": "The free tier of the model has been exhausted.",
            }
        },
    ),
    (429, {"error": {"code": "BudgetLimitReached", "message": "You have reached your budget limit."}}),
    (401, openai("Your credit has run out")),
    (429, {"message": "You are past your trial key limit of 1000 API calls / month."}),
    (402, {"error": "Not enough balance. Please top up."}),
    # OpenRouter's keys, Volcengine, Venice, QuantumNous/new-api.
    (
        403,
        {
            "error": {
                "message": "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys",
                "code": 403,
            }
        },
    ),
    (
        403,
        {
            "error": {
                "code": "AccountOverdueError",
                "message": "The request failed because your account has an overdue balance.",
                "type": "Forbidden",
            }
        },
    ),
    (400, openai("Insufficient USD or Diem balance to complete request")),
    (403, openai("\u7528\u6237\u989d\u5ea6\u4e0d\u8db3, \u5269\u4f59\u989d\u5ea6: 0", "new_api_error", "")),
    (403, {"error": {"message": "This API key has no credits left"}}),
    # OpenAI: simonw/llm 494; hard limit; billing not active.
    (
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
    ),
    (400, openai("Billing hard limit has been reached", code="billing_hard_limit_reached")),
    (
        429,
        openai(
            "Your account is not active, please check your billing details on our website.",
            "billing_not_active",
            "billing_not_active",
        ),
    ),
    # Anthropic: claude-code 66314, and its spend limit.
    (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
            },
        },
    ),
    (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            },
        },
    ),
    # DeepSeek: continue 9853. OpenRouter: continue 12649, 10298.
    (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error")),
    (
        402,
        {
            "error": {
                "message": "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
                "code": 402,
            }
        },
    ),
    (
        402,
        {
            "error": {
                "message": "This request requires more credits, or fewer max_tokens. You requested up to 4096 tokens, but can only afford 4000.",
                "code": 402,
            }
        },
    ),
    # xAI, Together, Fireworks, Groq, Hugging Face, Perplexity, Moonshot, DashScope, Zhipu, LiteLLM, Cloudflare, Gemini.
    (
        403,
        {
            "code": "The caller does not have permission",
            "error": "Your newly created team doesn't have any credits yet. You can purchase credits on https://console.x.ai",
        },
    ),
    (402, {"error": {"message": "Credit limit exceeded", "type": "credit_limit", "param": None, "code": None}}),
    (
        412,
        {
            "error": {
                "message": "Account is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices.",
                "type": "error",
                "code": "PRECONDITION_FAILED",
            }
        },
    ),
    (400, openai("Your organization has reached its spend limit", code="blocked_api_access")),
    (402, {"error": "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO."}),
    (
        402,
        {
            "error": "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers."
        },
    ),
    (
        401,
        {
            "error": {
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "type": "insufficient_quota",
                "code": 401,
            }
        },
    ),
    (
        429,
        {
            "error": {
                "message": "Your account org-1 is suspended due to insufficient balance, please recharge your account",
                "type": "exceeded_current_quota_error",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "code": "Arrearage",
                "message": "Access denied, please make sure your account is in good standing.",
                "type": "Arrearage",
                "param": None,
            }
        },
    ),
    (429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package. Please recharge."}}),
    (400, openai("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", "budget_exceeded", "400")),
    (
        429,
        {
            "errors": [{"message": "you have used up your daily free allocation of 10,000 neurons", "code": 3036}],
            "success": False,
        },
    ),
    (
        429,
        {
            "error": {
                "code": 429,
                "message": "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing.",
                "status": "RESOURCE_EXHAUSTED",
            }
        },
    ),
    (402, b""),
]
RATE = [
    # Google's free tier calls it a quota, which is there again in a while.
    (
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota, please check your plan and billing details.",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "43s"}],
                }
            }
        ],
    ),
    (
        429,
        openai(
            "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.",
            "tokens",
            "rate_limit_exceeded",
        ),
    ),
    (429, {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "param": None, "code": "1300"}),
    (
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "This request would exceed your organization's rate limit of 40,000 input tokens per minute",
            },
        },
    ),
    # Gemini's free tier words it like an empty account, and says when to come again.
    (
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 50\nPlease retry in 23.4s.",
                    "status": "RESOURCE_EXHAUSTED",
                }
            }
        ],
    ),
    (
        429,
        {
            "error": {
                "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
                "code": 429,
            }
        },
    ),
    (429, {"message": "Too many requests, please wait before trying again."}),
    (
        400,
        {
            "message": "ThrottlingException: Too many tokens per day, please wait before trying again.",
            "__type": "ThrottlingException",
        },
    ),
    # As relays of Bedrock pass it on: anomalyco/opencode 39620, crewAIInc/crewAI 7377. Agents that read it as a full window
    # throw their history away.
    (429, {"message": "Too many tokens, please wait before trying again."}),
    (
        429,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": "x:free is temporarily rate-limited upstream. Please retry shortly"},
            }
        },
    ),
    (503, {"error": {"message": "Rate limit exceeded", "code": "rate_limit_exceeded"}}),
    (429, b""),
]
OVERLOADED = [
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    (503, openai("The engine is currently overloaded, please try again later", "server_error")),
    (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),  # llama.cpp
    (503, {"error": "Model x/y is currently loading", "estimated_time": 20.0}),  # Hugging Face
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}),  # TGI
    (
        429,
        {
            "object": "error",
            "message": "Service tier capacity exceeded for this model.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),  # Mistral
    (
        503,
        {
            "error": {
                "message": "server busy, please try again.  maximum pending requests exceeded",
                "type": "api_error",
            }
        },
    ),  # Ollama
    (
        429,
        {
            "message": "We're experiencing high traffic right now! Please try again soon.",
            "type": "too_many_requests_error",
            "code": "queue_exceeded",
        },
    ),  # Cerebras
    (424, {"message": "Model is not ready for inference"}),  # Bedrock
    (498, {"error": {"message": "Flex tier capacity exceeded", "type": "capacity"}}),  # Groq
    (500, {"error": {"message": "The server is overloaded", "type": "server_error"}}),
    (503, b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"),
    (408, b""),
]
KEY = [
    (
        401,
        openai(
            "Incorrect API key provided: sk-abc***xyz. You can find your API key at https://platform.openai.com",
            code="invalid_api_key",
        ),
    ),
    (401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (401, {"detail": "Unauthorized"}),
    (401, {"message": "Unauthorized", "request_id": "1"}),
    (
        401,
        openai(
            "Authentication Error, Invalid proxy server token passed. Received API Key = sk-...1234",
            "token_not_found_in_db",
            "401",
        ),
    ),
    (
        403,
        {
            "error": {
                "message": "Country, region, or territory not supported",
                "type": "request_forbidden",
                "code": "unsupported_country_region_territory",
            }
        },
    ),
    (401, {"error": {"message": "No auth credentials found", "code": 401}}),
    (
        403,
        {
            "error": {
                "code": 403,
                "message": "Your API key was reported as leaked. Please use another API key.",
                "status": "PERMISSION_DENIED",
            }
        },
    ),
    (403, b""),
]
CONTENT = [
    (400, openai("The input was blocked due to safety reasons: HARASSMENT")),
    (403, {"code": "x", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_VIOLENCE"}),
    (403, {"message": "Your request was blocked by moderation: violence"}),
    (400, {"message": "blocked input: please adjust your prompt"}),
    (400, openai("This request has been flagged for potentially high-risk cyber activity.")),
    (400, openai("\u8f93\u5165\u53ef\u80fd\u5305\u542b\u654f\u611f\u5185\u5bb9")),
    # Volcengine, Zhipu, LiteLLM's guardrails.
    (
        400,
        {
            "error": {
                "code": "SensitiveContentDetected",
                "message": "The request failed because the input text may contain sensitive information.",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "code": "1301",
                "message": "\u7cfb\u7edf\u68c0\u6d4b\u5230\u8f93\u5165\u5185\u5bb9\u53ef\u80fd\u5305\u542b\u654f\u611f\u5185\u5bb9",
            }
        },
    ),
    (400, openai("Violated guardrail policy", None, "400")),
    # Azure: openclaude 291.
    (
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    (
        400,
        openai(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"
        ),
    ),
    (400, openai("Your request was rejected as a result of our safety system.", code="content_policy_violation")),
    (
        403,
        {
            "error": {
                "message": 'openai/gpt-4o requires moderation on OpenAI. Your input was flagged for "violence".',
                "code": 403,
                "metadata": {"reasons": ["violence"]},
            }
        },
    ),
    (400, openai("Content Exists Risk")),  # DeepSeek
    (
        400,
        {
            "error": {
                "code": "data_inspection_failed",
                "message": "Input data may contain inappropriate content.",
                "type": "data_inspection_failed",
            }
        },
    ),  # DashScope
    (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
        },
    ),  # Anthropic
    (
        403,
        {"error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO", "code": "content_blocked"},
    ),
    (
        400,
        {
            "error": {
                "message": "litellm.ContentPolicyViolationError: AzureException - content_policy_violation",
                "code": "content_policy_violation",
            }
        },
    ),
]
UNSUPPORTED = [
    # DeepSeek, which reads no pictures: browser-use/browser-use 159, nesquena/hermes-webui 2297; and what else it cannot do.
    (
        400,
        openai(
            "Failed to deserialize the JSON body into the target type: messages[7]: unknown variant `image_url`, expected `text` at line 1 column 114708",
            code="invalid_request_error",
        ),
    ),
    (
        422,
        openai(
            "Failed to deserialize the JSON body into the target type: messages[1]: data did not match any variant of untagged enum ChatCompletionRequestContent at line 1 column 15264"
        ),
    ),
    (400, openai("This response_format type is unavailable now")),
    (400, openai("deepseek-reasoner does not support successive user or assistant messages")),
    (400, openai("Thinking mode does not support this tool_choice")),
    # Groq, Gemini, xAI.
    (
        400,
        openai(
            "'messages.0' : for 'role:user' the following must be satisfied[('messages.0.content' : value must be a string)]"
        ),
    ),
    (400, openai("property 'reasoning_effort' is unsupported")),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "JSON mode is not enabled for models/gemma-3-27b-it",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Argument not supported on this model: presencePenalty",
        },
    ),
    (
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
            param="max_tokens",
        ),
    ),
    (
        400,
        openai(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
            code="unsupported_value",
            param="temperature",
        ),
    ),
    (
        400,
        openai(
            "max_tokens is too large: 20000. This model supports at most 16384 completion tokens, whereas you provided 20000.",
            code="invalid_value",
            param="max_tokens",
        ),
    ),
    (400, openai("registry.ollama.ai/library/gemma3:4b does not support tools", "api_error")),  # ollama 14795
    (
        404,
        {
            "error": {
                "message": "No endpoints found that support tool use. To learn more about provider routing, visit: https://openrouter.ai/docs",
                "code": 404,
            }
        },
    ),
    (404, {"error": {"message": "No endpoints found that support image input", "code": 404}}),
    (
        400,
        openai(
            "This model does not support response format `json_schema`. See supported models at https://console.groq.com/docs",
            param="response_format",
        ),
    ),
    (
        400,
        openai(
            "Invalid content type. image_url is only supported by certain models.", param="messages[0].content[0].type"
        ),
    ),
    (403, openai("You are not allowed to request logprobs from this model")),
    (
        400,
        openai(
            "litellm.UnsupportedParamsError: anthropic does not support parameters: ['seed'], for model=claude-3. To drop these, set `litellm.drop_params=True`",
            None,
            "400",
        ),
    ),
    (
        400,
        {
            "object": "error",
            "message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    (
        400,
        {
            "object": "error",
            "message": "/m/x is not a multimodal model",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    (
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "logit_bias"],
                        "msg": "Extra inputs are not permitted",
                        "input": {},
                    }
                ]
            },
            "type": "invalid_request_error",
        },
    ),
    (400, {"message": "This model doesn't support tool use."}),
    (
        500,
        {
            "error": {
                "code": 500,
                "message": "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
                "type": "server_error",
            }
        },
    ),
    (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022",
            },
        },
    ),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Function calling is not enabled for models/gemma-3-27b-it",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (
        400,
        openai(
            "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model",
            param="max_tokens",
        ),
    ),
]
INVALID = [
    # A tool whose name is like what models are called.
    (400, openai("Function name 'model_x' not found in tools")),
    (400, openai("Tool 'get_model_info' not found")),
    (400, openai("Invalid value for 'messages[0].role': 'boss'", code="invalid_value", param="messages[0].role")),
    (400, openai("Unrecognized request argument supplied: foo")),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "value_error.missing"}]}),
    (
        400,
        {
            "object": "error",
            "message": "temperature must be non-negative, got -1.0.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": 'messages: roles must alternate between "user" and "assistant"',
            },
        },
    ),
    (413, b"<html><head><title>413 Request Entity Too Large</title></head></html>"),
    (
        400,
        openai(
            "Error while downloading https://example.com/a.png. Upstream status code: 404.", code="invalid_image_url"
        ),
    ),
    (400, b""),
]
BROKEN = [
    (500, openai("The server had an error while processing your request", "server_error")),
    (502, b"<html><h1>502 Bad Gateway</h1></html>"),
    (404, {"detail": "Not Found"}),
    (404, b"<html><head><title>404 Not Found</title></head></html>"),
    (404, b"404 page not found"),
    (999, b""),
]
FOREIGN = [
    # Anthropic, also through Bedrock and OpenRouter.
    (400, openai("messages.1.content.0: Invalid `signature` in `thinking` block", "invalid_request_error")),
    (
        400,
        openai(
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block"
        ),
    ),
    (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": '{"type":"error","error":{"type":"invalid_request_error","message":"messages.3.content.1: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."}}'
                },
            }
        },
    ),
    # Google Gemini.
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (400, [{"error": {"code": 400, "message": "Thought signature is not valid", "status": "INVALID_ARGUMENT"}}]),
    # OpenAI.
    (
        400,
        openai(
            "The encrypted content gAAA... could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
            code="invalid_encrypted_content",
        ),
    ),
    (
        400,
        openai("Item 'fc_123' of type 'function_call' was provided without its required 'reasoning' item: 'rs_456'."),
    ),
    # DeepSeek.
    (400, openai("The reasoning_content in the thinking mode must be passed back to the API.")),
]
TABLE = {
    "foreign": FOREIGN,
    "gone": GONE, "out_of_credit": CREDIT, "rate_limited": RATE, "overloaded": OVERLOADED, "key": KEY,
    "content": CONTENT, "unsupported": UNSUPPORTED, "invalid": INVALID, "broken": BROKEN,
}  # fmt: skip
ROWS = [
    (
        row[2] if len(row) > 2 else "unsupported" if isinstance(row[1], dict) and row[1].pop("skip", 0) else means,
        row[0],
        row[1],
    )
    for means, rows in TABLE.items()
    for row in rows
]


def raw(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize(
    ("means", "status", "body"), ROWS, ids=[f"{means}-{status}-{raw(body)[-60:]!r}" for means, status, body in ROWS]
)
def test_what_a_refusal_means(means: str, status: int, body: object) -> None:
    refusal = refusal_of(status, raw(body))
    assert refusal.means == means, refusal
    assert 400 <= refusal.status < 600
    assert all(one is None or (isinstance(one, str) and one) for one in (refusal.type, refusal.code, refusal.param))
    if body and not isinstance(body, bytes):
        assert refusal.message and "{" not in refusal.message[:1]


WINDOWS = [
    (400, {"errors": [{"code": "invalid_input_argument", "message": "the number of input tokens 9000 cannot exceed the total tokens limit 8192 for this model"}]}, 8192, 9000),
    (400, {"detail": "Prompt length 9000 is greater than max_seq_len 8192"}, 8192, 9000),
    (400, openai("Please shorten it: maximum sequence length is 4096"), 4096, None),
    # llama-cpp-python 416, GitHub Models, OpenRouter's free accounts, DashScope, SGLang.
    (500, openai("Requested tokens (9000) exceed context window of 8192"), 8192, 9000),
    (413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large for gpt-4o model. Max size: 8000 tokens.", "details": "Request body too large for gpt-4o model. Max size: 8000 tokens."}}, 8000, None),
    (402, {"error": {"message": "Prompt tokens limit exceeded: 40000 > 8192. To increase, visit https://openrouter.ai/settings/credits and upgrade to a paid account", "code": 402}}, 8192, 40000),
    (400, openai("Input length 9000 exceeds the maximum allowed input length 8192"), 8192, 9000),
    (400, openai("Total tokens exceed the max context window of 32768"), 32768, None),
    (413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}, None, None),
    # OpenAI, new and old; vLLM; OpenRouter.
    (400, openai("This model's maximum context length is 128000 tokens. However, your messages resulted in 204308 tokens. Please reduce the length of the messages.", code="context_length_exceeded", param="messages"), 128000, 204308),
    (400, openai("This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 in the completion)."), 4097, 4203),
    (400, {"object": "error", "message": "This model's maximum context length is 16384 tokens. However, you requested 19591 tokens (9591 in the messages, 10000 in the completion). None", "type": "BadRequestError", "param": None, "code": 400}, 16384, 19591),
    (400, openai("This model's maximum context length is 2048 tokens. However, your request has 2100 input tokens. Please reduce the length", "BadRequestError", 400), 2048, 2100),
    (400, {"error": {"message": "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens (199000 of text input, 1000 in the output).", "code": 400}}, 131072, 200000),
    (400, openai("Your input exceeds the context window of this model. Please adjust your input and try again.", code="context_length_exceeded"), None, None),
    (400, openai("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300001 tokens. Please reduce the length of the messages.", code="context_length_exceeded"), 272000, 300001),
    # Anthropic.
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 213462 tokens > 200000 maximum"}}, 200000, 213462),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens`"}}, 200000, 209573),
    # Gemini, xAI, Mistral, Groq, Cerebras, Cohere, Fireworks, Kimi, Copilot, MiniMax.
    (400, [{"error": {"code": 400, "message": "The input token count (1594712) exceeds the maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}], 1048576, 1594712),
    (400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}, 131072, 537812),
    (400, {"object": "error", "message": "Prompt contains 36000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_error", "code": "3051"}, 32768, 36000),
    (400, openai("Please reduce the length of the messages or completion.", code="context_length_exceeded"), None, None),
    (400, {"message": "Please reduce the length of the messages or completion. Current length is 9001 while limit is 8192", "type": "invalid_request_error", "code": "context_length_exceeded"}, 8192, 9001),
    (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292. Try using a shorter prompt"}, 4081, 4292),
    (400, openai("The prompt is too long: 40000, model maximum context length: 32767"), 32767, 40000),
    (400, openai("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)"), 131072, 140000),
    (400, openai("prompt token count of 150000 exceeds the limit of 128000", code="model_max_prompt_tokens_exceeded"), 128000, 150000),
    (400, openai("invalid params, context window exceeds limit (2013)"), None, None),
    # Bedrock, TGI, SGLang, vLLM, llama.cpp, LM Studio, Ollama, Cloudflare, DashScope.
    (400, {"message": "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9279"}, 8192, 9279),
    (400, {"message": "Input is too long for requested model."}, None, None),
    (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", "error_type": "validation"}, 1024, 2000),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`", "error_type": "validation"}, 4096, 5020),
    (400, {"object": "error", "message": "The input (40000 tokens) is longer than the model's context length (32768 tokens).", "type": "BadRequestError", "code": 400}, 32768, 40000),
    (400, {"object": "error", "message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "type": "BadRequestError", "code": 400}, 4096, 5000),
    (400, {"error": {"code": 400, "message": "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096}}, 4096, 9000),
    (500, {"error": {"code": 500, "message": "the request exceeds the available context size, try increasing it", "type": "server_error"}}, None, None),
    (400, {"error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}, 4096, 9000),
    (400, openai("the input length exceeds the context length", "api_error"), None, None),
    # What it is too long by is no window.
    (500, {"error": "prompt too long; exceeded max context length by 17 tokens"}, None, None),
    (400, {"message": "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs."}, None, None),
    (500, {"error": {"code": 500, "message": "context shift is disabled", "type": "server_error"}}, None, None),
    (400, {"errors": [{"message": "AiError: The estimated number of input and maximum output tokens (8193) exceeded this model context window limit (8000).", "code": 5021}], "success": False}, 8000, 8193),
    (400, openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", code="invalid_parameter_error"), 129024, None),
    # Limits of a tier: this request can never be served there, however long one waits.
    (413, openai("Request too large for model `llama-3.1-8b-instant` in organization `org_1` on tokens per minute (TPM): Limit 6000, Requested 7500, please reduce your message size", "tokens", "rate_limit_exceeded"), None, None),
    (429, openai("Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 40000.", "tokens", "rate_limit_exceeded"), None, None),
    # OpenRouter passes on what a provider said.
    (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"error":{"message":"This model\'s maximum context length is 65536 tokens. However, you requested 70000 tokens","code":"context_length_exceeded"}}', "provider_name": "DeepSeek"}}}, 65536, 70000),
    (413, b"", None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "window", "needs"), WINDOWS, ids=[f"{raw(row[1])[-70:]!r}" for row in WINDOWS]
)
def test_a_prompt_that_is_too_long_and_the_window_it_states(
    status: int, body: object, window: int | None, needs: int | None
) -> None:
    refusal = refusal_of(status, raw(body))
    assert (refusal.means, refusal.window, refusal.needs) == (Refused.TOO_LONG, window, needs)


@pytest.mark.parametrize(
    ("status", "body", "means", "stated"),
    [
        (200, {"error": {"message": "Insufficient credits", "code": 402}}, Refused.OUT_OF_CREDIT, 402),
        (200, {"error": {"message": "slow down", "code": "429"}}, Refused.RATE_LIMITED, 429),
        (200, {"error": "boom"}, Refused.BROKEN, 502),
        (200, {"error": {"message": "no", "code": 200}}, Refused.BROKEN, 502),
        (304, b"", Refused.BROKEN, 502),
        (200, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, Refused.GONE, 404),
        (
            200,
            {
                "error": {
                    "message": "This model's maximum context length is 4096 tokens.",
                    "code": "context_length_exceeded",
                }
            },
            Refused.TOO_LONG,
            400,
        ),
    ],
)
def test_a_status_inside_the_body_counts_where_http_says_none(
    status: int, body: object, means: Refused, stated: int
) -> None:
    refusal = refusal_of(status, raw(body))
    assert (refusal.means, refusal.status) == (means, stated)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": 5, "type": 5, "code": {}, "param": []}},
        {"error": {"message": {"a": {"b": ["c"]}}, "type": None, "code": True}},
        {"error": [[[[[[[[[["deep"]]]]]]]]]]},
        {"error": {"message": "x" * 100_000 + "\x00\x1b[31m\u202e"}},
        {"error": "a\r\nb\x07"},
        [],
        [1],
        "text",
        None,
    ],
)
def test_whatever_is_said_becomes_bounded_strings(body: object) -> None:
    refusal = refusal_of(400, raw(body))
    assert refusal.means is Refused.INVALID
    assert len(refusal.message) <= 2_000 and refusal.message.isprintable()
    assert all(one is None or isinstance(one, str) for one in (refusal.type, refusal.code, refusal.param))


def test_an_answer_is_no_error_and_an_error_is_no_answer() -> None:
    assert not states_error({"choices": [{"message": {"content": "hi"}}], "error": None})
    assert not states_error({"id": "1", "object": "chat.completion"})
    assert states_error({"object": "error", "message": "no"})
    assert states_error([{"error": {"code": 404}}])
    assert states_error({"detail": "Not Found"})


def test_a_page_of_html_is_named_by_its_title() -> None:
    assert said(b"<!DOCTYPE html><html><head><title>Sign in</title>").message == "a page of HTML (Sign in)"


@pytest.mark.parametrize(
    ("status", "body", "means"),
    [
        *[(status, b"", Refused.OVERLOADED) for status in (408, 409, 421, 424, 425, 444, 460, 498, 499)],
        *[(status, b"", Refused.BROKEN) for status in (405, 406, 411, 414, 417, 418, 426, 428, 431, 456, 494, 497)],
        (405, b'{"detail":"Method Not Allowed"}', Refused.BROKEN),
        (420, b"", Refused.RATE_LIMITED),
        (400, b"", Refused.INVALID),
        (422, b"", Refused.INVALID),
        (418, b'{"error":{"message":"no tea"}}', Refused.INVALID),
    ],
)
def test_what_no_caller_chose_is_no_fault_of_theirs(status: int, body: bytes, means: Refused) -> None:
    assert refusal_of(status, body).means is means

"""Copy-paste code for each client, with this host and a key filled in. The docs and the tests use the same texts."""

from __future__ import annotations

PLACEHOLDER = "arb_your_key"

_PYTHON = """from openai import OpenAI

client = OpenAI(base_url="{base}/v1", api_key="{key}")
answer = client.chat.completions.create(
    model="auto",
    messages=[{{"role": "user", "content": "What is 24 * 37?"}}],
)
print(answer.choices[0].message.content)
print(answer.model_extra["arbiter"]["reason"])
"""
_NODE = """import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base}/v1", apiKey: "{key}" }});
const answer = await client.chat.completions.create({{
  model: "auto",
  messages: [{{ role: "user", content: "What is 24 * 37?" }}],
}});
console.log(answer.choices[0].message.content, answer.arbiter.reason);
"""
_CURL = """curl {base}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "What is 24 * 37?"}}]}}'
"""
_LANGCHAIN = """from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="auto", base_url="{base}/v1", api_key="{key}")
print(llm.invoke("What is 24 * 37?").content)
"""
_VERCEL = """import {{ createOpenAICompatible }} from "@ai-sdk/openai-compatible";
import {{ generateText }} from "ai";

const arbiter = createOpenAICompatible({{ name: "arbiter", baseURL: "{base}/v1", apiKey: "{key}" }});
const {{ text }} = await generateText({{ model: arbiter("auto"), prompt: "What is 24 * 37?" }});
console.log(text);
"""
_AIDER = """export OPENAI_API_BASE={base}/v1
export OPENAI_API_KEY={key}
aider --model openai/auto
"""
_CONTINUE = """name: Arbiter
version: 0.0.1
schema: v1
models:
  - name: Arbiter
    provider: openai
    model: auto
    apiBase: {base}/v1
    apiKey: {key}
    roles: [chat, edit, apply]
    capabilities: [tool_use]
"""
_OPEN_WEBUI = """docker run -p 3000:8080 \\
  -e OPENAI_API_BASE_URL={base}/v1 \\
  -e OPENAI_API_KEY={key} \\
  ghcr.io/open-webui/open-webui:main
"""

_MESSAGES = """from anthropic import Anthropic

client = Anthropic(base_url="{base}", api_key="{key}")
message = client.messages.create(
    model="auto",
    max_tokens=1000,
    messages=[{{"role": "user", "content": "What is 24 * 37?"}}],
)
print(message.content[0].text)
print(message.model_extra["arbiter"]["reason"])
"""
_RESPONSES = """from openai import OpenAI

client = OpenAI(base_url="{base}/v1", api_key="{key}")
response = client.responses.create(model="auto", input="What is 24 * 37?")
print(response.output_text)
print(response.model_extra["arbiter"]["reason"])
"""
_AGENTS = """from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI

set_default_openai_client(AsyncOpenAI(base_url="{base}/v1", api_key="{key}"))
set_tracing_disabled(True)
print(Runner.run_sync(Agent("Helper", model="auto"), "What is 24 * 37?").final_output)
"""
_CLAUDE_CODE = """export ANTHROPIC_BASE_URL={base}
export ANTHROPIC_AUTH_TOKEN={key}
claude --model auto
"""
_CODEX = """model = "auto"
model_provider = "arbiter"

[model_providers.arbiter]
name = "Arbiter"
base_url = "{base}/v1"
env_key = "ARBITER_KEY"
wire_api = "responses"
"""
_OPENCODE = """{{
  "provider": {{
    "arbiter": {{
      "npm": "@ai-sdk/openai-compatible",
      "name": "Arbiter",
      "options": {{"baseURL": "{base}/v1", "apiKey": "{key}"}},
      "models": {{"auto": {{"name": "auto"}}}}
    }}
  }}
}}
"""
_CLINE = """cline auth -p openai -k {key} -m auto -b {base}/v1
"""
_ZED = """{{
  "language_models": {{
    "openai_compatible": {{
      "Arbiter": {{
        "api_url": "{base}/v1",
        "available_models": [
          {{"name": "auto", "display_name": "Arbiter", "max_tokens": 128000}}
        ]
      }}
    }}
  }}
}}
"""

_LINE = 'client = OpenAI(base_url="{base}/v1", api_key="{key}")'

CLIENTS: dict[str, tuple[str, str, str]] = {
    "python": ("Python", "the openai package", _PYTHON),
    "node": ("Node", "the openai package", _NODE),
    "curl": ("curl", "any shell", _CURL),
    "claude-code": ("Claude Code", "environment of the shell", _CLAUDE_CODE),
    "codex": ("Codex", "~/.codex/config.toml, and your key in the variable ARBITER_KEY", _CODEX),
    "messages": ("Anthropic's SDK", "the anthropic package; no /v1 here", _MESSAGES),
    "responses": ("OpenAI's Responses", "the openai package", _RESPONSES),
    "langchain": ("LangChain", "langchain-openai", _LANGCHAIN),
    "agents": ("OpenAI Agents", "openai-agents", _AGENTS),
    "vercel": ("Vercel AI SDK", "ai and @ai-sdk/openai-compatible", _VERCEL),
    "opencode": ("opencode", "opencode.json; the model is arbiter/auto", _OPENCODE),
    "aider": ("aider", "environment of the shell", _AIDER),
    "continue": ("Continue", "~/.continue/config.yaml", _CONTINUE),
    "cline": ("Cline", "its command line", _CLINE),
    "zed": ("Zed", "settings.json, and your key in the variable ARBITER_API_KEY", _ZED),
    "open-webui": ("Open WebUI", "from a container use the host's address, not localhost", _OPEN_WEBUI),
}
FIRST_CALL = ("python", "node", "curl", "langchain")


def snippets(base: str, key: str = PLACEHOLDER) -> dict[str, str]:
    """Every client's code for a base address without path, like `http://localhost:8000`."""
    texts = {"line": _LINE, **{name: text for name, (_, _, text) in CLIENTS.items()}}
    return {name: text.format(base=base.rstrip("/"), key=key) for name, text in texts.items()}

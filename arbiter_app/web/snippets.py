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
_CONTINUE = """models:
  - name: Arbiter
    provider: openai
    model: auto
    apiBase: {base}/v1
    apiKey: {key}
    roles: [chat, edit, apply]
"""
_OPEN_WEBUI = """docker run -p 3000:8080 \\
  -e OPENAI_API_BASE_URL={base}/v1 \\
  -e OPENAI_API_KEY={key} \\
  ghcr.io/open-webui/open-webui:main
"""

_LINE = 'client = OpenAI(base_url="{base}/v1", api_key="{key}")'

CLIENTS: dict[str, tuple[str, str, str]] = {
    "python": ("Python", "the openai package", _PYTHON),
    "node": ("Node", "the openai package", _NODE),
    "curl": ("curl", "any shell", _CURL),
    "langchain": ("LangChain", "langchain-openai", _LANGCHAIN),
    "vercel": ("Vercel AI SDK", "ai and @ai-sdk/openai-compatible", _VERCEL),
    "aider": ("aider", "environment of the shell", _AIDER),
    "continue": ("Continue", "~/.continue/config.yaml", _CONTINUE),
    "open-webui": ("Open WebUI", "from a container use the host's address, not localhost", _OPEN_WEBUI),
}
FIRST_CALL = ("python", "node", "curl", "langchain")


def snippets(base: str, key: str = PLACEHOLDER) -> dict[str, str]:
    """Every client's code for a base address without path, like `http://localhost:8000`."""
    texts = {"line": _LINE, **{name: text for name, (_, _, text) in CLIENTS.items()}}
    return {name: text.format(base=base.rstrip("/"), key=key) for name, text in texts.items()}

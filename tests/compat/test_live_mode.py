"""With a runtime key Arbiter routes to that runtime and says so; what is open in sandbox mode closes."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.served import OPERATOR, ROOT, Served, served
from tests.waiting import PATIENCE_S

RUNTIME_KEY = "sandbox"


@pytest.fixture(scope="module")
def runtime() -> Iterator[str]:
    """An OpenAI-compatible runtime as a process of its own; its base URL."""
    command = [sys.executable, "-m", "arbiter_app.runtime.sandbox", "--port", "0", "--latency", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait(PATIENCE_S)
    process.stdout.close()


@pytest.fixture(scope="module")
def live(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Arbiter over that runtime."""
    own = {"GATEWAY_API_KEY": RUNTIME_KEY, "BTL_BASE_URL": runtime}
    with served(tmp_path_factory.mktemp("live"), command=True, **own) as one:
        yield one


def test_an_answer_is_routed_to_the_runtime(live: Served) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=OPERATOR) as client:
        answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "What is 6 * 7?"}])
    assert "6 * 7" in str(answer.choices[0].message.content)
    assert answer.model_extra is not None and answer.model_extra["arbiter"]["cost_state"] == "settled"


def test_it_says_that_it_is_live(live: Served) -> None:
    with urllib.request.urlopen(f"{live.url}/health", timeout=PATIENCE_S) as answer:
        assert b'"mode":"live"' in answer.read()
    console = live.output.read_text()
    assert "SANDBOX" not in console and "/v1" in console and RUNTIME_KEY not in console


@pytest.mark.parametrize("path", ["/v1/report", "/v1/recent"])
def test_anonymous_reads_are_closed(live: Served, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(live.url + path, timeout=PATIENCE_S)
    assert caught.value.code == 401
    caught.value.close()


def test_sign_up_is_closed(live: Served) -> None:
    request = urllib.request.Request(
        f"{live.url}/v1/register", b'{"email":"a@example.com"}', {"content-type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=PATIENCE_S)
    assert caught.value.code in (401, 403)
    caught.value.close()


def test_a_second_start_prints_no_key_and_a_wrong_setting_ends_it_with_a_sentence(tmp_path: Path) -> None:
    with served(tmp_path, command=True, ARBITER_API_KEYS="") as first:
        told = first.output.read_text()
        assert told.count("operator key") == 1 and "SANDBOX" in told
        assert first.stop() == 0
    with served(tmp_path, command=True, ARBITER_API_KEYS="") as second:
        assert second.output.read_text().count("operator key") == 1, "still only that of the first start"
    with pytest.raises(RuntimeError, match="ended with 1:(.|\n)*unknown settings: ARBITER_PROT"):
        served(tmp_path, command=True, ARBITER_PROT="1").__enter__()

"""Shared parts of the suite: a whole Arbiter on real HTTP with its sandbox runtime, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as examples
from starlette.types import Receive, Scope, Send

from arbiter_app import bootstrap
from arbiter_app.api.gateway import Gateway
from arbiter_app.bootstrap import Services
from arbiter_app.runtime.sandbox.world import World
from arbiter_app.server import UndatedServer, config_of
from arbiter_app.services import shadows
from arbiter_app.settings import Settings, load_settings
from arbiter_app.store import Store, open_store
from tests import databases, served
from tests.served import TLS
from tests.waiting import FAR_S, PATIENCE_S, PATIENT

pytest_plugins = ["tests.sharing"]
T = TypeVar("T")
OPERATOR = "test-operator-key"
SEED = 7
"""Of what a gateway of the tests draws: the same requests, one after the other, are routed and judged alike in every run."""
FAST = {
    **PATIENT,
    "ARBITER_SANDBOX_LATENCY": "0",
    "ARBITER_API_KEYS": OPERATOR,
    "ARBITER_PORT": "0",
    "ARBITER_SIGNUPS_PER_EMAIL": "1000",
    "ARBITER_SHADOW": "off",  # what happens after an answer is for the tests of that
    "ARBITER_REACTIONS": "off",
}
NUMBERS = count(1)


class Running:
    """A running gateway: `url`, `http` (an operator's client), the live `arbiter` and the sandbox's `world`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.arbiter: Services
        self.loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(PATIENCE_S):
            raise RuntimeError("the gateway did not start")
        if self._failure is not None:
            raise self._failure
        self.http = self.client(OPERATOR)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test that waits
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.arbiter = await bootstrap.start(self.settings)
        for draws in (self.arbiter.router, self.arbiter.judging):
            draws._rng.seed(SEED)
        gateway = Gateway(self.arbiter)
        self.gateway = gateway

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await gateway(scope, receive, send)

        config = config_of(self.settings, app)
        config.lifespan, config.timeout_graceful_shutdown = "off", 2
        self._server = UndatedServer(config)
        task = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells by this flag only
            await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready.set()
        await task
        await self.arbiter.close()

    @property
    def world(self) -> World:
        """The sandbox runtime's state."""
        assert self.arbiter.sandbox is not None
        return self.arbiter.sandbox.world

    def client(self, key: str | None) -> httpx.Client:
        """An HTTP client with a key."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, verify=TLS)

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine on the gateway's event loop."""

        async def call() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(PATIENCE_S)

    def longest_step_s(self, work: Callable[[], object]) -> float:
        """The longest CPU time that the gateway's loop spent at one go while `work` ran."""
        longest, done = 0.0, threading.Event()

        async def tick() -> None:
            nonlocal longest
            while not done.is_set():
                before = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - before)

        ticking = asyncio.run_coroutine_threadsafe(tick(), self.loop)
        try:
            work()
        finally:
            done.set()
            ticking.result(PATIENCE_S)
        return longest

    def settle(self) -> None:
        """Wait until nothing is asked beside answers, and no judgement is under way."""
        self.run(self.arbiter.shadows.settled)
        self.run(self.arbiter.judging.settled)

    def chat(self, ask: str, **fields: Any) -> httpx.Response:
        """One chat request as the operator."""
        body = {"messages": [{"role": "user", "content": ask}], **fields}
        return self.http.post("/v1/chat/completions", json=body)

    def caller(self, email: str = "dev@example.com") -> str:
        """A freshly minted caller's key."""
        key: str = self.http.post("/v1/register", json={"email": email}).json()["api_key"]
        return key

    def stop(self) -> None:
        """End it."""
        self.http.close()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(PATIENCE_S)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What every gateway of a run has its store in, where a module does not ask for each kind."""
    parser.addoption("--database", choices=databases.KINDS, default=databases.KINDS[0], help="what gateways store in")


def pytest_configure(config: pytest.Config) -> None:
    """Take the option, and have each HTTP client of this process wait as long as a busy machine may take."""
    usual = httpx.get.__kwdefaults__["timeout"]  # the one object that is the default of them all
    usual.connect = usual.read = usual.write = usual.pool = PATIENCE_S
    calm = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    examples.register_profile("calm", **calm)  # the same ones every time, however long a busy machine takes for them
    examples.load_profile("calm")
    shadows.LATE_S = FAR_S  # a busy machine has late event loops: nothing would be learned beside answers
    databases.chosen = config.getoption("--database")
    served.forks = True


def pytest_unconfigure() -> None:
    """Leave no database server behind."""
    databases.end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules that say `DATABASES = (...)` run on each of them, whatever the run's option."""
    if (kinds := getattr(metafunc.module, "DATABASES", ())) and "database" in metafunc.fixturenames:
        metafunc.parametrize("database", kinds, indirect=True, scope="module")


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    kind: str = getattr(request, "param", databases.chosen)
    return kind


@contextmanager
def running(directory: Path, *, database: str = "", **environ: str) -> Iterator[Running]:
    """A gateway with a store of its own; settings by environment names."""
    where = environ.get("ARBITER_DB") or databases.place(database or databases.chosen, directory / "arbiter.db")
    own = {"ARBITER_DB": where, "ARBITER_JOURNAL": str(directory / f"journal-{next(NUMBERS)}.db")}
    settings = load_settings({**FAST, **own, **environ}, env_file=None)
    gateway = Running(settings)
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Running]:
    """One sandbox gateway for a module of tests."""
    with running(tmp_path_factory.mktemp("gateway"), database=database) as one:
        yield one


@pytest.fixture
def own_gateway(tmp_path: Path, database: str) -> Iterator[Running]:
    """A sandbox gateway for one test that changes its world."""
    with running(tmp_path, database=database) as one:
        yield one


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store."""
    one = open_store(databases.place("sqlite", tmp_path / "arbiter.db"))
    yield one
    one.close()

# make run: serve on 127.0.0.1:8000. make test: everything. Both set up what they need, once, as root or not.
# make chaos SECONDS=600 SEED=7 and make fuzz REQUESTS=20000 SEED=7 look for faults; without a seed they draw one.
# make postgresql adds the driver that ARBITER_DB=postgresql://... needs.
.PHONY: run postgresql test lint fmt bench chaos fuzz screenshots clean
.DELETE_ON_ERROR:

PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE

run: .venv/runtime.done
	@exec $(PY) -m arbiter_app serve

postgresql: .venv/postgresql.done

test: .venv/dev.done tests/node_modules/.package-lock.json
	@.ci/browser >/dev/null
	@exec $(PY) -m pytest -n 4 --no-loadscope-reorder

lint: .venv/dev.done
	ruff check .
	ruff format --check .
	mypy

fmt: .venv/dev.done
	ruff check --fix .
	ruff format .

bench: .venv/dev.done
	$(PY) -m tests.bench

chaos: .venv/dev.done
	$(PY) -m tests.chaos.run $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

fuzz: .venv/dev.done
	$(PY) -m tests.api.fuzz $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(SEED),--seed $(SEED))

screenshots: .venv/dev.done
	@.ci/browser >/dev/null
	$(PY) -m tests.web.screenshots

clean:
	rm -rf .venv .web tests/node_modules .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/runtime.done: requirements.txt .ci/venv
	@.ci/venv
	@echo "setup: installing the packages of requirements.txt" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/postgresql.done: requirements-postgresql.txt .venv/runtime.done
	@echo "setup: installing the packages of requirements-postgresql.txt" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-postgresql.txt
	@touch $@

.venv/dev.done: requirements-dev.txt tests/requirements-alone.txt .venv/runtime.done
	@echo "setup: installing the packages of requirements-dev.txt" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r tests/requirements-alone.txt
	@touch $@

tests/node_modules/.package-lock.json: tests/package-lock.json .venv/runtime.done
	@npm ci --prefix tests --no-audit --no-fund --silent
	@touch $@

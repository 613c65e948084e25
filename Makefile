# Every target works from a fresh clone: what it needs is installed or built first.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
STACK ?= dev
STRATEGY ?=
VENV := .venv
RUN := $(VENV)/bin/python
DEV := $(RUN) -m dev
RUNNER ?=
UPGRADE ?=
# CI measures it with --cov, which doubles the time of Python.
COVERAGE ?=
# For every platform, and the oldest Python that is supported; pins stay unless UPGRADE names them.
# Renovate repeats the command from a lock's head, and reads no option without an equals sign.
COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version=3.11 --generate-hashes --no-strip-extras $(UPGRADE:%=--upgrade-package=%)

.PHONY: help up preview preview-report drift screenshot destroy clean cluster-up cluster-down cluster-status
.PHONY: toolchain test test-unit test-newest lint lock schema bench explain templates reference docs policy runner-keys
.PHONY: node-up node-down node-status test-node bench-builds

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | column -t -s '|'

# Two makes at once install one after the other; the second finds that nothing is left to do.
ONCE = exec 9>$(@D).lock; ! command -v flock >/dev/null || flock 9; [[ -e $@ && -z "$$(find $^ -newer $@)" ]] && exit;

$(VENV)/installed: tests/requirements.lock
	@$(ONCE) \
	echo "installing Python packages into $(VENV)" >&2; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=")'; \
	$(PYTHON) -m venv $(VENV); \
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/requirements.lock; \
	touch $@

# Apart, since pulumi-policy needs another protobuf.
policy/.venv/installed: policy/requirements.txt
	@$(ONCE) \
	echo "installing Python packages into policy/.venv" >&2; \
	$(PYTHON) -m venv policy/.venv; \
	policy/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement policy/requirements.txt; \
	touch $@

# Apart, since only tests need them.
$(VENV)/npm/installed: $(VENV)/installed tests/package.json tests/package-lock.json
	@$(ONCE) \
	echo "installing npm packages into $(VENV)" >&2; \
	mkdir -p $(VENV)/npm; \
	cp tests/package.json tests/package-lock.json $(VENV)/npm; \
	$(VENV)/bin/npm ci --loglevel=error --ignore-scripts --prefix $(VENV)/npm >/dev/null; \
	touch $@

up: $(VENV)/installed ## Bring STACK (dev) up on the local control plane; STRATEGY=kaniko moves it
	@$(DEV) up --stack '$(STACK)' --strategy '$(STRATEGY)'

preview: $(VENV)/installed ## Show what up would change
	@$(DEV) preview --stack '$(STACK)' --strategy '$(STRATEGY)'

preview-report: $(VENV)/installed ## Show what up would change, and what that does to security and jobs
	@$(DEV) preview-report --stack '$(STACK)' --strategy '$(STRATEGY)' || test $$? -eq 2

policy: $(VENV)/installed ## Check the local state of STACK against the policies, without a cluster
	@$(DEV) policies --stack '$(STACK)'

screenshot: $(VENV)/installed ## Write docs/preview.png: the report of a switch from Kaniko to DooD, in Chromium
	@$(DEV) up --stack dev --strategy kaniko
	@$(DEV) preview-report --stack dev || test $$? -eq 2
	@$(DEV) browser build/preview/report.html docs/preview.png

drift: $(VENV)/installed ## Show what of STACK has changed in the local cluster since up
	@$(DEV) drift --stack '$(STACK)' || test $$? -eq 2

explain: $(VENV)/installed ## Show which strategy each runner has, why, and what rules out the others
	@$(RUN) -m commands explain --stack '$(STACK)' --strategy '$(STRATEGY)'

destroy: $(VENV)/installed ## Remove what STACK deployed locally
	@$(DEV) destroy --stack '$(STACK)'

clean: $(VENV)/installed ## Stop the local control plane and remove its state
	@$(DEV) clean

cluster-up cluster-down cluster-status: $(VENV)/installed ## Start, stop or show the local control plane
	@$(DEV) cluster $(patsubst cluster-%,%,$@)

node-up node-down node-status: $(VENV)/installed ## Start, stop or show a real node (root, Linux)
	@$(DEV) node $(patsubst node-%,%,$@)

toolchain: $(VENV)/installed ## Show which programs are used and from where
	@$(DEV) toolchain show

test: $(VENV)/npm/installed policy/.venv/installed ## Run every test, unit to engine
	@$(DEV) toolchain install cluster report bench
	@# Each worker has its own control plane, which the tests of a file share; some tests only wait.
	@# The engine is started hundreds of times; so each start collects garbage less often.
	@GOGC=400 $(RUN) -m pytest -m 'not node' $(COVERAGE) --numprocesses 4 --dist loadfile --no-loadscope-reorder

test-unit: $(VENV)/npm/installed ## Run the tests that need no programs
	@$(RUN) -m pytest -m 'not engine and not node'

test-newest: $(VENV)/installed policy/.venv/installed ## Run the engine tests with the newest Kubernetes
	@IMAGE_BUILDS_KUBERNETES=newest $(DEV) toolchain install cluster report bench
	@IMAGE_BUILDS_KUBERNETES=newest $(RUN) -m pytest -m engine

test-node: $(VENV)/installed ## Build and push images by each strategy on a real node (root, Linux)
	@$(DEV) toolchain install cluster report node
	@# Jobs mostly wait, for pods and for each other's images.
	@$(RUN) -m pytest -m node --numprocesses 6

lint: $(VENV)/installed policy/.venv/installed ## Check style, format, imports, types, YAML, shell scripts and stack files
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --quiet --check
	@$(VENV)/bin/lint-imports --no-cache --no-logo >$(VENV)/imports || { cat $(VENV)/imports; false; }
	@$(VENV)/bin/pyright --warnings
	@$(VENV)/bin/pyright --warnings --project policy
	@$(VENV)/bin/yamllint --strict .
	@$(DEV) check-secrets $(wildcard Pulumi.*.yaml)
	@# Parts of build scripts are checked in the scripts that source them.
	@$(VENV)/bin/shellcheck --check-sourced --external-sources --source-path=components/strategies \
		--source-path=SCRIPTDIR \
		$$(git ls-files '*.sh' .ci/run .ci/changelog .ci/with-kubeconfig image-builds ':!components/strategies/parts')

lock: $(VENV)/installed ## Pin, with hashes, what the requirements ask for; UPGRADE=name takes its newest
	@$(COMPILE) --output-file=requirements.lock commands/requirements.txt
	@$(COMPILE) --constraint=requirements.lock --output-file=tests/requirements.lock tests/requirements.txt
	@$(COMPILE) --output-file=policy/requirements.txt policy/requirements.in

schema: $(VENV)/installed ## Write schema/stack.json from the models
	@$(RUN) -m dev.generate.files schema

templates: $(VENV)/installed ## Write the pipeline components of templates/ from the plans
	@$(RUN) -m dev.generate.files templates

reference: $(VENV)/installed ## Write the tables of docs/reference from models, plans and rules
	@$(RUN) -m dev.generate.files docs

docs: $(VENV)/installed ## Build the site of the pages of docs/ in build/docs
	@$(VENV)/bin/zensical build --clean --strict >/dev/null
	@echo "build/docs is a site; to search it: $(RUN) -m http.server --bind 127.0.0.1 --directory build/docs"

runner-keys: $(VENV)/installed ## Compare the keys of config.toml with the source in RUNNER
	@$(RUN) -m tests.executor.source '$(RUNNER)'

bench: $(VENV)/installed ## Measure previews, updates and reports against what they cannot be faster than
	@$(DEV) toolchain install cluster report bench
	@$(DEV) bench

bench-builds: $(VENV)/installed ## Measure builds of each strategy on the real node (root, Linux)
	@$(DEV) node up >/dev/null
	@$(RUN) -m tests.bench

# Everything here works on a machine with Python 3.11 or newer, pip and make.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first of these that is new enough; PYTHON=... names another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Further arguments of pytest: make test ARGS="-n auto -k redis"
ARGS ?=
# Most tests wait for servers rather than for the processor. Benchmarks run alone; those that print
# how long whole runs take, or what encryption costs, are left to make bench.
WORKERS ?= 6
# Tests kill servers, not machines: their data may lie in memory. Benchmarks use the disk.
SERVER_DATA ?= $(shell test -w /dev/shm && echo /dev/shm)
# How many entries make capacity-check stores on each server.
ENTRIES ?= 10000000
# Where make docs writes.
DOCS_OUT ?= build/site
# Where make demo and make screenshots write.
DEMO_OUT ?= build/demo
SCREENSHOTS_OUT ?= docs/screenshots
# Where make bench writes its page and charts; BENCH_OUT=docs for the one in the repository.
BENCH_OUT ?= build/benchmarks
# How often make drill switches each system over, and where it writes what it measured.
SWITCHES ?= 5
DRILL_OUT ?= build/drill.md
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of processes: none of them should compile what the last one did.
unexport PYTHONDONTWRITEBYTECODE

# What make chaos runs: seeds as 1-20 or 3,7 on backends as redis or sqlite,cluster; all of them is
# BACKEND=all. What failed is kept in CHAOS_OUT; JUDGE=... judges the history in such a folder again.
SEEDS ?= 1-5
BACKEND ?= sqlite,postgresql,redis,cluster,hybrid
CHAOS_SECONDS ?= 6
CHAOS_OUT ?= build/chaos
JUDGE ?=

# What make load does: any of these, of these sizes, on the backends above; LOAD_SECONDS is how long each
# lasts (a minute; a churn 16 of them), MINUTES how long make soak does. LOAD_OUT=docs for the pages in the
# repository.
SCENARIO ?= sustained,spike,stress,churn,backlog
AGENTS ?= 1000
PROCESSES ?= 8
RATE ?= 500
LOAD_SECONDS ?= 0
JOBS ?= 1000000
MINUTES ?= 30
LOAD_OUT ?= build/load

# How many cases a backend and kind make fuzz takes.
CASES ?= 10000

# Where make corpus writes its table; CORPUS_OUT=docs for the one in the repository.
CORPUS_OUT ?= build/corpus
# Which packages make corpus and make speed take, done or not: make corpus ONLY="anyio click"; for the
# former LIST=FILE names another list than tests/corpus/packages.toml.
ONLY ?=
# Where make agents-corpus writes its table; AGENTS_OUT=docs for the one in the repository.
AGENTS_OUT ?= build/agents-corpus
# Where make speed writes its page; SPEED_OUT=docs for the one in the repository.
SPEED_OUT ?= build/speed

# Where make recall-speed writes its page; RECALL_OUT=docs for the one in the repository.
RECALL_OUT ?= build/recall-speed

# Where make shard-balance writes its table.
SHARDS_OUT ?= build/shards

# Where make executors writes its table; ONLY names other packages.
EXECUTORS_OUT ?= build/executors

# What make bench-record adds to.
HISTORY ?= build/benchmarks/history.jsonl

# Where make detection writes its tables, and of how many histories each figure is.
DETECTION_OUT ?= build/detection.md
HISTORIES ?= 500

# Where make matrix keeps what came of each cell, and writes its table; MATRIX_PAGE=docs/matrix.md for
# the one in the repository. ONLY="pg13 redis62" takes these again.
MATRIX_OUT ?= build/matrix
MATRIX_PAGE ?= $(MATRIX_OUT)/matrix.md

# In which engines' containers make containers isolates.
ENGINES ?= podman

# What make test-one runs: a path, perhaps with -k "words".
T ?=

.PHONY: help venv demo screenshots report-speed test test-one lint types imports check release-check bench corpus side-by-side shard-balance speed pytest-overhead learn-eval recall-quality chaos chaos-page drill containers poolers encrypted fuzz audit schema browser clean failure-grouping docs docs-links agents-corpus granted executors partitioned capacity capacity-check batches load soak matrix detection bench-record recall-speed

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP) ## Make .venv with the package, its tests' tools and database servers

INSTALLED := --editable '.[fleet]' --group test --group lint --group servers

# Its own file, written last, so that an install that broke off is done again. uv takes seconds; it
# knows nothing of pip's settings, and so may not reach an index that pip does.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; install one or say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) can't make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (once; again when pyproject.toml changes) ..."
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(INSTALLED) \
		|| $(BIN)/python -m pip install --quiet $(INSTALLED)
	@touch $(STAMP)

demo: $(STAMP) ## Run all agents on a small project, within 90 s, and write pages to DEMO_OUT
	@mkdir -p $(dir $(DEMO_OUT))
	@$(BIN)/aqe --version
	@$(BIN)/aqe run examples/storefront --agents all --budget 90s --report html=$(DEMO_OUT)

report-speed: $(STAMP) ## Print how large the pages of 5,000 tests are, and how soon Chromium shows them
	$(BIN)/python -m tests.report.load_time

# For the console's tests; quick and quiet where there is one. As root on Debian it comes by apt.
browser: $(STAMP)
	@$(BIN)/python -m tests.web.chromium

test: $(STAMP) browser ## Run the whole suite on real servers (ARGS="...": one pytest with these arguments)
ifeq ($(strip $(ARGS)),)
	LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not benchmark"
	$(BIN)/python -m pytest -q tests/benchmarks --ignore tests/benchmarks/test_workers.py --ignore tests/benchmarks/test_overhead.py --ignore tests/benchmarks/test_hunt.py --ignore tests/benchmarks/test_encryption.py --ignore tests/benchmarks/test_job_batches.py
else
	$(BIN)/python -m pytest $(ARGS)
endif

test-one: $(STAMP) ## Run one test file, folder or selection: make test-one T="tests/cli -k ls"
	@test -n "$(T)" || { echo 'Say which: make test-one T=tests/persistence/test_glob.py'; exit 2; }
	$(BIN)/python -m pytest -q --no-header $(T)

lint: $(STAMP) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/github-actions/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci examples/gitlab/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yml docker-compose-test.yml
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck docker/entrypoint.sh .github/comment.sh run-integration-tests.sh
	$(BIN)/kubernetes-validate --strict --quiet examples/kubernetes/*.yml

types: $(STAMP) ## Check types
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(STAMP) ## Check which layer imports which
	$(BIN)/lint-imports

check: lint types imports test ## All of the above

# What .github/workflows/release.yml does before it publishes.
release-check: $(STAMP) ## Build sdist and wheel, check them, import the wheel in a bare environment, list what that holds
	@$(BIN)/python -m pip install --quiet --group release
	rm -rf build/release
	$(BIN)/python -m build --outdir build/release .
	$(BIN)/twine check --strict build/release/*
	$(BIN)/check-wheel-contents build/release/*.whl
	$(PYTHON) -m venv build/release/bare
	build/release/bare/bin/python -m pip install --quiet build/release/*.whl
	build/release/bare/bin/aqe --version
	cd build/release && bare/bin/python ../../tests/cli/check_core.py
	build/release/bare/bin/python -m pip install --quiet "$$(ls build/release/*.whl)[fleet]"
	cd build/release && bare/bin/python -c "from lionagi_qe.fleet import examine"
	$(BIN)/cyclonedx-py environment --validate --output-reproducible --pyproject pyproject.toml \
		--output-file build/release/sbom.cdx.json build/release/bare/bin/python

bench: $(STAMP) ## Check speed and durability at full size, and write the results to BENCH_OUT
	@$(BIN)/python -m pip install --quiet --group bench
	AQE_BENCH_FULL=1 $(BIN)/python -m pytest -s --timeout 3600 \
		tests/benchmarks tests/chaos/test_kill_under_load.py tests/integration/test_transfer.py $(ARGS)
	$(BIN)/python tests/benchmarks/publish.py $(BENCH_OUT)
	$(BIN)/aqe bench --history $(BENCH_OUT)/benchmarks/history.jsonl --chart $(BENCH_OUT)/benchmarks/history.png

# HISTORY=... names another file; aqe bench --history shows it.
bench-record: $(STAMP) ## Measure ratios to the plain drivers, and add them to HISTORY with the commit
	$(BIN)/python -m tests.benchmarks.record $(HISTORY) $(ARGS)

# Some minutes of the processor; writes what docs/performance.md quotes.
detection: $(STAMP) ## How well changes over commits and runs are found, and how often told in vain (HISTORIES=500)
	$(BIN)/python -m tests.benchmarks.detection $(DETECTION_OUT) --histories $(HISTORIES)

# Half an hour or so for 10,000.
fuzz: $(STAMP) ## Store, search and import CASES hostile keys, values, patterns and archives a backend
	AQE_FUZZ_CASES=$(CASES) LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) $(BIN)/python -m pytest -q --timeout 0 tests/fuzz \
		tests/security/test_secrets.py -k "hostile or form_of_a_url"

# Goes on where it was broken off. An hour or more, GBs of environments in the cache directory.
corpus: $(STAMP) ## Compare aqe's figures with plain pytest's on other people's projects (ONLY="...")
	$(BIN)/python -m tests.corpus.compare $(CORPUS_OUT) $(if $(strip $(ONLY)),--only $(ONLY)) $(if $(LIST),--list $(LIST))

# A minute or two for each of twelve packages; goes on where it was broken off.
agents-corpus: $(STAMP) ## Compare figures of six agents with the plain tools' on other projects (ONLY="...")
	$(BIN)/python -m tests.corpus.agents $(AGENTS_OUT) $(ONLY)

batches: $(STAMP) ## What a batch of 10,000 jobs takes on each backend, beside as many jobs without one
	$(BIN)/python -m pytest -q -s tests/benchmarks/test_job_batches.py

side-by-side: $(STAMP) ## Compare tests in several sessions with one and with plain pytest (ONLY="..." as make corpus)
	$(BIN)/python -m tests.corpus.side_by_side $(CORPUS_OUT) $(ONLY)

shard-balance: $(STAMP) ## Run 5,000 tests whole and in five shards, and tell how far apart these end (ARGS="--rounds 3")
	$(BIN)/python -m tests.benchmarks.shard_balance $(SHARDS_OUT) $(ARGS)

# Packages as make corpus keeps them; some ten minutes where nothing else runs.
executors: $(STAMP) ## Compare what local, queue (three workers) and dask (four) find on five other projects
	$(BIN)/python -m tests.corpus.executors $(EXECUTORS_OUT) $(or $(strip $(ONLY)),sniffio iniconfig outcome blinker incremental)

# Half an hour or more where nothing else runs; packages as make corpus keeps them.
speed: $(STAMP) ## Time aqe run beside coverage.py by hand on other projects (ONLY="...")
	$(BIN)/python -m tests.benchmarks.speed $(SPEED_OUT) $(if $(strip $(ONLY)),--only $(ONLY))

# Some minutes; the servers' data lie on the disk.
capacity: $(STAMP) ## Measure bytes, log and processor time of entries; write the model's figures and its page
	$(BIN)/python -m tests.benchmarks.capacity.measure $(ARGS)
	$(BIN)/python -m tests.benchmarks.capacity.page docs/capacity.json docs/capacity.md

# An hour or more, and 15 GB of disk.
capacity-check: $(STAMP) ## Check the model on ENTRIES entries a server, and write that into its page
	$(BIN)/python -m tests.benchmarks.capacity.check docs/capacity.json --entries $(ENTRIES) $(ARGS)
	$(BIN)/python -m tests.benchmarks.capacity.page docs/capacity.json docs/capacity.md

recall-quality: $(STAMP) ## How well recall finds what is meant, by words and by vectors
	@$(BIN)/python -m pip install --quiet --group recall-quality
	$(BIN)/python tests/benchmarks/recall_quality/measure.py

# An hour or so where nothing else runs; the servers' data lie on the disk.
recall-speed: $(STAMP) ## Time recall beside LangGraph's stores on the same vectors (ARGS="--entries 1000")
	@$(BIN)/python -m pip install --quiet --group recall-speed
	$(BIN)/python -m tests.benchmarks.recall_speed.measure $(RECALL_OUT) $(ARGS)

failure-grouping: $(STAMP) ## Which messages of failures, sorted by hand, thresholds would merge and split
	$(BIN)/python -m tests.benchmarks.failure_grouping.measure

# Some ten minutes where nothing else runs; a line by the clock, and one of the processors.
pytest-overhead: $(STAMP) ## Time pytest with --aqe beside pytest without it, on 2,000 tests (ARGS="--rounds 3")
	$(BIN)/python -m tests.benchmarks.pytest_overhead $(ARGS)

# LEARN_EVAL_CSV=... names a history in the RETECS format.
learn-eval: $(STAMP) ## Replay CI histories: what the learned test order is worth, with learning curves
	@$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m lionagi_qe.bench.learn_eval build/learn-eval

chaos: $(STAMP) ## Run seeds of faults under load, and judge what clients recorded (SEEDS=1-20 BACKEND=redis)
ifeq ($(strip $(JUDGE)),)
	LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) $(BIN)/python -m tests.chaos.seeds \
		--backend $(BACKEND) --seeds $(SEEDS) --seconds $(CHAOS_SECONDS) --out $(CHAOS_OUT)
else
	$(BIN)/python -m tests.chaos.seeds --judge $(JUDGE)
endif

chaos-page: $(STAMP) ## Keep the results in CHAOS_OUT, and write docs/chaos.md anew from all that are kept
	$(BIN)/python -m tests.chaos.page $(CHAOS_OUT)/results.jsonl docs/chaos.md

# Two hours by default; the servers' data lie on the disk.
load: $(STAMP) ## Load each BACKEND in each SCENARIO, open-loop; percentiles and curves go to LOAD_OUT
	$(BIN)/python -m tests.load --scenario $(SCENARIO) --backend $(BACKEND) --agents $(AGENTS) --processes $(PROCESSES) \
		--rate $(RATE) --seconds $(LOAD_SECONDS) --jobs $(JOBS) --out $(LOAD_OUT)

soak: $(STAMP) ## Load each BACKEND for MINUTES, and judge what processes and servers still hold
	$(BIN)/python -m tests.load --scenario soak --backend $(BACKEND) --agents $(AGENTS) --processes $(PROCESSES) \
		--rate $(RATE) --minutes $(MINUTES) --out $(LOAD_OUT)

drill: $(STAMP) ## Switch replicated servers over under load, SWITCHES times each; the table goes to DRILL_OUT
	AQE_DRILL_SWITCHES=$(SWITCHES) AQE_DRILL_OUT=$(DRILL_OUT) \
		$(BIN)/python -m pytest -s -q --no-header --durations=0 tests/chaos/test_failover_drill.py $(ARGS)

containers: $(STAMP) ## Run the tests of --isolate in containers of ENGINES=podman,docker, which have to run
	AQE_CONTAINERS=$(ENGINES) $(BIN)/python -m pytest -q --no-header tests/agents/test_isolation.py tests/e2e/test_isolation.py $(ARGS)

poolers: $(STAMP) ## Run memories, queues, leases and watches through PgBouncer, which has to be installed
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer >/dev/null \
		|| { echo "No pgbouncer found; on Debian: apt-get install pgbouncer; on macOS: brew install pgbouncer"; exit 1; }
	AQE_POOLERS=1 $(BIN)/python -m pytest -q --no-header -n $(WORKERS) --dist worksteal tests/poolers $(ARGS)

encrypted: $(STAMP) ## Run the conformance of memories, queues, leases and watches over encrypted memories
	LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) AQE_ENCRYPTED=1 \
		$(BIN)/python -m pytest -q --no-header -n $(WORKERS) --dist loadscope tests/encrypted $(ARGS)

granted: $(STAMP) ## Run the conformance as roles of PostgreSQL and users of Redis that the server binds
	LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) AQE_GRANTED=1 \
		$(BIN)/python -m pytest -q --no-header -n $(WORKERS) --dist loadscope tests/granted $(ARGS)

partitioned: $(STAMP) ## Run the conformance over a memory that docker/partition_entries.sql has partitioned
	LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) AQE_PARTITIONED=1 \
		$(BIN)/python -m pytest -q --no-header -n $(WORKERS) --dist loadscope tests/partitioned $(ARGS)

# Goes on where it was broken off. An hour or more, some GB in the cache directory, and the network.
matrix: $(STAMP) ## Run the contract on every version of servers and Python that can be had (ONLY="pg13 redis62")
	LIONAGI_QE_SERVER_DATA=$(SERVER_DATA) $(BIN)/python -m tests.matrix.run $(MATRIX_OUT) --page $(MATRIX_PAGE) \
		--workers $(WORKERS) $(if $(strip $(ONLY)),--only $(ONLY))

# Runs the fleet on the example again and again; a few minutes.
screenshots: $(STAMP) browser ## Draw the pages of a report and of the console for the documents (SCREENSHOTS_OUT=...)
	$(BIN)/python -m tests.report.screenshots $(SCREENSHOTS_OUT)
	$(BIN)/python -m tests.web.screenshots $(SCREENSHOTS_OUT)/console

audit: $(STAMP) ## Look up known vulnerabilities of what is installed (exit 4: could not look)
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && build/audit/bin/python -m pip install --quiet --group audit; }
	@$(BIN)/python -m tests.audit build/audit/bin/pip-audit "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# Warnings are errors; pages, links, anchors and public names are checked in what was built.
docs: $(STAMP) ## Build the site of the documents into DOCS_OUT, strictly
	@$(BIN)/python -m pip install --quiet --group docs
	rm -rf $(DOCS_OUT)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs $(DOCS_OUT)
	AQE_DOCS_OUT=$(DOCS_OUT) $(BIN)/python -m pytest -q --no-header -p no:cacheprovider tests/docs/site_checks.py
	@echo "file://$(abspath $(DOCS_OUT))/index.html"

docs-links: $(STAMP) ## Ask for every address outside that the documents name; needs the network
	@$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/sphinx-build --quiet --builder linkcheck docs build/docs-links

schema: $(STAMP) ## Write docker/schema.sql from the migrations, docs/schemas from the types of documents
	$(BIN)/python docker/generate_schema.py
	$(BIN)/python docs/generate_schemas.py

clean: ## Remove .venv, caches and reports
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache htmlcov .coverage .coverage.* test-results build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

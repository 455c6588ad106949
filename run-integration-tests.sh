#!/usr/bin/env bash
# Runs the integration tests on real servers; see --help.
set -euo pipefail
cd "$(dirname "$0")"

readonly COMPOSE_FILE=docker-compose-test.yml
readonly LINE_FLOOR=95
readonly BRANCH_FLOOR=90

usage() {
    cat <<'HELP'
Usage: ./run-integration-tests.sh [OPTION]... [-- PYTEST_ARGUMENT...]

Runs tests/integration on real PostgreSQL and Redis servers: those named by TEST_POSTGRES_URL and
TEST_REDIS_URL; else those of docker-compose-test.yml if Docker runs; else servers of this machine,
or from wheels, which the tests start and stop themselves.

  --postgres   only tests that need PostgreSQL
  --redis      only tests that need Redis or Redis Cluster
  --e2e        only end-to-end tests of agents
               (several of these three: tests of any of them)
  --fast       leave out slow tests
  --coverage   measure lionagi_qe.persistence and fail below 95 % of lines or 90 % of branches;
               leaves htmlcov/index.html
  --parallel   run on all CPUs, each worker isolated from the others
  --keep       leave the Docker servers running afterwards
  --help       show this and exit

Uses the active virtual environment, else makes .venv (needs Python 3.11 or newer and make).

Exit status: pytest's own; 1 also if coverage is too low; 2 for a wrong option.
HELP
}

fail() {
    printf '%s\n' "$*" >&2
    exit 2
}

kinds=()
fast=false coverage=false parallel=false keep=false
arguments=()
while (($#)); do
    case $1 in
        --postgres) kinds+=(postgres) ;;
        --redis) kinds+=(redis) ;;
        --e2e) kinds+=(e2e) ;;
        --fast) fast=true ;;
        --coverage) coverage=true ;;
        --parallel) parallel=true ;;
        --keep) keep=true ;;
        --help | -h)
            usage
            exit 0
            ;;
        --)
            shift
            arguments=("$@")
            break
            ;;
        *) fail "unknown option $1; see ./run-integration-tests.sh --help (pytest's own go after --)" ;;
    esac
    shift
done

choose_python() {
    if [[ -n ${VIRTUAL_ENV:-} ]]; then
        python=$VIRTUAL_ENV/bin/python
        "$python" -c 'import lionagi_qe, pytest, pytest_asyncio, pytest_timeout, xdist, coverage' ||
            fail "the active virtual environment lacks what is named above; install it there:" \
                "python -m pip install --editable . --group test --group servers"
    else
        make --no-print-directory venv
        python=.venv/bin/python
    fi
}

clean_up() {
    if $keep; then
        echo "The servers go on running; to end them: docker compose --file $COMPOSE_FILE down --volumes"
        return
    fi
    # Asked only of a person: a script that waits for an answer would wait for ever.
    if [[ -t 0 && -t 1 ]]; then
        read -r -p "Stop the test servers and remove their data? [Y/n] " answer || answer=y
        if [[ $answer == [nN]* ]]; then
            keep=true
            clean_up
            return
        fi
    fi
    docker compose --file "$COMPOSE_FILE" down --volumes
}

start_servers() {
    if [[ -n ${TEST_POSTGRES_URL:-} && -n ${TEST_REDIS_URL:-} ]]; then
        echo "Servers: those of TEST_POSTGRES_URL and TEST_REDIS_URL"
    elif docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
        echo "Servers: Docker ($COMPOSE_FILE)"
        trap clean_up EXIT
        docker compose --file "$COMPOSE_FILE" up --detach --wait
        export TEST_POSTGRES_URL=${TEST_POSTGRES_URL:-postgresql://aqe:aqe@127.0.0.1:5433/lionagi_qe_test}
        export TEST_REDIS_URL=${TEST_REDIS_URL:-redis://127.0.0.1:6380/0}
    else
        echo "Servers: of this machine, started and stopped by the tests (Docker isn't running)"
    fi
}

select_tests() {
    selected=(tests/integration)
    local marks=integration any
    if ((${#kinds[@]})); then
        any=$(printf ' or %s' "${kinds[@]}")
        marks+=" and (${any# or })"
    fi
    if $fast; then
        marks+=" and not slow"
    fi
    selected+=(-m "$marks")
    if $parallel; then
        selected+=(--numprocesses auto)
    fi
    if $coverage; then
        # These need no server, so their coverage doesn't count.
        selected+=(--ignore tests/integration/test_memory_backends.py)
    fi
}

run_tests() {
    local status=0
    if $coverage; then
        measures=$(mktemp -d)
        write_coverage_settings >"$measures/settings"
        "$python" -m coverage run --rcfile="$measures/settings" -m pytest "$@" || status=$?
        report_coverage || { ((status)) || status=1; }
        rm -rf "$measures"
    else
        "$python" -m pytest "$@" || status=$?
    fi
    return "$status"
}

# Not pytest-cov: the package's own pytest plugin is loaded before it starts measuring. Not a
# package's name as source: to find it, coverage imports it and throws the modules away again, asyncio
# among them, so that there are two kinds of CancelledError.
write_coverage_settings() {
    cat <<SETTINGS
[run]
branch = true
parallel = true
source = $PWD/src/lionagi_qe/persistence
data_file = $measures/data
concurrency = multiprocessing, thread
patch = subprocess
[report]
exclude_also =
    if TYPE_CHECKING:
    @abstractmethod
    ^\s*\.\.\.$
show_missing = true
skip_covered = true
[html]
directory = htmlcov
SETTINGS
}

report_coverage() {
    "$python" -m coverage combine --quiet --rcfile="$measures/settings"
    "$python" -m coverage report --rcfile="$measures/settings"
    "$python" -m coverage html --quiet --rcfile="$measures/settings"
    "$python" -m coverage json --quiet --rcfile="$measures/settings" -o "$measures/totals.json"
    # coverage.py's own total mixes lines and branches.
    "$python" - "$measures/totals.json" "$LINE_FLOOR" "$BRANCH_FLOOR" <<'CHECK'
import json
import sys

totals = json.load(open(sys.argv[1]))["totals"]
rates = {
    "line": (totals["covered_lines"], totals["num_statements"], float(sys.argv[2])),
    "branch": (totals["covered_branches"], totals["num_branches"], float(sys.argv[3])),
}
low = False
for name, (covered, total, floor) in rates.items():
    percent = 100 * covered / total
    print(f"{name} coverage of lionagi_qe.persistence: {percent:.1f} % ({covered} of {total}), "
          f"wanted {floor:g} %: {'too low' if percent < floor else 'ok'}")
    low |= percent < floor
sys.exit(low)
CHECK
}

choose_python
start_servers
select_tests
run_tests "${selected[@]}" ${arguments[@]+"${arguments[@]}"}

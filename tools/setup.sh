#!/bin/sh
# Makes .venv from requirements.lock: with uv where it is at hand or can be fetched, with plain pip otherwise.
set -eu
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "seqpipe needs Python 3.11 to 3.13; $("$python" --version 2>&1) was found. Name another: make PYTHON=python3.12" >&2
    exit 1
}

rm -f .venv/.ready
uv=$(command -v uv || true)
if [ ! -x .venv/bin/python ]; then
    rm -rf .venv
    if [ -n "$uv" ]; then
        "$uv" venv --quiet --python "$python" .venv
    elif "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --target .uv uv
        uv=.uv/bin/uv
        "$uv" venv --quiet --python "$python" .venv
    else
        echo "This python3 comes without venv and without pip. On Debian or Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi

if [ -z "$uv" ] && .venv/bin/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null; then
    uv=.venv/bin/uv
fi
echo "Installing the packages of requirements.lock (about 3 GB on disk; once)"
if [ -n "$uv" ]; then
    "$uv" pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
touch .venv/.ready

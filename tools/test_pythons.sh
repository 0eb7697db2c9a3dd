#!/bin/sh
# `make run` and the fast tests in a fresh copy of the tree, with each supported Python that is found: on the path, or pyenv's.
set -u
failed=""
for version in 3.11 3.12 3.13; do
    python=$(command -v "python$version" || ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python 2>/dev/null | tail -n 1)
    if [ -z "$python" ] || ! "$python" -c 'import sys' 2>/dev/null; then
        echo "Python $version: not found, left out"
        continue
    fi
    copy=$(mktemp -d)
    git ls-files -z | xargs -0 tar -cf - | tar -xf - -C "$copy"
    if (cd "$copy" && make PYTHON="$python" run test > log.txt 2>&1); then
        echo "Python $version: passed"
    else
        echo "Python $version: failed"
        tail -n 30 "$copy/log.txt"
        failed="$failed $version"
    fi
    rm -rf "$copy"
done
[ -z "$failed" ] || exit 1

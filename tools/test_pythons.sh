#!/bin/sh
# `make run` and the fast tests in a fresh copy of the tree, with each supported Python that is found: on the path, or pyenv's.
set -u
failed=""
for version in 3.11 3.12 3.13; do
    python=""
    for found in "$(command -v "python$version")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        if [ -x "$found" ] && "$found" -c 'import sys' 2>/dev/null; then # a shim of pyenv may be found and not work
            python=$found
            break
        fi
    done
    if [ -z "$python" ]; then
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

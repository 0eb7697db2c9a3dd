#!/bin/sh
# What the tests of the pages want beside .venv: Chromium, by apt-get, and axe-core, by npm. What cannot be had is said; the
# tests that want it skip.
set -u
cd "$(dirname "$0")/.."
version=4.14.1
if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get install -y -qq chromium >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } ||
            echo "Chromium cannot be installed" >&2
    else
        echo "There is no Chromium, and nothing here to install it with" >&2
    fi
fi
if [ ! -f .venv/axe-core/axe.min.js ]; then
    if command -v npm >/dev/null && place=$(mktemp -d) && file=$(npm pack --silent --pack-destination "$place" "axe-core@$version"); then
        mkdir -p .venv/axe-core
        tar -xzf "$place/$file" -C .venv/axe-core --strip-components=1 package/axe.min.js package/LICENSE
        rm -r "$place"
    else
        echo "axe-core cannot be fetched: there is no npm, or no registry" >&2
    fi
fi

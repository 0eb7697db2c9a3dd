#!/bin/sh
# Released models through TensorFlow's C API, with the installed libraries and those of older wheels: TensorFlow Serving
# lags behind, and bindings of other languages do. A wheel is fetched once, 240 MB each, and only its libraries are kept.
set -u
cache=${SEQPIPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}}/seqpipe/tensorflow
failed=""
tested() {
    echo "TensorFlow $1"
    SEQPIPE_TF_LIBRARIES="$2" .venv/bin/pytest -n 0 --timeout 1200 -m slow tests/portability || failed="$failed $1"
}
tested installed "$(.venv/bin/python -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())' 2>/dev/null)"
for version in 2.20.0 2.19.1 2.18.1 2.16.2; do
    place=$cache/$version
    if [ ! -f "$place/libtensorflow_framework.so.2" ]; then
        wheels=$(mktemp -d)
        if ! python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
            --dest "$wheels" "tensorflow-cpu==$version"; then
            echo "TensorFlow $version: the wheel cannot be had, left out"
            rm -rf "$wheels"
            continue
        fi
        mkdir -p "$place"
        python3 - "$wheels" "$place" << 'END'
import pathlib, sys, zipfile
(wheel,) = pathlib.Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2"):
        (pathlib.Path(sys.argv[2]) / name).write_bytes(archive.read(f"tensorflow/{name}"))
END
        rm -rf "$wheels"
    fi
    tested "$version" "$place"
done
[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }

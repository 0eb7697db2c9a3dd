#!/bin/sh
# Makes the archive of LiteRT.js that `seqpipe page` puts into a page, from the npm registry. Wants npm, tar and xz.
# The same versions give the same bytes: whoever doubts the archive makes it again and compares.
set -eu
version=2.5.3 helpers=2.5.3 bundler=0.28.2
root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --silent \
    "@litertjs/core@$version" "@litertjs/wasm-utils@$helpers" "esbuild@$bundler"
core=node_modules/@litertjs/core
mkdir litert
echo "export {loadLiteRt, loadAndCompile, Tensor} from '@litertjs/core';" >in.js
node node_modules/esbuild/bin/esbuild in.js --bundle --minify --format=iife --global-name=LiteRT --log-level=error \
    --outfile=litert/litert.js
# "compat" is the build without relaxed SIMD, which not every browser has
node node_modules/esbuild/bin/esbuild $core/wasm/litert_wasm_compat_internal.js --minify --log-level=error \
    --outfile=litert/loader.js
cp $core/wasm/litert_wasm_compat_internal.wasm litert/litert.wasm
cp "$root/LICENSE" litert/LICENSE # Apache-2.0 word for word, which is LiteRT.js's too
cat >litert/NOTICE <<END
LiteRT.js $version (npm @litertjs/core, @litertjs/wasm-utils), Copyright 2025 Google LLC, Apache License 2.0,
https://github.com/google-ai-edge/LiteRT. litert.js and loader.js are its JavaScript, bundled and minified by esbuild
$bundler; litert.wasm is its litert_wasm_compat_internal.wasm as it is.
END
chmod 644 litert/*
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -cf litert.tar litert
xz -9e -T1 litert.tar
mv litert.tar.xz "$root/seqpipe/serving/device_page/litert-$version.tar.xz"
sha256sum "$root/seqpipe/serving/device_page/litert-$version.tar.xz"

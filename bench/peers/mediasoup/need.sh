#!/usr/bin/env bash
# Makes sure that mediasoup is installed for the load tool, or says why it is left out. Its npm package brings no worker: it
# fetches one from GitHub, else compiles one of what it fetches from there. MEDIASOUP_WORKER_BIN names one that is there already.
set -euo pipefail
cd "$(dirname "$0")"
[ ! -e node_modules/mediasoup ] || exit 0
../../../tools/need node
echo "bench/peers: installing mediasoup"
npm ci --no-audit --no-fund --silent || {
  rm -rf node_modules
  echo "bench/peers: mediasoup is left out: it could not be installed (npm ci in $PWD says why)" >&2
}

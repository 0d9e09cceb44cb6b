#!/usr/bin/env bash
# Makes sure that Janus is installed, without leaving a service running. Quick when it is.
set -euo pipefail

command -v janus >/dev/null 2>&1 && command -v ip >/dev/null 2>&1 && exit 0

packages=(janus iproute2)
die() {
  echo "bench/peers: $*" >&2
  exit 1
}
command -v apt-get >/dev/null || die "janus is missing on this system, which is no Debian: install it, then try again"
[ "$(id -u)" -eq 0 ] || die "janus is missing; as root: apt-get install ${packages[*]}"

# A package starts its service when it is installed, unless this file says no (exit code 101).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
echo "bench/peers: installing ${packages[*]}"
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" >/dev/null; }
# The package lists may be absent or old: fetch them only when the first try fails.
install 2>/dev/null || { apt-get update -q >/dev/null && install; } || die "apt-get failed for ${packages[*]}"

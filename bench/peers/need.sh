#!/usr/bin/env bash
# Makes sure that a server to compare with is installed, without leaving a service of it running. Quick when it is.
#   bench/peers/need.sh janus iproute2        the command, which is a Debian package too, and further packages
set -euo pipefail

command=$1
packages=("$@")
die() {
  echo "bench/peers: $*" >&2
  exit 1
}
# Not `prosody --version` or the like: that starts a server in the foreground. Elsewhere than on Debian the command is enough.
installed() {
  command -v "$command" >/dev/null 2>&1 || return 1
  ! command -v dpkg >/dev/null 2>&1 || dpkg -s "${packages[@]}" >/dev/null 2>&1
}
installed && exit 0

command -v apt-get >/dev/null || die "$command is missing on this system, which is no Debian: install it, then try again"
[ "$(id -u)" -eq 0 ] || die "$command is missing; as root: apt-get install ${packages[*]}"

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

#!/usr/bin/env bash
# Runs a command in a network namespace of its own, with the loopback and one more interface at 10.78.0.1: Janus gathers no
# candidates on loopback addresses. Needs root.
#   bench/peers/in-namespace.sh target/release/media-peers --ip 10.78.0.1
set -euo pipefail

[ "$(id -u)" -eq 0 ] || { echo "bench/peers: making a network namespace needs root" >&2; exit 1; }
name="convene-bench-$$"
ip netns add "$name"
trap 'ip netns del "$name"' EXIT
inside() { ip netns exec "$name" "$@"; }
inside ip link set lo up
inside ip link add bench0 type veth peer name bench1
inside ip addr add 10.78.0.1/24 dev bench0
inside ip link set bench0 up
inside ip link set bench1 up
inside "$@"

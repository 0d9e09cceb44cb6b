#!/usr/bin/env bash
# Fuzzes every target for SECONDS each (default 30), or only those that are named:
#   tests/fuzz/run.sh SECONDS [TARGET...]
# 0 seconds replays the committed corpus and what earlier runs here found, and ends. Exits with 1 on a finding; the
# input is then in tests/fuzz/artifacts/.
#
# Stable toolchain: the coverage that libFuzzer needs is an LLVM pass that rustc can be told to run. There is no
# address sanitizer; the workspace forbids unsafe code, so panics, hangs and memory use are what there is to find.
set -euo pipefail
cd "$(dirname "$0")"

seconds="${1:-30}"
shift || true
[[ "$seconds" =~ ^[0-9]+$ ]] || { echo "usage: run.sh SECONDS [TARGET...]" >&2; exit 2; }

targets=("$@")
if ((${#targets[@]} == 0)); then
    for file in fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

host="$(rustc -vV | sed -n 's/^host: //p')"
# With --target, cargo keeps these flags from build scripts, which could not be linked with them. One codegen unit: the
# coverage tables of several would be dropped by the linker.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
unset CARGO_TARGET_DIR
builds=()
for target in "${targets[@]}"; do
    builds+=(--bin "$target")
done
cargo build --release --locked --target "$host" "${builds[@]}"

mkdir -p artifacts
limit=("-max_total_time=$seconds")
((seconds > 0)) || limit=(-runs=0)
failed=()
for target in "${targets[@]}"; do
    grown="target/corpus/$target"
    mkdir -p "$grown"
    [[ -n "$(ls "corpus/$target")" ]] || { echo "no seeds in corpus/$target" >&2; exit 2; }
    echo "== $target"
    # New inputs go to the first folder; the committed corpus is only read. 10 s and 1 GiB are far above what one
    # datagram may cost.
    if ! "target/$host/release/$target" "${limit[@]}" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="artifacts/$target-" "$grown" "corpus/$target"; then
        failed+=("$target")
    fi
done
if ((${#failed[@]} > 0)); then
    echo "findings in: ${failed[*]}; inputs are in tests/fuzz/artifacts/" >&2
    exit 1
fi
echo "no findings in ${#targets[@]} targets"

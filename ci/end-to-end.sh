#!/usr/bin/env bash
# The README's main job, then everything that follows from its bundle, with the promised exit codes.
#
#   ci/end-to-end.sh [FOLDER]      keeps what was written in FOLDER; without it, a temporary folder is used and removed
set -euo pipefail
cd "$(dirname "$0")/.."

PLAN=plans/linux-baseline/plan.json
if [ $# -gt 0 ]; then
  work=$(realpath -m "$1")
  mkdir -p "$work"
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
out=$work/out
runtime=$(realpath -m "${CARGO_TARGET_DIR:-target}")/debug/runtime
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# Runs a command, shows what it printed, and compares its exit status; its output stays in $printed.
printed=
expect() { # STATUS COMMAND...
  local wanted=$1 status=0
  shift
  printf '\n$ %s\n' "$*"
  printed=$("$@" 2>&1) || status=$?
  printf '%s\n[exit %s]\n' "$printed" "$status"
  [ "$status" -eq "$wanted" ] || fail "exit status $status, expected $wanted: $*"
}

says() { # TEXT: the last command printed it
  grep -qF -- "$1" <<<"$printed" || fail "the output does not name: $1"
}

absent() { # PATH
  [ ! -e "$1" ] || fail "was written and should not have been: ${1#"$work"/}"
}

# Evaluates a Python expression about a JSON document called d.
holds() { # FILE EXPRESSION
  python3 - "$1" "$2" <<'P' || fail "${1#"$work"/} does not satisfy: $2"
import json, sys
with open(sys.argv[1], encoding="utf-8") as document:
    d = json.load(document)
sys.exit(0 if eval(sys.argv[2], {"d": d}) is True else 1)
P
}

# The switch that lets tests leave protections out is in no build but theirs.
cargo build --quiet
expect 2 "$runtime" sandbox run --weaken emulation --profile "$work/none.sb" -- true
says "unexpected argument '--weaken'"
if grep -q canonical_paths "$runtime"; then fail 'the build knows how to switch protections off'; fi

# The run that everything else looks at.
expect 0 cargo run --quiet -- run --plan "$PLAN" --channel direct --out "$out"
if [ ! -s "$out/LATEST" ]; then
  fail 'no LATEST was written; the rest cannot be checked'
  exit 1
fi
run_id=$(<"$out/LATEST")
bundle=$out/$run_id
holds "$bundle/run_status.json" 'd["state"] == "complete"'
holds "$bundle/summary.json" 'd["status"] == "ok" and d["profile_count"] >= 14 and d["scenario_count"] >= 75'
holds "$bundle/artifact_index.json" 'd["status"] == "ok" and d["missing"] == []'

expect 0 "$runtime" validate-bundle --bundle "$out"

# Linux evidence passes the gate for Linux enforcement and never the one for macOS decisions.
expect 0 "$runtime" emit-promotion --bundle "$out" --out "$work/p1.json"
holds "$work/p1.json" 'd["promotability"]["promotable_decision_stage"] is False'
holds "$work/p1.json" '"not_clean_channel" in d["promotability"]["reasons"]'
holds "$work/p1.json" 'd["promotability"]["linux_enforcement"]["promotable"] is True'
holds "$work/p1.json" 'd["promotability"]["linux_enforcement"]["reasons"] == []'
expect 1 "$runtime" emit-promotion --bundle "$out" --out "$work/p2.json" --require-promotable
says not_clean_channel
absent "$work/p2.json"
expect 0 "$runtime" emit-promotion --bundle "$out" --out "$work/p3.json" --require linux_enforcement

# A signed packet: the key says who vouches for it. Twins: another key, and evidence that was changed after the signature.
for name in key other; do
  openssl genpkey -algorithm ed25519 -out "$work/$name.pem" 2>/dev/null
  chmod 600 "$work/$name.pem"
  openssl pkey -in "$work/$name.pem" -pubout -out "$work/$name.pub.pem"
done
expect 0 "$runtime" emit-promotion --bundle "$out" --out "$work/p4.json" --require linux_enforcement \
  --attest "$work/p4.dsse.json" --sign-key "$work/key.pem"
expect 0 "$runtime" promotion verify --packet "$work/p4.json" --attestation "$work/p4.dsse.json" \
  --key "$work/key.pub.pem" --bundle "$out" --require linux_enforcement
says 'origin: signed by key'
expect 0 "$runtime" promotion verify --packet "$work/p4.json" --bundle "$out"
says 'origin: unproven'
expect 1 "$runtime" promotion verify --packet "$work/p4.dsse.json" --key "$work/other.pub.pem" --bundle "$out"
says envelope-signature-invalid
cp -a "$out" "$work/after"
printf ' ' >>"$work/after/$run_id/summary.md"
expect 1 "$runtime" promotion verify --packet "$work/p4.dsse.json" --key "$work/key.pub.pem" --bundle "$work/after"
says bundle-refused

# The channel of another system is refused, and nothing is left behind.
expect 1 "$runtime" run --plan "$PLAN" --channel launchd_clean --out "$work/clean"
says launchd_clean
absent "$work/clean"

# Twin: one changed byte in an indexed artifact, of the same length.
cp -a "$out" "$work/changed"
python3 - "$work/changed/$run_id/runtime_results.json" <<'P'
import sys
with open(sys.argv[1], "r+b") as artifact:
    first = artifact.read(1)
    artifact.seek(0)
    artifact.write(bytes([first[0] ^ 1]))
P
expect 1 "$runtime" validate-bundle --bundle "$work/changed"
says runtime_results.json

# Twin: a bundle without its commit barrier, and a bundle that is not there.
cp -a "$out" "$work/uncommitted"
rm "$work/uncommitted/$run_id/artifact_index.json"
expect 1 "$runtime" validate-bundle --bundle "$work/uncommitted"
says artifact_index.json
expect 3 "$runtime" validate-bundle --bundle "$work/nowhere"

# Every document of the run is what its schema says; twin: one that is not.
expect 0 "$runtime" schema check "$bundle"/{run_manifest,run_status,artifact_index}.json "$work"/p{1,4}.json
expect 0 "$runtime" schema check --as results "$bundle/runtime_results.json"
sed 's/"schema_version"/"schema_version_"/' "$bundle/run_status.json" >"$work/untagged.json"
expect 1 "$runtime" schema check --as run-status "$work/untagged.json"

# A suite built from a template elsewhere is clean and runs there, and what it says of every probe is true.
expect 0 "$runtime" plan-build --template linux-hardened --out "$work/hardened"
expect 0 "$runtime" plan-lint --plan "$work/hardened/plan.json" --deny warnings
expect 0 "$runtime" run --plan "$work/hardened/plan.json" --channel direct --out "$work/hardened/out"
expect 0 "$runtime" registry-lint

echo
if [ "$failures" -gt 0 ]; then
  echo "end to end: $failures expectations failed"
  exit 1
fi
echo 'end to end: every expectation holds'

#!/usr/bin/env bash
# Type-checks the code for the systems this machine is not, and links it for macOS.
#
#   ci/foreign-targets.sh [CACHE]
#
# Targets: aarch64-unknown-linux-gnu and x86_64-unknown-linux-musl (clippy), aarch64-apple-darwin and x86_64-apple-darwin (clippy and
# link).
# rustup on a build machine often has the host's standard library only, so this script makes the others:
#
#   std    compiled from Debian's rust-src package of exactly this compiler's version; sources of another version do not
#          build (lang items and intrinsics change with every release)
#   link   rust-lld, which rustup ships, against the text stub of libSystem that the ziglang wheel carries
#
# Both downloads are pinned by SHA-256. They go through the machine's own apt and pip, so no address stands here. What
# was made is kept in CACHE (default: $RUNTIME_CI_CACHE, else target/foreign) under a key of compiler and script.
#
# Exit status: 0 everything was checked and passed; 1 a check failed, or a download has the wrong digest; 77 nothing
# failed, but something could not be had and was not checked. Every such thing is named on a line `SKIPPED: ...`.
set -euo pipefail
cd "$(dirname "$0")/.."

RUST_VERSION=1.95.0
RUST_SRC_VERSION='1.95.0+dfsg1-2~bpo13+1'
RUST_SRC_SUITE=trixie-backports
RUST_SRC_SHA256=7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b
# Of the versions tried, 0.17.0 has a stub that names an architecture rust-lld does not know, and rust-lld crashes on it.
ZIGLANG_VERSION=0.15.2
ZIGLANG_SHA256=806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130

APPLE_TARGETS=(aarch64-apple-darwin x86_64-apple-darwin)
LINUX_TARGETS=(aarch64-unknown-linux-gnu x86_64-unknown-linux-musl)
TARGETS=("${LINUX_TARGETS[@]}" "${APPLE_TARGETS[@]}")
# Seconds after which a download counts as not to be had.
DOWNLOAD_LIMIT=180
UNAVAILABLE=77

cache=$(realpath -m "${1:-${RUNTIME_CI_CACHE:-target/foreign}}")
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# With the tests, std is made with the crate they need.
kind=programs
[ -z "${RUNTIME_TESTS_FULL:-}" ] || kind=tests
key="$(rustc -V | tr -c 'A-Za-z0-9.\n' -)-$kind-$(sha256sum ci/foreign-targets.sh | cut -c1-16)"
sysroot=$cache/$key/sysroot
sdk=$cache/$key/sdk

# Flags for these targets come from here alone: RUSTFLAGS would make cargo ignore the per-target ones.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

passed=0 failed=0 skipped=0
results=()

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

# Inside a preparing sub-shell: this thing cannot be had here.
unavailable() {
  printf 'not available: %s\n' "$*" >&2
  exit "$UNAVAILABLE"
}

digest_is() { # FILE SHA256
  local found
  found=$(sha256sum "$1" | cut -d' ' -f1)
  if [ "$found" != "$2" ]; then
    printf 'wrong digest: %s\n  expected %s\n  found    %s\n' "${1##*/}" "$2" "$found" >&2
    exit 1
  fi
}

record() { # passed|failed|skipped, NAME, seconds
  results+=("$(printf '%-62s %5ss  %s' "$2" "$3" "$1")")
  case $1 in
    passed) passed=$((passed + 1)) ;;
    failed) failed=$((failed + 1)) ;;
    skipped) skipped=$((skipped + 1)) ;;
  esac
}

check() { # NAME COMMAND...
  local name=$1 from=$SECONDS
  shift
  say "$name: $*"
  if "$@"; then record passed "$name" $((SECONDS - from)); else record failed "$name" $((SECONDS - from)); fi
}

skip() { # NAME REASON
  echo "SKIPPED: $1: $2"
  record skipped "$1" 0
}

# Writes a private apt state into $1 that knows one suite of the archive this machine uses already.
private_apt() {
  local state=$1 sources base keyring
  sources=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
  base=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' <<<"$sources" | head -1)
  keyring=$(sed -n 's/^Signed-By: *\(\/[^ ]*\).*/\1/p' <<<"$sources" | head -1)
  if [ -z "$base" ] && [ -f /etc/apt/sources.list ]; then
    base=$(sed -n 's/^deb \(\[[^]]*\] *\)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list | head -1)
  fi
  [ -n "$base" ] || unavailable 'rust-src: this machine names no Debian archive in its apt sources'
  keyring=${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}
  mkdir -p "$state"/etc/{apt.conf.d,preferences.d,sources.list.d} "$state"/lists/partial "$state"/cache/archives/partial
  : >"$state/status"
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$base" "$RUST_SRC_SUITE" "$keyring" \
    >"$state/etc/sources.list.d/archive.sources"
  # The machine's own proxy, certificate and timeout settings stay in force.
  {
    apt-config dump | grep '^Acquire::' || true
    printf 'Dir::Etc "%s/etc";\nDir::State "%s";\nDir::State::status "%s/status";\nDir::Cache "%s/cache";\n' \
      "$state" "$state" "$state" "$state"
    printf 'APT::Sandbox::User "%s";\nAcquire::Languages "none";\n' "$(id -un)"
  } >"$state/apt.conf"
}

# Downloads and unpacks the standard library's sources into $1/library.
fetch_std_sources() {
  local work=$1 deb
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || unavailable 'rust-src: no apt-get or dpkg-deb here'
  private_apt "$work/apt"
  export APT_CONFIG=$work/apt/apt.conf
  timeout "$DOWNLOAD_LIMIT" apt-get -qq update || unavailable "rust-src: apt-get update fails for $RUST_SRC_SUITE"
  (cd "$work" && timeout "$DOWNLOAD_LIMIT" apt-get -qq download "rust-src=$RUST_SRC_VERSION") ||
    unavailable "rust-src: version $RUST_SRC_VERSION cannot be downloaded"
  unset APT_CONFIG
  deb=$(find "$work" -maxdepth 1 -name 'rust-src_*.deb')
  digest_is "$deb" "$RUST_SRC_SHA256"
  dpkg-deb --fsys-tarfile "$deb" | tar x -C "$work" --strip-components=4 "./usr/src/rustc-$RUST_VERSION/library"
  rm "$deb"
}

# Compiles std for every target and fills $2; $1 holds the sources.
build_std() {
  local work=$1 into=$2 target build=$1/stdbuild
  mkdir -p "$build/src"
  echo '#![no_std]' >"$build/src/lib.rs"
  # Nothing made here is ever run, so std is not optimised. Its float and integer routines are: without optimisation
  # they would call into core, which they must not depend on.
  cat >"$build/Cargo.toml" <<'T'
[package]
name = "stdbuild"
version = "0.0.0"
edition = "2024"
[workspace]
[profile.release]
opt-level = 0
debug = 0
[profile.release.package.compiler_builtins]
opt-level = 2
T
  # std's own dependencies come from the package's vendor folder: no registry is asked.
  printf '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "%s/library/vendor"\n' "$work" >"$work/vendor.toml"
  local flags=() crates=std,panic_unwind,panic_abort
  for target in "${TARGETS[@]}"; do flags+=(--target "$target"); done
  [ -z "${RUNTIME_TESTS_FULL:-}" ] || crates+=,proc_macro,test
  # RUSTC_BOOTSTRAP reaches this build alone: with it, build scripts of ordinary crates switch nightly features on, so
  # the project itself is checked without it, against the finished sysroot.
  (cd "$build" && RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$work/library" \
    cargo build --quiet --release --offline --config "$work/vendor.toml" --target-dir "$build/target" \
    "-Zbuild-std=$crates" "${flags[@]}")
  for target in "${TARGETS[@]}"; do
    mkdir -p "$into/lib/rustlib/$target/lib"
    cp "$build/target/$target"/release/deps/lib*.rlib "$into/lib/rustlib/$target/lib/"
    rm -f "$into/lib/rustlib/$target/lib"/libstdbuild-*
  done
}

# Moves a finished folder to its place in the cache; somebody else's, made at the same time, is as good.
keep() { # MADE PLACE
  mkdir -p "$(dirname "$2")"
  mv -T "$1" "$2" 2>/dev/null || [ -d "$2" ]
}

make_sysroot() {
  local work
  [ "$(rustc -V | cut -d' ' -f2)" = "$RUST_VERSION" ] ||
    unavailable "std: this is $(rustc -V), the pinned sources are those of $RUST_VERSION"
  work=$(mktemp -d "$cache/.partial.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  fetch_std_sources "$work"
  say 'std sources unpacked'
  build_std "$work" "$work/sysroot"
  say 'std built'
  date +%s.%N >"$work/sysroot/made"
  keep "$work/sysroot" "$sysroot"
}

make_sdk() {
  local work
  command -v python3 >/dev/null || unavailable 'ziglang: no python3 here'
  work=$(mktemp -d "$cache/.partial.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  timeout "$DOWNLOAD_LIMIT" python3 -m pip download --quiet --no-deps --no-cache-dir --disable-pip-version-check \
    --only-binary :all: --platform manylinux2010_x86_64 -d "$work" "ziglang==$ZIGLANG_VERSION" ||
    unavailable "ziglang: version $ZIGLANG_VERSION cannot be downloaded"
  local wheel lib=$work/sdk/usr/lib
  wheel=$(find "$work" -maxdepth 1 -name 'ziglang-*.whl')
  digest_is "$wheel" "$ZIGLANG_SHA256"
  mkdir -p "$lib"
  python3 - "$wheel" "$lib/libSystem.tbd" <<'P'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, open(sys.argv[2], "wb") as stub:
    stub.write(wheel.read("ziglang/lib/libc/darwin/libSystem.tbd"))
P
  ln -s libSystem.tbd "$lib/libc.tbd"
  ln -s libSystem.tbd "$lib/libm.tbd"
  # std names libiconv on the command line and uses nothing of it.
  cat >"$lib/libiconv.tbd" <<'T'
--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64-macos ]
install-name:    '/usr/lib/libiconv.2.dylib'
current-version: 7
compatibility-version: 7
exports:
  - targets:         [ x86_64-macos, arm64-macos ]
    symbols:         [ _iconv, _iconv_close, _iconv_open ]
...
T
  keep "$work/sdk" "$sdk"
}

# Prepares one thing unless it is there; sets $state to ready, unavailable or broken.
state=
obtain() { # NAME PATH FUNCTION
  local from=$SECONDS status
  if [ -d "$2" ]; then
    say "$1: from the cache"
    state=ready
    return
  fi
  # A sub-shell with `set -e` of its own; called in an `if` or `||`, bash would go on after a failed command.
  set +e
  (set -e; "$3")
  status=$?
  set -e
  case $status in
    0) state=ready; record passed "prepare $1" $((SECONDS - from)) ;;
    "$UNAVAILABLE") state=unavailable ;;
    *) state=broken; record failed "prepare $1" $((SECONDS - from)) ;;
  esac
}

# cargo does not see inside a sysroot: what was built against an earlier one at the same place has to go, or it fails
# with "can't find crate".
forget_other_sysroot() { # TARGET
  local mark=$target_dir/$1/sysroot-made
  cmp -s "$sysroot/made" "$mark" && return
  rm -rf "${target_dir:?}/$1"
  mkdir -p "$target_dir/$1"
  cp "$sysroot/made" "$mark"
}

is_macho() { [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' ')" = cffaedfe ]; }

# Several targets at once: the project's own crate, which one processor compiles, is compiled for them side by side.
for_each() { # FLAG WORD...
  local flag=$1 word
  shift
  for word in "$@"; do printf '%s\n%s\n' "$flag" "$word"; done
}

# Compiles with clippy in the compiler's place, which is how cargo-clippy does it: linted and linked in one go. The argument
# is what cargo-clippy passes for `-- -D warnings`.
link_check() {
  local target targets
  mapfile -t targets < <(for_each --target "${APPLE_TARGETS[@]}")
  RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__ \
    cargo build --quiet --locked "${targets[@]}" || return
  for target in "${APPLE_TARGETS[@]}"; do is_macho "$target_dir/$target/debug/runtime" || return; done
}

mkdir -p "$cache"
say "cache: $cache/$key"
obtain std "$sysroot" make_sysroot
std=$state
obtain sdk "$sdk" make_sdk
link=$state

# The sysroot holds for the target alone: build scripts and procedural macros keep the toolchain's own.
linker='-Clinker=rust-lld -Clinker-flavor=ld64.lld -Clink-arg=-dead_strip_dylibs -Clink-arg=-adhoc_codesign'
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="--sysroot $sysroot"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS="--sysroot $sysroot"
export CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS="--sysroot $sysroot $linker"
export CARGO_TARGET_X86_64_APPLE_DARWIN_RUSTFLAGS="--sysroot $sysroot $linker"
export SDKROOT=$sdk
# Nothing is debugged here.
export CARGO_PROFILE_DEV_DEBUG=false

lint() { # TARGETS KIND
  local targets
  # shellcheck disable=SC2086
  mapfile -t targets < <(for_each --target $1)
  check "clippy $1" cargo clippy --quiet --locked $2 "${targets[@]}" -- -D warnings
}

if [ "$std" = ready ]; then
  for target in "${TARGETS[@]}"; do forget_other_sysroot "$target"; done
  # The tests of Linux are linted for this machine already. Those of macOS compile other code, and take two minutes more.
  if [ -n "${RUNTIME_TESTS_FULL:-}" ]; then
    lint "${LINUX_TARGETS[*]} aarch64-apple-darwin" --all-targets
  elif [ "$link" = ready ]; then
    lint "${LINUX_TARGETS[*]}" "--lib --bins"
  else
    lint "${TARGETS[*]}" "--lib --bins"
  fi
else
  skip "clippy ${LINUX_TARGETS[*]}" "no standard library for it ($std)"
fi
if [ "$std" = ready ] && [ "$link" = ready ]; then
  check "clippy and link ${APPLE_TARGETS[*]}" link_check
else
  skip "clippy and link ${APPLE_TARGETS[*]}" "standard library: $std, link stub: $link"
fi

echo
printf '%s\n' "${results[@]}"
echo "foreign targets: $((passed + failed + skipped)) checks, $failed failed, $skipped skipped, $SECONDS s"
[ "$failed" -eq 0 ] || exit 1
[ "$skipped" -eq 0 ] || exit "$UNAVAILABLE"

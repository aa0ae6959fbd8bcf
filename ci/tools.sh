#!/usr/bin/env bash
# Installs the programs that tests/programs run inside the sandbox, where they are missing and apt can.
#
#   ci/tools.sh
#
# The tests want the system's own programs in /usr/bin: what lies elsewhere in PATH does not count.
#
# Exit status: 0 everything is there; 77 something is missing and could not be installed, named on a line `SKIPPED: ...`. The
# tests that need it report themselves as ignored then.
set -euo pipefail

UNAVAILABLE=77
# Seconds after which an installation counts as not to be had.
LIMIT=300

# Program in /usr/bin, and Debian's package of it.
TOOLS='
find findutils
xargs findutils
grep grep
sed sed
tar tar
gzip gzip
git git
curl curl
python3 python3
make make
cc gcc
ssh-keygen openssh-client
openssl openssl
strace strace
'

missing() { # lines "PROGRAM PACKAGE" of what is not there
  local program package
  while read -r program package; do
    [ -z "$program" ] || [ -x "/usr/bin/$program" ] || echo "$program $package"
  done <<<"$TOOLS"
}

absent=$(missing)
if [ -n "$absent" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  mapfile -t packages < <(cut -d' ' -f2 <<<"$absent" | sort -u)
  echo "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  timeout "$LIMIT" apt-get -qq update &&
    timeout "$LIMIT" apt-get -qq install --no-install-recommends "${packages[@]}" || true
  absent=$(missing)
fi
[ -n "$absent" ] || exit 0
while read -r program package; do echo "SKIPPED: $program (package $package) is not in /usr/bin"; done <<<"$absent"
exit "$UNAVAILABLE"

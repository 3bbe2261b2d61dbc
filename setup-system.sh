#!/bin/sh
# Installs the system libraries that wheels do not carry, where that is possible; inkproof works without libzbar0.
set -u
needs=""
ldconfig -p 2>/dev/null | grep -q 'libzbar\.so' || needs="$needs libzbar0"
ldconfig -p 2>/dev/null | grep -q 'libGL\.so\.1' || needs="$needs libgl1"
ldconfig -p 2>/dev/null | grep -q 'libgthread-2\.0' || needs="$needs libglib2.0-0"
[ -n "$needs" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "not installed (no apt-get):$needs; see: inkproof doctor"; exit 0; }
as_root=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && as_root="sudo -n"; } || {
    echo "not installed (needs root):$needs; type: sudo apt-get install$needs"; exit 0; }
$as_root apt-get update -qq >/dev/null 2>&1
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $needs >/dev/null 2>&1 \
    || echo "could not install:$needs; see: inkproof doctor"
exit 0

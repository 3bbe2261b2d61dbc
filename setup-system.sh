#!/bin/sh
# Says which system libraries that wheels do not carry are missing and why they are wanted, and installs them where that is
# possible. INKPROOF_NO_SYSTEM=1 leaves the system as it is: inkproof works without libzbar0.
set -u
needs=""
missing() { # library, package, why
    ldconfig -p 2>/dev/null | grep -q "$1" && return
    needs="$needs $2"
    echo "system library missing: $2 ($3)"
}
missing 'libzbar\.so' libzbar0 "a second reader of QR codes; without it zxing-cpp reads alone"
missing 'libGL\.so\.1' libgl1 "OpenCV, which reads and warps the photos"
missing 'libgthread-2\.0' libglib2.0-0 "OpenCV"
[ -n "$needs" ] || exit 0
later="see: inkproof doctor"
[ -z "${INKPROOF_NO_SYSTEM:-}" ] || { echo "not installed, as INKPROOF_NO_SYSTEM asks:$needs; $later"; exit 0; }
command -v apt-get >/dev/null 2>&1 || { echo "not installed (no apt-get):$needs; $later"; exit 0; }
as_root=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && as_root="sudo -n"; } || {
    echo "not installed (needs root):$needs; type: sudo apt-get install$needs"; exit 0; }
echo "installing them on this system: apt-get install$needs (INKPROOF_NO_SYSTEM=1 make ... leaves the system as it is)"
$as_root apt-get update -qq >/dev/null 2>&1
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $needs >/dev/null 2>&1 \
    || echo "could not install:$needs; $later"
exit 0

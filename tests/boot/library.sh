# What the boot tests share. Each test is a program of its own: it prints one line per case, "ok NAME" or "FAIL NAME: why",
# and exits non-zero when a case failed. Sourced with $here set to the repository.
solder=${SOLDER:-$here/build/solder}
guests=${SOLDER_CACHE:-$here/.cache}/guests/arm64
work=$(mktemp -d "${TMPDIR:-/tmp}/solder-boot.XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0
# A hang must end the test, not stop it: generous, for slow and busy hosts.
limit=${SOLDER_BOOT_TIMEOUT:-120}

pass() { echo "ok $1"; }
refuse() {
  failures=$((failures + 1))
  echo "FAIL $1: $2"
  [ -z "${3:-}" ] || [ ! -f "$3" ] || tail -n 15 "$3" | sed 's/^/    | /'
}

# boot NAME EXPECTED ARGS…: runs until the guest powers off; the output must have every line of EXPECTED (fixed strings,
# one a line) and no sign of a guest's trouble.
boot() {
  boot_name=$1
  boot_expected=$2
  shift 2
  log=$work/log
  timeout -k 5 "$limit" "$solder" run "$@" > "$log" 2>&1 < /dev/null
  boot_status=$?
  if [ $boot_status -eq 124 ] || [ $boot_status -eq 137 ]; then
    refuse "$boot_name" "did not end within $limit s" "$log"
    return 1
  fi
  if [ $boot_status -ne 0 ]; then
    refuse "$boot_name" "exit status $boot_status" "$log"
    return 1
  fi
  if grep -a -q -E 'Oops|BUG:|Kernel panic|WARNING: |Call trace|stall(s|ed)? on CPU|soft lockup|failed to come online' "$log"; then
    refuse "$boot_name" "the guest's kernel complains" "$log"
    return 1
  fi
  old_ifs=$IFS
  IFS='
'
  for line in $boot_expected; do
    if ! grep -a -q -F -e "$line" "$log"; then
      IFS=$old_ifs
      refuse "$boot_name" "the output lacks \"$line\"" "$log"
      return 1
    fi
  done
  IFS=$old_ifs
  pass "$boot_name"
}

finish() { [ $failures -eq 0 ]; exit $?; }

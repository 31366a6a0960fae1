# What the scripts of this directory share. Sourced, with `set -euo pipefail` on.

cairn_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

die() {
  say "$*"
  exit 1
}

# A usage error: `usage_error TEXT` prints it and the comment at the top of the script.
usage_error() {
  say "$1"
  usage >&2
  exit 64
}

# The script's own comment at its top is its help.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

# Runs Bazel as a shell in the workspace would, also where there is no terminal and no home
# directory (containers, CI). CAIRN_DISK_CACHE names a directory for results shared by checkouts.
run_bazel() {
  local startup=() flags=() command="$1"
  shift
  if [[ ! -w "${HOME:-/nonexistent}" ]]; then
    startup+=("--output_user_root=${TMPDIR:-/tmp}/cairn-bazel-$(id -u)")
    export HOME="${TMPDIR:-/tmp}"
  fi
  if [[ -n "${CAIRN_DISK_CACHE:-}" && "$command" != query ]]; then
    flags+=("--disk_cache=$CAIRN_DISK_CACHE")
  fi
  # Without a terminal: a line of progress every five seconds.
  [[ -t 2 ]] || flags+=(--color=no --curses=no --show_progress_rate_limit=5)
  (cd "$cairn_root" &&
    bazel "${startup[@]}" "$command" "${flags[@]}" "$@" </dev/null)
}

# The time since the script began, for people.
elapsed() {
  printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60))
}

#!/usr/bin/env bash
#
# From a clone to a mounted file system: installs and builds what is missing, and hands over to `dfs local`
# (src/cli/local). `./mount.sh --help` tells how it is used.

set -euo pipefail
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# What npm needs; it brings the Node that everything else runs on.
readonly ROOT OLDEST_NODE=v20.15 LOCK_SECONDS=600 SHOWN_LINES=15
PATH=$PATH:/usr/sbin:/sbin # where ldconfig is

# shellcheck disable=SC2034  # both are for node-choice.sh
self=$ROOT/bin/node program=mount.sh
# shellcheck source=bin/node-choice.sh
. "$ROOT/bin/node-choice.sh"

usage() {
  cat <<'HELP'
./mount.sh [MOUNTPOINT]         start what does not run yet, and mount (default: /mnt/dfs)
./mount.sh --status             a line for each process: name, pid, address, directory; exit code 0 when all run
./mount.sh --down [MOUNTPOINT]  flush, unmount, and stop what was started; everything stays for the next time

The first start installs what is missing and builds. Variables:
  DFS_HOME   where state, logs, ids and the key are  (default: $HOME/.dfs)
  DFS_PORT   the metadata server's port              (default: 8000; data nodes take free ones)
  DFS_NODES  data nodes on this machine              (default: 3, later as many as there are)
  DFS_GOAL   on how many nodes each byte is kept     (default: 2)
  DFS_NODE   the Node that everything runs on        (default: the one in PATH from version 24, else one that npm brings)
What is set first holds until --down. Clusters with different DFS_HOME, DFS_PORT and mount points run side by side.
HELP
}
warn() { printf 'mount.sh: %s\n' "$@" >&2; }
fail() { warn "$1" && exit 1; }
wrong_usage() { warn "$1" 'try ./mount.sh --help' && exit 2; }

# try_step WHAT COMMAND…; run_step stops when the command fails. The cause stands at the beginning or the end of what it said.
try_step() { printf '%s\n' "$1" && "${@:2}" </dev/null >build.log 2>&1 8<&-; }
run_step() {
  try_step "$@" && return
  head -n "$SHOWN_LINES" build.log >&2
  tail -n "+$((SHOWN_LINES + 1))" build.log | tail -n "$SHOWN_LINES" >&2
  fail "this failed: $1; all it said is in $ROOT/build.log"
}

# require_packages WHY PACKAGE…: installs them, or names them and stops.
require_packages() {
  (($# > 1)) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    fail "$1, and this is missing: ${*:2}; on Debian and its kin, install it as root: apt-get install ${*:2}"
  fi
  # The lists may be missing or too old.
  DEBIAN_FRONTEND=noninteractive run_step "Installing Debian packages: ${*:2}" sh -c \
    'apt-get -q -y install "$@" || { apt-get -q -y update && apt-get -q -y install "$@"; }' sh --no-install-recommends "${@:2}"
}

# After an installation npm runs bin/settle-node, which keeps the lock file.
modules_are_current() {
  cmp -s package-lock.json node_modules/.dfs/package-lock.json && (choose_node) 2>/dev/null && choose_node &&
    "$node" -e 'new (require("better-sqlite3"))(":memory:"); require("fuse-native")' 2>/dev/null
}

# Packages for developers are installed only where they have been before.
install_modules() {
  local npm_ci=(npm ci --no-audit --no-fund) packages=() tool
  [[ -e node_modules/typescript ]] || npm_ci+=(--omit=dev)
  try_step 'Installing Node packages (npm ci)' "${npm_ci[@]}" && return
  # Where no ready-made binary of a native package can be fetched, npm compiles it.
  for tool in python3 make g++; do command -v "$tool" >/dev/null || packages+=("$tool"); done
  require_packages 'npm ci failed, maybe because it has to compile a native package' "${packages[@]}"
  run_step 'Installing Node packages (npm ci)' "${npm_ci[@]}"
}

# The bundle makes build/.built when it is there. A source that went leaves its directory newer.
build_is_current() {
  [[ -e build/.built && -z $(find src package.json package-lock.json tsconfig.json -newer build/.built -print -quit) ]]
}

# Types are for developers: esbuild takes them away, which is quicker than checking them.
build() {
  local tools
  tools=$ROOT/build/$("$node" -p "'esbuild@' + require('./package-lock.json').packages['node_modules/esbuild'].version")
  [[ -x node_modules/.bin/esbuild || -x $tools/node_modules/.bin/esbuild ]] ||
    run_step 'Installing esbuild' npm install --prefix "$tools" --no-save --no-audit --no-fund "${tools##*/}"
  PATH=$PATH:$tools/node_modules/.bin run_step 'Building (npm run bundle)' npm run bundle
}

set_up() {
  local packages=()
  [[ $(uname -s) == Linux ]] || fail 'DFS mounts on Linux only'
  # Before `node` is asked, which may be bin/node and look at DFS_NODE too.
  [[ -z ${DFS_NODE:-} ]] || choose_node
  if [[ $(printf '%s\n' "$OLDEST_NODE" "$(node --version)" | sort -V | head -n 1) != "$OLDEST_NODE" ]] || ! command -v npm; then
    fail "Node $OLDEST_NODE or newer and npm are needed, and are not in PATH; they come from https://nodejs.org"
  fi >/dev/null
  # One clone may serve several clusters, which must not build at the same time. Only its owner can open the lock and hold it.
  (umask 077 && : >>build.lock) && chmod 600 build.lock && exec 8<>build.lock
  flock -n 8 || warn "another mount.sh works on $ROOT; waiting for it"
  flock -w "$LOCK_SECONDS" 8 || fail "another mount.sh has been working on $ROOT for $LOCK_SECONDS seconds"
  ldconfig -p 2>/dev/null | grep -F libfuse.so.2 >/dev/null || packages+=(libfuse2)
  command -v fusermount3 >/dev/null || packages+=(fuse3)
  require_packages 'mounting needs libfuse 2 and fusermount3' "${packages[@]}"
  modules_are_current || install_modules
  choose_node
  build_is_current || build
}
action=up mount_point=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage && exit 0 ;;
    --down | --status) [[ $action == up ]] || wrong_usage 'give one of --down and --status' && action=${argument#--} ;;
    -*) wrong_usage "there is no option $argument" ;;
    '') wrong_usage 'the mount point is empty' ;;
    *) mount_point+=("$argument") ;;
  esac
done
((${#mount_point[@]} < 2)) || wrong_usage 'give one mount point'
[[ $action != status || ${#mount_point[@]} == 0 ]] || wrong_usage '--status takes no mount point'
# A user who may not change the clone has nothing to install. What runs is stopped by the build that there is, if it knows how.
if [[ -w $ROOT ]] && [[ $action == up || ! $ROOT/build/.built -nt $ROOT/mount.sh ]]; then (cd -- "$ROOT" && set_up); fi
DFS_CALLED_AS=./mount.sh exec "$ROOT/bin/dfs" local "$action" "${mount_point[@]}"

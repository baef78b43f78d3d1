#!/usr/bin/env bash
#
# From a clone to a mounted file system, and back. `./mount.sh --help` tells how it is used.
#
# What it starts is written down in $DFS_HOME/run, one file a process, and nothing else is ever stopped: a process is
# the one in its file only if its start time is the same too, because process ids are used again.

set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
readonly ROOT
readonly HOST=127.0.0.1
readonly DEFAULT_MOUNT_POINT=/mnt/dfs
readonly DEFAULT_PORT=8000
readonly DEFAULT_NODES=3
readonly DEFAULT_GOAL=2
readonly MAX_NODES=100
# Of what a directory or a mount may ask for (src/protocol/limits.ts).
readonly MAX_GOAL=5
# What npm needs; it brings the Node that everything else runs on.
readonly OLDEST_NODE=20.15

readonly START_SECONDS=60
# A mount waits for servers that are away: a minute while it is unmounted, another while it stores what was written.
readonly MOUNT_STOP_SECONDS=150
readonly STOP_SECONDS=30
readonly KILL_SECONDS=10
readonly LOCK_SECONDS=600
readonly PROBE_SECONDS=5
readonly TAIL_LINES=15

# ldconfig and umount are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

# shellcheck disable=SC2034  # both are for node-choice.sh
self=$ROOT/bin/node program=mount.sh
# shellcheck source=bin/node-choice.sh
. "$ROOT/bin/node-choice.sh"

usage() {
  cat <<'HELP'
./mount.sh [MOUNTPOINT]         start what does not run yet, and mount (default: /mnt/dfs)
./mount.sh --status             a line for each process: name, pid, address, directory; exit code 0 when all run
./mount.sh --down [MOUNTPOINT]  flush, unmount, and stop what this script started; everything stays for the next time
./mount.sh --help               this text

The first start installs what is missing and builds. Variables:

  DFS_HOME   where state, logs, ids and the key are  (default: $HOME/.dfs)
  DFS_PORT   the metadata server's port              (default: 8000; data nodes take free ones)
  DFS_NODES  data nodes on this machine              (default: 3, later as many as there are)
  DFS_GOAL   on how many nodes each byte is kept     (default: 2)
  DFS_NODE   the Node that everything runs on        (default: the one in PATH from version 24, else one that npm brings)

What is set for the first start holds until --down. Clusters with different DFS_HOME, DFS_PORT and mount points run
side by side.
Exit codes: 0 done, 1 failed, 2 wrong usage.
HELP
}

say() { printf '%s\n' "$*"; }
warn() { printf 'mount.sh: %s\n' "$*" >&2; }

fail() {
  warn "$@"
  exit 1
}

wrong_usage() {
  warn "$@"
  warn 'try ./mount.sh --help'
  exit 2
}

# --- what was asked for -----------------------------------------------------------------------------------------------

# require_number NAME VALUE MAX
require_number() {
  if ! [[ $2 =~ ^[0-9]{1,5}$ ]] || ((10#$2 < 1 || 10#$2 > $3)); then
    wrong_usage "$1 is '$2'; give a number from 1 to $3"
  fi
}

# Sets COMMAND and WANTED_MOUNT_POINT.
read_arguments() {
  COMMAND=up
  WANTED_MOUNT_POINT=''
  local argument
  for argument in "$@"; do
    case $argument in
      -h | --help)
        usage
        exit 0
        ;;
      --down | --status)
        [[ $COMMAND == up ]] || wrong_usage 'give one of --down and --status'
        COMMAND=${argument#--}
        ;;
      -*) wrong_usage "there is no option $argument" ;;
      '') wrong_usage 'the mount point is empty' ;;
      *)
        [[ -z $WANTED_MOUNT_POINT ]] || wrong_usage 'give one mount point'
        WANTED_MOUNT_POINT=$argument
        ;;
    esac
  done
  [[ $COMMAND != status || -z $WANTED_MOUNT_POINT ]] || wrong_usage '--status takes no mount point'
}

read_environment() {
  [[ -n ${DFS_HOME:-} || -n ${HOME:-} ]] || wrong_usage 'neither DFS_HOME nor HOME is set; say where the state goes'
  # How to call this script for this cluster, for the hints.
  CALL=./mount.sh
  [[ -z ${DFS_HOME:-} ]] || CALL="DFS_HOME=$(printf %q "$DFS_HOME") ./mount.sh"
  DFS_HOME=$(realpath -m -- "${DFS_HOME:-$HOME/.dfs}")
  export DFS_HOME
  [[ -z ${DFS_KEY_FILE:-} ]] || DFS_KEY_FILE=$(realpath -m -- "$DFS_KEY_FILE")
  RUN=$DFS_HOME/run
  LOGS=$DFS_HOME/log
  DATABASE=$DFS_HOME/metadata/dfs.db
  [[ -z ${DFS_PORT:-} ]] || require_number DFS_PORT "$DFS_PORT" 65535
  [[ -z ${DFS_NODES:-} ]] || require_number DFS_NODES "$DFS_NODES" "$MAX_NODES"
  [[ -z ${DFS_GOAL:-} ]] || require_number DFS_GOAL "$DFS_GOAL" "$MAX_GOAL"
  count_nodes
}

may_read_home() {
  local record
  [[ -r $RUN && -x $RUN ]] || return 1
  for record in "$RUN"/*.process; do
    [[ ! -e $record || -r $record ]] || return 1
  done
}

may_change_home() { [[ -w $RUN && -x $RUN ]]; }

# require_home read|change: stops with a sentence when DFS_HOME is somebody else's and this user may not do that there.
require_home() {
  local answer owner
  if answer=$(LC_ALL=C stat -c %U -- "$RUN" 2>&1); then
    ! "may_$1_home" || return 0
    owner=$answer
  else
    # Else there is nothing yet.
    [[ $answer == *'Permission denied'* ]] || return 0
    owner=$(stat -c %U -- "$DFS_HOME" 2>/dev/null) || owner='another user'
  fi
  fail "$DFS_HOME belongs to $owner, and $(id -un) may not $1 what is in it; run this as $owner, or set DFS_HOME to a" \
    'directory of your own'
}

# Sets NODE_COUNT. Nodes that were made once hold data and belong to the cluster, also when DFS_NODES says less today.
count_nodes() {
  local directory number known=$DEFAULT_NODES
  [[ ! -r $RUN/nodes ]] || known=$(<"$RUN/nodes")
  NODE_COUNT=$((10#${DFS_NODES:-$known}))
  for directory in "$DFS_HOME"/node*/; do
    number=${directory%/}
    number=${number##*/node}
    if [[ $number =~ ^[1-9][0-9]{0,3}$ ]] && ((number > NODE_COUNT)); then NODE_COUNT=$number; fi
  done
}

node_names() {
  local number
  for ((number = 1; number <= NODE_COUNT; number++)); do echo "node$number"; done
}

directory_of() {
  if [[ $1 == mount ]]; then echo "$MOUNT_POINT"; else echo "$DFS_HOME/$1"; fi
}

# --- locks ------------------------------------------------------------------------------------------------------------

# take_lock DESCRIPTOR WHAT: waits for another mount.sh.
take_lock() {
  flock -n "$1" && return
  warn "another mount.sh works on $2; waiting for it"
  flock -w "$LOCK_SECONDS" "$1" || fail "another mount.sh has been working on $2 for $LOCK_SECONDS seconds"
}

make_home() {
  mkdir -p -- "$(dirname -- "$DFS_HOME")"
  # What is in the files is nobody else's business.
  [[ -d $DFS_HOME ]] || mkdir -m 700 -- "$DFS_HOME"
  mkdir -p -- "$RUN" "$LOGS"
  # Whoever can open a lock can hold it, and keep the cluster from starting.
  chmod 700 -- "$RUN" "$LOGS"
}

lock_home() {
  exec 9>"$RUN/lock"
  take_lock 9 "$DFS_HOME"
}

# --- set-up: packages, modules, build ---------------------------------------------------------------------------------

can_install() { ((EUID == 0)) && command -v apt-get >/dev/null; }

# apt_install PACKAGE…
apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
  # The lists may be missing or too old.
  "${apt[@]}" install --no-install-recommends "$@" ||
    { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$@"; }
}

# require_packages WHY PACKAGE…: installs them or says so and stops.
require_packages() {
  local why=$1
  shift
  (($# > 0)) || return 0
  can_install ||
    fail "$why, and this is missing: $*; on Debian and its kin, install it as root: apt-get install $*"
  run_step "Installing Debian packages: $*" apt_install "$@" || fail_step 'apt-get failed'
}

has_library() { ldconfig -p 2>/dev/null | grep -F -- "$1" >/dev/null; }

require_system() {
  local packages=()
  has_library libfuse.so.2 || packages+=(libfuse2)
  command -v fusermount3 >/dev/null || packages+=(fuse3)
  require_packages 'mounting needs libfuse 2 and fusermount3' "${packages[@]}"
  [[ -e /dev/fuse ]] || modprobe fuse 2>/dev/null || true
  [[ -e /dev/fuse ]] ||
    fail 'there is no /dev/fuse; load the module (modprobe fuse, as root), or give the container --device /dev/fuse' \
      '--cap-add SYS_ADMIN'
  [[ -r /dev/fuse && -w /dev/fuse ]] ||
    fail 'you may not open /dev/fuse; as root, let everybody do so, as is usual: chmod 666 /dev/fuse'
}

require_node() {
  local program
  for program in node npm; do
    command -v "$program" >/dev/null ||
      fail "$program is not there; Node $OLDEST_NODE or newer and npm are needed, from https://nodejs.org"
  done
  [[ -z ${DFS_NODE:-} ]] || choose_node
  node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    const [oldest, least] = process.argv[1].split(".").map(Number);
    process.exit(major > oldest || (major === oldest && minor >= least) ? 0 : 1)' "$OLDEST_NODE" ||
    fail "Node $(node --version) is too old; $OLDEST_NODE or newer is needed"
}

# Whether what npm installed is what package-lock.json names, and loads with the Node that is used.
modules_are_current() {
  [[ -x node_modules/.bin/tsc && -r node_modules/.package-lock.json ]] || return 1
  (choose_node) 2>/dev/null || return 1
  choose_node
  # shellcheck disable=SC2154  # set by choose_node
  "$node" -e '
    const { readFileSync } = require("node:fs");
    const packages = path => JSON.parse(readFileSync(path, "utf8")).packages;
    const installed = packages("node_modules/.package-lock.json");
    for (const [path, { version, integrity, optional }] of Object.entries(packages("package-lock.json"))) {
      const there = installed[path];
      if (path === "" || (optional && !there)) continue;
      if (there?.version !== version || there.integrity !== integrity) process.exit(1);
    }
    new (require("better-sqlite3"))(":memory:");
    require("fuse-native");' 2>/dev/null
}

# run_step WHAT COMMAND…: false when it fails, with what it said in STEP_OUTPUT.
run_step() {
  local before
  say "$1"
  shift
  before=$(log_length setup)
  "$@" </dev/null >>"$LOGS/setup.log" 2>&1 8<&- 9<&- && return
  STEP_OUTPUT=$(log_since setup "$before")
  return 1
}

# The cause stands at the beginning or at the end, depending on the program.
fail_step() {
  head -n "$TAIL_LINES" <<<"$STEP_OUTPUT" >&2
  if (($(wc -l <<<"$STEP_OUTPUT") > 2 * TAIL_LINES)); then warn '[…]'; fi
  tail -n "+$((TAIL_LINES + 1))" <<<"$STEP_OUTPUT" | tail -n "$TAIL_LINES" >&2
  fail "$1; all it said is in $LOGS/setup.log"
}

install_modules() { run_step 'Installing Node packages (npm ci)' npm ci --no-audit --no-fund; }

require_modules() {
  ! modules_are_current || return 0
  install_modules_and_tools
  choose_node
}

install_modules_and_tools() {
  ! install_modules || return 0
  # Where no ready-made binary of a native package can be fetched, npm compiles it.
  local packages=() program
  for program in python3 make g++; do
    command -v "$program" >/dev/null || packages+=("$program")
  done
  if ((${#packages[@]} > 0)); then
    require_packages 'npm ci failed, maybe because it has to compile a native package' "${packages[@]}"
    ! install_modules || return 0
  fi
  fail_step 'npm ci failed'
}

# npm run build touches build/.built when it has succeeded.
build_is_current() {
  [[ -e build/.built && -e build/src/cli/main.js ]] || return 1
  local newer
  # A source that went leaves its directory newer.
  newer=$(find src package.json package-lock.json tsconfig.json -newer build/.built -print -quit)
  [[ -z $newer ]]
}

require_build() {
  build_is_current && return
  run_step 'Building (npm run build)' npm run build || fail_step 'the build failed'
  HAS_BUILT=1
}

# One clone may serve several clusters; they must not install and build at the same time.
set_up() {
  [[ $(uname -s) == Linux ]] || fail 'DFS mounts on Linux only'
  require_node
  cd -- "$ROOT"
  HAS_BUILT=0
  # Only the owner can open this file, so nobody else can hold the lock. A user without write access has nothing to install.
  if [[ -w $ROOT ]]; then
    (umask 077 && : >>build.lock)
    chmod 600 -- build.lock
    exec 8<>build.lock
    take_lock 8 "$ROOT"
  fi
  require_system
  require_modules
  require_build
  exec 8<&-
}

# --- processes --------------------------------------------------------------------------------------------------------

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# proc_pid_stat(5): field 3 is the state, field 22 the start time in ticks since the boot. The name in field 2 may hold
# anything, so count from its end.
process_start() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  # A zombie has ended; it only waits for its parent.
  [[ ${fields[0]} != [ZX] ]] || return 1
  echo "${fields[19]}"
}

# write_record NAME PID STARTED LOG_MARK ADDRESS DIRECTORY: the file of a process, written as a whole. LOG_MARK is the
# length of its log when it was started; ADDRESS is - until it is ready.
write_record() {
  printf '%s %s %s %s\n%s\n%s\n' "$2" "$3" "$(boot_id)" "$4" "$5" "$6" >"$RUN/$1.new"
  mv -f -- "$RUN/$1.new" "$RUN/$1.process"
}

# read_record NAME: sets PID, STARTED, BOOT, LOG_MARK, ADDRESS and DIRECTORY; false when there is no file.
read_record() {
  PID='' STARTED='' BOOT='' LOG_MARK=0 ADDRESS=- DIRECTORY=''
  [[ -r $RUN/$1.process ]] || return 1
  { read -r PID STARTED BOOT LOG_MARK && read -r ADDRESS && IFS= read -r DIRECTORY; } <"$RUN/$1.process"
}

# runs NAME: whether the process in the file is there; sets what read_record sets.
runs() {
  read_record "$1" && [[ $BOOT == "$(boot_id)" && $(process_start "$PID") == "$STARTED" ]]
}

# wait_for SECONDS COMMAND…: until the command succeeds; false when the time is over.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

has_ended() { ! runs "$1"; }

log_length() { stat -c %s -- "$LOGS/$1.log" 2>/dev/null || echo 0; }

log_since() { tail -c "+$(($2 + 1))" -- "$LOGS/$1.log" 2>/dev/null; }

# readable_log NAME LENGTH [LEVEL]: for people, what its log says behind its first LENGTH bytes; of at least LEVEL, as
# pino numbers them.
readable_log() {
  # shellcheck disable=SC2016  # the dollar signs are JavaScript's
  log_since "$1" "$2" | node -e '
    const least = Number(process.argv[1]);
    const names = { 10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };
    for (const line of require("node:fs").readFileSync(0, "utf8").split("\n")) {
      let entry;
      try { entry = JSON.parse(line); } catch {}
      if (typeof entry !== "object" || entry === null) {
        if (line.trim() !== "") console.log(`  ${line}`);
        continue;
      }
      const { time, level, msg, name, pid, err, ...more } = entry;
      if (level < least) continue;
      const reason = err?.message === undefined ? "" : `: ${err.message}`;
      const details = Object.keys(more).length === 0 ? "" : ` ${JSON.stringify(more)}`;
      console.log(`  ${time} ${names[level] ?? level} ${msg}${reason}${details}`);
    }' "${3:-0}"
}

# ready_line NAME LENGTH: the line of its log that says that it is ready; false while there is none.
ready_line() { grep -m 1 -F '"msg":"ready"' < <(log_since "$1" "$2"); }

# spawn NAME DIRECTORY COMMAND…: starts a process that outlives this script and its terminal.
spawn() {
  local name=$1 directory=$2 mark child
  shift 2
  mark=$(log_length "$name")
  # What becomes the process writes its file itself, so that there is no moment in which it runs and nobody knows. Our
  # locks must not live on in it.
  (
    exec 8<&- 9<&-
    # In $(…) it would be another one.
    child=$BASHPID
    write_record "$name" "$child" "$(process_start "$child")" "$mark" - "$directory"
    cd /
    exec setsid -- "$@"
  ) </dev/null >>"$LOGS/$name.log" 2>&1 &
  child=$!
  wait_for "$KILL_SECONDS" was_recorded "$name" "$child" || fail "$name could not be started; see $LOGS/$name.log"
}

was_recorded() {
  read_record "$1" && [[ $PID == "$2" ]]
}

is_ready_or_ended() { ready_line "$1" "$LOG_MARK" >/dev/null || has_ended "$1"; }

# await_ready NAME [ADDRESS]: waits until the process that was started says that it is ready, and notes its address, by
# default the one that its log tells. False, with READY_FAILURE set, when it ended or the time is over.
await_ready() {
  local name=$1 line port
  read_record "$name"
  [[ $ADDRESS == - ]] || return 0
  READY_FAILURE="is not ready after $START_SECONDS seconds; it is left to itself, run $CALL again to wait longer"
  wait_for "$START_SECONDS" is_ready_or_ended "$name" || return 1
  READY_FAILURE='did not start'
  line=$(ready_line "$name" "$LOG_MARK") && runs "$name" || return 1
  if [[ -z ${2:-} ]]; then
    [[ $line =~ \"port\":([0-9]+) ]] || return 1
    port=${BASH_REMATCH[1]}
    echo "$port" >"$RUN/$name.port"
  fi
  write_record "$name" "$PID" "$STARTED" "$LOG_MARK" "${2:-$HOST:$port}" "$DIRECTORY"
}

# tell_failure NAME
tell_failure() {
  read_record "$1" || true
  warn "$1 $READY_FAILURE. The end of $LOGS/$1.log:"
  readable_log "$1" "$LOG_MARK" | tail -n "$TAIL_LINES" >&2
}

# --- mounts -----------------------------------------------------------------------------------------------------------

# find_mount PATH: sets MOUNTED_TYPE and MOUNTED_SOURCE to what is mounted there, the topmost if there are several; false
# for nothing. It does not touch the mount, which may hang (proc_pid_mountinfo(5)).
find_mount() {
  local lines line fields path
  MOUNTED_TYPE='' MOUNTED_SOURCE=''
  # As a whole: `read` seeks back after each line, and finds other bytes there when somebody mounts meanwhile.
  mapfile -t lines </proc/self/mountinfo
  for line in "${lines[@]}"; do
    read -ra fields <<<"${line%% - *}"
    # Space, tab, newline and backslash stand there as octal numbers.
    printf -v path %b "${fields[4]}"
    [[ $path != "$1" ]] || read -r MOUNTED_TYPE MOUNTED_SOURCE _ <<<"${line#* - }"
  done
  [[ -n $MOUNTED_TYPE ]]
}

is_mounted() { find_mount "$1" && [[ $MOUNTED_TYPE == fuse* ]]; }
is_unmounted() { ! find_mount "$1"; }

# Whether what is mounted there has lost its daemon.
is_dead_mount() {
  is_mounted "$1" || return 1
  local answer
  answer=$(LC_ALL=C timeout -s KILL "$PROBE_SECONDS" stat -- "$1" 2>&1) && return 1
  [[ $answer == *'Transport endpoint is not connected'* ]]
}

detach() {
  if ((EUID == 0)); then
    umount -l -- "$1"
  elif command -v fusermount3 >/dev/null; then
    fusermount3 -uz -- "$1"
  else
    fusermount -uz -- "$1"
  fi
}

# Takes away what killed mount daemons left at PATH.
detach_dead_mounts() {
  local round answer
  for round in 1 2 3 4 5; do
    is_dead_mount "$1" || return 0
    ((round > 1)) || say "Detaching $1, whose mount daemon is gone"
    # The guard that the daemon left may be quicker.
    answer=$(detach "$1" 2>&1) || is_unmounted "$1" || fail "cannot detach $1: $answer"
  done
}

# The path as the kernel's table has it, without touching what is mounted there.
canonical_mount_point() {
  local path
  path=$(realpath -m -- "$(dirname -- "$1")")
  path=${path%/}/$(basename -- "$1")
  if ! find_mount "$path" && [[ $1 == */. || $1 == */.. || $1 == . || $1 == .. || -L $path ]]; then
    path=$(realpath -m -- "$1")
  fi
  echo "$path"
}

# Sets MOUNT_POINT: the one asked for, else where this cluster is mounted, else the default.
settle_mount_point() {
  MOUNT_POINT=''
  [[ -z $WANTED_MOUNT_POINT ]] || MOUNT_POINT=$(canonical_mount_point "$WANTED_MOUNT_POINT")
  if read_record mount; then
    if [[ -z $MOUNT_POINT ]]; then
      MOUNT_POINT=$DIRECTORY
    elif [[ $MOUNT_POINT != "$DIRECTORY" ]] && runs mount; then
      OTHER_MOUNT_POINT=$DIRECTORY
      return 1
    fi
  fi
  MOUNT_POINT=${MOUNT_POINT:-$DEFAULT_MOUNT_POINT}
}

# Leaves an empty place for a mount at MOUNT_POINT, or says why that cannot be. For when ours does not run.
clear_mount_point() {
  [[ -z $DIRECTORY || $DIRECTORY == "$MOUNT_POINT" ]] || detach_dead_mounts "$DIRECTORY"
  detach_dead_mounts "$MOUNT_POINT"
  find_mount "$MOUNT_POINT" && fail "$MOUNT_POINT is already the mount point of $MOUNTED_SOURCE ($MOUNTED_TYPE);" \
    'unmount it, or give another mount point'
  [[ -d $MOUNT_POINT ]] || mkdir -p -- "$MOUNT_POINT" ||
    fail "cannot make the mount point $MOUNT_POINT; give one of your own, such as ./mount.sh ~/dfs"
}

# --- up ---------------------------------------------------------------------------------------------------------------

# Sets PORT, the metadata server's, and GOAL: from the environment, else as they were since the last --down.
settle_settings() {
  local had_port='' had_goal='' name
  [[ ! -r $RUN/settings ]] || read -r had_port had_goal <"$RUN/settings"
  PORT=$((10#${DFS_PORT:-${had_port:-$DEFAULT_PORT}}))
  GOAL=$((10#${DFS_GOAL:-${had_goal:-$DEFAULT_GOAL}}))
  if [[ -n $had_port && $had_port != "$PORT" ]]; then
    for name in metadata mount $(node_names); do
      ! runs "$name" ||
        fail "this cluster runs with port $had_port, and DFS_PORT says $PORT; stop it first: $CALL --down"
    done
  fi
  if [[ -n $had_goal && $had_goal != "$GOAL" ]] && runs mount; then
    warn "the mount was started with DFS_GOAL=$had_goal; $GOAL will hold when it is started again"
  fi
  echo "$PORT $GOAL" >"$RUN/settings"
  echo "$NODE_COUNT" >"$RUN/nodes"
}

start_metadata() {
  if ! runs metadata; then
    if [[ ! -e $DATABASE ]]; then
      local node
      for node in $(node_names); do
        [[ ! -d $DFS_HOME/$node ]] || fail "$DFS_HOME/$node has the data of a cluster whose metadata database," \
          "$DATABASE, is gone; put it back, or move $DFS_HOME away to begin anew"
      done
      "$ROOT/bin/createdb" --db "$DATABASE" </dev/null >>"$LOGS/setup.log" || fail 'the database could not be created'
    fi
    spawn metadata "$DFS_HOME/metadata" "$ROOT/bin/meta-data" "$PORT" --db "$DATABASE" --host "$HOST"
    STARTED_NAMES+=(metadata)
  fi
  await_ready metadata "$HOST:$PORT" || {
    tell_failure metadata
    exit 1
  }
}

# spawn_node NAME [PORT]
spawn_node() {
  spawn "$1" "$DFS_HOME/$1" "$ROOT/bin/data-node" "$HOST" "${2:-0}" "$DFS_HOME/$1" "$PORT"
}

somebody_listens() { (: <"/dev/tcp/$HOST/$1") 2>/dev/null; }

# Its old port may be somebody else's by now.
await_node() {
  await_ready "$1" && return
  if has_ended "$1" && [[ -r $RUN/$1.port ]] && somebody_listens "$(<"$RUN/$1.port")"; then
    spawn_node "$1"
    await_ready "$1" && return
  fi
  tell_failure "$1"
  return 1
}

start_nodes() {
  local node port is_new failed=0
  for node in $(node_names); do
    runs "$node" && continue
    is_new=1
    [[ ! -d $DFS_HOME/$node ]] || is_new=0
    port=0
    [[ ! -r $RUN/$node.port ]] || port=$(<"$RUN/$node.port")
    spawn_node "$node" "$port"
    STARTED_NAMES+=("$node")
    # The metadata server numbers them as they come; the numbers shall be those in the names.
    ((!is_new)) || await_ready "$node" || true
  done
  for node in $(node_names); do await_node "$node" || failed=1; done
  ((!failed)) || exit 1
}

is_mounted_or_ended() { is_mounted "$MOUNT_POINT" || has_ended mount; }

start_mount() {
  # One that somebody has unmounted is just flushing.
  if runs mount && [[ $ADDRESS != - ]] && ! is_mounted "$MOUNT_POINT"; then
    say "Waiting for the mount that was unmounted to store what was written"
    wait_for "$MOUNT_STOP_SECONDS" has_ended mount || fail "process $PID, which had $MOUNT_POINT mounted, does not end"
  fi
  if ! runs mount; then
    clear_mount_point
    spawn mount "$MOUNT_POINT" "$ROOT/bin/dfs" mount "$HOST:$PORT" "$MOUNT_POINT" --goal "$GOAL"
    STARTED_NAMES+=(mount)
  fi
  await_ready mount "$HOST:$PORT" || {
    tell_failure mount
    exit 1
  }
  wait_for "$START_SECONDS" is_mounted_or_ended || true
  is_mounted "$MOUNT_POINT" || {
    READY_FAILURE='said that it is ready, but nothing is mounted'
    tell_failure mount
    exit 1
  }
}

up() {
  require_home change
  make_home
  lock_home
  set_up
  settle_mount_point ||
    fail "this cluster is mounted at $OTHER_MOUNT_POINT already; mount it once more with: ./bin/dfs mount" \
      "$ADDRESS $MOUNT_POINT --background"
  settle_settings
  STARTED_NAMES=()
  # Before anything is started that would be of no use.
  runs mount || clear_mount_point
  start_metadata
  start_nodes
  start_mount
  if ((${#STARTED_NAMES[@]} > 0)); then
    say "Started ${STARTED_NAMES[*]}"
    if ((HAS_BUILT && ${#STARTED_NAMES[@]} < NODE_COUNT + 2)); then
      say "What ran already still runs the build from before; for the new one: $CALL --down && $CALL"
    fi
  else
    say 'Everything runs already'
  fi
  say "DFS is mounted at $MOUNT_POINT"
  say "  state   $DFS_HOME"
  say "  logs    $LOGS"
  say "  key     ${DFS_KEY_FILE:-$DFS_HOME/key}"
  say "  look    $CALL --status"
  say "  stop    $CALL --down"
}

# --- down -------------------------------------------------------------------------------------------------------------

# terminate NAME: asks it to end; false when it does not run.
terminate() {
  runs "$1" || return 1
  kill -TERM "$PID" 2>/dev/null || true
}

# await_end NAME SECONDS: waits, and kills as a last resort, which is a failure.
await_end() {
  if ! wait_for "$2" has_ended "$1"; then
    warn "$1, process $PID, has not ended within $2 seconds; killing it"
    kill -KILL "$PID" 2>/dev/null || true
    wait_for "$KILL_SECONDS" has_ended "$1" || warn "process $PID cannot be killed"
    FAILED=1
  fi
  rm -f -- "$RUN/$1.process"
}

stop_mount() {
  local length said
  length=$(log_length mount)
  if terminate mount; then
    STOPPED_NAMES+=(mount)
    await_end mount "$MOUNT_STOP_SECONDS"
    # A daemon that was killed leaves its mount.
    detach_dead_mounts "$MOUNT_POINT"
    said=$(readable_log mount "$length" 50)
    if [[ -n $said ]]; then
      warn "the mount said while it ended:"
      printf '%s\n' "$said" >&2
      FAILED=1
    fi
  fi
  [[ -z $WANTED_MOUNT_POINT ]] || detach_dead_mounts "$MOUNT_POINT"
  ! read_record mount || detach_dead_mounts "$DIRECTORY"
  rm -f -- "$RUN/mount.process"
}

down() {
  FAILED=0
  STOPPED_NAMES=()
  require_home change
  if [[ ! -d $RUN ]]; then
    say "Nothing runs: there is no cluster in $DFS_HOME"
    return
  fi
  lock_home
  settle_mount_point || fail "this cluster is mounted at $OTHER_MOUNT_POINT, not at $MOUNT_POINT; nothing was stopped"
  local name
  if runs mount; then
    for name in metadata $(node_names); do
      runs "$name" ||
        warn "$name does not run; what was written last may have to wait for it, or be lost ($CALL starts it again)"
    done
  fi
  stop_mount
  for name in $(node_names); do
    ! terminate "$name" || STOPPED_NAMES+=("$name")
  done
  for name in $(node_names); do await_end "$name" "$STOP_SECONDS"; done
  ! terminate metadata || STOPPED_NAMES+=(metadata)
  await_end metadata "$STOP_SECONDS"
  rm -f -- "$RUN/settings"
  if ((${#STOPPED_NAMES[@]} == 0)); then
    say "Nothing of $DFS_HOME runs"
  else
    say "Stopped ${STOPPED_NAMES[*]}; what they hold stays for the next start"
  fi
  ((!FAILED)) || exit 1
}

# --- status -----------------------------------------------------------------------------------------------------------

# Whether there is such a process, of which the system tells this user nothing (proc(5), hidepid).
is_hidden() {
  local answer
  [[ ! -e /proc/$1/stat ]] || return 1
  ! answer=$(LC_ALL=C kill -0 "$1" 2>&1) && [[ $answer == *'not permitted'* ]]
}

status() {
  local name failed=0 pid
  require_home read
  settle_mount_point
  for name in metadata $(node_names) mount; do
    pid=-
    if ! runs "$name"; then
      if [[ $BOOT == "$(boot_id)" ]] && is_hidden "$PID"; then
        warn "process $PID, which may be $name, is hidden from $(id -un); ask as the user who started it"
      else
        warn "$name does not run"
      fi
      failed=1
    else
      pid=$PID
      if [[ $ADDRESS == - ]]; then
        warn "$name is not ready yet"
        failed=1
      elif [[ $name == mount ]] && ! is_mounted "$MOUNT_POINT"; then
        warn "nothing is mounted at $MOUNT_POINT"
        failed=1
      fi
    fi
    printf '%-9s %-8s %-21s %s\n' "$name" "$pid" "$ADDRESS" "$(directory_of "$name")"
  done
  ((!failed)) || exit 1
}

read_arguments "$@"
read_environment
"$COMMAND"

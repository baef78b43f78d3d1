# Which Node everything here runs on. Scripts read this file and call choose_node or settle_node; `self` is their own path
# in bin/, without a symbolic link at its end.
#
# In this order: what DFS_NODE names; what settle_node found; the one that npm installed beside this package; the first in
# PATH.
# shellcheck shell=sh

# The oldest that DFS runs on, and the oldest that it does not bring a newer one for.
supported_major=22
wanted_major=24

# The scripts that read this file set it.
: "${self:?}"

# Sets `node`, or says in one sentence what is wrong and exits with 1.
choose_node() {
  if [ -n "${DFS_NODE:-}" ]; then
    take_named_node
    return
  fi
  node=${self%/*}/../node_modules/.dfs/node
  [ ! -x "$node" ] || return 0
  ! find_brought_node || return 0
  find_system_node || refuse_node "there is no Node; $(way_to_get_one)"
  is_at_least "$supported_major" "$("$node" --version)" ||
    refuse_node "Node $("$node" --version) is too old; $(way_to_get_one)"
}

# For programs that stay, and through whose memory many bytes pass: the C library takes much memory in large pages (glibc 2.35 or
# newer; docs/decisions/35).
use_large_pages() {
  export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
}

take_named_node() {
  # It may be bin/node itself, by one of its names; then it must not look at DFS_NODE again.
  named=$DFS_NODE
  node=$(DFS_NODE='' "$named" -p 'process.version + process.execPath' 2>/dev/null) || node=''
  case $node in
    v[0-9]*/*) ;;
    *) refuse_node "DFS_NODE is '$DFS_NODE', which does not run as Node; name Node $supported_major or newer, or unset it" ;;
  esac
  is_at_least "$supported_major" "${node%%/*}" ||
    refuse_node "DFS_NODE is '$DFS_NODE', which is Node ${node%%/*}; name Node $supported_major or newer, or unset it"
  node=/${node#*/}
}

way_to_get_one() {
  printf '%s' "run \`npm ci\` in $(cd -- "${self%/*}/.." && pwd), which brings one along, or let DFS_NODE name" \
    " Node $supported_major or newer"
}

# Makes the choice that does not depend on DFS_NODE once, after an installation, so that no start pays for it.
settle_node() {
  modules=${self%/*}/../node_modules
  rm -f -- "$modules/.dfs/node"
  if find_system_node && is_at_least "$wanted_major" "$("$node" --version)"; then
    link=$node
  elif find_brought_node && "$node" --version >/dev/null 2>&1; then
    link=../${node#"$modules/"}
  elif find_system_node && is_at_least "$supported_major" "$("$node" --version)"; then
    # What npm brings needs glibc.
    link=$node
  else
    return 0
  fi
  mkdir -p -- "$modules/.dfs"
  ln -s -- "$link" "$modules/.dfs/node"
}

# Sets `node` to the one that npm installed, below this package or beside it.
find_brought_node() {
  for node in "${self%/*}"/../node_modules/node-linux-*/bin/node "${self%/*}"/../../node-linux-*/bin/node; do
    [ ! -x "$node" ] || return 0
  done
  return 1
}

# Sets `node` to the first in PATH. One in node_modules/.bin is bin/node, or another package's choice.
find_system_node() {
  old_ifs=$IFS
  IFS=:
  for directory in $PATH; do
    node=$directory/node
    case $directory in *node_modules/.bin) continue ;; esac
    if [ -f "$node" ] && [ -x "$node" ]; then
      IFS=$old_ifs
      return 0
    fi
  done
  IFS=$old_ifs
  return 1
}

# is_at_least MAJOR VERSION: the version as `node --version` prints it.
is_at_least() {
  major=${2#v}
  major=${major%%.*}
  case $major in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -ge "$1" ]
}

refuse_node() {
  printf '%s: %s\n' "${program:-${self##*/}}" "$1" >&2
  exit 1
}

#!/bin/sh
#
# npm runs this after it has installed (package.json, "prepare"). It settles which Node everything runs on: the system's
# if that is new enough, else the one that npm installed. The choice is a link, so that no start pays for making it again.
# `npm run`, `npx` and the programs in node_modules/.bin find their Node as node_modules/.bin/node, which becomes bin/node.
set -eu

wanted_major=24

cd -- "$(dirname -- "$0")/.."
[ -d node_modules ] || exit 0
self=bin/settle-node.sh
chosen=''
unset DFS_NODE
. bin/find-node.sh

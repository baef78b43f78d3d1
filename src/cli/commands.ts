/** Every command, in the order in which --help shows them. */
import { backup } from './commands/backup.js';
import { bench } from './commands/bench.js';
import { copy } from './commands/copy.js';
import { create } from './commands/create.js';
import { createdb } from './commands/createdb.js';
import { dataNode } from './commands/data-node.js';
import { dump } from './commands/dump.js';
import { key } from './commands/key.js';
import { join } from './commands/join.js';
import { leave } from './commands/leave.js';
import { load } from './commands/load.js';
import { local } from './commands/local.js';
import { ls } from './commands/ls.js';
import { expose } from './commands/expose.js';
import { exportCommand } from './commands/export.js';
import { member } from './commands/member.js';
import { metaData } from './commands/meta-data.js';
import { mount } from './commands/mount.js';
import { fsck } from './commands/fsck.js';
import { goal } from './commands/goal.js';
import { node } from './commands/node.js';
import { nodes } from './commands/nodes.js';
import { rebalance } from './commands/rebalance.js';
import { recover } from './commands/recover.js';
import { status } from './commands/status.js';
import { token } from './commands/token.js';
import { umount } from './commands/umount.js';
import type { Command } from './command.js';

export const COMMANDS: readonly Command[] = [
  create,
  createdb,
  metaData,
  dataNode,
  copy,
  ls,
  mount,
  umount,
  fsck,
  goal,
  status,
  nodes,
  node,
  rebalance,
  backup,
  recover,
  dump,
  load,
  key,
  token,
  member,
  exportCommand,
  expose,
  join,
  leave,
  local,
  bench,
];

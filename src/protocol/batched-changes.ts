/** What may stand in a `batch`, and what a batch changes: what its requests change. */
import type { Changes, Command } from './command.js';
import { blocks } from './content-commands.js';
import {
  link,
  mkdir,
  mknod,
  removexattr,
  rename,
  rmdir,
  setattr,
  setxattr,
  symlink,
  unlink,
} from './namespace-commands.js';

/** number → the command */
const COMMANDS: ReadonlyMap<number, Command> = new Map(
  [blocks, link, mkdir, mknod, removexattr, rename, rmdir, setattr, setxattr, symlink, unlink].map(each => [
    each.number,
    each,
  ]),
);

/** One request of a batch, without `once`. */
interface BatchedRequest {
  readonly command: number;
  readonly request: object;
}

/** What the requests of a batch change, as far as they say so without their replies. */
export function changesInBatch(batched: readonly BatchedRequest[]): Changes {
  const names = new Set<number>();
  const inodes = new Set<number>();
  const content = new Set<number>();
  for (const { command, request } of batched) {
    const changes = COMMANDS.get(command)?.changes(request, undefined);
    for (const directory of changes?.names ?? []) names.add(directory);
    for (const inode of changes?.inodes ?? []) inodes.add(inode);
    for (const inode of changes?.content ?? []) content.add(inode);
  }
  return { names: [...names], inodes: [...inodes], content: [...content] };
}

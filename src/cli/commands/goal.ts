import pLimit from 'p-limit';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { isDirectory, isRegularFile } from '../../protocol/file-mode.js';
import { GOAL_ATTRIBUTE, MAX_GOAL } from '../../protocol/limits.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { namesOf } from '../../vfs/path-walk.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { locate } from '../mounted-path.js';
import { parseCount } from '../quantity.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

const NAME = Buffer.from(GOAL_ATTRIBUTE);
const SET_AT_ONCE = 16;

export const goal = defineCommand({
  name: 'goal',
  positionals: '<action> <first> [second]',
  summary: 'Show or set on how many data nodes files are kept',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('action', { choices: ['get', 'set', 'unset'] as const, demandOption: true })
      .positional('first', {
        type: 'string',
        demandOption: true,
        describe: `for set the goal, 1 to ${MAX_GOAL}; for get and unset the path`,
      })
      .positional('second', { type: 'string', describe: 'for set the path: in a mount, or HOST:PORT:/path' })
      .option('recursive', {
        alias: 'r',
        type: 'boolean',
        default: false,
        describe: 'also everything below directories that is there already',
      })
      .example([
        [`${call} set 3 /mnt/dfs/photos -r`, 'three replicas of all photos, and of those to come'],
        [`${call} get /mnt/dfs/photos`, ''],
        [`${call} unset /mnt/dfs/photos`, 'new files get what their mount says (--goal) again'],
      ])
      .epilog(
        'The same as the extended attribute user.dfs.goal: setfattr -n user.dfs.goal -v 3 /mnt/dfs/photos',
      ),
  async run(parameters) {
    const { action, first, second, recursive } = parameters;
    const isSet = action === 'set';
    const wanted = isSet ? parseCount(first, 'goal', 1, MAX_GOAL) : undefined;
    const path = isSet ? second : first;
    if (path === undefined) throw new UsageError('a path is missing');
    if (!isSet && second !== undefined) throw new UsageError('one path at a time');
    if (recursive && action === 'get') throw new UsageError('--recursive goes with set and unset');
    const { server, path: inside } = await locate(path);
    await withFileSystem('goal', server, parameters, async fileSystem => {
      const attributes = await fileSystem.resolve(namesOf(Buffer.from(inside)), undefined, true);
      if (action === 'get') await writeOut(`${await shown(fileSystem, attributes)}\n`);
      else await change(fileSystem, attributes, wanted, recursive);
    });
  },
});

async function shown(fileSystem: FileSystem, { inode }: Attributes): Promise<string> {
  try {
    return (await fileSystem.getxattr(inode, NAME)).toString();
  } catch (error) {
    if (hasCode(error, 'ENODATA')) return '-';
    throw error;
  }
}

/** @param wanted undefined: directories leave it to the mounts, and files keep what they have */
async function change(
  fileSystem: FileSystem,
  attributes: Attributes,
  wanted: number | undefined,
  isRecursive: boolean,
): Promise<void> {
  const { inode, mode } = attributes;
  const limit = pLimit(SET_AT_ONCE);
  if (isDirectory(mode)) {
    if (isRecursive) {
      // Those to come first, so that nothing created meanwhile is left out.
      await set(fileSystem, inode, wanted);
      const pending = new Set<Promise<void>>();
      for await (const { attributes: below } of fileSystem.readdir(inode)) {
        if (isDirectory(below.mode)) {
          await change(fileSystem, below, wanted, true);
        } else if (isRegularFile(below.mode) && wanted !== undefined) {
          const work = limit(async () => await set(fileSystem, below.inode, wanted));
          pending.add(work);
          if (pending.size >= SET_AT_ONCE) {
            await Promise.all(pending);
            pending.clear();
          }
        }
      }
      await Promise.all(pending);
      return;
    }
    await set(fileSystem, inode, wanted);
  } else if (wanted === undefined) {
    throw new DfsError('EINVAL', 'a file always has a goal; set another one');
  } else {
    await set(fileSystem, inode, wanted);
  }
}

async function set(fileSystem: FileSystem, inode: number, wanted: number | undefined): Promise<void> {
  try {
    if (wanted === undefined) await fileSystem.removexattr(inode, NAME);
    else await fileSystem.setxattr(inode, NAME, Buffer.from(String(wanted)), 0);
  } catch (error) {
    // Removed meanwhile; or nothing to unset.
    if (!hasCode(error, 'ENOENT', 'ENODATA')) throw error;
  }
}

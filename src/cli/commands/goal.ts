import pLimit from 'p-limit';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { isDirectory, isRegularFile } from '../../protocol/file-mode.js';
import { GOAL_ATTRIBUTE, MAX_GOAL } from '../../protocol/limits.js';
import type { Attributes } from '../../protocol/types.js';
import type { DirectoryEntry, FileSystem } from '../../vfs/file-system.js';
import { namesOf } from '../../vfs/path-walk.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { aboutPath, inTermsOfPath } from '../dfs-error-text.js';
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
      const names = namesOf(Buffer.from(inside));
      const attributes = await aboutPath(path, async () => await fileSystem.resolve(names, undefined, true));
      const place = { path, attributes };
      if (action === 'get') await writeOut(`${await shown(fileSystem, place)}\n`);
      else await change(fileSystem, place, wanted, recursive);
    });
  },
});

/** What has a goal, and how to call it. */
interface Place {
  readonly path: string;
  readonly attributes: Attributes;
}

async function shown(fileSystem: FileSystem, { path, attributes }: Place): Promise<string> {
  try {
    return (await fileSystem.getxattr(attributes.inode, NAME)).toString();
  } catch (error) {
    if (hasCode(error, 'ENODATA')) return '-';
    throw inTermsOfPath(error, path);
  }
}

/** @param wanted undefined: directories leave it to the mounts, and files keep what they have */
async function change(
  fileSystem: FileSystem,
  place: Place,
  wanted: number | undefined,
  isRecursive: boolean,
): Promise<void> {
  const { mode } = place.attributes;
  const limit = pLimit(SET_AT_ONCE);
  if (isDirectory(mode)) {
    if (isRecursive) {
      // Those to come first, so that nothing created meanwhile is left out.
      await set(fileSystem, place, wanted);
      const pending = new Set<Promise<void>>();
      for await (const { name, attributes } of entriesOf(fileSystem, place)) {
        const below = { path: `${place.path}/${name.toString()}`, attributes };
        if (isDirectory(attributes.mode)) {
          await change(fileSystem, below, wanted, true);
        } else if (isRegularFile(attributes.mode) && wanted !== undefined) {
          const work = limit(async () => await set(fileSystem, below, wanted));
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
    await set(fileSystem, place, wanted);
  } else if (wanted === undefined) {
    throw new DfsError('EINVAL', `${place.path} is a file, which always has a goal; set another one`);
  } else {
    await set(fileSystem, place, wanted);
  }
}

async function* entriesOf(
  fileSystem: FileSystem,
  { path, attributes }: Place,
): AsyncGenerator<DirectoryEntry> {
  try {
    yield* fileSystem.readdir(attributes.inode);
  } catch (error) {
    throw inTermsOfPath(error, path);
  }
}

async function set(fileSystem: FileSystem, place: Place, wanted: number | undefined): Promise<void> {
  const { inode } = place.attributes;
  try {
    if (wanted === undefined) await fileSystem.removexattr(inode, NAME);
    else await fileSystem.setxattr(inode, NAME, Buffer.from(String(wanted)), 0);
  } catch (error) {
    // Removed meanwhile; or nothing to unset.
    if (!hasCode(error, 'ENOENT', 'ENODATA')) throw inTermsOfPath(error, place.path);
  }
}

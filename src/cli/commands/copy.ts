import { realpath } from 'node:fs/promises';
import { basename } from 'node:path';
import { systemClock } from '../../platform/clock.js';
import { systemRandom } from '../../platform/random.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { namesOf } from '../../vfs/path-walk.js';
import { formatEndpoint, parseRemotePath, type RemotePath } from '../address.js';
import {
  clientOptions,
  GOAL_OPTION,
  MIN_REPLICAS_OPTION,
  SHORT_CIRCUIT_OPTION,
  withFileSystem,
} from '../client-options.js';
import { defineCommand } from '../command.js';
import { DfsTree, type DfsPlace } from '../copy/dfs-tree.js';
import { LocalTree } from '../copy/local-tree.js';
import { copyToStandardOutput, entryOfStandardInput, standardInput } from '../copy/standard-streams.js';
import {
  sourceEntry,
  transfer,
  transferStream,
  type Destination,
  type TransferOptions,
} from '../copy/transfer.js';
import { Progress } from '../copy/progress.js';
import { onEndSignal } from '../interruption.js';
import { LONE_DASH } from '../program.js';
import { UsageError } from '../usage-error.js';

const STANDARD_STREAM = LONE_DASH;
const PARENT = Buffer.from('..');
const DIRECTORY_PERMISSIONS = 0o755;

export const copy = defineCommand({
  name: 'copy',
  positionals: '<from> <to>',
  summary: 'Copy a file or a tree to or from a DFS',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('from', {
        type: 'string',
        demandOption: true,
        describe: 'a path on this machine, SERVER:PORT:PATH in a DFS, or - for standard input',
      })
      .positional('to', {
        type: 'string',
        demandOption: true,
        describe: 'the other one of the two, or - for standard output',
      })
      .option('recursive', {
        alias: 'r',
        type: 'boolean',
        default: false,
        describe: 'copy directories with all that is in them',
      })
      .option('preserve', {
        alias: 'p',
        type: 'boolean',
        default: false,
        describe: 'keep mode and modification time, and for root the owner',
      })
      .option('force', {
        alias: 'f',
        type: 'boolean',
        default: false,
        describe: 'replace an existing file or symbolic link',
      })
      .option('goal', GOAL_OPTION)
      .option('min-replicas', MIN_REPLICAS_OPTION)
      .option('short-circuit', SHORT_CIRCUIT_OPTION)
      .option('quiet', {
        alias: 'q',
        type: 'boolean',
        default: false,
        describe: 'no progress bar; there is none anyway when standard error is no terminal',
      })
      .example([
        [`${call} notes.txt 127.0.0.1:8000:/notes.txt`, 'write a file'],
        [`${call} 127.0.0.1:8000:/notes.txt .`, 'read it'],
        [`${call} -rp /usr/include 127.0.0.1:8000:/`, 'write a tree as /include'],
        [`tar c . | ${call} - 127.0.0.1:8000:/home.tar`, 'write what a program prints'],
      ])
      .epilog(
        'A copy gets its name when all of it is there. As with cp, a copy to a directory goes into it. Directories ' +
          'that are missing in the DFS are made. Devices, FIFOs and sockets are neither copied nor replaced.',
      ),
  async run(parameters) {
    const { from, to } = parameters;
    const remoteFrom = parseRemotePath(from);
    const remoteTo = parseRemotePath(to);
    const remote = theOneRemote(from, remoteFrom, to, remoteTo);
    if (parameters.recursive && [from, to].includes(STANDARD_STREAM)) {
      throw new UsageError('- is one file, which -r cannot make a tree of');
    }
    // Until it is connected there is nothing to put in order, and a signal ends it at once.
    await withFileSystem('copy', remote.server, parameters, async fileSystem => {
      const tree = new DfsTree(fileSystem, `${formatEndpoint(remote.server)}:`);
      await withInterruption(async options => {
        if (remoteTo) await write(from, remoteTo, tree, options);
        else await read(remote, to, tree, options);
      }, parameters);
    });
  },
});

/** The argument that names the DFS. UsageError unless there is exactly one. */
function theOneRemote(
  from: string,
  remoteFrom: RemotePath | undefined,
  to: string,
  remoteTo: RemotePath | undefined,
): RemotePath {
  if (remoteFrom && remoteTo) {
    throw new UsageError('both are in a DFS; one of the two must be a path on this machine');
  }
  const remote = remoteFrom ?? remoteTo;
  if (remote) return remote;
  const malformed = [from, to].find(text => /^[^/]*:/.test(text));
  throw new UsageError(
    malformed === undefined
      ? 'both are on this machine; one of the two must be SERVER:PORT:PATH'
      : `'${malformed}' is not the address of a file in a DFS; give SERVER:PORT:PATH, such as 127.0.0.1:8000:/file`,
  );
}

interface CopyFlags {
  readonly recursive: boolean;
  readonly preserve: boolean;
  readonly force: boolean;
  readonly quiet: boolean;
}

/** Does `work`, which the first Ctrl-C asks to end and clean up. */
async function withInterruption(
  work: (options: TransferOptions) => Promise<void>,
  { recursive, preserve, force, quiet }: CopyFlags,
): Promise<void> {
  const controller = new AbortController();
  const warn = (sentence: string): void => void process.stderr.write(`copy: ${sentence}\n`);
  const stopListening = onEndSignal(() => {
    warn('interrupted, cleaning up');
    controller.abort(new DfsError('EINTR', 'the copy was interrupted; nothing was copied'));
  });
  try {
    await work({
      isRecursive: recursive,
      isPreserving: preserve,
      isReplacing: force,
      hasProgress: process.stderr.isTTY && !quiet,
      signal: controller.signal,
      clock: systemClock,
      random: systemRandom,
      warn,
    });
  } finally {
    stopListening();
  }
}

async function write(from: string, to: RemotePath, tree: DfsTree, options: TransferOptions): Promise<void> {
  const destination: Destination<DfsPlace> = {
    tree,
    place: tree.placeAt(namesOf(Buffer.from(to.path))),
    mustBeDirectory: to.path.endsWith('/'),
    makeParents: async final => await makeParents(tree, final),
  };
  if (from === STANDARD_STREAM) {
    await transferStream(standardInput(options.signal), entryOfStandardInput(), destination, options);
    return;
  }
  const local = new LocalTree();
  const place = Buffer.from(from);
  await transfer({ tree: local, place, name: await localName(from) }, destination, options);
}

async function read(from: RemotePath, to: string, tree: DfsTree, options: TransferOptions): Promise<void> {
  const place = tree.placeAt(namesOf(Buffer.from(from.path)));
  if (to === STANDARD_STREAM) {
    await readToStandardOutput(tree, place, options);
    return;
  }
  const name = tree.nameOf(place);
  const hasName = name.length > 0 && !name.equals(PARENT);
  const origin = { tree, place, name: hasName ? name : undefined };
  const local = Buffer.from(to.length > 1 ? to.replace(/\/+$/, '') || '/' : to);
  const destination = { tree: new LocalTree(), place: local, mustBeDirectory: to.endsWith('/') };
  if (destination.mustBeDirectory && !(await destination.tree.stat(local, true))) {
    throw new DfsError('ENOENT', `there is no directory ${to}`);
  }
  await transfer(origin, destination, options);
}

async function readToStandardOutput(tree: DfsTree, place: DfsPlace, options: TransferOptions): Promise<void> {
  const entry = await sourceEntry(tree, place, false);
  const reader = await tree.openReader(place);
  const hasProgress = options.hasProgress && !process.stdout.isTTY;
  const progress = hasProgress ? new Progress(entry.sizeBytes, options.clock) : undefined;
  try {
    await copyToStandardOutput(reader, options.signal, count => progress?.add(count));
  } finally {
    progress?.stop();
  }
}

/** The name that a copy of a local path gets in a directory. */
async function localName(path: string): Promise<Buffer | undefined> {
  const isRelative = ['', '.', '..'].includes(basename(path));
  try {
    const name = basename(isRelative ? await realpath(path) : path);
    return name === '' ? undefined : Buffer.from(name);
  } catch (error) {
    // That it is missing is told in a moment, with the right words.
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw error;
  }
}

/** Makes the missing directories above `final`; returns the topmost one made. */
async function makeParents(tree: DfsTree, final: DfsPlace): Promise<DfsPlace | undefined> {
  let topmost: DfsPlace | undefined;
  for (const [index] of final.path.slice(0, -1).entries()) {
    const directory = tree.placeAt(final.path.slice(0, index + 1));
    if (await tree.stat(directory, true)) continue;
    await tree.makeDirectory(directory, DIRECTORY_PERMISSIONS & ~process.umask());
    topmost ??= directory;
  }
  return topmost;
}

import { DfsError, hasCode } from '../../protocol/errors.js';
import { isDirectory, isSymlink } from '../../protocol/file-mode.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { namesOf } from '../../vfs/path-walk.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { inTermsOfPath } from '../dfs-error-text.js';
import { jsonObject, longLine, shortLine, type Listed } from '../listing.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { BatchedOutput } from '../standard-output.js';

const SLASH = Buffer.from('/');

export const ls = defineCommand({
  name: 'ls',
  positionals: '[server] [path]',
  summary: 'List files: path, then size in bytes',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('server', SERVER_POSITIONAL)
      .positional('path', {
        type: 'string',
        describe:
          'a file, or a directory whose entries are listed, from a slash on; left out, every file is listed',
      })
      .option('long', {
        alias: 'l',
        type: 'boolean',
        default: false,
        describe: 'mode, links, owner, group, size and time of modification (UTC) too',
      })
      .option('recursive', {
        alias: 'R',
        type: 'boolean',
        default: false,
        describe: 'every file below the directory, rather than its entries',
      })
      .option('json', { type: 'boolean', default: false, describe: 'as a JSON array' })
      .example([
        [call, 'every file'],
        [`${call} /include -l`, 'the entries of one directory'],
        [`${call} 10.0.0.1:8000 /include -R --json`, 'for programs'],
      ]),
  async run(parameters) {
    const { recursive } = parameters;
    const { server, path } = serverAndPath(parameters.server, parameters.path);
    await withFileSystem('ls', chooseServer(server), parameters, async fileSystem => {
      const files = listed(fileSystem, path ?? '/', recursive || path === undefined);
      await (parameters.json ? printJson(files, fileSystem) : printLines(files, fileSystem, parameters.long));
    });
  },
});

/** A single argument that begins with a slash is a path. */
function serverAndPath(
  server: string | undefined,
  path: string | undefined,
): { readonly server: string | undefined; readonly path: string | undefined } {
  if (path === undefined && server?.startsWith('/') === true) return { server: undefined, path: server };
  return { server, path };
}

/** What is at `path`: the file itself, or what a directory holds. ENOENT, ENOTDIR, ELOOP. */
async function* listed(fileSystem: FileSystem, path: string, isRecursive: boolean): AsyncGenerator<Listed> {
  const names = namesOf(Buffer.from(path));
  const attributes = await attributesAt(fileSystem, names, path);
  const base = names.flatMap(name => [SLASH, name]);
  if (!isDirectory(attributes.mode)) {
    if (path.endsWith('/')) throw new DfsError('ENOTDIR', `${path} is not a directory`);
    yield { path: Buffer.concat(base), attributes };
    return;
  }
  try {
    for await (const file of fileSystem.list(attributes.inode, isRecursive)) {
      const below = file.path.flatMap(name => [SLASH, name]);
      yield { path: Buffer.concat([...base, ...below]), attributes: file.attributes };
    }
  } catch (error) {
    throw inTermsOfPath(error, isRecursive ? `${path} or a directory below` : path);
  }
}

async function attributesAt(fileSystem: FileSystem, names: Buffer[], path: string): Promise<Attributes> {
  try {
    return await fileSystem.resolve(names, undefined, true);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw inTermsOfPath(error, path);
  }
  try {
    // A symbolic link that leads nowhere is there all the same.
    return await fileSystem.resolve(names);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw inTermsOfPath(error, path);
    throw new DfsError('ENOENT', `there is no ${path} in the DFS`);
  }
}

async function printLines(
  files: AsyncIterable<Listed>,
  fileSystem: FileSystem,
  isLong: boolean,
): Promise<void> {
  const out = new BatchedOutput();
  const isTerminal = process.stdout.isTTY;
  for await (const file of files) {
    await out.write(
      isLong ? longLine(await withTarget(file, fileSystem), isTerminal) : shortLine(file, isTerminal),
    );
  }
  await out.flush();
}

async function printJson(files: AsyncIterable<Listed>, fileSystem: FileSystem): Promise<void> {
  const out = new BatchedOutput();
  let separator = '[\n';
  for await (const file of files) {
    await out.write(`${separator}${jsonObject(await withTarget(file, fileSystem))}`);
    separator = ',\n';
  }
  await out.write(separator === '[\n' ? '[]\n' : '\n]\n');
  await out.flush();
}

async function withTarget(file: Listed, fileSystem: FileSystem): Promise<Listed> {
  if (!isSymlink(file.attributes.mode)) return file;
  return { ...file, target: await fileSystem.readlink(file.attributes.inode) };
}

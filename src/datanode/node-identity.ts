/**
 * `node.json`: the node's identity, kept in its data directory with a checksum, and a second time as `node-copy.json`: one
 * flipped bit must not make all chunks of the node worthless.
 */
import { crc32 } from 'node:zlib';
import { join } from 'node:path';
import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Disk } from '../platform/disk.js';
import type { Random } from '../platform/random.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { U32 } from '../protocol/types.js';

const NAME = 'node.json';
const COPY_NAME = 'node-copy.json';
/** By one of these a data node's directory is known, in whatever state it is. */
const MARKS = [NAME, COPY_NAME, 'segments'];
/** What else may be in a directory that is to become one: what a first start left that was cut short, and ext4's own. */
const HARMLESS: ReadonlySet<string> = new Set([
  'lock',
  'lock-journal',
  'lock.holder',
  `${NAME}.new`,
  `${COPY_NAME}.new`,
  'lost+found',
]);
const MAX_SHOWN = 3;
const FORMAT_VERSION = 1;
const ID_BYTES = 16;
const MAX_BYTES = 4096;

const NodeIdentity = Type.Object({
  version: U32,
  /** Random, made when the directory was first used. */
  id: Type.String({ minLength: 8, maxLength: 64 }),
  /** The number that the metadata server gave it; 0 before the first registration. */
  node: U32,
  /** The cluster that the directory belongs to; empty before the first registration. */
  cluster: Type.String({ maxLength: 64 }),
});
export type NodeIdentity = Static<typeof NodeIdentity>;
/** As it stands in the file. Earlier versions had no checksum. */
const NodeFile = Type.Composite([NodeIdentity, Type.Object({ sum: Type.Optional(U32) })]);

/**
 * The identity of the node in `directory`; a new one for an empty directory. EINVAL when the directory holds segments
 * but no usable identity: the metadata server would take it for another node and its chunks for lost.
 */
export async function loadIdentity(disk: Disk, directory: string, random: Random): Promise<NodeIdentity> {
  const texts = [await readText(disk, directory, NAME), await readText(disk, directory, COPY_NAME)];
  const identities = texts.map(text => (text === undefined ? undefined : parse(text, directory)));
  const [first, second] = identities;
  const found = first ?? second;
  if (found) {
    // A disk that is full, or only read, is no reason not to serve what is on it; the next start tries again.
    if (!first || !second) await saveIdentity(disk, directory, found).catch(() => undefined);
    return found;
  }
  if (texts.some(text => text !== undefined)) {
    throw new DfsError(
      'EINVAL',
      `${join(directory, NAME)} and its copy are damaged, so this node does not know who it is; restore one of them, or start with an empty directory: what is in this one is made again from other replicas`,
    );
  }
  if ((await disk.list(directory)).includes('segments')) {
    throw new DfsError(
      'EINVAL',
      `${directory} holds chunks but no ${NAME}, so this node does not know who it is; restore that file, or start with an empty directory`,
    );
  }
  const identity = {
    version: FORMAT_VERSION,
    id: random.bytes(ID_BYTES).toString('hex'),
    node: 0,
    cluster: '',
  };
  await saveIdentity(disk, directory, identity);
  return identity;
}

/** ENOTEMPTY when the directory is somebody else's: a node would mix its files with what is there. */
export async function refuseForeign(disk: Disk, directory: string): Promise<void> {
  const names = await disk.list(directory);
  const foreign = names.filter(name => !HARMLESS.has(name));
  if (foreign.length === 0 || MARKS.some(name => names.includes(name))) return;
  const shown = foreign.slice(0, MAX_SHOWN).join(', ');
  const more = foreign.length > MAX_SHOWN ? `, and ${foreign.length - MAX_SHOWN} more` : '';
  throw new DfsError(
    'ENOTEMPTY',
    `${directory} is no data node's directory, and not empty (${shown}${more}); give an empty one, or one that does not exist yet`,
  );
}

/** Writes the identity so that after a crash the old or the new one is there, whole. */
export async function saveIdentity(disk: Disk, directory: string, identity: NodeIdentity): Promise<void> {
  const bytes = Buffer.from(`${JSON.stringify({ ...identity, sum: sumOf(identity) }, undefined, 2)}\n`);
  for (const name of [NAME, COPY_NAME]) {
    const temporary = join(directory, `${name}.new`);
    const file = await disk.open(temporary, 'create');
    try {
      await file.truncate(0);
      await file.writev([bytes], 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await disk.rename(temporary, join(directory, name));
  }
  await disk.syncDirectory(directory);
}

/** Whether `directory` is still that of a node: not when it was deleted, or what was mounted there is gone. */
export async function isNodeDirectory(disk: Disk, directory: string): Promise<boolean> {
  try {
    return (await disk.list(directory)).includes(NAME);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function readText(disk: Disk, directory: string, name: string): Promise<string | undefined> {
  const path = join(directory, name);
  try {
    const file = await disk.open(path, 'existing');
    try {
      const target = Buffer.alloc(MAX_BYTES);
      return target.toString('utf8', 0, await file.pread(target, 0));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw toDfsError(error).within(`cannot read ${path}`);
  }
}

/** Undefined when it is damaged. EINVAL when it is sound, but of another version. */
function parse(text: string, directory: string): NodeIdentity | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Value.Check(NodeFile, value)) return undefined;
  const { version, id, node, cluster, sum } = value;
  const identity = { version, id, node, cluster };
  if (sum !== undefined && sum !== sumOf(identity)) return undefined;
  if (version !== FORMAT_VERSION) {
    throw new DfsError(
      'EINVAL',
      `${join(directory, NAME)} has format version ${version}, but this program knows ${FORMAT_VERSION}; use the program that wrote it`,
    );
  }
  return identity;
}

function sumOf({ version, id, node, cluster }: NodeIdentity): number {
  return crc32(JSON.stringify([version, id, node, cluster]));
}

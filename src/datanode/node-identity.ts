/** `node.json`: who this node is, kept in its data directory. */
import { join } from 'node:path';
import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Disk } from '../platform/disk.js';
import type { Random } from '../platform/random.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';

const NAME = 'node.json';
const FORMAT_VERSION = 1;
const ID_BYTES = 16;
const MAX_BYTES = 4096;

const NodeIdentity = Type.Object({
  version: Type.Integer(),
  /** Random, made when the directory was first used. */
  id: Type.String({ minLength: 8, maxLength: 64 }),
  /** The number that the metadata server gave it; 0 before the first registration. */
  node: Type.Integer({ minimum: 0 }),
  /** The cluster that the directory belongs to; empty before the first registration. */
  cluster: Type.String({ maxLength: 64 }),
});
export type NodeIdentity = Static<typeof NodeIdentity>;

/**
 * The identity of the node in `directory`; a new one for an empty directory. EINVAL when the directory holds segments
 * but no usable identity: the metadata server would take it for another node and its chunks for lost.
 */
export async function loadIdentity(disk: Disk, directory: string, random: Random): Promise<NodeIdentity> {
  const text = await readText(disk, join(directory, NAME));
  if (text !== undefined) return parse(text, directory);
  const names = await disk.list(directory);
  if (names.includes('segments')) {
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

/** Writes the identity so that after a crash the old or the new one is there, whole. */
export async function saveIdentity(disk: Disk, directory: string, identity: NodeIdentity): Promise<void> {
  const temporary = join(directory, `${NAME}.new`);
  const bytes = Buffer.from(`${JSON.stringify(identity, undefined, 2)}\n`);
  const file = await disk.open(temporary, 'create');
  try {
    await file.truncate(0);
    await file.writev([bytes], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, join(directory, NAME));
  await disk.syncDirectory(directory);
}

async function readText(disk: Disk, path: string): Promise<string | undefined> {
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

function parse(text: string, directory: string): NodeIdentity {
  const path = join(directory, NAME);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DfsError('EINVAL', `${path} is damaged; restore it from a backup`, { cause: error });
  }
  if (!Value.Check(NodeIdentity, value)) {
    throw new DfsError('EINVAL', `${path} is damaged; restore it from a backup`);
  }
  if (value.version !== FORMAT_VERSION) {
    throw new DfsError(
      'EINVAL',
      `${path} has format version ${value.version}, but this program knows ${FORMAT_VERSION}; use the program that wrote it`,
    );
  }
  return value;
}

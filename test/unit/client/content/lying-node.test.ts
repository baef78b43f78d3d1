/**
 * What a data node hands out is what was stored, or the reader is told: a real client, a real metadata server, and a data node that
 * answers with other bytes, and with checksums that fit them (docs/decisions/41).
 */
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import { computeChecksums } from '../../../../src/protocol/checksum.js';
import type { Vfs } from '../../../../src/vfs/vfs.js';
import { LyingNode, type Lies } from '../../../support/hostile/lying-node.js';
import { connect, serve } from '../../vfs/support/connected-clients.js';

const KIB = 1024;
const O_RDWR = 2;

interface Stored {
  readonly node: LyingNode;
  /** A client that has nothing of the file in memory. */
  readonly reader: Vfs;
  readonly handle: number;
  readonly bytes: Buffer;
}

/** A file of so many bytes whose only replica the node has. */
async function stored(t: Test, length: number): Promise<Stored> {
  const server = await serve(t);
  const node = await LyingNode.start(t, server.endpoint);
  const writer = await connect(t, server);
  const bytes = randomBytes(length);
  const { handle: written, attributes } = await writer.create(
    ROOT_INODE,
    Buffer.from('file'),
    { mode: 0o600, uid: 0, gid: 0 },
    true,
    O_RDWR,
  );
  await writer.write(written, 0, bytes);
  await writer.flush(written);
  await writer.release(written);
  t.ok(node.chunks.size > 0, 'the node has the chunks');
  const reader = await connect(t, server, undefined, { timeoutMs: 2000, cacheBytes: 200 * KIB });
  return { node, reader, handle: await reader.open(attributes.inode, O_RDWR), bytes };
}

async function readAt({ reader, handle }: Stored, offset: number, length: number): Promise<Buffer> {
  return Buffer.concat(await reader.read(handle, offset, length));
}

const OTHER: Lies = { bytes: bytes => Buffer.alloc(bytes.length, 'x') };
const OTHER_WITH_TRUE_TABLE: Lies = { ...OTHER, table: bytes => computeChecksums([bytes]) };
const SHORT: Lies = { cut: bytes => bytes.subarray(1) };
const LONG: Lies = { cut: bytes => Buffer.concat([bytes, bytes]) };
const SHORT_TABLE: Lies = { ...OTHER, table: () => Buffer.alloc(4) };

/** bytes of the file, and what is read of it: as a whole, and the middle of a larger chunk */
const READS = [
  [100, 0, 100],
  [300 * KIB, 200 * KIB + 5, 4 * KIB],
] as const;

for (const [length, offset, wanted] of READS) {
  t.test(`${wanted} bytes of a chunk of ${length} are those that were stored`, async t => {
    const file = await stored(t, length);
    const { node, bytes } = file;
    for (const lies of [OTHER, OTHER_WITH_TRUE_TABLE, SHORT, LONG, SHORT_TABLE]) {
      node.lies = lies;
      await t.rejects(readAt(file, offset, wanted), { code: 'EIO' });
    }
    node.lies = {};
    t.ok(
      (await readAt(file, offset, wanted)).equals(bytes.subarray(offset, offset + wanted)),
      'the truth is read',
    );
    if (wanted < length) {
      node.lies = OTHER;
      await t.rejects(
        readAt(file, 100 * KIB, wanted),
        { code: 'EIO' },
        'with the true table at hand as well',
      );
    }
  });
}

t.test('a node that hands out another chunk’s bytes is not believed', async t => {
  const file = await stored(t, 2 << 20);
  const { node } = file;
  t.ok(node.chunks.size >= 2, 'the file has several chunks');
  const others = [...node.chunks.values()].toReversed();
  const ids = [...node.chunks.keys()];
  node.lies = { bytes: (_, chunk) => others[ids.indexOf(chunk)] ?? Buffer.alloc(1) };
  await t.rejects(readAt(file, 8 * KIB, 4 * KIB), { code: 'EIO' });
});

t.test('a node that says that others have taken a chunk is not believed, and keeps no chunk', async t => {
  const server = await serve(t);
  const node = await LyingNode.start(t, server.endpoint);
  node.lies = { stored: own => [own, own + 1, 4_000_000] };
  const writer = await connect(t, server, undefined, { timeoutMs: 1500 });
  const { handle } = await writer.create(
    ROOT_INODE,
    Buffer.from('file'),
    { mode: 0o600, uid: 0, gid: 0 },
    true,
    O_RDWR,
  );
  await writer.write(handle, 0, Buffer.alloc(100, 1));
  await t.rejects(writer.fsync(handle), { code: 'EIO' }, 'there is no other node');
  await writer.release(handle).catch(() => undefined);
});

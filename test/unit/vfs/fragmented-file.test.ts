/** What it takes to read a file that was written in small pieces at random places. */
import { constants } from 'node:fs';
import { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { DataNode } from '../../../src/datanode/data-node.js';
import type { MetadataServer } from '../../../src/metadata/metadata-server.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { tcpNetwork, type ByteStream, type Network } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { silent, temporaryDirectory } from '../datanode/store-fixture.js';
import { connect as connectClient, serve } from './support/connected-clients.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const MIB = 1 << 20;
const KIB = 1 << 10;
const PIECE_BYTES = 4096;
const FILE_BYTES = 16 * MIB;
const PIECES = FILE_BYTES / PIECE_BYTES;
/** Odd, so that its multiples, modulo the number of pieces, are every piece once, and far from each other. */
const STRIDE = 1501;
/** A third of the cache is for data: far less than the file. */
const MEMORY = { dirtyBytes: 8 * MIB, cacheBytes: 6 * MIB, readAheadBytes: 2 * MIB, chunkBytes: 4 * MIB };

const platform = { clock: systemClock, random: systemRandom, log: silent, keys: TEST_KEYS };

/** A network that counts what comes in on the connections that are made by it. */
class CountingNetwork implements Network {
  readonly #sockets: Socket[] = [];

  listen = tcpNetwork.listen.bind(tcpNetwork);

  async connect(...parameters: Parameters<Network['connect']>): Promise<ByteStream> {
    const bytes = await tcpNetwork.connect(...parameters);
    if (bytes.stream instanceof Socket) this.#sockets.push(bytes.stream);
    return bytes;
  }

  get receivedBytes(): number {
    return this.#sockets.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  }
}

async function startServers(t: Test): Promise<MetadataServer> {
  const server = await serve(t);
  const directory = await temporaryDirectory(t);
  const own = { ...platform, network: tcpNetwork };
  const node = new DataNode({ ...own, metadata: server.endpoint, directory, port: 0, disk: nodeDisk });
  t.teardown(async () => await node.close());
  await node.start();
  return server;
}

async function connect(t: Test, server: MetadataServer, network: Network): Promise<Vfs> {
  return await connectClient(t, server, network, MEMORY);
}

/** What stands in a piece. */
function contentOf(piece: number): Buffer {
  const bytes = Buffer.alloc(PIECE_BYTES, piece & 0xff);
  bytes.writeUInt32LE(piece);
  return bytes;
}

/** Returns the inode. */
async function writePieces(vfs: Vfs): Promise<number> {
  const creation = { mode: 0o644, umask: 0, uid: 0, gid: 0 };
  const name = Buffer.from('pieces');
  const { handle, attributes } = await vfs.create(ROOT_INODE, name, creation, true, constants.O_RDWR);
  for (let index = 0; index < PIECES; index += 1) {
    const piece = (index * STRIDE) % PIECES;
    await vfs.write(handle, piece * PIECE_BYTES, contentOf(piece));
  }
  await vfs.fsync(handle);
  await vfs.release(handle);
  return attributes.inode;
}

t.test('a file in small pieces is read without fetching what lies between them', async t => {
  const server = await startServers(t);
  const inode = await writePieces(await connect(t, server, tcpNetwork));

  await t.test('from its start to its end', async t => {
    const network = new CountingNetwork();
    const vfs = await connect(t, server, network);
    const handle = await vfs.open(inode, constants.O_RDONLY);
    for (let offset = 0; offset < FILE_BYTES; offset += 128 * KIB) {
      const bytes = Buffer.concat(await vfs.read(handle, offset, 128 * KIB));
      const first = offset / PIECE_BYTES;
      const wanted = Array.from({ length: 32 }, (_, index) => contentOf(first + index));
      if (!bytes.equals(Buffer.concat(wanted))) t.fail(`what is read at ${offset} is not what was written`);
    }
    await vfs.release(handle);
    // A whole megabyte for each piece would be 256 times the file.
    t.ok(network.receivedBytes < 2 * FILE_BYTES, `${network.receivedBytes} bytes came`);
  });

  await t.test('by who jumps about, who is told of few other pieces', async t => {
    const network = new CountingNetwork();
    const vfs = await connect(t, server, network);
    const handle = await vfs.open(inode, constants.O_RDONLY);
    const before = network.receivedBytes;
    const piece = 1234;
    const bytes = Buffer.concat(await vfs.read(handle, piece * PIECE_BYTES, PIECE_BYTES));
    t.ok(bytes.equals(contentOf(piece)));
    await vfs.release(handle);
    const received = network.receivedBytes - before;
    // A block of 16 KiB, whole so that it can be checked (docs/decisions/41), and where it is.
    t.ok(received < 20 * KIB, `${received} bytes came`);
  });

  await t.test('by who wants more pieces at once than there is room to know of', async t => {
    const vfs = await connect(t, server, tcpNetwork);
    const handle = await vfs.open(inode, constants.O_RDONLY);
    const bytes = Buffer.concat(await vfs.read(handle, 0, FILE_BYTES));
    const wanted = Array.from({ length: PIECES }, (_, piece) => contentOf(piece));
    t.ok(bytes.equals(Buffer.concat(wanted)));
    await vfs.release(handle);
  });
});

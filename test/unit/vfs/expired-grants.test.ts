/** A file that is read for longer than its read grants are good, with the servers in this process. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { DataNode } from '../../../src/datanode/data-node.js';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../src/metadata/metadata-server.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import type { Logger } from '../../../src/platform/log.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { READ_GRANT_LIFETIME_MS } from '../../../src/protocol/limits.js';
import { Vfs } from '../../../src/vfs/vfs.js';
import { randomChunk, silent, temporaryDirectory } from '../datanode/store-fixture.js';
import { AS_CLIENT } from '../../support/test-keys.js';

const PIECE_BYTES = 64 << 10;
const PIECES = 6;
/** Nothing is kept but where the chunks are. */
const MEMORY = { dirtyBytes: 1 << 20, cacheBytes: 1 << 20, readAheadBytes: 0, chunkBytes: PIECE_BYTES };

/** Time that a test lets pass. */
class PassingTime implements Clock {
  #passedMs = 0;
  setTimer = systemClock.setTimer.bind(systemClock);
  atNextTurn = systemClock.atNextTurn;

  pass(ms: number): void {
    this.#passedMs += ms;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#passedMs;
  }

  now() {
    const { sec, nsec } = systemClock.now();
    return { sec: sec + Math.floor(this.#passedMs / 1000), nsec };
  }
}

interface Reading {
  readonly servers: PassingTime;
  readonly client: PassingTime;
  /** Warnings of the client. */
  readonly warnings: string[];
  read(piece: number): Promise<boolean>;
}

/** A file of chunks, open in a client that knows where they are. */
async function beginReading(t: Test): Promise<Reading> {
  const servers = new PassingTime();
  const client = new PassingTime();
  const warnings: string[] = [];
  const log = Object.assign(Object.create(silent) as Logger, {
    warn: (_: object, message: string) => void warnings.push(message),
  });
  const platform = { network: tcpNetwork, random: systemRandom, log: silent, ...AS_CLIENT };
  const databasePath = `${await temporaryDirectory(t)}/metadata.db`;
  await createDatabase(databasePath, { ...platform, clock: servers });
  const endpoint = { host: '127.0.0.1', port: 0 };
  const server = new MetadataServer({
    ...platform,
    clock: servers,
    databasePath,
    endpoint,
    durability: 'group',
  });
  t.teardown(async () => await server.close());
  await server.start();
  const node = new DataNode({
    ...platform,
    clock: servers,
    metadata: server.endpoint,
    directory: await temporaryDirectory(t),
    port: 0,
    disk: nodeDisk,
  });
  t.teardown(async () => await node.close());
  await node.start();
  const vfs = await Vfs.open({
    ...platform,
    ...MEMORY,
    clock: client,
    log,
    metadata: server.endpoint,
    goal: 1,
    timeoutMs: 60_000,
    clientName: 'test',
  });
  t.teardown(async () => await vfs.close());
  const creation = { mode: 0o644, umask: 0, uid: 0, gid: 0 };
  const { handle } = await vfs.create(ROOT_INODE, Buffer.from('f'), creation, true, constants.O_RDWR);
  const { bytes } = randomChunk(1, PIECES * 2 * PIECE_BYTES);
  await vfs.write(handle, 0, bytes);
  await vfs.fsync(handle);
  return {
    servers,
    client,
    warnings,
    async read(piece) {
      // Every second chunk, so that nobody reads ahead.
      const at = piece * 2 * PIECE_BYTES;
      const read = Buffer.concat(await vfs.read(handle, at, PIECE_BYTES));
      return read.equals(bytes.subarray(at, at + PIECE_BYTES));
    },
  };
}

t.test('what this client wrote is read with the grant that came along, without asking again', async t => {
  const { read, warnings } = await beginReading(t);
  t.ok(await read(0));
  t.same(warnings, []);
});

t.test('when grants have expired, the reader is given new ones and does not notice', async t => {
  const { read, servers, client, warnings } = await beginReading(t);
  t.ok(await read(0));
  servers.pass(READ_GRANT_LIFETIME_MS + 1);
  t.ok(await read(1), 'although the node refuses the old one');
  t.ok(warnings.length > 0);
  warnings.length = 0;
  t.ok(await read(2), 'from then on with the new ones');
  servers.pass(READ_GRANT_LIFETIME_MS + 1);
  client.pass(READ_GRANT_LIFETIME_MS + 1);
  t.ok(await read(3), 'and by its own clock the client knows when to ask, so that no node refuses it');
  const refusals = warnings.filter(message => message.includes('replica'));
  t.same(refusals, []);
});

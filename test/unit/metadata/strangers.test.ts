/** What a stranger, who may talk to the metadata server, can do in the name of a session or of a data node: nothing. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../src/metadata/metadata-server.js';
import { systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { heartbeat, inventory, reg } from '../../../src/protocol/cluster-commands.js';
import type { Command, ReplyOf, RequestOf } from '../../../src/protocol/command.js';
import { open, put, release } from '../../../src/protocol/content-commands.js';
import { MAX_FILE_BYTES } from '../../../src/protocol/limits.js';
import { cancellock, lock, testlock, unlock } from '../../../src/protocol/lock-commands.js';
import { lookup, mkdir, unlink } from '../../../src/protocol/namespace-commands.js';
import { batch, end, hold, renew, session } from '../../../src/protocol/session-commands.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { LOG, refusal, temporaryDirectory } from './support/harness.js';
import type { Role } from '../../../src/protocol/roles.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const PLATFORM = { network: tcpNetwork, clock: systemClock, random: systemRandom, log: LOG, keys: TEST_KEYS };
const SECRET_BYTES = 16;

/** A program with a connection of its own to the server. */
class Program {
  readonly #rpc: RpcClient;
  session = 0;
  secret: Uint8Array = new Uint8Array();
  #sequence = 0;

  constructor(t: Test, server: MetadataServer, role: Role = 'client') {
    this.#rpc = new RpcClient({ ...PLATFORM, role, server: 'metadata', endpoint: server.endpoint });
    t.teardown(() => this.#rpc.close());
  }

  async ask<C extends Command>(command: C, request: RequestOf<C>): Promise<ReplyOf<C>> {
    const connection = await this.#rpc.connect(systemClock.monotonicMs() + 30_000);
    const answer = await connection.call(command, request, { timeoutMs: 30_000 });
    return answer.reply as ReplyOf<C>;
  }

  async begin(number = 0, secret: Uint8Array = new Uint8Array()): Promise<ReplyOf<typeof session>> {
    const reply = await this.ask(session, { session: number, secret, client: 'test', opens: [] });
    this.session = reply.session;
    this.secret = reply.secret;
    return reply;
  }

  once(number = this.session, acknowledged = this.#sequence): RequestOf<typeof mkdir>['once'] {
    this.#sequence += 1;
    return { session: number, sequence: this.#sequence, acknowledged };
  }
}

async function startServer(t: Test): Promise<MetadataServer> {
  const databasePath = join(await temporaryDirectory(t), 'metadata.db');
  await createDatabase(databasePath, PLATFORM);
  const endpoint = { host: '127.0.0.1', port: 0 };
  const server = new MetadataServer({ ...PLATFORM, databasePath, endpoint, durability: 'group' });
  t.teardown(async () => await server.close());
  await server.start();
  return server;
}

const ROOT = { parent: 1, uid: 0, gid: 0 };

function lockOf(inode: number): RequestOf<typeof lock>['lock'] {
  const start = 0;
  return { inode, kind: 'posix', owner: 'a1', type: 'write', start, end: MAX_FILE_BYTES, pid: 5 };
}

t.test('nothing is done in the name of a session by another connection, and the session goes on', async t => {
  const server = await startServer(t);
  const victim = new Program(t, server);
  await victim.begin();
  const name = Buffer.from('file');
  const grants = { count: 0, goal: 1, maxBytes: 1, exclude: [] };
  const request = { ...ROOT, name, mode: 0o600, exclusive: true, ...grants, once: victim.once() };
  const { inode } = (await victim.ask(put, request)).attributes;
  const held = { session: victim.session, lock: lockOf(inode) };
  t.equal((await victim.ask(lock, { ...held, wait: false, request: 1 })).granted, true);

  const stranger = new Program(t, server);
  const unlocked = { session: victim.session, inode, kind: 'posix', owner: 'a1', start: 0, end: 9 } as const;
  for (const hasOwn of [false, true]) {
    if (hasOwn) await stranger.begin();
    const of = victim.session;
    const once = { session: of, sequence: 1000, acknowledged: 999 };
    const attempts: Record<string, Promise<unknown>> = {
      renew: stranger.ask(renew, { session: of }),
      end: stranger.ask(end, { session: of }),
      open: stranger.ask(open, { inode, session: of }),
      release: stranger.ask(release, { inodes: [inode], session: of }),
      hold: stranger.ask(hold, { session: of, inodes: [1], reserve: 0 }),
      batch: stranger.ask(batch, { changes: [], reserve: 0, once }),
      mkdir: stranger.ask(mkdir, { ...ROOT, name: Buffer.from('mine'), mode: 0o700, once }),
      lock: stranger.ask(lock, { ...held, wait: false, request: 2 }),
      cancellock: stranger.ask(cancellock, { ...held, request: 1 }),
      testlock: stranger.ask(testlock, { session: of, lock: lockOf(inode) }),
      unlock: stranger.ask(unlock, unlocked),
    };
    for (const [what, attempt] of Object.entries(attempts)) {
      t.equal(
        await refusal(attempt),
        'EACCES',
        `${what}, ${hasOwn ? 'with' : 'without'} a session of its own`,
      );
    }
  }

  // The victim's file lives without a name, so it still counts as open; its lock holds; its numbers are not used up.
  await victim.ask(unlink, { parent: 1, name, once: victim.once() });
  t.equal((await victim.ask(open, { inode, session: victim.session })).attributes.nlink, 0);
  const other = await stranger.ask(testlock, { session: stranger.session, lock: lockOf(inode) });
  t.equal(other.conflict?.type, 'write');
  t.equal(await refusal(victim.ask(renew, { session: victim.session })), 'OK');
  t.equal(await refusal(stranger.ask(lookup, { parent: 1, name: Buffer.from('mine') })), 'ENOENT');
});

t.test('a session is resumed with its secret alone; then both of its connections are its own', async t => {
  const server = await startServer(t);
  const victim = new Program(t, server);
  await victim.begin();
  t.equal(victim.secret.length, SECRET_BYTES);
  const stranger = new Program(t, server);
  for (const secret of [Buffer.alloc(0), Buffer.alloc(SECRET_BYTES), victim.secret.subarray(1)]) {
    const reply = await stranger.begin(victim.session, secret);
    t.equal(reply.resumed, false);
    t.not(reply.session, victim.session, 'the stranger gets a session of its own');
    t.notSame(reply.secret, victim.secret);
  }
  t.equal(await refusal(stranger.ask(end, { session: victim.session })), 'EACCES');
  const returning = new Program(t, server);
  t.equal((await returning.begin(victim.session, victim.secret)).resumed, true);
  t.equal(await refusal(returning.ask(renew, { session: victim.session })), 'OK');
});

t.test('a data node that lives is not spoken for by another connection', async t => {
  const server = await startServer(t);
  const space = { totalBytes: 1e12, freeBytes: 1e12, chunks: 0 };
  const place = { id: 'node-one', cluster: '', host: '127.0.0.1', port: 9001, ...space };
  const node = new Program(t, server, 'node');
  const registered = await node.ask(reg, place);
  const beat = { node: registered.node, id: place.id, ...space, dropped: [] };
  const page = { node: registered.node, id: place.id, after: 0, until: 9, absent: [] };
  t.equal((await node.ask(heartbeat, beat)).known, true);

  const stranger = new Program(t, server, 'node');
  for (const port of [9001, 9002]) {
    for (const proof of [undefined, Buffer.alloc(0), Buffer.alloc(registered.proof.length)]) {
      const refused = await stranger.ask(reg, { ...place, port, ...(proof ? { proof } : {}) });
      t.equal(refused.result, 'NAK');
      t.equal(refused.grantKey.length, 0, 'the stranger is not told the key');
    }
  }
  t.equal((await stranger.ask(heartbeat, { ...beat, damaged: [1] })).known, false);
  t.equal((await stranger.ask(inventory, { ...page, chunks: Buffer.alloc(0) })).known, false);
  t.equal((await node.ask(heartbeat, beat)).known, true, 'the node goes on');

  const again = new Program(t, server, 'node');
  const back = await again.ask(reg, { ...place, proof: registered.proof });
  t.equal(back.result, 'DUP', 'the node itself comes back by a new connection while the old one seems open');
  t.same(back.proof, registered.proof);
  t.equal((await again.ask(heartbeat, beat)).known, true);
  t.equal((await node.ask(heartbeat, beat)).known, false, 'the old connection is not the node any more');
});

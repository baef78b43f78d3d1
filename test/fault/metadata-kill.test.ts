/**
 * kill -9 of the metadata server while clients create files: nothing that was acknowledged is lost, nothing is executed
 * twice, and the clients see no error.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { divideCache } from '../../src/client/caches/cache-sizes.js';
import { MetadataSession } from '../../src/client/session/metadata-session.js';
import { createDatabase } from '../../src/metadata/create-database.js';
import { MetadataServer } from '../../src/metadata/metadata-server.js';
import { systemClock } from '../../src/platform/clock.js';
import { createLogger } from '../../src/platform/log.js';
import { tcpNetwork } from '../../src/platform/network.js';
import { systemRandom } from '../../src/platform/random.js';
import { ROOT_INODE } from '../../src/protocol/file-mode.js';
import { put } from '../../src/protocol/content-commands.js';
import { getattr, lookup, readdir, rename } from '../../src/protocol/namespace-commands.js';
import { DEFAULT_CACHE_BYTES } from '../../src/vfs/vfs-options.js';
import { AS_CLIENT } from '../support/test-keys.js';

const PLATFORM = { network: tcpNetwork, clock: systemClock, random: systemRandom, ...AS_CLIENT };
const [mode, databasePath = '', portText = ''] = process.argv.slice(2);

if (mode === 'serve') {
  const server = new MetadataServer({
    ...PLATFORM,
    databasePath,
    endpoint: { host: '127.0.0.1', port: Number(portText) },
    durability: 'group',
    log: createLogger('meta-data', 'info'),
  });
  await server.start();
} else {
  defineTest();
}

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
}

/** A server in a process of its own, ready. */
async function startServer(path: string, wantedPort: number): Promise<Running> {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [...process.execArgv, self, 'serve', path, String(wantedPort)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines: string[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', line => {
      lines.push(line);
      if (!line.startsWith('{')) return;
      const entry = JSON.parse(line) as { msg?: string; port?: number };
      if (entry.msg === 'ready' && entry.port !== undefined) resolve(entry.port);
    });
    child.once('exit', () => reject(new Error(`the server did not start: ${lines.join('\n')}`)));
  });
  return { child, port };
}

async function kill({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

function defineTest(): void {
  t.test('what was acknowledged before kill -9 is there afterwards, once', { timeout: 120_000 }, async t => {
    const directory = await mkdtemp(join(tmpdir(), 'dfs-md-kill-'));
    const path = join(directory, 'metadata.db');
    await createDatabase(path, PLATFORM);
    let server = await startServer(path, 0);
    const session = new MetadataSession({
      ...PLATFORM,
      log: createLogger('test', 'silent'),
      metadata: { host: '127.0.0.1', port: server.port },
      timeoutMs: 60_000,
      cacheSizes: divideCache(DEFAULT_CACHE_BYTES),
      clientName: 'test',
    });
    t.teardown(async () => {
      await session.close();
      await kill(server);
      await rm(directory, { recursive: true, force: true });
    });
    await session.start();

    /** final name → inode, of everything that was acknowledged */
    const acknowledged = new Map<string, number>();
    const running = { isWanted: true };
    const worker = async (which: number): Promise<void> => {
      for (let index = 0; running.isWanted; index += 1) {
        // Executed twice, the create would be EEXIST and the rename ENOENT.
        const name = Buffer.from(`new-${which}-${index}`);
        const newName = Buffer.from(`file-${which}-${index}`);
        const { attributes } = await session.ordered.execute(put, {
          parent: ROOT_INODE,
          name,
          uid: 0,
          gid: 0,
          mode: 0o644,
          exclusive: true,
          count: 0,
          goal: 1,
          maxBytes: 1,
          exclude: [],
        });
        await session.ordered.execute(rename, {
          parent: ROOT_INODE,
          name,
          newParent: ROOT_INODE,
          newName,
          flags: 0,
        });
        acknowledged.set(newName.toString(), attributes.inode);
      }
    };
    const workers = Array.from({ length: 8 }, async (_, which) => await worker(which));
    const all = Promise.all(workers);
    for (let round = 0; round < 4; round += 1) {
      const until = acknowledged.size + 200;
      const deadlineMs = performance.now() + 30_000;
      while (acknowledged.size < until) {
        if (performance.now() > deadlineMs) throw new Error('the clients do not get on');
        await Promise.race([all, new Promise<void>(resolve => setImmediate(resolve))]);
      }
      const { port } = server;
      await kill(server);
      server = await startServer(path, port);
    }
    running.isWanted = false;
    await all;

    let found = 0;
    for (const [name, inode] of acknowledged) {
      const request = { parent: ROOT_INODE, name: Buffer.from(name) };
      const { attributes } = await session.ask(lookup, request);
      if (attributes.inode === inode && attributes.nlink === 1) found += 1;
    }
    t.equal(found, acknowledged.size, `${acknowledged.size} files were acknowledged`);
    let entries = 0;
    let after: Uint8Array = new Uint8Array();
    for (let isEnd = false; !isEnd;) {
      const page = await session.ask(readdir, { inode: ROOT_INODE, after, limit: 1024 });
      entries += page.entries.length;
      after = page.entries.at(-1)?.name ?? after;
      isEnd = page.end;
    }
    t.equal(entries, acknowledged.size, 'and nothing else is there');
    const { attributes: root } = await session.ask(getattr, { inode: ROOT_INODE });
    t.equal(root.nlink, 2);
  });
}

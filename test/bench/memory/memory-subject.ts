/** The smallest cluster of a clone of DFS, this one or an earlier one, whose mount's memory is watched. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseMountTable } from '../../../src/fuse/mount-table.js';
import { environmentFor, shell } from '../../support/programs.js';
import { waitUntil } from '../../support/wait-until.js';
import { quoted } from '../subject.js';

const STORE_MS = 120_000;

export class MemorySubject {
  readonly mountPoint: string;
  readonly #clone: string;
  readonly #directory: string;
  readonly #options: readonly string[];
  /** Those started last come first. */
  readonly #processes: ChildProcess[] = [];

  /**
   * @param clone whose programs are run
   * @param directory empty, and for this subject alone
   * @param options more options of the mount
   */
  constructor(clone: string, directory: string, options: readonly string[]) {
    this.#clone = clone;
    this.#directory = directory;
    this.#options = options;
    this.mountPoint = join(directory, 'mount');
  }

  async start(): Promise<void> {
    await mkdir(join(this.#directory, 'node'), { recursive: true });
    await mkdir(this.mountPoint);
    const database = join(this.#directory, 'metadata.db');
    const [metadata, node] = [await freePort(), await freePort()];
    await shell(`${quoted(this.#program('createdb'))} --db ${quoted(database)}`, {
      env: environmentFor(join(this.#directory, 'home')),
    });
    const server = `127.0.0.1:${metadata}`;
    this.#spawn('meta-data', [String(metadata), '--db', database]);
    await waitUntil(async () => await isListening(metadata), { what: 'the metadata server listens' });
    this.#spawn('data-node', ['127.0.0.1', String(node), join(this.#directory, 'node'), String(metadata)]);
    await waitUntil(async () => await isListening(node), { what: 'the data node listens' });
    this.#spawn('dfs', ['mount', server, this.mountPoint, '--goal=1', ...this.#options]);
    await waitUntil(async () => await this.#isMounted(), { what: 'it is mounted' });
  }

  /** What the mount's process has in memory now, and had at the most. */
  async residentMib(): Promise<{ readonly nowMib: number; readonly mostMib: number }> {
    const status = await readFile(`/proc/${this.#processes[0]?.pid ?? 0}/status`, 'utf8');
    const mibOf = (field: string): number =>
      Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
    return { nowMib: mibOf('VmRSS'), mostMib: mibOf('VmHWM') };
  }

  /** May be called twice. */
  async close(): Promise<void> {
    for (const child of this.#processes.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), STORE_MS);
      await exited;
      clearTimeout(killer);
    }
    if (await this.#isMounted()) await shell(`umount -l ${quoted(this.mountPoint)}`);
  }

  #program(name: string): string {
    return join(this.#clone, 'bin', name);
  }

  #spawn(name: string, parameters: readonly string[]): void {
    const env = environmentFor(join(this.#directory, 'home'));
    this.#processes.unshift(spawn(this.#program(name), parameters, { env, stdio: 'ignore' }));
  }

  async #isMounted(): Promise<boolean> {
    const table = parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
    return table.some(({ mountPoint }) => mountPoint === this.mountPoint);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function isListening(port: number): Promise<boolean> {
  const sockets = await readFile('/proc/net/tcp', 'utf8');
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`:${hexadecimal} 00000000:0000 0A `).test(sockets);
}

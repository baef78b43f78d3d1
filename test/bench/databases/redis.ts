/** Redis with `appendfsync always`: every SET is on the disk before it is answered. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasProgram } from '../../support/find-program.js';
import { runFile, shell } from '../../support/programs.js';
import { waitUntil } from '../../support/wait-until.js';
import { quoted } from '../subject.js';
import type { DatabaseContext, DatabaseWorkload } from './database-workload.js';
import { parseRedisBenchmark, type RedisBenchmarkResult } from './redis-benchmark-output.js';

const PROGRAMS = ['redis-server', 'redis-benchmark', 'redis-cli'];
const CLIENTS = [1, 16];
const VALUE_BYTES = 100;
const KEYS = 1_000_000;
/** Of each client, to see how many a second there are: redis-benchmark ends after a number, not after a time. */
const FIRST_REQUESTS = 100;
const SLOW_MS = 120_000;

export const redis: DatabaseWorkload = {
  name: 'redis',
  async whyNot() {
    return PROGRAMS.every(hasProgram)
      ? undefined
      : 'Redis is not measured without redis-server and redis-benchmark: apt-get install redis-server redis-tools (as root)';
  },
  async run(context) {
    const local = await mkdtemp(join(tmpdir(), 'dfs-bench-redis-'));
    try {
      await measure(new Server(context.directory, local), context);
    } finally {
      await rm(local, { recursive: true, force: true });
    }
  },
};

async function measure(server: Server, context: DatabaseContext): Promise<void> {
  const { seconds, signal, onMeasurement } = context;
  let content: string;
  try {
    await server.start();
    for (const clients of CLIENTS) {
      signal.throwIfAborted();
      const first = await server.benchmark(clients, clients * FIRST_REQUESTS);
      const requests = Math.ceil(Math.max(first.requestsPerSecond * seconds, clients));
      const { requestsPerSecond, p50Ms, p99Ms } = await server.benchmark(clients, requests);
      const notes = { p50: `${p50Ms}ms`, p99: `${p99Ms}ms` };
      onMeasurement({ name: `redis-set-${clients}c`, value: requestsPerSecond, unit: 'ops/s', notes });
    }
    content = await server.content();
  } finally {
    await server.kill();
  }
  await context.freshen();
  try {
    await server.start();
    const reloaded = await server.content();
    if (reloaded !== content) throw new Error(`Redis answered for ${content}, and found ${reloaded} again`);
  } finally {
    await server.kill();
  }
}

/** A server that is reached by a socket in a local directory, and by nothing else. */
class Server {
  readonly #directory: string;
  readonly #socket: string;
  readonly #log: string;
  #child: ChildProcess | undefined;

  constructor(directory: string, local: string) {
    this.#directory = directory;
    this.#socket = join(local, 'socket');
    this.#log = join(local, 'log');
  }

  async start(): Promise<void> {
    const settings = {
      dir: this.#directory,
      port: '0',
      unixsocket: this.#socket,
      logfile: this.#log,
      save: '',
      appendonly: 'yes',
      appendfsync: 'always',
      'enable-debug-command': 'local',
    };
    const parameters = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    // Ctrl-C on the terminal does not reach it.
    this.#child = spawn('redis-server', parameters, { cwd: '/', detached: true, stdio: 'ignore' });
    const answers = async (): Promise<boolean> => (await this.#tryAsking('ping')) === 'PONG';
    await waitUntil(answers, { what: `redis-server answers (see ${this.#log})` });
    if (!(await this.#ask('config get appendfsync')).endsWith('always')) {
      throw new Error('Redis does not wait for its disk');
    }
  }

  async benchmark(clients: number, requests: number): Promise<RedisBenchmarkResult> {
    const size = `-c ${clients} -n ${requests} -r ${KEYS} -d ${VALUE_BYTES}`;
    const command = `redis-benchmark -s ${quoted(this.#socket)} ${size} -t set --csv`;
    return parseRedisBenchmark(await shell(command, { timeoutMs: SLOW_MS }));
  }

  /** The number of its keys, and what stands for all keys and values. */
  async content(): Promise<string> {
    return `${await this.#ask('dbsize')} keys, ${await this.#ask('debug digest')}`;
  }

  /** At once, so that nothing is stored that was not before. May be called when it does not run. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async #ask(command: string): Promise<string> {
    return await shell(`redis-cli -s ${quoted(this.#socket)} ${command}`);
  }

  /** Empty when there is no answer. */
  async #tryAsking(command: string): Promise<string> {
    const { stdout } = await runFile('redis-cli', ['-s', this.#socket, command]);
    return stdout.trim();
  }
}

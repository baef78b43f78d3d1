/** PostgreSQL with pgbench, as its packages are shipped: every commit waits for fsync. */
import { chmod, chown, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasProgram } from '../../support/find-program.js';
import { runFile, shell } from '../../support/programs.js';
import { quoted } from '../subject.js';
import type { DatabaseContext, DatabaseWorkload } from './database-workload.js';
import { parsePgbench, type PgbenchResult } from './pgbench-output.js';

const VERSIONS = '/usr/lib/postgresql';
/** It refuses to run as root. */
const USER = 'postgres';
const AS_USER = [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
const PRIVATE = 0o700;
/** 100,000 accounts each. With fewer than clients, clients would wait for each other's rows. */
const SCALE = 5;
const CLIENTS = [1, 4];
const SLOW_MS = 120_000;

export const postgresql: DatabaseWorkload = {
  name: 'postgresql',
  async whyNot(directory) {
    const isThere =
      hasProgram('setpriv') && (await programs()) !== undefined && (await userId()) !== undefined;
    if (!isThere) {
      return 'PostgreSQL is not measured without pgbench and its user postgres: apt-get install postgresql (as root)';
    }
    const { code } = await runFile('setpriv', [...AS_USER, 'test', '-x', directory]);
    if (code === 0) return undefined;
    return `PostgreSQL is not measured, since its user postgres cannot reach ${directory}; give a TMPDIR that all may pass`;
  },
  async run(context) {
    const [bin, user] = [await programs(), await userId()];
    if (bin === undefined || user === undefined) throw new Error('PostgreSQL is gone');
    const sockets = await mkdtemp(join(tmpdir(), 'dfs-bench-postgresql-'));
    try {
      for (const directory of [sockets, context.directory]) await chown(directory, user, user);
      await chmod(context.directory, PRIVATE);
      await measure(new Server(bin, context.directory, sockets), context);
    } finally {
      await rm(sockets, { recursive: true, force: true });
    }
  },
};

/** The directory of the newest version's programs. */
async function programs(): Promise<string | undefined> {
  const versions = await readdir(VERSIONS).catch((): string[] => []);
  const newest = versions.toSorted((a, b) => Number(a) - Number(b)).at(-1);
  if (newest === undefined) return undefined;
  const bin = join(VERSIONS, newest, 'bin');
  const isThere = await stat(join(bin, 'pgbench')).then(
    () => true,
    () => false,
  );
  return isThere ? bin : undefined;
}

async function userId(): Promise<number | undefined> {
  const { code, stdout } = await runFile('id', ['-u', USER]);
  return code === 0 ? Number(stdout) : undefined;
}

async function measure(server: Server, context: DatabaseContext): Promise<void> {
  const { seconds, signal, onMeasurement } = context;
  await server.make();
  let total = 0;
  try {
    await server.start();
    await server.fill();
    for (const clients of CLIENTS) {
      signal.throwIfAborted();
      const { transactionsPerSecond, latencyMs, count, failed } = await server.pgbench(clients, seconds);
      if (failed > 0) throw new Error(`${failed} transactions of pgbench failed`);
      total += count;
      const notes = { latency: `${latencyMs}ms` };
      onMeasurement({ name: `pgbench-${clients}c`, value: transactionsPerSecond, unit: 'tx/s', notes });
    }
  } finally {
    // As if it were killed: the next start recovers from its log.
    await server.stop();
  }
  signal.throwIfAborted();
  await context.freshen();
  try {
    await server.start();
    await server.verify(total);
  } finally {
    await server.stop();
  }
}

/** A server that is reached by a socket in a directory of its own, and by nothing else. */
class Server {
  readonly #bin: string;
  readonly #data: string;
  readonly #sockets: string;

  constructor(bin: string, directory: string, sockets: string) {
    this.#bin = bin;
    this.#data = join(directory, 'data');
    this.#sockets = sockets;
  }

  async make(): Promise<void> {
    await this.#run('initdb', `-D ${quoted(this.#data)} -A trust -E UTF8 --locale=C --no-sync`);
  }

  async start(): Promise<void> {
    const options = quoted(`-k ${this.#sockets} -h ''`);
    const log = quoted(join(this.#sockets, 'log'));
    // It goes into the background, and would keep a pipe open.
    await this.#run(
      'pg_ctl',
      `-D ${quoted(this.#data)} -l ${log} -o ${options} -w start </dev/null >/dev/null 2>&1`,
    );
    const settings = await this.#ask(
      "select current_setting('fsync'), current_setting('synchronous_commit')",
    );
    if (settings !== 'on|on') throw new Error(`PostgreSQL does not wait for its disk: ${settings}`);
  }

  /** Without any waiting for what is open. May be called when it does not run. */
  async stop(): Promise<void> {
    const data = quoted(this.#data);
    await shell(
      `if [ -e ${data}/postmaster.pid ]; then ${this.#command('pg_ctl')} -D ${data} -m immediate -w stop; fi`,
      { timeoutMs: SLOW_MS },
    );
  }

  async fill(): Promise<void> {
    await this.#run('pgbench', `-h ${quoted(this.#sockets)} -i -s ${SCALE} -q ${USER}`);
    await this.#ask('checkpoint');
  }

  async pgbench(clients: number, seconds: number): Promise<PgbenchResult> {
    // -n: what earlier runs left is counted afterwards.
    return parsePgbench(
      await this.#run('pgbench', `-h ${quoted(this.#sockets)} -n -c ${clients} -T ${seconds} ${USER}`),
    );
  }

  /** Throws when it does not hold exactly the transactions that were acknowledged. */
  async verify(transactions: number): Promise<void> {
    const history = await this.#ask('select count(*), sum(delta) from pgbench_history');
    const [count, sum] = history.split('|');
    if (Number(count) !== transactions)
      throw new Error(`${transactions} transactions were committed, ${count} are there`);
    const accounts = await this.#ask('select sum(abalance) from pgbench_accounts');
    if (accounts !== sum) throw new Error(`accounts hold ${accounts}, and their history says ${sum}`);
  }

  async #ask(statement: string): Promise<string> {
    return await this.#run('psql', `-X -h ${quoted(this.#sockets)} -At -c ${quoted(statement)} ${USER}`);
  }

  async #run(program: string, parameters: string): Promise<string> {
    return await shell(`${this.#command(program)} ${parameters}`, { timeoutMs: SLOW_MS, cwd: '/' });
  }

  #command(program: string): string {
    return `setpriv ${AS_USER.join(' ')} ${quoted(join(this.#bin, program))}`;
  }
}

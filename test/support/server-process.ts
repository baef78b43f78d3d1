/** A server or a mount of this clone as a process of its own, to be stopped, killed and started again. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import type { Endpoint } from '../../src/platform/network.js';
import { inClone, inSharedClone, WITHOUT_TAP } from './programs.js';
import { waitUntil } from './wait-until.js';

const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 60_000;
const TAIL_LINES = 25;

export interface ServerProcessOptions {
  /** metadata, node1, …, mount1, … */
  readonly name: string;
  /** The executable in bin/. */
  readonly program: string;
  /** Its arguments; `port` is 0 at the first start, and what it listened on then at every further one. */
  readonly parameters: (port: number) => readonly string[];
  /** Where its state is; for a mount, the mount point. */
  readonly directory: string;
  readonly logPath: string;
  readonly env: NodeJS.ProcessEnv;
  /** What its command line begins with. */
  readonly prefix?: readonly string[] | undefined;
  /** The user and group, both of this number, that it runs as; default this process's own. */
  readonly userId?: number | undefined;
  /**
   * A copy of Node under another name, by which its processes are told from all others. Ctrl-C on the terminal does not
   * reach them.
   */
  readonly ownExecutable?: string | undefined;
  /** Where the DFS is installed whose program is run, asked at each start; default this clone. */
  readonly installation?: (() => string | undefined) | undefined;
}

/** What of the log line `ready` says where a process listens. */
interface ReadyLine {
  readonly msg?: unknown;
  readonly endpoint?: Endpoint;
  readonly host?: string;
  readonly port?: number;
}

/** As the programs in bin/ start Node (docs/decisions/35; README, "How much memory it takes"). */
const LARGE_PAGES = 'GLIBC_TUNABLES=glibc.malloc.hugetlb=1';
const YOUNG_GENERATION = '--max-semi-space-size=16';

export class ServerProcess {
  readonly name: string;
  readonly directory: string;
  readonly logPath: string;
  readonly #options: ServerProcessOptions;
  #child: ChildProcess | undefined;
  /** How the current run ends: its exit code, or null after a signal. */
  #exit: Promise<number | null> = Promise.resolve(null);
  #endpoint: Endpoint | undefined;
  /** Where the log of the current run begins. */
  #logStart = 0;

  constructor(options: ServerProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.directory = options.directory;
    this.logPath = options.logPath;
  }

  /**
   * Starts it, and waits until it says that it is ready. Throws with the end of its log if it does not.
   * @param more options for this run alone
   */
  async start(more: readonly string[] = []): Promise<void> {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const { program, parameters, logPath, env, userId, ownExecutable, prefix = [] } = this.#options;
    const log = openSync(logPath, 'a');
    this.#logStart = statSync(logPath).size;
    const own = userId === undefined ? inClone(`bin/${program}`) : inSharedClone(`bin/${program}`);
    const installation = this.#options.installation?.();
    const path = installation === undefined ? own : `${installation}/bin/${program}`;
    const command = [
      ...prefix,
      ...WITHOUT_TAP,
      LARGE_PAGES,
      ownExecutable ?? process.execPath,
      YOUNG_GENERATION,
      path,
      ...parameters(this.#endpoint?.port ?? 0),
      ...more,
    ];
    const user =
      userId === undefined ? [] : [`--reuid=${userId}`, `--regid=${userId}`, '--clear-groups', '--'];
    try {
      // setpriv: should this process be killed, by tap's own deadline for one, its servers end too.
      const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...user, ...command], {
        stdio: ['ignore', log, log],
        env,
        detached: ownExecutable !== undefined,
      });
      this.#child = child;
      this.#exit = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
    } finally {
      closeSync(log);
    }
    await waitUntil(() => this.#isReady(), {
      deadlineMs: READY_DEADLINE_MS,
      what: `${this.name} is ready`,
    }).catch((error: unknown) => {
      throw new Error(`${this.name} did not start; its log ends with\n${this.logTail()}`, { cause: error });
    });
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The process id of the current run. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} was not started`);
    return pid;
  }

  /** Where it listens, which it keeps over restarts; for a mount there is none. */
  get endpoint(): Endpoint {
    if (!this.#endpoint) throw new Error(`${this.name} does not listen`);
    return this.#endpoint;
  }

  /** host:port */
  get address(): string {
    return `${this.endpoint.host}:${this.endpoint.port}`;
  }

  /** kill -9; returns when it is dead. */
  async kill9(): Promise<void> {
    if (this.isRunning) this.#child?.kill('SIGKILL');
    await this.#exit;
  }

  /** SIGTERM; returns its exit code when it has ended. A process that takes too long is killed, which throws. */
  async stop(deadlineMs = STOP_DEADLINE_MS): Promise<number | null> {
    if (this.isRunning) this.#child?.kill('SIGTERM');
    return await this.exited(deadlineMs);
  }

  /** Its exit code, null after a signal, when it has ended by itself. One that does not is killed, which throws. */
  async exited(deadlineMs = STOP_DEADLINE_MS): Promise<number | null> {
    try {
      await waitUntil(() => !this.isRunning, { deadlineMs, what: `${this.name} has ended` });
    } catch (error) {
      const tail = this.logTail();
      await this.kill9();
      throw new Error(`${this.name} did not end and was killed; its log ends with\n${tail}`, {
        cause: error,
      });
    }
    return await this.#exit;
  }

  /** Starts it again with the same port and directory; a running one is stopped first. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The last lines of its log. */
  logTail(lines = TAIL_LINES): string {
    if (!existsSync(this.logPath)) return '(it was never started)';
    return readFileSync(this.logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  #isReady(): boolean {
    // What it said counts also when it has ended since: whoever waits for that asks exited().
    const ready = this.#readyLine();
    if (ready) {
      const { endpoint, host, port } = ready;
      if (endpoint) this.#endpoint = endpoint;
      else if (host !== undefined && port !== undefined) this.#endpoint = { host, port };
      return true;
    }
    if (!this.isRunning) throw new Error(`it ended with exit code ${this.#child?.exitCode ?? 'none'}`);
    return false;
  }

  #readyLine(): ReadyLine | undefined {
    const log = readFileSync(this.logPath).subarray(this.#logStart).toString();
    // The last piece is no whole line yet, or empty.
    for (const line of log.split('\n').slice(0, -1)) {
      if (!line.startsWith('{')) continue;
      const entry = JSON.parse(line) as ReadyLine;
      if (entry.msg === 'ready') return entry;
    }
    return undefined;
  }
}

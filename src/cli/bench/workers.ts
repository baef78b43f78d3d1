/** The worker processes of a benchmark. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { DfsError } from '../../protocol/errors.js';
import { nowNs, type Outcome } from './outcome.js';
import type { TaskInput, TaskName, TaskReply, TaskRequest } from './tasks.js';

const PROGRAM = fileURLToPath(new URL('./bench-process.js', import.meta.url));
/** By then every process has been told what to do. */
const START_TOGETHER_NS = 50e6;

export class Workers {
  readonly #children: ChildProcess[];
  readonly #signal: AbortSignal;
  readonly #kill = (): void => {
    for (const child of this.#children) child.kill('SIGKILL');
  };

  /** @param signal ends what is under way */
  private constructor(count: number, signal: AbortSignal) {
    this.#signal = signal;
    this.#children = Array.from({ length: count }, () =>
      // Not in the directory that is measured, which would keep it from being unmounted.
      fork(PROGRAM, { cwd: '/', serialization: 'advanced', execArgv: [] }),
    );
    signal.addEventListener('abort', this.#kill);
  }

  /** Returns when they are ready to be measured. */
  static async start(count: number, signal: AbortSignal): Promise<Workers> {
    const workers = new Workers(count, signal);
    const ready = await Promise.all(workers.#children.map(async child => await answerOf(child)));
    if (ready.includes(undefined)) {
      await workers.close();
      signal.throwIfAborted();
      throw new DfsError('EIO', 'the processes of the benchmark did not start');
    }
    return workers;
  }

  /** Has one process do a task. Rejects with the sentence in which it failed. */
  async run<Name extends TaskName>(task: Name, input: TaskInput<Name>): Promise<Outcome> {
    return await this.#ask(this.#children[0], { task, input, notBeforeNs: 0 });
  }

  /** Has every process do a part of a task at the same time. */
  async runAll<Name extends TaskName>(
    task: Name,
    inputOf: (index: number) => TaskInput<Name>,
  ): Promise<Outcome[]> {
    const notBeforeNs = nowNs() + START_TOGETHER_NS;
    return await Promise.all(
      this.#children.map(
        async (child, index) => await this.#ask(child, { task, input: inputOf(index), notBeforeNs }),
      ),
    );
  }

  /** Ends the processes; returns when they have ended. May be called twice. */
  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#kill);
    this.#kill();
    for (const child of this.#children) {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  }

  async #ask<Name extends TaskName>(
    child: ChildProcess | undefined,
    request: TaskRequest<Name>,
  ): Promise<Outcome> {
    this.#signal.throwIfAborted();
    if (!child) throw new DfsError('EINVAL', 'there is no process to do it');
    const answered = answerOf(child);
    child.send(request);
    const reply = await answered;
    // The processes are killed by the signal; why they ended is what the user should hear.
    this.#signal.throwIfAborted();
    if (!reply) throw new DfsError('EINTR', 'a process of the benchmark was ended');
    if ('error' in reply) throw new DfsError('EIO', reply.error);
    if (!('outcome' in reply)) throw new DfsError('EPROTO', 'a process of the benchmark told no outcome');
    return reply.outcome;
  }
}

/** What the process says next; undefined when it ends. */
async function answerOf(child: ChildProcess): Promise<TaskReply | undefined> {
  return await new Promise(resolve => {
    const take = (message: unknown): void => {
      child.removeListener('exit', end);
      // Only bench-process.ts speaks there.
      resolve(message as TaskReply);
    };
    const end = (): void => {
      child.removeListener('message', take);
      resolve(undefined);
    };
    child.once('message', take);
    child.once('exit', end);
  });
}

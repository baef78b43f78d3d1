/** `null`: the kernel driver over a file system in memory, which is what DFS's own work in the client begins with. */
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ServerProcess } from '../support/server-process.js';
import { endDaemons, runningExecutable, type FindDaemons } from './daemons.js';
import { quoted, unmountCommand, type Subject, type Workplace } from './subject.js';
import { unmount } from './unmount.js';

/** From bin/. */
const PROGRAM = '../build/test/bench/null/null-mount-driver.js';
const END_MS = 10_000;

export class NullSubject implements Subject {
  readonly directory: string;
  readonly remount: string;
  readonly executables: readonly string[];
  readonly findDaemons: FindDaemons;
  readonly whyNoFsync = 'it stores nothing';
  readonly #server: ServerProcess;

  constructor({ directory, node }: Workplace) {
    this.directory = join(directory, 'null');
    // It mounts itself again, since it would lose everything by ending.
    const isMounted = `mountpoint -q ${quoted(this.directory)}`;
    this.remount = `${unmountCommand(this.directory)} && until ${isMounted}; do sleep 0.02; done`;
    this.executables = [basename(node)];
    this.findDaemons = runningExecutable(node);
    this.#server = new ServerProcess({
      name: 'null',
      program: PROGRAM,
      parameters: () => [this.directory],
      directory: this.directory,
      logPath: join(directory, 'null.log'),
      // As bin/start.js has it for the real ones.
      env: { ...process.env, UV_THREADPOOL_SIZE: '8' },
      ownExecutable: node,
    });
  }

  async start(): Promise<void> {
    await mkdir(this.directory);
    await this.#server.start();
  }

  async close(): Promise<void> {
    await endDaemons(this.findDaemons, END_MS);
    await unmount(this.directory);
  }
}

/** Several machines, each with its own network and its own home, of which the first one has the metadata server. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Namespaces } from './namespaces.js';
import { environmentFor, inClone, runFile, type Outcome } from './programs.js';
import { ServerProcess } from './server-process.js';

export class Fleet {
  readonly directory: string;
  readonly network: Namespaces;
  metadata = '';
  metadataPort = 0;

  constructor(directory: string, network: Namespaces) {
    this.directory = directory;
    this.network = network;
  }

  static async start(t: Test): Promise<Fleet> {
    const directory = await mkdtemp(join(tmpdir(), 'dfs-fleet-'));
    t.teardown(async () => await rm(directory, { recursive: true, force: true }));
    const fleet = new Fleet(directory, await Namespaces.create(t));
    fleet.metadata = await fleet.network.addressOf('head');
    for (const machine of ['store', 'desk']) await fleet.network.addressOf(machine);
    for (const machine of ['head', 'store', 'desk']) await mkdir(fleet.home(machine), { mode: 0o700 });
    return fleet;
  }

  home(machine: string): string {
    return join(this.directory, machine);
  }

  environment(machine: string): NodeJS.ProcessEnv {
    return environmentFor(this.home(machine));
  }

  get server(): string {
    return `${this.metadata}:${this.metadataPort}`;
  }

  /** Runs `dfs` on a machine. */
  async dfs(machine: string, parameters: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const [program = '', ...rest] = [...this.network.prefixOf(machine), inClone('bin/dfs'), ...parameters];
    return await runFile(program, rest, { env: { ...this.environment(machine), ...more } });
  }

  /** The same, which must succeed; returns its output. */
  async done(machine: string, parameters: readonly string[], more?: NodeJS.ProcessEnv): Promise<string> {
    const { code, stdout, stderr } = await this.dfs(machine, parameters, more);
    if (code !== 0) throw new Error(`dfs ${parameters.join(' ')}: ${stderr}`);
    return stdout.trim();
  }

  process(
    machine: string,
    program: string,
    parameters: (port: number) => readonly string[],
    directory: string,
  ): ServerProcess {
    return new ServerProcess({
      name: `${program} on ${machine}`,
      program,
      parameters,
      directory,
      logPath: join(this.directory, `${machine}-${program}.log`),
      env: this.environment(machine),
      prefix: this.network.prefixOf(machine),
    });
  }
}

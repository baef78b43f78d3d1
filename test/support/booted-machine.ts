/**
 * A machine of a test that is booted by systemd: a container with a network of its own, and with a root directory of its own, which is
 * this machine's with all that DFS's clone, Node and npm brought taken out. It can lose its power. Root only; needs systemd-nspawn.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Namespaces } from './namespaces.js';
import { runFile, shell, type Outcome, type RunOptions } from './programs.js';
import { waitUntil } from './wait-until.js';

const BOOT_DEADLINE_MS = 90_000;
/** Of this machine's root directory, not there: programs that a bare machine lacks, and everybody's state. */
const ABSENT = [
  'usr/local',
  'usr/bin/node',
  'usr/bin/npm',
  'usr/bin/npx',
  'usr/lib/node_modules',
  'usr/include',
  'usr/bin/cc',
  'usr/bin/gcc',
  'usr/bin/g++',
  'usr/bin/make',
  'work',
  'tmp',
  'root',
  'home',
  'srv',
  'mnt',
  'etc/dfs',
  'etc/machine-id',
  'var/lib/dfs',
  'var/log',
  // What would be started beside.
  'etc/systemd/system/multi-user.target.wants',
  'etc/systemd/system/timers.target.wants',
  'usr/lib/systemd/system/timers.target.wants',
];
const MADE = ['tmp', 'root', 'home', 'srv', 'mnt', 'var/log', 'var/log/journal'];

export class BootedMachine {
  readonly name: string;
  readonly #directory: string;
  readonly #network: Namespaces;
  #container: ChildProcess | undefined;
  /** The process id of its init, outside. */
  #leader = 0;

  /** @param directory for its root directory, and for what it logs */
  constructor(name: string, directory: string, network: Namespaces) {
    this.name = name;
    this.#directory = directory;
    this.#network = network;
  }

  get root(): string {
    return join(this.#directory, 'root');
  }

  /** Makes its root directory, and boots it. */
  async install(): Promise<void> {
    await this.#network.addressOf(this.name);
    await mkdir(this.root, { recursive: true });
    const env = {
      ...process.env,
      DIRECTORY: this.#directory,
      ABSENT: ABSENT.join(' '),
      MADE: MADE.join(' '),
      NAME: this.name,
    };
    // A character device of number 0/0 in the upper directory is a name that is not there (overlayfs).
    await shell(
      `cd "$DIRECTORY"; mkdir -p upper work
       for path in $ABSENT; do
         mkdir -p "upper/$(dirname "$path")"; mknod "upper/$path" c 0 0
       done
       mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
       for path in $MADE; do mkdir "root/$path"; done
       chmod 1777 root/tmp; chmod 700 root/root; : > root/etc/machine-id
       echo "$NAME" > root/etc/hostname; printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n' "$NAME" > root/etc/hosts
       rm -f root/etc/fstab; : > root/etc/fstab
       mkdir root/etc/systemd/system/multi-user.target.wants
       ln -s /lib/systemd/system/remote-fs.target root/etc/systemd/system/multi-user.target.wants/`,
      { env },
    );
    await this.powerOn();
  }

  /** Boots it, and returns when all that starts with it has. */
  async powerOn(): Promise<void> {
    if (this.#container) throw new Error(`${this.name} runs`);
    const log = openSync(join(this.#directory, 'console.log'), 'a');
    try {
      this.#container = spawn(
        'systemd-nspawn',
        [
          '--quiet',
          '--boot',
          '--register=no',
          '--keep-unit',
          `--directory=${this.root}`,
          `--machine=${this.name}`,
          `--hostname=${this.name}`,
          `--network-namespace-path=${this.#network.pathOf(this.name)}`,
          '--bind=/dev/fuse',
          '--bind=/dev/autofs',
          '--resolv-conf=off',
          '--timezone=off',
          '--link-journal=no',
          '--console=pipe',
        ],
        { stdio: ['ignore', log, log] },
      );
    } finally {
      closeSync(log);
    }
    const { pid } = this.#container;
    await waitUntil(
      async () => {
        const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
        this.#leader = Number(children[0]);
        if (this.#leader === 0) return false;
        const { stdout } = await this.run('systemctl is-system-running').catch(() => ({ stdout: '' }));
        return ['running', 'degraded'].includes(stdout.trim());
      },
      { deadlineMs: BOOT_DEADLINE_MS, what: `${this.name} is booted` },
    );
  }

  /** Every process ends at once, and nothing is written any more but what the disk has been given. */
  async cutPower(): Promise<void> {
    const container = this.#container;
    if (!container) return;
    const exited =
      container.exitCode === null && container.signalCode === null ? once(container, 'exit') : undefined;
    if (this.#leader > 0) process.kill(this.#leader, 'SIGKILL');
    else container.kill('SIGKILL');
    await exited;
    this.#container = undefined;
    this.#leader = 0;
  }

  /** Restarts it in good order. */
  async restart(): Promise<void> {
    const container = this.#container;
    if (!container) throw new Error(`${this.name} does not run`);
    const exited = once(container, 'exit');
    // It may end before the answer.
    await this.run('systemctl poweroff').catch(() => undefined);
    await exited;
    this.#container = undefined;
    this.#leader = 0;
    await this.powerOn();
  }

  /** Runs a command as root's shell on that machine would. */
  async run(command: string, options: RunOptions = {}): Promise<Outcome> {
    const entered = [
      '--target',
      String(this.#leader),
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--cgroup',
    ];
    const environment = [
      'env',
      '-i',
      '--chdir=/root',
      'HOME=/root',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'LANG=C.UTF-8',
    ];
    return await runFile('nsenter', [...entered, '--root', ...environment, 'bash', '-c', command], options);
  }

  /** Puts a file of this machine into its /root. */
  async receive(path: string): Promise<void> {
    await copyFile(path, join(this.root, 'root', basename(path)));
  }

  async writeFile(path: string, text: string): Promise<void> {
    await writeFile(join(this.root, path), text);
  }

  /** The end of what it logged, for a test that failed. */
  async logTail(): Promise<string> {
    const { stdout } = await this.run('journalctl --no-pager -n 60 -o short').catch(() => ({ stdout: '' }));
    return stdout;
  }

  async remove(): Promise<void> {
    await this.cutPower();
    await shell('umount -l "$ROOT" 2>/dev/null || true', { env: { ...process.env, ROOT: this.root } });
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** docs/three-machines.md, line by line, on three machines that are booted, have nothing but the package, and lose their power. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BootedMachine } from '../support/booted-machine.js';
import { filledIn, guideSteps, isAsExpected } from '../support/console-guide.js';
import { Namespaces } from '../support/namespaces.js';
import { builtPackage } from '../support/package.js';
import { inClone } from '../support/programs.js';

const NETWORK = '10.0.0';
const STATUS_WARNING = 3;
const COMMAND_MS = 120_000;

async function startMachines(t: Test, names: readonly string[]): Promise<Map<string, BootedMachine>> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-machines-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const network = await Namespaces.create(t, NETWORK);
  const machines = new Map<string, BootedMachine>();
  for (const name of names) {
    const place = join(directory, name);
    await mkdir(place);
    const machine = new BootedMachine(name, place, network);
    machines.set(name, machine);
    t.teardown(async () => {
      if (!t.passing()) t.comment(`--- the log of ${name} ends with\n${await machine.logTail()}`);
      await machine.remove();
    });
    await machine.install();
  }
  return machines;
}

t.test(
  'the guide for three machines holds, line by line',
  { skip: process.getuid?.() !== 0 && 'only root boots machines' },
  async t => {
    const steps = guideSteps(await readFile(inClone('docs/three-machines.md'), 'utf8'));
    const machines = await startMachines(t, [...new Set(steps.map(step => step.machine))]);
    const packagePath = await builtPackage(t);
    for (const machine of machines.values()) await machine.receive(packagePath);
    const bare = await machines.get('one')?.run('command -v node npm npx gcc cc make');
    t.equal(bare?.stdout, '', 'a machine has nothing that builds or runs JavaScript');
    const printed: string[] = [];
    for (const { machine: name, command, expected, line } of steps) {
      const machine = machines.get(name);
      if (!machine) throw new Error(`there is no machine ${name}`);
      if (command === 'reboot') {
        await machine.cutPower();
        await machine.powerOn();
        continue;
      }
      if (command === 'systemctl reboot') {
        await machine.restart();
        continue;
      }
      const typed = filledIn(command, printed);
      const { code, stdout, stderr } = await machine.run(typed, { timeoutMs: COMMAND_MS });
      const output = `${stdout}${stderr}`;
      printed.push(...output.split('\n'));
      // The disk of the machine that runs the tests may be nearly full, which is a warning.
      const isDone = code === 0 || (code === STATUS_WARNING && command === 'dfs status');
      const isRight = isDone && isAsExpected(output, expected);
      t.ok(isRight, `line ${line}: ${name}# ${command}`, isRight ? {} : { code, output, expected });
      if (!isRight) return;
    }
  },
);

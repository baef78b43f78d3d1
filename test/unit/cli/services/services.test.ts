/** Services without an init system: started once, ready when they say so, and never mistaken for another process. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { identify } from '../../../../src/cli/services/process-identity.js';
import type { ServiceDefinition } from '../../../../src/cli/services/service-definition.js';
import { readRecord, writeRecord } from '../../../../src/cli/services/service-record.js';
import { servicesStatus, startServices, stopServices } from '../../../../src/cli/services/services.js';

const READY = '{"level":30,"msg":"ready","port":4711}';
/** Says that it is ready, and runs until it is asked to end. */
const SERVES = `echo '${READY}'; exec sleep 600`;
const QUICK = { stopMs: 10_000, warn: (): void => undefined };

class Services {
  readonly directory: string;

  constructor(test: Test) {
    this.directory = mkdtempSync(join(tmpdir(), 'dfs-services-'));
    test.teardown(async () => {
      await stopServices(['a', 'b'], this.directory, { stopMs: 100, warn: () => undefined });
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** A service that a shell script is. */
  script(name: string, script: string): ServiceDefinition {
    return {
      name,
      argv: ['/bin/sh', '-c', script],
      logFile: this.logFile(name),
      directory: '/data',
      readyAddress: entry => (entry['msg'] === 'ready' ? `127.0.0.1:${String(entry['port'])}` : undefined),
    };
  }

  logFile(name: string): string {
    return join(this.directory, 'log', `${name}.log`);
  }

  pid(name: string): number {
    return readRecord(this.directory, name)?.pid ?? 0;
  }

  states(): string[] {
    return servicesStatus(['a', 'b'], this.directory).map(({ state }) => state);
  }
}

t.test('services start once, and their records tell where they are', async t => {
  const services = new Services(t);
  const both = [services.script('a', SERVES), services.script('b', SERVES)];
  t.same(services.states(), ['down', 'down']);
  const first = await startServices(both, services.directory);
  t.same(
    first.map(({ name, state, record }) => [name, state, record.address]),
    [
      ['a', 'started', '127.0.0.1:4711'],
      ['b', 'started', '127.0.0.1:4711'],
    ],
  );
  t.same(services.states(), ['ready', 'ready']);
  const pid = services.pid('a');
  const [, started, boot] = readFileSync(join(services.directory, 'a.process'), 'utf8').split(/[ \n]/);
  t.equal(
    readFileSync(join(services.directory, 'a.process'), 'utf8'),
    `${pid} ${started} ${boot} 0\n127.0.0.1:4711\n/data\n`,
    'in the form that mount.sh has always written',
  );
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
  t.equal(Number(stat[5]), pid, 'it has a session of its own, and survives the terminal');

  const again = await startServices(both, services.directory);
  t.same(
    again.map(({ state }) => state),
    ['ran', 'ran'],
  );
  t.equal(services.pid('a'), pid);

  const stopped = await stopServices(['a', 'b'], services.directory, QUICK);
  t.same(stopped, [
    { name: 'a', hasRun: true, wasKilled: false },
    { name: 'b', hasRun: true, wasKilled: false },
  ]);
  t.equal(identify(pid), undefined, 'it has ended');
  t.same(services.states(), ['down', 'down']);
  t.same(await stopServices(['a'], services.directory, QUICK), [
    { name: 'a', hasRun: false, wasKilled: false },
  ]);
});

t.test(
  'a service that ends before it is ready did not start, and what it said is behind its mark',
  async t => {
    const services = new Services(t);
    await startServices([services.script('a', 'echo before; exit 1')], services.directory);
    const [outcome] = await startServices(
      [services.script('a', `echo 'no luck'; exit 1`)],
      services.directory,
    );
    t.equal(outcome?.state, 'ended');
    const log = readFileSync(services.logFile('a'), 'utf8');
    t.equal(log.slice(outcome?.record.logMark), 'no luck\n');
    t.same(services.states(), ['down', 'down']);
    const [missing] = await startServices(
      [{ ...services.script('b', ''), argv: ['/no/such/program'] }],
      services.directory,
    );
    t.equal(missing?.state, 'ended');
    t.match(readFileSync(services.logFile('b'), 'utf8'), /not found/);
  },
);

t.test('a service that is slow is left to itself, and the next start waits for it', async t => {
  const services = new Services(t);
  const go = join(services.directory, 'go');
  const slow = services.script('a', `until [ -e '${go}' ]; do sleep 0.02; done; ${SERVES}`);
  const [first] = await startServices([slow], services.directory, { startMs: 50 });
  t.equal(first?.state, 'slow');
  t.same(services.states(), ['starting', 'down']);
  writeFileSync(go, '');
  const [second] = await startServices([slow], services.directory);
  t.match(second, { state: 'ran', record: { pid: services.pid('a'), address: '127.0.0.1:4711' } });
  t.same(services.states(), ['ready', 'down']);
});

t.test('a process that does not end is killed, and that is said', async t => {
  const services = new Services(t);
  const stubborn = services.script('a', `trap '' TERM; echo '${READY}'; while :; do sleep 0.05; done`);
  await startServices([stubborn], services.directory);
  const pid = services.pid('a');
  const said: string[] = [];
  const [outcome] = await stopServices(['a'], services.directory, {
    stopMs: 200,
    warn: sentence => said.push(sentence),
  });
  t.equal(outcome?.wasKilled, true);
  t.same(said, [`a, process ${pid}, has not ended within 0.2 seconds; killing it`]);
  t.equal(identify(pid), undefined);
});

t.test('a process id that now belongs to somebody else is left alone', async t => {
  const services = new Services(t);
  const self = identify(process.pid);
  if (!self) throw new Error('this process does not run');
  const record = { ...self, logMark: 0, address: '127.0.0.1:1', directory: '/data' };
  const strangers = [
    // As after many processes more, and as after a restart of the machine.
    { ...record, started: '1' },
    { ...record, boot: '00000000-0000-0000-0000-000000000000' },
  ];
  for (const stranger of strangers) {
    writeRecord(services.directory, 'a', stranger);
    t.same(services.states(), ['down', 'down']);
    const [stopped] = await stopServices(['a'], services.directory, QUICK);
    t.equal(stopped?.hasRun, false, 'and here we are');
    t.equal(readRecord(services.directory, 'a'), undefined);
  }
});

t.test('a record that makes no sense is none', async t => {
  const services = new Services(t);
  for (const text of ['', 'x y z\n-\n/\n', '0 1 boot 0\n-\n/data\n', '12 1 boot 0\n']) {
    writeFileSync(join(services.directory, 'a.process'), text);
    t.equal(readRecord(services.directory, 'a'), undefined, JSON.stringify(text));
  }
});

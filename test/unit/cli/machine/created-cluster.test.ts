/** A cluster is made whole or not at all, and never beside another one. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createCluster, type NewClusterPlan } from '../../../../src/cli/machine/created-cluster.js';
import type { MachineServices } from '../../../../src/cli/machine/service-control.js';
import type { ServiceName } from '../../../../src/cli/machine/service-name.js';

/** Services that only say whether they run. */
class RecordedServices implements MachineServices {
  readonly kind = 'local';
  readonly running = new Set<ServiceName>();
  failing: ServiceName | undefined;

  hint(name: ServiceName): string {
    return name;
  }

  async enable(name: ServiceName): Promise<void> {
    if (name === this.failing) throw new Error(`${name} did not start`);
    this.running.add(name);
  }

  async disable(name: ServiceName): Promise<void> {
    this.running.delete(name);
  }

  async restart(): Promise<void> {
    // They have nothing to read again.
  }
}

async function makePlan(
  t: Test,
): Promise<NewClusterPlan & { services: RecordedServices; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-create-'));
  t.teardown(async () => await rm(directory, { recursive: true }));
  const home = join(directory, 'home');
  return {
    directory,
    layout: { configuration: home, configurationMode: 0o700, state: home, user: undefined },
    services: new RecordedServices(),
    account: undefined,
    address: '10.0.0.1',
    isOnlyThere: false,
    port: 8000,
    nodePort: undefined,
    directories: [join(directory, 'a'), join(directory, 'b')],
  };
}

t.test('each directory gets a data node, and others reach it by the address that was given', async t => {
  const plan = await makePlan(t);
  const { server, local, nodes } = await createCluster(plan);
  t.same(server, { host: '10.0.0.1', port: 8000 });
  t.same(local, { host: '127.0.0.1', port: 8000 });
  t.same(nodes, [
    { name: 'node', directory: join(plan.directory, 'a'), port: 9000 },
    { name: 'node-b', directory: join(plan.directory, 'b'), port: 9001 },
  ]);
  t.same([...plan.services.running], ['metadata', 'node', 'node-b']);
  await t.rejects(createCluster(plan), { code: 'EEXIST' }, 'there is no second one on the machine');
});

t.test('of a cluster that does not start nothing is left, and it can be made again', async t => {
  const plan = await makePlan(t);
  for (const failing of ['metadata', 'node', 'node-b'] as const) {
    plan.services.failing = failing;
    await t.rejects(createCluster(plan), /did not start/);
    t.same([...plan.services.running], [], `nothing runs without ${failing}`);
    t.same(await readdir(plan.layout.state), [], 'no key, no database, no configuration');
  }
  plan.services.failing = undefined;
  t.equal((await createCluster(plan)).nodes.length, 2);
});

t.test('what was there before a cluster that does not start is there after it', async t => {
  const plan = await makePlan(t);
  const kept = join(plan.layout.state, 'metadata', 'dfs.db.old');
  const found = join(plan.directory, 'a', 'lost+found');
  await mkdir(join(plan.layout.state, 'metadata'), { recursive: true });
  await writeFile(kept, 'an earlier database');
  await mkdir(found, { recursive: true });
  plan.services.failing = 'node-b';
  await t.rejects(createCluster(plan), /did not start/);
  t.same(await readdir(join(plan.layout.state, 'metadata')), ['dfs.db.old']);
  t.same(await readdir(join(plan.directory, 'a')), ['lost+found']);
});

t.test('a directory with something in it is left as it is', async t => {
  const plan = await makePlan(t);
  await mkdir(join(plan.directory, 'b'));
  await writeFile(join(plan.directory, 'b', 'mine'), 'mine');
  await t.rejects(createCluster(plan), { code: 'EEXIST' });
  t.same(await readdir(plan.directory), ['b']);
});

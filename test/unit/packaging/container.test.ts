/** The image and the cluster of three nodes (packaging/container), as far as they can be judged where no engine runs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { validate } from 'dockerfile-utils';
import t from 'tap';
import { parse } from 'yaml';
import { COMMANDS } from '../../../src/cli/commands.js';
import { inClone } from '../../support/programs.js';

interface Service {
  readonly image: string;
  readonly user: string;
  readonly command: readonly string[];
  readonly volumes: readonly (string | { readonly type: string })[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: unknown;
  readonly cap_drop: readonly string[];
  readonly cap_add?: readonly string[];
  readonly devices?: readonly string[];
  readonly network_mode?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
}

const containerfile = readFileSync(inClone('packaging/container/Containerfile'), 'utf8');
const compose = parse(readFileSync(inClone('packaging/container/compose.yaml'), 'utf8'), {
  merge: true,
}) as Compose;
const services = Object.entries(compose.services);

t.test('the Containerfile has no mistake, and ends as a user without rights', async t => {
  t.strictSame(
    validate(containerfile).map(({ message }) => message),
    [],
  );
  t.match(containerfile, /^USER dfs$/m);
  t.notMatch(containerfile, /^(ADD|FROM \S+:latest)/m);
});

t.test('three data nodes, and whatever a service names is there', async t => {
  t.equal(services.filter(([name]) => name.startsWith('node')).length, 3);
  const mounted = new Set<string>();
  for (const [name, { depends_on: needed = {}, volumes, network_mode: network }] of services) {
    for (const [other, { condition }] of Object.entries(needed)) {
      t.ok(compose.services[other], `${name} depends on ${other}`);
      if (condition === 'service_healthy')
        t.ok(compose.services[other]?.healthcheck, `${other} is looked after`);
    }
    if (network !== undefined) t.ok(compose.services[network.replace('service:', '')], network);
    for (const volume of volumes) {
      if (typeof volume !== 'string') continue;
      const [source = ''] = volume.split(':');
      t.ok(source in compose.volumes, `${name} mounts ${source}`);
      mounted.add(source);
    }
  }
  t.strictSame([...mounted].sort(), Object.keys(compose.volumes).sort(), 'no volume is left over');
});

t.test('root, a device and a right are for the mount alone', async t => {
  for (const [name, service] of services) {
    const isMount = name === 'mount';
    t.equal(service.user, isMount ? 'root' : 'dfs', name);
    t.strictSame(service.cap_drop, ['ALL']);
    t.equal(service.devices !== undefined, isMount);
    t.equal(service.cap_add !== undefined, isMount);
  }
});

t.test('what containers run is shell, and calls commands that there are', async t => {
  const names = new Set(COMMANDS.map(({ name }) => name));
  for (const [name, { command }] of services) {
    // compose takes a single dollar for a variable of its own.
    const script = command.join('\n').replaceAll('$$', '$');
    t.notMatch(command.join('\n').replaceAll('$$', ''), /\$/, name);
    const checked = spawnSync('shellcheck', ['--shell=sh', '-'], { input: script, encoding: 'utf8' });
    t.equal(checked.status, 0, `${name}: ${checked.stdout}`);
    for (const [, called = ''] of script.matchAll(/\bdfs ([a-z][a-z-]*)/g)) t.ok(names.has(called), called);
  }
});

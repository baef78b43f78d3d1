/** Each code of the cluster's health on both sides of its limit, and its section in the documentation. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { healthConditions, type HealthSnapshot } from '../../../../src/metadata/health/conditions.js';
import type { BackupStatus } from '../../../../src/protocol/backup-commands.js';
import {
  repairStatus,
  type NodeStatus,
  type RepairStatus,
} from '../../../../src/protocol/cluster-commands.js';
import { HEALTH_CODES } from '../../../../src/protocol/health-codes.js';
import { inClone } from '../../../support/programs.js';

const NONE = { chunks: 0, bytes: 0 };
const ONE = { chunks: 1, bytes: 1 };
const GIB = 2 ** 30;
const MINUTE_MS = 60_000;

const SOUND: RepairStatus = {
  isComplete: true,
  total: ONE,
  lost: NONE,
  endangered: [NONE, NONE],
  short: NONE,
  surplus: NONE,
  waitingBytes: 0,
  movingBytes: 0,
  bytesPerSecond: 0,
  secondsLeft: -1,
  isRebalancing: false,
  draining: [],
  databaseRoom: { isShort: false, freeBytes: GIB },
};

const NODE: NodeStatus = {
  node: 1,
  id: 'identity',
  host: '10.0.0.1',
  port: 9000,
  state: 'live',
  domain: '',
  isDraining: false,
  totalBytes: 100 * GIB,
  freeBytes: 15 * GIB,
  chunks: 1,
};

const BACKUP: BackupStatus = {
  intervalMs: MINUTE_MS,
  generation: 1,
  newestMs: 1,
  ageMs: 5 * MINUTE_MS,
  bytes: 1,
  files: 1,
  nodes: [1],
  liveNodes: 1,
  hasChanges: true,
  problem: '',
};

interface Differences {
  readonly repair?: Partial<RepairStatus>;
  readonly node?: Partial<NodeStatus>;
  readonly backup?: Partial<BackupStatus>;
}

function snapshot({ repair, node, backup }: Differences): HealthSnapshot {
  return {
    repair: { ...SOUND, ...repair },
    nodes: [{ ...NODE, ...node }],
    backup: { ...BACKUP, ...backup },
  };
}

function codes(differences: Differences): string[] {
  return healthConditions(snapshot(differences)).map(({ code }) => code);
}

/** What one chunk of 4 MiB needs on a node, with what the node keeps for itself. */
const ROOM_BYTES = 68 << 20;

const BEYOND: Record<keyof typeof HEALTH_CODES, Differences> = {
  CHUNKS_LOST: { repair: { lost: ONE } },
  FULL: { node: { freeBytes: ROOM_BYTES - 1 } },
  METADATA_DISK_LOW: { repair: { databaseRoom: { isShort: true, freeBytes: 0 } } },
  REPLICAS_MISSING: { repair: { endangered: [NONE, ONE] } },
  TOO_FEW_NODES: { repair: { short: ONE } },
  NODE_LOST: { node: { state: 'lost', freeBytes: 0 } },
  NODE_SILENT: { node: { state: 'suspect', unreachable: '' } },
  NODE_UNREACHABLE: { node: { state: 'suspect', unreachable: 'connection refused' } },
  NEARLY_FULL: { node: { freeBytes: 15 * GIB - 1 } },
  BACKUP_OFF: { backup: { intervalMs: 0 } },
  BACKUP_FAILED: { backup: { problem: 'no space' } },
  BACKUP_MISSING: { backup: { nodes: [] } },
  BACKUP_OLD: { backup: { ageMs: 5 * MINUTE_MS + 1 } },
  CLOCK_SKEW: { node: { skewMs: -5000 } },
};

t.test('nothing is said at the limits', async t => {
  t.same(codes({}), []);
  t.same(codes({ backup: { ageMs: 50 * MINUTE_MS, hasChanges: false } }), [], 'nothing to back up');
  t.same(codes({ backup: { newestMs: 0, nodes: [], ageMs: -1 } }), [], 'none yet since the start');
  t.same(codes({ node: { freeBytes: ROOM_BYTES } }), ['NEARLY_FULL'], 'a chunk fits');
});

for (const [code, differences] of Object.entries(BEYOND)) {
  t.test(`${code} beyond its limit, and nothing else`, async t => {
    t.same(codes(differences), [code]);
  });
}

t.test('errors come first, and one line names all nodes', async t => {
  const both = snapshot({ repair: { short: ONE, lost: ONE } });
  const lost: NodeStatus[] = [
    { ...NODE, node: 3, state: 'lost' },
    { ...NODE, node: 2, state: 'lost' },
  ];
  const found = healthConditions({ ...both, nodes: lost });
  t.match(found, [
    { code: 'CHUNKS_LOST', severity: 'error' },
    { code: 'TOO_FEW_NODES', severity: 'warning' },
    { code: 'NODE_LOST', text: /^nodes 2, 3 are / },
  ]);
});

t.test('a client takes the reply of a server that says no health, and of one that does', async t => {
  t.ok(repairStatus.reply.accepts(SOUND));
  const health = [{ code: 'OF_THE_NEXT_VERSION', severity: 'warning' as const, text: 'something' }];
  t.ok(repairStatus.reply.accepts({ ...SOUND, health }));
  t.ok(repairStatus.reply.accepts({ ...SOUND, unknown: 1 }), 'fields of the next version are passed over');
});

t.test('docs/health.md has a section for each code, and for no other', async t => {
  const text = await readFile(inClone('docs/health.md'), 'utf8');
  const sections = [...text.matchAll(/^## (\S+)$\n\nSeverity: (\w+)\./gm)].map(([, code, severity]) => [
    code,
    severity,
  ]);
  t.equal(sections.length, Object.keys(HEALTH_CODES).length);
  t.same(Object.fromEntries(sections), HEALTH_CODES);
});

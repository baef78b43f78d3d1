/**
 * Rebuilds the metadata database from data nodes alone, when the metadata server's disk is gone:
 *
 *     newest sound backup ─► lists of all chunks ─► newer chunks placed by their hints ─► numbers moved beyond all seen
 */
import { rm } from 'node:fs/promises';
import type Database from 'better-sqlite3';
import type { Endpoint } from '../../platform/network.js';
import { DfsError } from '../../protocol/errors.js';
import { publishDatabase } from '../create-database.js';
import { SqliteConnection } from '../store/sqlite/connection.js';
import { openDatabaseFile } from '../store/sqlite/database-file.js';
import { SqliteTransaction } from '../store/sqlite/sqlite-store.js';
import { toMs } from '../operation.js';
import type { NodeRecord } from '../store/store.js';
import { BackupNode, type NodeAccess } from './backup-node.js';
import { FoundChunks } from './found-chunks.js';
import { settleHolders, type LostFiles } from './lost-files.js';
import { restoreNewestBackup, type RestoredBackup } from './restore-backup.js';
import { Salvage, type Salvaged } from './salvage.js';

/**
 * So far beyond everything seen numbers go on: what was given out after the backup, and left no trace on a data node,
 * is not given out again.
 */
const NUMBER_MARGIN = 2 ** 32;
const NODE_MARGIN = 100;

export interface RecoverOptions extends NodeAccess {
  /** The data nodes to ask. */
  readonly from: readonly Endpoint[];
  /** The database to make. */
  readonly path: string;
  /** Go on although nodes that the backup knows are not among those asked. */
  readonly isPartial: boolean;
}

export interface Recovered {
  readonly backup: RestoredBackup;
  /** How old the backup is, in ms. */
  readonly ageMs: number;
  readonly salvaged: Salvaged;
  readonly lost: LostFiles;
  /** Chunks whose headers could not be read. */
  readonly damagedChunks: number;
  readonly askedNodes: number;
  /** Nodes that the backup knows and that were not asked. */
  readonly otherNodes: readonly NodeRecord[];
}

/**
 * Makes the database. EEXIST when there is one; a connection error when a node does not answer; ENOENT when none has a
 * backup; EINVAL when the nodes are of several clusters, or not all that the backup knows.
 */
export async function recover(options: RecoverOptions): Promise<Recovered> {
  const nodes: BackupNode[] = [];
  let result: Recovered | undefined;
  try {
    await publishDatabase(options.path, options.random, async temporary => {
      for (const endpoint of options.from) nodes.push(await BackupNode.open(endpoint, options));
      refuseMixture(nodes);
      result = await rebuild(nodes, temporary, options);
    });
  } finally {
    for (const node of nodes) node.close();
  }
  if (!result) throw new DfsError('EIO', 'nothing was recovered');
  return result;
}

function refuseMixture(nodes: readonly BackupNode[]): void {
  const clusters = new Set(nodes.map(({ info }) => info.cluster));
  if (clusters.size > 1) {
    throw new DfsError(
      'EINVAL',
      `these data nodes belong to different clusters (${[...clusters].join(', ')}); name those of one`,
    );
  }
}

async function rebuild(
  nodes: readonly BackupNode[],
  path: string,
  options: RecoverOptions,
): Promise<Recovered> {
  const now = options.clock.now();
  const backup = await restoreNewestBackup(nodes, path);
  await rm(`${path}-wal`, { force: true });
  const database = openDatabaseFile(path);
  try {
    const tx = new SqliteTransaction(new SqliteConnection(database), () => undefined);
    const { asked, otherNodes } = settleNodes(tx, nodes);
    if (otherNodes.length > 0 && !options.isPartial) throw notAll(otherNodes);
    const found = new FoundChunks(database);
    for (const [number, node] of asked) await found.ask(node, number);
    forgetClients(database);
    const lost = settleHolders(database, tx, found, new Set(asked.keys()));
    const salvage = new Salvage({ tx, found, now, firstInode: firstFreeInode(database, found) });
    const salvaged = await salvage.run();
    moveCounters(tx, database, salvage.nextInode, found.highestChunk);
    putOnStableStorage(database);
    return {
      backup,
      ageMs: toMs(now) - backup.madeMs,
      salvaged,
      lost,
      damagedChunks: found.damaged,
      askedNodes: nodes.length,
      otherNodes,
    };
  } finally {
    database.close();
  }
}

function notAll(others: readonly NodeRecord[]): DfsError {
  const which = others.map(({ node, host, port }) => `${node} (${host}:${port})`).join(', ');
  return new DfsError(
    'EINVAL',
    `what only data node ${which} holds would be missed; give --from for each, or --partial if they are gone`,
  );
}

/** The numbers of the asked nodes; those that came after the backup get on record. */
function settleNodes(
  tx: SqliteTransaction,
  nodes: readonly BackupNode[],
): { readonly asked: ReadonlyMap<number, BackupNode>; readonly otherNodes: readonly NodeRecord[] } {
  const records = tx.nodes.all();
  const asked = new Map<number, BackupNode>();
  tx.begin();
  for (const source of nodes) {
    const { id, node, advertised } = source.info;
    const known = records.find(record => record.id === id);
    if (known) {
      asked.set(known.node, source);
      continue;
    }
    const isTaken = node === 0 || records.some(record => record.node === node) || asked.has(node);
    const number = isTaken ? Math.max(tx.counters.get('node'), ...asked.keys()) + 1 : node;
    const { port } = source.endpoint;
    tx.nodes.insert({ node: number, id, host: advertised, port, domain: '', isDraining: false, member: '' });
    tx.counters.set('node', Math.max(tx.counters.get('node'), number));
    asked.set(number, source);
  }
  tx.commit();
  return { asked, otherNodes: records.filter(({ node }) => !asked.has(node)) };
}

/**
 * Clients must not go on where they were, for what they were told since the backup is not known here: their sessions
 * end. What nodes were to drop is found anew by their inventories.
 */
function forgetClients(database: Database.Database): void {
  database.transaction(() => {
    database.exec(`
      DELETE FROM sessions;
      DELETE FROM replies;
      DELETE FROM drops;
      DELETE FROM intent_logs;
      DELETE FROM counters WHERE name LIKE 'locks-forfeited-%';`);
  })();
}

function firstFreeInode(database: Database.Database, found: FoundChunks): number {
  const known = database
    .prepare<[], number>(
      `SELECT max(coalesce((SELECT max(inode) FROM inodes), 0),
         coalesce((SELECT value FROM counters WHERE name = 'inode'), 0))`,
    )
    .pluck()
    .get();
  return Math.max(known ?? 0, found.highestInode) + NUMBER_MARGIN;
}

function moveCounters(
  tx: SqliteTransaction,
  database: Database.Database,
  nextInode: number,
  highestChunk: number,
): void {
  const known = database
    .prepare<[], number>(
      'SELECT max(coalesce((SELECT max(chunk) FROM chunks), 0), coalesce((SELECT max(chunk) FROM grants), 0))',
    )
    .pluck()
    .get();
  const chunk = Math.max(tx.counters.get('chunk'), known ?? 0, highestChunk);
  tx.begin();
  tx.counters.set('inode', nextInode);
  tx.counters.set('chunk', chunk + NUMBER_MARGIN);
  tx.counters.set('session', tx.counters.get('session') + NUMBER_MARGIN);
  tx.counters.set('node', tx.counters.get('node') + NODE_MARGIN);
  tx.commit();
}

function putOnStableStorage(database: Database.Database): void {
  database.pragma('synchronous = FULL');
  database.pragma('wal_checkpoint(TRUNCATE)');
  const found = String(database.pragma('integrity_check(1)', { simple: true }));
  if (found !== 'ok') throw new DfsError('EIO', `the rebuilt database is not sound: ${found}`);
}

/** What an earlier process of the metadata server left, taken into the state in memory as a new one starts. */
import { ROOT_INODE } from '../protocol/file-mode.js';
import { forfeitRecord, heldForfeitRecord } from './operations/session.js';
import type { ServerState } from './server-state.js';
import type { StoreTransaction } from './store/store.js';

type LoadedState = Pick<
  ServerState,
  'sessions' | 'leases' | 'exclusive' | 'locks' | 'nodes' | 'exports' | 'intentLogs' | 'clock'
>;

/** Loads data nodes and sessions, and with each session what it may cache, and what it has lost. */
export async function loadState(tx: StoreTransaction, state: LoadedState): Promise<void> {
  const { sessions, leases, exclusive, locks, nodes, exports, intentLogs, clock } = state;
  for (const record of await tx.intentLogs.all()) intentLogs.load(record);
  for (const record of await tx.nodes.all()) nodes.load(record);
  const rules = await tx.exports.all();
  // A database that was made of a dump has no such index yet.
  if (rules.some(({ root }) => root !== ROOT_INODE)) await tx.dentries.indexByInode();
  exports.setRules(rules);
  for (const { session, secret, client, acknowledged, caches } of await tx.sessions.all()) {
    const { count, highest } = await tx.replies.summary(session);
    if ((await tx.counters.get(forfeitRecord(session))) > 0) locks.forfeit(session);
    sessions.add({
      id: session,
      secret,
      client,
      acknowledged,
      forgotten: acknowledged,
      highest: Math.max(highest, acknowledged),
      replies: count,
      // The time that the server was away does not count.
      heardMs: clock.monotonicMs(),
      isResumed: false,
      caches,
    });
    if (caches) leases.presume(session);
    if ((await tx.counters.get(heldForfeitRecord(session))) > 0) exclusive.forfeit(session);
    else if (caches) exclusive.presume(session);
  }
}

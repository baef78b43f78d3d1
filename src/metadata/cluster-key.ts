/**
 * A database knows the cluster's key by its fingerprint, so that a server that is started with another key, or without
 * its own, says so instead of shutting out all members that have the right one.
 */
import type { Logger } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import { DfsError } from '../protocol/errors.js';
import type { Keyring } from '../rpc/keyring.js';
import { newGrantKey } from './create-database.js';
import { openForReading } from './store/sqlite/database-file.js';
import { fromSqliteError } from './store/sqlite/sqlite-errors.js';
import type { KeyStore } from './store/store.js';

/** The fingerprint of the cluster's key, for a database or a server. EACCES for a keyring of one role. */
export function fingerprintOf({ fingerprint, origin }: Keyring): string {
  if (fingerprint !== undefined) return fingerprint;
  throw new DfsError(
    'EACCES',
    `the key in ${origin} is that of one role; the metadata server needs the cluster's own, which createdb made`,
  );
}

/** The fingerprint in the database at `path`; undefined when it was made before there were any. ENOENT, EINVAL. */
export async function recordedFingerprint(path: string): Promise<string | undefined> {
  const { database } = await openForReading(path);
  try {
    return database
      .prepare<[], Buffer>(`SELECT value FROM settings WHERE name = 'key-fingerprint'`)
      .pluck()
      .get()
      ?.toString();
  } catch (error) {
    throw fromSqliteError(error, path);
  } finally {
    database.close();
  }
}

export interface KeyDecision {
  readonly keys: Keyring;
  /** These keys take the place of those that the database knows. */
  readonly isNewKey: boolean;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Records the key in a database that knows none, and makes sure that it is the one that the database knows otherwise:
 * EACCES. A new key comes with a new key for grants, since administrators and data nodes may have known the old one.
 * To be called before anybody else uses the store.
 */
export async function settleClusterKey(
  store: KeyStore,
  { keys, isNewKey, random, log }: KeyDecision,
): Promise<void> {
  const fingerprint = fingerprintOf(keys);
  const { keyFingerprint, grantKey } = store.cluster;
  if (keyFingerprint === fingerprint) return;
  if (keyFingerprint === undefined) {
    await store.setKeys({ keyFingerprint: fingerprint, grantKey });
    log.warn({ key: keys.origin }, 'this database asks for this key from now on');
  } else if (isNewKey) {
    await store.setKeys({ keyFingerprint: fingerprint, grantKey: newGrantKey(random) });
    log.warn({ key: keys.origin }, 'the key of the cluster was replaced; all others need the new one');
  } else {
    throw new DfsError(
      'EACCES',
      `${keys.origin} holds another key than this cluster's; name the right one with --key-file or DFS_KEY_FILE (to replace the cluster's key by this one: meta-data --new-key)`,
    );
  }
}

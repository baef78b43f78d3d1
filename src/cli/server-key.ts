/** The key with which the metadata server starts; a cluster from before clusters had keys is given one. */
import { DfsError } from '../protocol/errors.js';
import type { Keyring } from '../rpc/keyring.js';
import { isLoopback } from '../platform/network.js';
import { clusterKeyring, hasKey, makeClusterKeyring } from './key-option.js';

export interface ServerKeyQuestion {
  /** --key-file */
  readonly keyFile: string | undefined;
  readonly databasePath: string;
  /** Where the server is to listen. */
  readonly host: string;
  /** The key is to be replaced, and made if need be. */
  readonly isNewKey: boolean;
}

/**
 * The keyring of the cluster. One is made, which standard error tells, for a database that knows none. ENOENT when there
 * is no key and there should be one, EACCES, EINVAL as readKeyFile().
 */
export async function keyringForServer(question: ServerKeyQuestion): Promise<Keyring> {
  const { fingerprintOf } = await import('../metadata/cluster-key.js');
  const keys = await findKeyring(question);
  // Refuses a role's key before anything is opened.
  fingerprintOf(keys);
  return keys;
}

async function findKeyring(question: ServerKeyQuestion): Promise<Keyring> {
  const { keyFile, databasePath, host, isNewKey } = question;
  if (isNewKey) {
    const { keys, isNew } = await makeClusterKeyring(keyFile);
    if (isNew) tell(`made a new key, ${keys.origin}`);
    return keys;
  }
  if (hasKey(keyFile)) return clusterKeyring(keyFile);
  const { recordedFingerprint } = await import('../metadata/cluster-key.js');
  // Its sentence says that there is no key, and where it was looked for.
  if ((await recordedFingerprint(databasePath)) !== undefined) return clusterKeyring(keyFile);
  if (!isLoopback(host)) {
    throw new DfsError(
      'EACCES',
      `${databasePath} is from before databases knew their key, and ${host} can be reached by others: name the key that this cluster had with --key-file or DFS_KEY_FILE`,
    );
  }
  const { keys } = await makeClusterKeyring(keyFile);
  tell(
    `this cluster had no key and has one from now on, ${keys.origin}; data nodes, mounts and commands need it`,
  );
  return keys;
}

function tell(sentence: string): void {
  process.stderr.write(`meta-data: ${sentence}\n`);
}

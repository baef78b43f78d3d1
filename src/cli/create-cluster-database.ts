/** Makes the metadata database of a new cluster, and its key if there is none yet. */
import { systemClock } from '../platform/clock.js';
import { systemRandom } from '../platform/random.js';
import { makeClusterKeyring } from './key-option.js';

/**
 * @param keyFile as the option --key-file
 * @returns the file of the key, and whether it was made. EEXIST when there is a database already.
 */
export async function createClusterDatabase(
  path: string,
  keyFile: string | undefined,
): Promise<{ readonly key: string; readonly isNewKey: boolean }> {
  const { createDatabase, refuseExisting } = await import('../metadata/create-database.js');
  const { fingerprintOf } = await import('../metadata/cluster-key.js');
  // Before a key is made that nothing would use.
  refuseExisting(path);
  const { keys, isNew } = await makeClusterKeyring(keyFile);
  const keyFingerprint = fingerprintOf(keys);
  await createDatabase(path, { clock: systemClock, random: systemRandom, keyFingerprint });
  return { key: keys.origin, isNewKey: isNew };
}

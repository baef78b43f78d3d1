/** The key of clusters that tests make inside their own process. */
import { Keyring } from '../../src/rpc/keyring.js';

export const TEST_KEYS = Keyring.ofCluster(Buffer.alloc(32, 7), 'the key of the tests');

/** How clients of such a cluster come: for options of `Vfs`, `Client` and `MetadataSession`. */
export const AS_CLIENT = { keys: TEST_KEYS, role: 'client' } as const;

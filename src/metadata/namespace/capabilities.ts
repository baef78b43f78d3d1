/** Capabilities of files (capabilities(7)). */
import { CAPABILITY } from '../../protocol/attribute-names.js';
import type { StoreTransaction } from '../store/store.js';

/** Whoever changes what a file does, or its owner, takes its capabilities away, with setuid and setgid. */
export async function dropCapability(tx: StoreTransaction, inode: number): Promise<void> {
  await tx.xattrs.delete(inode, CAPABILITY);
}

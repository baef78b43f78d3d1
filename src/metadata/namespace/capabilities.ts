/** Capabilities of files (capabilities(7)). */
import type { StoreTransaction } from '../store/store.js';

const CAPABILITY = Buffer.from('security.capability');

/** Whoever changes what a file does, or its owner, takes its capabilities away, with setuid and setgid. */
export async function dropCapability(tx: StoreTransaction, inode: number): Promise<void> {
  await tx.xattrs.delete(inode, CAPABILITY);
}

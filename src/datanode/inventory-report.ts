/** Tells the metadata server which chunks this node holds, a page at a time, so that its records can be put right. */
import { MAX_INVENTORY } from '../protocol/limits.js';
import { inventory } from '../protocol/cluster-commands.js';
import type { RpcConnection } from '../rpc/connection.js';

const ID_BYTES = 8;
const PAGE_TIMEOUT_MS = 30_000;

export interface InventoryOptions {
  readonly connection: RpcConnection;
  readonly node: number;
  /** The node's identity. */
  readonly id: string;
  /** Every chunk that is here now, ascending. */
  readonly chunks: Float64Array;
  /** Whether a chunk is here at the moment of the call. */
  readonly has: (chunk: number) => boolean;
}

/**
 * A chunk may have been stored since `chunks` was made; so what the server misses is looked up once more, and only then
 * reported as absent. Rejects as a call does. Returns false when the server does not know the node.
 */
export async function reportInventory({
  connection,
  node,
  id,
  chunks,
  has,
}: InventoryOptions): Promise<boolean> {
  let after = 0;
  let absent: number[] = [];
  for (let at = 0; ;) {
    while (at < chunks.length && (chunks[at] ?? 0) <= after) at += 1;
    const page = chunks.subarray(at, at + MAX_INVENTORY);
    const isLast = at + page.length === chunks.length;
    const until = isLast ? Number.MAX_SAFE_INTEGER : (page.at(-1) ?? after);
    const { reply } = await connection.call(
      inventory,
      { node, id, after, chunks: encode(page.filter(chunk => has(chunk))), until, absent },
      { timeoutMs: PAGE_TIMEOUT_MS },
    );
    if (!reply.known) return false;
    absent = reply.missing.filter(chunk => !has(chunk));
    const isOver = reply.through === Number.MAX_SAFE_INTEGER;
    after = reply.through;
    if (isOver && reply.missing.length === 0) return true;
    if (isOver) {
      // The last page once more, only to say what is absent, which may be nothing.
      await connection.call(
        inventory,
        { node, id, after, chunks: new Uint8Array(), until: after, absent },
        { timeoutMs: PAGE_TIMEOUT_MS },
      );
      return true;
    }
  }
}

function encode(chunks: Float64Array): Uint8Array {
  const bytes = Buffer.alloc(chunks.length * ID_BYTES);
  for (const [index, chunk] of chunks.entries()) bytes.writeBigUInt64LE(BigInt(chunk), index * ID_BYTES);
  return bytes;
}

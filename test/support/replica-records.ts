/** Which nodes a cluster's metadata says hold what, read from its database while it is used. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Cluster } from './cluster.js';

const NODE_NUMBER_BYTES = 4;

export interface RecordedChunk {
  readonly chunk: number;
  readonly length: number;
  readonly goal: number;
  readonly nodes: readonly number[];
}

interface Row {
  readonly chunk: number;
  readonly length: number;
  readonly goal: number;
  readonly nodes: Buffer;
}

/** Every chunk that files refer to. */
export function recordedChunks(cluster: Cluster): RecordedChunk[] {
  const database = new Database(join(cluster.directory, 'metadata', 'dfs.db'), { readonly: true });
  try {
    const rows = database
      .prepare<[], Row>('SELECT chunk, length, goal, nodes FROM chunks WHERE refs > 0')
      .all();
    return rows.map(({ chunk, length, goal, nodes }) => ({ chunk, length, goal, nodes: decode(nodes) }));
  } finally {
    database.close();
  }
}

function decode(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / NODE_NUMBER_BYTES }, (_, index) =>
    bytes.readUInt32LE(index * NODE_NUMBER_BYTES),
  );
}

/** The backups on one data node, as the metadata server knows them. */
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { backupList, backupRead, backupWrite, type BackupFile } from '../../protocol/backup-commands.js';
import { DfsError } from '../../protocol/errors.js';
import { MAX_BACKUP_PIECE_BYTES } from '../../protocol/limits.js';
import type { NodeConnection } from '../node-orders.js';

const CALL_TIMEOUT_MS = 30_000;

function keyOf({ generation, file, sha256 }: BackupFile): string {
  return `${generation}/${file}/${sha256}`;
}

export class NodeCopies {
  readonly node: number;
  readonly connection: NodeConnection;
  readonly #held = new Set<string>();
  #highest = 0;

  constructor(node: number, connection: NodeConnection) {
    this.node = node;
    this.connection = connection;
  }

  /** Asks what is there. */
  async load(): Promise<void> {
    const { reply } = await this.connection.call(backupList, {}, { timeoutMs: CALL_TIMEOUT_MS });
    for (const file of reply.files) {
      this.#held.add(keyOf(file));
      this.#highest = Math.max(this.#highest, file.generation);
    }
  }

  /** The highest generation that was there at the beginning. */
  get highestGeneration(): number {
    return this.#highest;
  }

  /** Forgets older generations, to which nothing will be added. */
  forgetBefore(generation: number): void {
    for (const key of this.#held) if (Number.parseInt(key, 10) < generation) this.#held.delete(key);
  }

  has(file: BackupFile): boolean {
    return this.#held.has(keyOf(file));
  }

  /** Sends a file that is at `path` of this machine. */
  async send(file: BackupFile, path: string): Promise<void> {
    const source = await open(path, 'r');
    try {
      await this.#sendPieces(file, async (offset, length) => await readPiece(source, offset, length));
    } finally {
      await source.close();
    }
  }

  /** Sends a file that another node has. */
  async sendFrom(file: BackupFile, other: NodeCopies): Promise<void> {
    await this.#sendPieces(
      file,
      async (offset, length) => await readBackupPiece(other.connection, file, offset, length),
    );
  }

  async #sendPieces(
    file: BackupFile,
    read: (offset: number, length: number) => Promise<Buffer>,
  ): Promise<void> {
    for (let offset = 0; offset < file.bytes;) {
      const piece = await read(offset, Math.min(MAX_BACKUP_PIECE_BYTES, file.bytes - offset));
      if (piece.length === 0) throw new DfsError('EIO', 'a file of the backup is shorter than it was');
      await this.connection.call(
        backupWrite,
        { file, offset, crc: crc32(piece) },
        { timeoutMs: CALL_TIMEOUT_MS, payload: [piece] },
      );
      offset += piece.length;
    }
    this.#held.add(keyOf(file));
  }
}

async function readPiece(source: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await source.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

/** A piece of a file that a data node has, checked. EBADMSG, and what the node answers. */
export async function readBackupPiece(
  connection: NodeConnection,
  file: BackupFile,
  offset: number,
  length: number,
): Promise<Buffer> {
  const { reply, payload } = await connection.call(
    backupRead,
    { file, offset, length },
    { timeoutMs: CALL_TIMEOUT_MS },
  );
  const bytes = Buffer.concat(payload);
  if (crc32(bytes) !== reply.crc) throw new DfsError('EBADMSG', 'a piece of a backup was damaged on the way');
  return bytes;
}

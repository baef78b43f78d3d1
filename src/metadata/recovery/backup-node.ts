/** A data node as recovery sees it: a place where backups and chunks are. */
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { Endpoint, Network } from '../../platform/network.js';
import type { Random } from '../../platform/random.js';
import { backupList, chunksAfter, type BackupFile, type HeldChunk } from '../../protocol/backup-commands.js';
import { info, type NodeInfo } from '../../protocol/datanode-commands.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { MAX_CHUNK_PAGE } from '../../protocol/limits.js';
import { RpcClient } from '../../rpc/client.js';
import type { RpcConnection } from '../../rpc/connection.js';
import { readBackupPiece } from '../backup/node-copies.js';
import type { Keyring } from '../../rpc/keyring.js';

const CONNECT_MS = 5000;
const CALL_TIMEOUT_MS = 60_000;

/** How to reach data nodes. */
export interface NodeAccess {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly keys: Keyring;
}

export class BackupNode {
  readonly endpoint: Endpoint;
  readonly info: NodeInfo;
  readonly files: readonly BackupFile[];
  readonly #rpc: RpcClient;
  readonly #access: NodeAccess;

  private constructor(rpc: RpcClient, access: NodeAccess, told: NodeInfo, files: readonly BackupFile[]) {
    this.endpoint = rpc.endpoint;
    this.info = told;
    this.files = files;
    this.#rpc = rpc;
    this.#access = access;
  }

  /** Connects and asks what is there. A connection error when nobody answers, EACCES for another key. */
  static async open(endpoint: Endpoint, access: NodeAccess): Promise<BackupNode> {
    const rpc = new RpcClient({ ...access, role: 'admin', server: 'data', endpoint });
    try {
      const connection = await rpc.connect(access.clock.monotonicMs() + CONNECT_MS);
      const options = { timeoutMs: CALL_TIMEOUT_MS };
      const told = await connection.call(info, {}, options);
      const listed = await connection.call(backupList, {}, options);
      return new BackupNode(rpc, access, told.reply, listed.reply.files);
    } catch (error) {
      rpc.close();
      throw toDfsError(error).within(`the data node ${endpoint.host}:${endpoint.port} cannot be asked`);
    }
  }

  /** A piece of a file of a backup, checked. */
  async read(file: BackupFile, offset: number, length: number): Promise<Buffer> {
    return await readBackupPiece(await this.#connect(), file, offset, length);
  }

  /** Every chunk above `after`, a page at a time; with hints also how many cannot be read. */
  async *chunks(
    after: number,
    hints: boolean,
  ): AsyncGenerator<{ readonly chunks: readonly HeldChunk[]; readonly damaged: number }, void, void> {
    for (let from = after; ;) {
      const connection = await this.#connect();
      const request = { after: from, hints, limit: MAX_CHUNK_PAGE };
      const { reply } = await connection.call(chunksAfter, request, { timeoutMs: CALL_TIMEOUT_MS });
      yield reply;
      if (reply.next === 0) return;
      if (reply.next <= from) throw new DfsError('EPROTO', 'a data node tells its chunks in no order');
      from = reply.next;
    }
  }

  close(): void {
    this.#rpc.close();
  }

  async #connect(): Promise<RpcConnection> {
    return await this.#rpc.connect(this.#access.clock.monotonicMs() + CONNECT_MS);
  }
}

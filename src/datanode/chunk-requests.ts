/** Answers what is asked of a data node's chunks: by clients, and by the metadata server over the node's own connection. */
import { UnderWay } from '../platform/under-way.js';
import { chunksAfter } from '../protocol/backup-commands.js';
import { chunkChecksum, matchesChecksums } from '../protocol/checksum.js';
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import {
  assemble,
  intents,
  locality,
  locate,
  read,
  readparts,
  replicate,
  syncChunks,
  write,
} from '../protocol/datanode-commands.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { payloadBytes } from '../platform/payload.js';
import type { Payload } from '../protocol/frame.js';
import { MAX_INTENTS_TOLD, type KeptIntent } from '../protocol/intents.js';
import { MAX_CHUNK_BYTES } from '../protocol/limits.js';
import { ReadGrantKey } from '../protocol/read-grants.js';
import type { Grant, NodeAddress } from '../protocol/types.js';
import { withPayload, type CallContext, type Routes } from '../rpc/routes.js';
import { assembleChunk } from './assembly.js';
import { listChunks } from './chunk-list.js';
import type { ChunkStore } from './chunk-store.js';
import { checkGrant, readRefusals, type PartToRead } from './grant-check.js';
import type { Locality } from './locality.js';
import type { Pipeline, WriteRequest, WriteResult } from './pipeline.js';
import type { ServerTime } from './server-time.js';

export interface ChunkRequestsOptions {
  readonly store: ChunkStore;
  readonly pipeline: Pipeline;
  readonly locality: Pick<Locality, 'tell'>;
  readonly serverTime: Pick<ServerTime, 'nowMs'>;
  /** The number that the metadata server gave this node. */
  readonly node: () => number;
}

export class ChunkRequests {
  readonly #options: ChunkRequestsOptions;
  /** What grants are signed with; undefined before the first registration. */
  #grantKeys: { readonly write: Uint8Array; readonly read: ReadGrantKey } | undefined;
  /** Requests that are being answered. */
  readonly #answering = new UnderWay();
  #isClosing = false;

  constructor(options: ChunkRequestsOptions) {
    this.#options = options;
  }

  /** Grants are signed with this key from now on. */
  takeGrantKey(key: Uint8Array): void {
    this.#grantKeys = { write: key, read: new ReadGrantKey(key) };
  }

  /** Adds what anybody may ask who has a grant where one is needed. */
  addRequests(routes: Routes): Routes {
    return routes
      .on(write, async (request, context) => await this.answer(this.#write(request, context)))
      .on(read, async (request, { reserve }) => {
        const { chunk, offset, length } = request;
        this.#requireReadable(request);
        await reserve(length);
        const { checksums, bytes } = await this.answer(this.openStore().read(chunk, offset, length));
        if (request.wantsTable !== true) return withPayload({ checksums }, [bytes]);
        return withPayload({ checksums, table: await this.answer(this.openStore().table(chunk)) }, [bytes]);
      })
      .on(readparts, async ({ parts }, { reserve }) => {
        const bytes = parts.reduce((sum, { length }) => sum + length, 0);
        if (bytes > MAX_CHUNK_BYTES) throw new DfsError('EINVAL', 'more than a chunk was asked for at once');
        const refusals = this.#readRefusals(parts);
        const places = [...parts.keys()].filter(index => refusals[index] === undefined);
        await reserve(bytes);
        const allowed = places.length === parts.length ? parts : parts.filter((_, index) => !refusals[index]);
        const found = await this.answer(this.openStore().readParts(allowed));
        const checksums = found.flatMap((part, index) =>
          part ? [{ index: places[index] ?? index, checksums: part.checksums }] : [],
        );
        return withPayload(
          { read: checksums },
          found.flatMap(part => (part ? [part.bytes] : [])),
        );
      })
      .on(syncChunks, async ({ chunks }) => await this.#sync(chunks))
      .on(chunksAfter, async request => await this.answer(listChunks(this.openStore(), request)))
      .on(locality, async () => await this.answer(this.#options.locality.tell()))
      .on(locate, async part => {
        this.#requireReadable(part);
        return await this.answer(this.openStore().locate(part.chunk));
      });
  }

  /** Adds what only the metadata server may order. */
  addOrders(routes: Routes): Routes {
    return routes
      .on(syncChunks, async ({ chunks }) => await this.#sync(chunks))
      .on(replicate, async ({ grant, to }) => {
        await this.answer(this.#replicate(grant, to));
        return {};
      })
      .on(intents, async ({ log, after }) => await this.answer(this.#intents(log, after)))
      .on(assemble, async order => await this.answer(this.#assemble(order)));
  }

  /** Notes that something is being answered, so that `answered` waits for it. */
  async answer<Result>(work: Promise<Result>): Promise<Result> {
    return await this.#answering.during(work);
  }

  /** The store, while requests are answered. */
  openStore(): ChunkStore {
    if (this.#isClosing) throw new DfsError('EAGAIN', 'this data node is being shut down');
    return this.#options.store;
  }

  /** Requests that come from now on are refused. */
  refuse(): void {
    this.#isClosing = true;
  }

  /** Resolves when everything that is being answered is. */
  async answered(): Promise<void> {
    await this.#answering.settled();
  }

  /** EACCES without a grant for the chunk; EAGAIN before it is known by which key grants are signed. */
  #requireReadable(part: PartToRead): void {
    const [refusal] = this.#readRefusals([part]);
    if (refusal) throw refusal;
  }

  #readRefusals(parts: readonly PartToRead[]): (DfsError | undefined)[] {
    const { read: key, serverMs } = this.#requireGrantKeys();
    return readRefusals(parts, { key, serverMs });
  }

  /** By what grants are checked. EAGAIN before the first registration. */
  #requireGrantKeys(): {
    readonly write: Uint8Array;
    readonly read: ReadGrantKey;
    readonly serverMs: number;
  } {
    const serverMs = this.#options.serverTime.nowMs;
    if (this.#grantKeys && serverMs !== undefined) return { ...this.#grantKeys, serverMs };
    throw new DfsError('EAGAIN', 'this data node has not registered yet; try again in a moment');
  }

  async #sync(chunks: readonly number[]): Promise<ReplyOf<typeof syncChunks>> {
    const store = this.openStore();
    await this.answer(store.sync());
    return { absent: chunks.filter(chunk => !store.has(chunk)) };
  }

  /** Lets the payload go in every case but one: what a node did not take may still be on its way to it. */
  async #write(request: WriteRequest, context: CallContext): Promise<WriteResult> {
    let forwarded: WriteResult | undefined;
    try {
      return await this.#storeAndForward(request, context.payload, result => (forwarded = result));
    } finally {
      if (!forwarded || forwarded.failed.length === 0) context.freePayload();
    }
  }

  /**
   * Resolves, or rejects, when nothing here uses the payload any more.
   * @param onForwarded told what became of the chunk further on, if it was passed on
   */
  async #storeAndForward(
    request: WriteRequest,
    payload: Payload,
    onForwarded: (result: WriteResult) => void,
  ): Promise<WriteResult> {
    const store = this.openStore();
    const { grant, checksums, forward, durable, inode, fileOffset } = request;
    const intent = durable ? request.intent : undefined;
    const { write: key, serverMs } = this.#requireGrantKeys();
    const node = this.#options.node();
    const length = payloadBytes(payload);
    checkGrant(grant, length, forward, { key, node, serverMs });
    if (!matchesChecksums(payload, checksums)) {
      throw new DfsError(
        'EBADMSG',
        `chunk ${grant.chunk} does not match its checksums; it was damaged on the way, send it again`,
      );
    }
    const forwarding = this.#options.pipeline.forward(request, payload);
    let failure: DfsError | undefined;
    try {
      await store.put({ chunk: grant.chunk, inode, fileOffset, length, table: checksums, payload, intent });
      if (durable) await store.sync();
    } catch (error) {
      failure = toDfsError(error);
    }
    const forwarded = await forwarding;
    onForwarded(forwarded);
    const { stored, failed } = forwarded;
    if (!failure) {
      const isKept = intent && store.intents.has({ ...intent, chunk: grant.chunk });
      return { stored: [node, ...stored], failed, ...(isKept ? { keptIntent: true } : {}) };
    }
    if (stored.length === 0) throw failure;
    const { message, code } = failure;
    return { stored, failed: [{ node, reason: message, code }, ...failed] };
  }

  async #intents(log: number, after: number): Promise<ReplyOf<typeof intents>> {
    const store = this.openStore();
    const told: KeptIntent[] = [];
    for (const { sequence, chunk, change } of store.intents.of(log, after, MAX_INTENTS_TOLD)) {
      // Of one whose chunk is damaged here the others tell.
      const head = await store.head(chunk).catch((error: unknown) => {
        if (!hasCode(error, 'ENOENT', 'EIO')) throw error;
        return undefined;
      });
      if (!head) continue;
      const { length, table } = head;
      told.push({ sequence, chunk, length, checksum: chunkChecksum(table), change });
    }
    return { intents: told };
  }

  /** Puts a chunk together, here and along the order's chain. */
  async #assemble(order: RequestOf<typeof assemble>): Promise<ReplyOf<typeof assemble>> {
    const { pipeline, node } = this.#options;
    return await assembleChunk(order, { store: this.openStore(), pipeline, node: node() });
  }

  /** Copies a chunk of this node to another one, as its writer would have done. */
  async #replicate(grant: Grant, to: NodeAddress): Promise<void> {
    const { payload, table, inode, fileOffset } = await this.openStore().readWhole(grant.chunk);
    const request = { grant, checksums: table, inode, fileOffset, forward: [to], durable: true };
    const { failed } = await this.#options.pipeline.forward(request, payload);
    const [failure] = failed;
    if (failure) throw new DfsError('EIO', `data node ${failure.node} did not take it: ${failure.reason}`);
  }
}

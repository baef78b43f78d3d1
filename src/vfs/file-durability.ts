/**
 * Puts the content of one open file on stable storage (fsync). Data nodes are asked to sync what this client stored on
 * them; what a node has lost, with its power or for good, is stored anew.
 */
import type { Client } from '../client/client.js';
import type { ReadRange } from '../client/content/content-reader.js';
import type { ExtentMap, ExtentPiece } from '../client/content/extent-map.js';
import { readableOf, storedOf, type ReadableChunk } from '../client/content/readable-chunk.js';
import { blocks, unsynced } from '../protocol/content-commands.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import type { Attributes, Extent } from '../protocol/types.js';
import type { FileWriter } from './file-writer.js';
import { UnsyncedChunks } from './unsynced-chunks.js';

/** Data that a failed node may have lost is stored again; writers that keep coming in between make it try again. */
const REWRITE_ATTEMPTS = 20;
const REWRITE_BYTES = 1 << 20;
const NO_CHUNKS: ReadonlySet<number> = new Set();

/** The file whose content it is. */
export interface DurableFile {
  readonly inode: number;
  readonly extents: ExtentMap;
  readonly writer: Pick<FileWriter, 'takeUnsynced' | 'putBackUnsynced'>;
  readonly attributes: () => Attributes;
  readonly noteAttributes: (attributes: Attributes) => void;
  readonly size: () => number;
  readonly range: (offset: number, length: number) => ReadRange;
  /** The server has committed what was stored anew. */
  readonly committed: (
    attributes: Attributes,
    extents: readonly Extent[],
    chunks: readonly ReadableChunk[],
  ) => void;
}

export class FileDurability {
  readonly #client: Client;
  readonly #file: DurableFile;
  /**
   * The newest version of the content of which this client knows what is on stable storage; later ones hold somebody
   * else's writes, or this client's own from before the file was opened.
   */
  #trackedVersion: number;
  /** The syncing that began last. Never rejects. */
  #syncing: Promise<void> = Promise.resolve();
  #isSyncingInBackground = false;
  /** Grows when what was known is forgotten. */
  #forgotten = 0;

  /** @param trackedVersion the version that needs no syncing; -1 when none is known */
  constructor(client: Client, file: DurableFile, trackedVersion: number) {
    this.#client = client;
    this.#file = file;
    this.#trackedVersion = trackedVersion;
  }

  /** A version of this client's own making, of which the writer knows what is not synced. */
  noteCommitted(version: number): void {
    if (version === this.#trackedVersion + 1) this.#trackedVersion = version;
  }

  /** Nothing is known any more of what others wrote. */
  forget(): void {
    this.#trackedVersion = -1;
    this.#forgotten += 1;
  }

  /** Everything that is committed, by whomever, is on stable storage when it resolves. */
  async sync(): Promise<void> {
    const { version } = this.#file.attributes();
    const forgotten = this.#forgotten;
    const isTracked = version === this.#trackedVersion;
    const [, durable] = await Promise.all([
      this.#makeDurable(),
      isTracked ? version : this.#makeOthersDurable(),
    ]);
    // A commit that is durable makes everything durable that was answered before.
    const { session } = this.#client;
    if (!isTracked || !session.isSynced) await session.sync();
    if (forgotten === this.#forgotten) this.#trackedVersion = Math.max(this.#trackedVersion, durable);
  }

  /**
   * What others have stored is on stable storage, up to the version of the content that this returns. The metadata server
   * names the replicas that a node may have lost with its power.
   */
  async #makeOthersDurable(): Promise<number> {
    const { inode, noteAttributes } = this.#file;
    const { attributes, replicas } = await this.#client.session.ask(unsynced, { inode });
    noteAttributes(attributes);
    const named = new UnsyncedChunks();
    for (const { node, chunk } of replicas) named.add([node], chunk, 0, attributes.size);
    // A server that was just started cannot name all; nodes with nothing to do answer at once.
    const live = await this.#client.liveNodes();
    const others = live.filter(node => !replicas.some(replica => replica.node === node));
    const lost = await this.#sync([
      ...named.byNode(),
      ...others.map((node): [number, ReadonlySet<number>] => [node, NO_CHUNKS]),
    ]);
    if (lost.size > 0) await this.#storeAnew(named, lost);
    return attributes.version;
  }

  /** Never rejects: what is wrong the next fsync reports. */
  async syncInBackground(): Promise<void> {
    if (this.#isSyncingInBackground) return;
    this.#isSyncingInBackground = true;
    try {
      await this.#makeDurable();
    } catch (error) {
      const reason = toDfsError(error).message;
      this.#client.log.warn({ inode: this.#file.inode, reason }, 'what was written is not yet durable');
    } finally {
      this.#isSyncingInBackground = false;
    }
  }

  /**
   * What this client stored is on stable storage. One call at a time: what another one has taken over to sync is synced
   * before this one begins, or given back if that failed.
   */
  async #makeDurable(): Promise<void> {
    const syncing = this.#syncing.then(async () => await this.#syncStored());
    this.#syncing = syncing.catch(() => undefined);
    await syncing;
  }

  /** What a node has lost, or may have, is stored anew. */
  async #syncStored(): Promise<void> {
    const { writer } = this.#file;
    const own = writer.takeUnsynced();
    try {
      const lost = await this.#sync(own.byNode());
      if (lost.size > 0) await this.#storeAnew(own, lost);
    } catch (error) {
      writer.putBackUnsynced(own);
      throw error;
    }
  }

  /** Syncs nodes; returns which of the chunks that they took are not there, or may not be. */
  async #sync(chunksByNode: Iterable<[number, ReadonlySet<number>]>): Promise<Set<number>> {
    const lost = new Set<number>();
    await Promise.all(
      [...chunksByNode].map(async ([node, chunks]) => {
        const { writer, log } = this.#client;
        try {
          for (const chunk of await writer.sync(node, chunks)) lost.add(chunk);
        } catch (error) {
          const reason = toDfsError(error).message;
          log.warn({ node, reason }, 'a data node did not make its data durable');
          for (const chunk of chunks) lost.add(chunk);
        }
      }),
    );
    return lost;
  }

  /** Stores again what is in chunks that a node has `lost`. */
  async #storeAnew(stored: UnsyncedChunks, lost: ReadonlySet<number>): Promise<void> {
    const until = Math.min(stored.until, this.#file.size());
    let attempts = 0;
    for (let at = stored.from; at < until;) {
      const range = this.#file.range(at, Math.min(REWRITE_BYTES, until - at));
      const pieces = await this.#client.content.locate(range);
      const piece = pieces.find(({ location }) => location && lost.has(location.chunk));
      if (!piece) {
        at += range.length;
      } else if (await this.#storeElsewhere(piece)) {
        at = piece.offset + piece.length;
        attempts = 0;
      } else if (++attempts === REWRITE_ATTEMPTS) {
        throw new DfsError('EIO', 'the file is written to all the time while a failed node is replaced');
      }
    }
  }

  /**
   * Puts the bytes of a piece into a chunk of their own. Returns false when the file was changed meanwhile: then the bytes
   * may be old ones, and must not take the place of newer ones; and when the grant of their chunk was void.
   */
  async #storeElsewhere({ offset, length, location, chunkOffset }: ExtentPiece): Promise<boolean> {
    const { content, writer, session, grants } = this.#client;
    const { extents: known, inode, committed } = this.#file;
    const { version } = known;
    const payload = await content.read(this.#file.range(offset, length));
    if (!location || known.version !== version) return false;
    const { goal, mtime } = this.#file.attributes();
    const stored = await writer.store({ payload, goal, inode, fileOffset: offset, durable: true });
    const extents = [{ offset, length, chunk: stored.chunk, chunkOffset: 0 }];
    const replaces = [{ offset, length, chunk: location.chunk, chunkOffset }];
    const request = { inode, extents, chunks: [storedOf(stored)], size: 0, mtime, durable: true, replaces };
    const reply = await session.ordered.execute(blocks, request).catch((error: unknown) => {
      if (!hasCode(error, 'ESTALE')) throw error;
      grants.clear();
      return undefined;
    });
    if (!reply) return false;
    const { attributes, overtaken = false } = reply;
    if (overtaken) known.overtake(attributes.version);
    else committed(attributes, extents, [readableOf(stored)]);
    return !overtaken;
  }
}

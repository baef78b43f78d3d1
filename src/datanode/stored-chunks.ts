/** Reads chunks where the index says they are, and again where the compactor has moved them meanwhile. */
import type { ReplyOf } from '../protocol/command.js';
import type { locate } from '../protocol/datanode-commands.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import type { Payload } from '../protocol/frame.js';
import { ByteBudget } from './byte-budget.js';
import type { ChunkPart, ChunkReader } from './chunk-reader.js';
import { RECORD_HEADER_BYTES } from './record.js';
import type { ReplicaTroubles } from './replica-troubles.js';
import { SEGMENTS_DIRECTORY, segmentFileName, type SegmentFiles } from './segment-files.js';
import type { ChunkLocation, SegmentIndex } from './segment-index.js';
import { SegmentSpans } from './segment-spans.js';

/** Part of a chunk that somebody wants. */
export interface WantedPart {
  readonly chunk: number;
  readonly offset: number;
  readonly length: number;
}

/** What the record of a chunk says besides its payload. */
export interface ChunkHead {
  readonly inode: number;
  readonly fileOffset: number;
  /** Bytes of the payload. */
  readonly length: number;
  /** The checksums of its blocks. */
  readonly table: Buffer;
}

export interface StoredChunksOptions {
  readonly files: SegmentFiles;
  readonly index: SegmentIndex;
  readonly reader: ChunkReader;
  /** Told of chunks that are damaged, or asked for and not here. */
  readonly troubles: ReplicaTroubles;
  /** Payload bytes that are being read at once. */
  readonly maxReadingBytes: number;
}

export class StoredChunks {
  readonly #options: StoredChunksOptions;
  readonly #budget: ByteBudget;

  constructor(options: StoredChunksOptions) {
    this.#options = options;
    this.#budget = new ByteBudget(options.maxReadingBytes);
  }

  /** Part of a chunk. ENOENT when it is not here, EINVAL when it is shorter, EIO when it is damaged. */
  async read({ chunk, offset, length }: WantedPart): Promise<ChunkPart> {
    return await this.#budget.spend(length, async () => {
      return await this.#whereItIs(chunk, async at => {
        if (!isInside(at, offset, length)) {
          throw new DfsError(
            'EINVAL',
            `bytes ${offset} to ${offset + length} of chunk ${chunk} were asked for, but it has ${at.length}`,
          );
        }
        return await this.#options.reader.read(chunk, at, offset, length);
      });
    });
  }

  /**
   * Parts of several chunks; undefined in the place of a part that cannot be read. Damaged and absent chunks are noted as
   * by `read`. Rejects with any other failure.
   */
  async readParts(parts: readonly WantedPart[]): Promise<(ChunkPart | undefined)[]> {
    const together = await this.#readTogether(parts);
    return await Promise.all(
      parts.map(async (part, index) => {
        try {
          return together[index] ?? (await this.read(part));
        } catch (error) {
          if (hasCode(error, 'ENOENT', 'EINVAL', 'EIO')) return undefined;
          throw error;
        }
      }),
    );
  }

  /** As NewChunk without its payload. ENOENT when it is not here, EIO when it is damaged. */
  async head(chunk: number): Promise<ChunkHead> {
    return await this.#whereItIs(chunk, async at => await this.#head(chunk, at));
  }

  /** The chunk's checksum table. ENOENT, EIO as for `head`. */
  async table(chunk: number): Promise<Buffer> {
    return await this.#whereItIs(chunk, async at => await this.#options.reader.table(chunk, at));
  }

  /** Where a chunk is in the node's files, by the shape of `locate`. ENOENT, EIO as for `head`. */
  async locate(chunk: number): Promise<ReplyOf<typeof locate>> {
    return await this.#whereItIs(chunk, async at => {
      const checksums = await this.#options.reader.table(chunk, at);
      return {
        file: `${SEGMENTS_DIRECTORY}/${segmentFileName(at.segment)}`,
        offset: at.offset + RECORD_HEADER_BYTES + checksums.length,
        length: at.length,
        checksums,
      };
    });
  }

  /** A chunk with all that was stored with it. ENOENT, EIO as for `head`. */
  async readWhole(chunk: number): Promise<ChunkHead & { readonly payload: Payload }> {
    const length = this.#options.index.find(chunk)?.length ?? 0;
    return await this.#budget.spend(length, async () => {
      return await this.#whereItIs(chunk, async at => {
        const { bytes } = await this.#options.reader.read(chunk, at, 0, at.length);
        return { ...(await this.#head(chunk, at)), payload: [bytes] };
      });
    });
  }

  async #head(chunk: number, at: ChunkLocation): Promise<ChunkHead> {
    const { reader } = this.#options;
    const table = await reader.table(chunk, at);
    return { ...(await reader.hints(chunk, at)), length: at.length, table };
  }

  /**
   * What `action` makes of the place of a chunk. The compactor may remove the segment between two reads of `action`; it
   * is then called again with the chunk's new place.
   */
  async #whereItIs<Result>(chunk: number, action: (at: ChunkLocation) => Promise<Result>): Promise<Result> {
    const { index, troubles } = this.#options;
    for (;;) {
      const at = index.find(chunk);
      if (!at) {
        troubles.noteAbsent(chunk);
        throw new DfsError('ENOENT', `chunk ${chunk} is not on this node`);
      }
      try {
        return await action(at);
      } catch (error) {
        if (hasCode(error, 'EIO')) troubles.noteDamaged(chunk);
        if (!hasCode(error, 'ENOENT')) throw toDfsError(error);
        if (index.find(chunk)?.segment !== at.segment) continue;
        troubles.noteDamaged(chunk);
        throw new DfsError('EIO', `chunk ${chunk} is lost: segment ${at.segment} is missing`);
      }
    }
  }

  /** Reads what lies close to each other in one go; undefined in the place of each part that was not read so. */
  async #readTogether(parts: readonly WantedPart[]): Promise<(ChunkPart | undefined)[]> {
    const { files, index, reader } = this.#options;
    const places = parts.map(({ chunk, offset, length }) => {
      const at = index.find(chunk);
      // Not all of a large chunk of which little is wanted.
      return at && at.length <= 2 * length && isInside(at, offset, length) ? at : undefined;
    });
    const spans = new SegmentSpans(places.flatMap(at => at ?? []));
    // The budget is held until the spans themselves are garbage, or are mostly the parts.
    return await this.#budget.spend(spans.totalBytes, async () => {
      await spans.read(files);
      return await Promise.all(
        parts.map(async ({ chunk, offset, length }, position) => {
          const at = places[position];
          if (!at || !spans.holds(at)) return undefined;
          // `read` takes notice of what is wrong.
          const part = await reader.read(chunk, at, offset, length, spans).catch(() => undefined);
          return part && spans.isMostlyWanted ? part : part && { ...part, bytes: Buffer.from(part.bytes) };
        }),
      );
    });
  }
}

function isInside(at: ChunkLocation, offset: number, length: number): boolean {
  return length >= 1 && offset + length <= at.length;
}

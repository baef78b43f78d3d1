/**
 * Chunks that were written one after the other lie side by side, and are often read together: neighbours in a segment are
 * read in one call.
 */
import { chunkRecordBytes } from './record.js';
import type { SegmentFiles } from './segment-files.js';
import type { ChunkLocation } from './segment-index.js';

/** What lies between two chunks is read with them up to this length, which costs less than another read. */
const MAX_GAP_BYTES = 16 << 10;
const MAX_SPAN_BYTES = 1 << 20;
/** Spans of which a smaller part is wanted are not kept in memory for it. */
const MIN_WANTED_FRACTION = 0.5;

interface Span {
  readonly segment: number;
  readonly offset: number;
  end: number;
  bytes: Buffer;
}

export class SegmentSpans {
  readonly #spans: readonly Span[];
  /** Bytes that `read` will keep in memory. */
  readonly totalBytes: number;
  /** Whether the chunks make up so much of the spans that parts of them may as well keep the spans in memory. */
  readonly isMostlyWanted: boolean;

  /** @param chunks whose records are to be read */
  constructor(chunks: readonly ChunkLocation[]) {
    this.#spans = spansOf(chunks);
    this.totalBytes = this.#spans.reduce((sum, { offset, end }) => sum + end - offset, 0);
    const wantedBytes = chunks.reduce((sum, { length }) => sum + length, 0);
    this.isMostlyWanted = wantedBytes >= this.totalBytes * MIN_WANTED_FRACTION;
  }

  /** Reads the records. What cannot be read is left out. */
  async read(files: SegmentFiles): Promise<void> {
    await Promise.all(
      this.#spans.map(async span => {
        const target = Buffer.allocUnsafe(span.end - span.offset);
        try {
          const count = await files.use(span.segment, async file => await file.pread(target, span.offset));
          span.bytes = target.subarray(0, count);
        } catch {
          // A read of one of the chunks by itself tells why that cannot be.
        }
      }),
    );
  }

  /** Whether the whole record of a chunk was read. */
  holds({ segment, offset, length }: ChunkLocation): boolean {
    return this.bytes(segment, offset, chunkRecordBytes(length)) !== undefined;
  }

  /** Bytes of a segment, if they were read. */
  bytes(segment: number, offset: number, length: number): Buffer | undefined {
    const span = this.#spans.find(
      each =>
        each.segment === segment &&
        each.offset <= offset &&
        offset + length <= each.offset + each.bytes.length,
    );
    return span?.bytes.subarray(offset - span.offset, offset - span.offset + length);
  }
}

function spansOf(chunks: readonly ChunkLocation[]): Span[] {
  const spans: Span[] = [];
  for (const { segment, offset, length } of chunks.toSorted(byPlace)) {
    const end = offset + chunkRecordBytes(length);
    const last = spans.at(-1);
    const isNear = last?.segment === segment && offset - last.end <= MAX_GAP_BYTES;
    if (last && isNear && end - last.offset <= MAX_SPAN_BYTES) last.end = Math.max(last.end, end);
    else spans.push({ segment, offset, end, bytes: Buffer.alloc(0) });
  }
  return spans;
}

function byPlace(a: ChunkLocation, b: ChunkLocation): number {
  return a.segment - b.segment || a.offset - b.offset;
}

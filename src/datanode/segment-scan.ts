/** Reads a segment file record by record: at start-up the part that the index has not seen, in the compactor all of it. */
import { matchesChecksums } from '../protocol/checksum.js';
import { CHECKSUM_BLOCK_BYTES, CHECKSUM_BYTES } from '../protocol/limits.js';
import type { DiskFile } from '../platform/disk.js';
import {
  decodeRecordHeader,
  isHeadIntact,
  RECORD_BLOCK_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  type RecordHeader,
} from './record.js';

/** What is read at once when payloads are skipped, and when they are verified; multiples of the checksum block. */
const SKIP_WINDOW_BYTES = 4 * CHECKSUM_BLOCK_BYTES;
const VERIFY_WINDOW_BYTES = 64 * CHECKSUM_BLOCK_BYTES;

export interface ScanOptions {
  readonly file: DiskFile;
  readonly segment: number;
  /** Where the first record stands. */
  readonly from: number;
  /** Bytes of the file that may hold records. */
  readonly size: number;
  /** Whether a record whose payload does not match its checksums counts as damaged. */
  readonly verifyPayload: boolean;
}

/** A good record, or bytes that are none. */
export type Scanned =
  | { readonly is: 'record'; readonly header: RecordHeader; readonly offset: number; readonly end: number }
  | {
      readonly is: 'damage';
      readonly offset: number;
      readonly end: number;
      readonly why: string;
      /** Nothing good follows. */
      readonly isLast: boolean;
      /** These are zeros up to the end: room for records (zeroed-room.ts). */
      readonly isRoom: boolean;
    };

/** Reads a file through one buffer; what it returns is valid until the next call. */
class Window {
  readonly #file: DiskFile;
  readonly #size: number;
  #buffer: Buffer;
  #from = 0;
  #length = 0;

  constructor(file: DiskFile, size: number, windowBytes: number) {
    this.#file = file;
    this.#size = size;
    this.#buffer = Buffer.allocUnsafe(windowBytes);
  }

  /** `length` bytes from `position` on; undefined when the file ends before. */
  async bytes(position: number, length: number): Promise<Buffer | undefined> {
    if (position + length > this.#size) return undefined;
    if (position < this.#from || position + length > this.#from + this.#length) {
      if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafe(length);
      this.#from = position;
      const wanted = Math.min(this.#buffer.length, this.#size - position);
      this.#length = await this.#file.pread(this.#buffer.subarray(0, wanted), position);
      if (this.#length < length) return undefined;
    }
    const at = position - this.#from;
    return this.#buffer.subarray(at, at + length);
  }
}

/** Every record from `from` on in order; damaged stretches are reported and skipped. Zeros before a record are no damage. */
export async function* scanSegment(options: ScanOptions): AsyncGenerator<Scanned, void, void> {
  const scan = new SegmentScan(options);
  let offset = options.from;
  while (offset < options.size) {
    const padding = await scan.paddingAt(offset);
    const found = await scan.recordAt(offset + padding);
    if (typeof found !== 'string') {
      yield { is: 'record', header: found.header, offset: offset + padding, end: found.end };
      offset = found.end;
      continue;
    }
    const next = await scan.nextRecordAfter(offset);
    const end = next ?? options.size;
    const isLast = next === undefined;
    yield { is: 'damage', offset, end, why: found, isLast, isRoom: isLast && (await scan.isZero(offset)) };
    offset = next ?? options.size;
  }
}

class SegmentScan {
  readonly #options: ScanOptions;
  readonly #window: Window;

  constructor(options: ScanOptions) {
    this.#options = options;
    const windowBytes = options.verifyPayload ? VERIFY_WINDOW_BYTES : SKIP_WINDOW_BYTES;
    this.#window = new Window(options.file, options.size, windowBytes);
  }

  /** Zeros that stand at `offset`, fewer than a block. */
  async paddingAt(offset: number): Promise<number> {
    const left = this.#options.size - offset;
    const bytes = await this.#window.bytes(offset, Math.min(left, RECORD_BLOCK_BYTES));
    // A block of zeros, or zeros at the end of the file, stand before no record.
    return Math.max(0, bytes?.findIndex(byte => byte !== 0) ?? 0);
  }

  /** The record at `offset`, or why there is none. */
  async recordAt(offset: number): Promise<{ header: RecordHeader; end: number } | string> {
    const { segment, size, verifyPayload } = this.#options;
    const bytes = await this.#window.bytes(offset, RECORD_HEADER_BYTES);
    if (!bytes) return 'the file ends within a header';
    const header = decodeRecordHeader(bytes, { segment, offset });
    if (!header) return 'this is no header of a record that stands here';
    const head = await this.#window.bytes(offset, RECORD_HEADER_BYTES + header.tableBytes);
    if (!head) return 'the file ends within a checksum table';
    if (!isHeadIntact(head)) return 'the header does not match its checksum';
    const payloadAt = offset + head.length;
    const end = payloadAt + header.length;
    if (end > size) return 'the file ends within a payload';
    if (verifyPayload && header.length > 0) {
      const table = Buffer.from(head.subarray(RECORD_HEADER_BYTES));
      if (!(await this.#isPayloadIntact(payloadAt, header.length, table))) {
        return `the payload of chunk ${header.chunk} does not match its checksums`;
      }
    }
    return { header, end };
  }

  /** Where the first record after `offset` stands whose header and table are intact. */
  async nextRecordAfter(offset: number): Promise<number | undefined> {
    const { file, size } = this.#options;
    const window = Buffer.allocUnsafe(VERIFY_WINDOW_BYTES);
    let from = offset + 1;
    while (from + RECORD_HEADER_BYTES <= size) {
      const length = await file.pread(window.subarray(0, Math.min(window.length, size - from)), from);
      if (length < RECORD_HEADER_BYTES) return undefined;
      const bytes = window.subarray(0, length);
      let at = bytes.indexOf(RECORD_MAGIC);
      while (at >= 0) {
        if (typeof (await this.recordAt(from + at)) !== 'string') return from + at;
        at = bytes.indexOf(RECORD_MAGIC, at + 1);
      }
      // A magic may stand across the end of this window.
      from += length - (RECORD_MAGIC.length - 1);
    }
    return undefined;
  }

  /** Whether there are only zeros from `offset` on. */
  async isZero(offset: number): Promise<boolean> {
    const { file, size } = this.#options;
    const window = Buffer.allocUnsafe(SKIP_WINDOW_BYTES);
    for (let at = offset; at < size;) {
      const length = await file.pread(window.subarray(0, Math.min(window.length, size - at)), at);
      if (length === 0 || window.subarray(0, length).some(byte => byte !== 0)) return false;
      at += length;
    }
    return true;
  }

  async #isPayloadIntact(position: number, length: number, table: Buffer): Promise<boolean> {
    for (let done = 0; done < length; done += VERIFY_WINDOW_BYTES) {
      const piece = await this.#window.bytes(position + done, Math.min(VERIFY_WINDOW_BYTES, length - done));
      if (!piece) return false;
      const firstEntry = (done / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BYTES;
      const entries = Math.ceil(piece.length / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BYTES;
      if (!matchesChecksums([piece], table.subarray(firstEntry, firstEntry + entries))) return false;
    }
    return true;
  }
}

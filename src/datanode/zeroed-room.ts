/**
 * Zeros that are written behind the newest record, so that the records that follow lie within the file already. To sync bytes that
 * are written over costs one write; to sync a file that has become longer also costs the file system a commit of its journal.
 *
 * Worth it only where somebody asks for a sync after every few records: the zeros are written once more than they need be.
 */

/** Written at a time. */
const ROOM_BYTES = 256 << 10;
/** Syncs, with no more than this written before each, after which zeros are written. */
const SYNCS_IN_A_ROW = 3;

const zeros = Buffer.alloc(ROOM_BYTES);

export class ZeroedRoom {
  /** Where the file ends. */
  #end = 0;
  #syncsInARow = 0;
  #bytesSinceSync = 0;

  /** Where the file ends; never before the last record's end. */
  get end(): number {
    return this.#end;
  }

  /** Records are written to another file from now on, or the file was cut: it ends here. */
  begin(end: number): void {
    this.#end = end;
  }

  /**
   * The zeros to write behind a group of records, in the same write; undefined when there is room or it is not worth it.
   * @param groupBytes how long the group is
   * @param end where it ends
   * @param limit where the file may end
   */
  zerosBehind(groupBytes: number, end: number, limit: number): Buffer | undefined {
    const bytes = Math.min(ROOM_BYTES, limit - end);
    const areFewBytes = this.#bytesSinceSync + groupBytes <= ROOM_BYTES;
    const isWorthIt = this.#syncsInARow >= SYNCS_IN_A_ROW && areFewBytes && end > this.#end && bytes > 0;
    return isWorthIt ? zeros.subarray(0, bytes) : undefined;
  }

  /** So many bytes of records were written, and the file ends at `end` at least. */
  noteWritten(bytes: number, end: number): void {
    this.#bytesSinceSync += bytes;
    this.#end = Math.max(this.#end, end);
    if (this.#bytesSinceSync > ROOM_BYTES) this.#syncsInARow = 0;
  }

  /** There is no room on the disk for zeros. */
  noteNoRoom(): void {
    this.#syncsInARow = 0;
  }

  /** Somebody waits for a sync of what was written. */
  noteSync(): void {
    if (this.#bytesSinceSync === 0) return;
    this.#bytesSinceSync = 0;
    this.#syncsInARow += 1;
  }

  /** What was written was synced because nobody had asked for it. */
  noteBackgroundSync(): void {
    if (this.#bytesSinceSync === 0) return;
    this.#bytesSinceSync = 0;
    this.#syncsInARow = 0;
  }
}

/** Bytes that lie in several pieces of memory, as connections bring them. */

/** Bytes in all pieces together. */
export function payloadBytes(payload: readonly Buffer[]): number {
  let total = 0;
  for (const piece of payload) total += piece.length;
  return total;
}

/** `length` bytes from `offset` on, as views on the same memory. */
export function slicePayload(payload: readonly Buffer[], offset: number, length: number): Buffer[] {
  const slices: Buffer[] = [];
  let skip = offset;
  let left = length;
  for (const piece of payload) {
    if (left === 0) break;
    if (skip >= piece.length) {
      skip -= piece.length;
      continue;
    }
    const slice = piece.subarray(skip, Math.min(piece.length, skip + left));
    slices.push(slice);
    left -= slice.length;
    skip = 0;
  }
  return slices;
}

/**
 * Gives memory back that nobody uses any more, the system included: of the pieces that fill a buffer of their own, as most of what a
 * connection brings does. They are empty afterwards. The collector would do so as well, but only when tens of MiB have come, and
 * memory that was not used before costs a virtual machine more than the bytes that are put there.
 */
export function freePayload(payload: readonly Buffer[]): void {
  for (const { buffer, byteOffset, byteLength } of payload) {
    const isWhole = byteLength > 0 && byteOffset === 0 && byteLength === buffer.byteLength;
    if (isWhole && buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
}

/**
 * Memory for requests that end in a body. A body may be large, and begins at a page. Who handles the request may keep the body: so what a
 * program wrote in one piece becomes part of a chunk without a copy.
 *
 *     take ──► read into, handled ──► give ──► the next take
 *                    └── keepBody ──► give does nothing; giveBody ──► the next take
 *                                         └── or its keeper drops it, and the collector takes it
 */
import { alignedMemory, PAGE_BYTES } from './aligned-buffers.js';

interface Block {
  readonly owner: RequestMemory;
  /** The whole request's. */
  readonly request: Buffer;
  readonly body: Buffer;
  use: 'free' | 'lent' | 'kept';
}

/** The memory of each block → the block. */
const blocks = new WeakMap<ArrayBufferLike, Block>();

export class RequestMemory {
  readonly #headBytes: number;
  readonly #bodyBytes: number;
  readonly #maxFree: number;
  /** The one given back last stands last. */
  readonly #free: Block[] = [];

  /**
   * @param headBytes of a request, before the body; at most a page
   * @param bodyBytes of a request, at the most
   * @param maxFree how many are kept for later
   */
  constructor(headBytes: number, bodyBytes: number, maxFree: number) {
    this.#headBytes = headBytes;
    this.#bodyBytes = bodyBytes;
    this.#maxFree = maxFree;
  }

  /** Memory for one request, whose content is of no meaning; the one used last, which the processor may still have at hand. */
  take(): Buffer {
    const block = this.#free.pop() ?? this.#make();
    block.use = 'lent';
    return block.request;
  }

  /** Takes memory of `take` back that nobody looks at, or writes to, any more, unless its body was kept. */
  give(request: Buffer): void {
    const block = blocks.get(request.buffer);
    if (block?.owner === this && block.use === 'lent') this.#put(block);
  }

  /** As `giveBody`, of one of this memory's. */
  giveKept(block: Block): void {
    if (block.use === 'kept') this.#put(block);
  }

  #put(block: Block): void {
    block.use = 'free';
    if (this.#free.length < this.#maxFree) this.#free.push(block);
  }

  #make(): Block {
    const memory = alignedMemory(PAGE_BYTES + this.#bodyBytes, PAGE_BYTES);
    const request = memory.subarray(PAGE_BYTES - this.#headBytes);
    const block: Block = { owner: this, request, body: memory.subarray(PAGE_BYTES), use: 'free' };
    blocks.set(memory.buffer, block);
    return block;
  }
}

/**
 * Keeps the memory of `data`, which is its caller's from now on, until it calls `giveBody`. Undefined, and nothing has changed, where
 * `data` is not the whole body of a request that is being handled.
 */
export function keepBody(data: Uint8Array): Buffer | undefined {
  const block = blocks.get(data.buffer);
  if (block?.use !== 'lent') return undefined;
  const { body } = block;
  if (data.byteOffset !== body.byteOffset || data.length !== body.length) return undefined;
  block.use = 'kept';
  return body;
}

/** Gives a body back that nobody looks at any more. Returns whether it is one. */
export function giveBody(body: Buffer): boolean {
  const block = blocks.get(body.buffer);
  block?.owner.giveKept(block);
  return block !== undefined;
}

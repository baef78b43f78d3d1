/**
 * The memory for the frames that a server receives and sends over all its connections. Every request counts from its first 20
 * bytes on, which say how long it is, until it is answered; large replies count before they are made, until they are sent.
 *
 *     a request ──fits──► received, then answered ──► released
 *         └──does not──► its connection is not read until it does
 *
 * Three purses, so that none waits for another: requests, very large requests, and replies. Small requests always fit; a
 * connection with one being answered is not read while there are too many of them.
 *
 * No circle of servers that pass requests on to each other can come to rest. A frame says how many more servers it will be
 * passed on to, and a request is received, however little room there is, when none is held that will be passed on to as few
 * or fewer. So a request waits only for those with a shorter way, and one that is not passed on waits for no
 * other server.
 */
import { FairQueue } from '../platform/fair-queue.js';

/** Requests up to this size are not waited with. */
export const SMALL_REQUEST_BYTES = 64 << 10;
/** From this size on a request comes out of the purse for very large ones. */
const LARGE_REQUEST_BYTES = 8 << 20;

export interface WireMemoryLimits {
  readonly smallRequestBytes: number;
  readonly requestBytes: number;
  readonly largeRequestBytes: number;
  readonly replyBytes: number;
  /** Of `replyBytes`, what the replies to one connection may take. */
  readonly replyBytesOfOne: number;
}

const DEFAULT_LIMITS: WireMemoryLimits = {
  smallRequestBytes: 32 << 20,
  requestBytes: 48 << 20,
  largeRequestBytes: 64 << 20,
  replyBytes: 64 << 20,
  replyBytesOfOne: 16 << 20,
};

/** A request that is being received or answered. */
export interface Claim {
  readonly bytes: number;
  /** How many servers it will be passed on to, one after the other. */
  readonly passesOn: number;
}

interface WaitingClaim {
  readonly claim: Claim;
  readonly onGranted: () => void;
}

class RequestPurse {
  readonly #limitBytes: number;
  #heldBytes = 0;
  /** passesOn → how many of such requests are held */
  readonly #held = new Map<number, number>();
  /** Waiting requests, one of a connection at most, in the order in which they came. */
  readonly #waiting = new Set<WaitingClaim>();

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get isWaitedFor(): boolean {
    return this.#waiting.size > 0;
  }

  take(claim: Claim, onGranted: () => void): (() => void) | undefined {
    if (this.#waiting.size === 0 && this.#fits(claim)) {
      this.#hold(claim);
      return undefined;
    }
    const waiting = { claim, onGranted };
    this.#waiting.add(waiting);
    // It may be the first of its kind, for which there is always room.
    this.#grant();
    return () => this.#waiting.delete(waiting);
  }

  release({ bytes, passesOn }: Claim): void {
    this.#heldBytes -= bytes;
    this.#held.set(passesOn, (this.#held.get(passesOn) ?? 0) - 1);
    this.#grant();
  }

  #grant(): void {
    // Those that came later overtake only if they have a shorter way: for them there may be room at once.
    let shortestWaiting = Infinity;
    for (const waiting of this.#waiting) {
      const { claim } = waiting;
      if (claim.passesOn >= shortestWaiting || !this.#fits(claim)) {
        shortestWaiting = Math.min(shortestWaiting, claim.passesOn);
        continue;
      }
      this.#waiting.delete(waiting);
      this.#hold(claim);
      waiting.onGranted();
    }
  }

  #hold({ bytes, passesOn }: Claim): void {
    this.#heldBytes += bytes;
    this.#held.set(passesOn, (this.#held.get(passesOn) ?? 0) + 1);
  }

  #fits({ bytes, passesOn }: Claim): boolean {
    if (this.#heldBytes + bytes <= this.#limitBytes) return true;
    for (const [others, count] of this.#held) if (count > 0 && others <= passesOn) return false;
    return true;
  }
}

interface WaitingReply {
  readonly owner: object;
  readonly bytes: number;
  readonly settle: (isGranted: boolean) => void;
}

export class WireMemory {
  readonly #limits: WireMemoryLimits;
  readonly #requests: RequestPurse;
  readonly #largeRequests: RequestPurse;
  #smallBytes = 0;
  #replyBytes = 0;
  /** connection → bytes of its replies that are reserved */
  readonly #repliesOf = new Map<object, number>();
  /** Replies that wait for room. */
  readonly #waitingReplies = new FairQueue<WaitingReply>();
  /** Connections that look again whether they may be read on. */
  readonly #listeners = new Set<() => void>();

  constructor(limits: Partial<WireMemoryLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#requests = new RequestPurse(this.#limits.requestBytes);
    this.#largeRequests = new RequestPurse(this.#limits.largeRequestBytes);
  }

  /** Whether there are so many small requests that connections which have one being answered are not to be read. */
  get isFull(): boolean {
    return this.#smallBytes >= this.#limits.smallRequestBytes;
  }

  /** Whether a request or a reply waits for room. */
  get isShort(): boolean {
    return this.#requests.isWaitedFor || this.#largeRequests.isWaitedFor || this.#waitingReplies.size > 0;
  }

  /**
   * Takes room for a request that is about to be received: undefined when there is some. Otherwise `onGranted` is called
   * when there is, possibly at once; the result is how to give up waiting.
   */
  claim(claim: Claim, onGranted: () => void): (() => void) | undefined {
    if (claim.bytes > SMALL_REQUEST_BYTES) return this.#purseOf(claim).take(claim, onGranted);
    this.claimSmall(claim);
    return undefined;
  }

  /** The same for a small request, for which there is room. */
  claimSmall({ bytes }: Claim): void {
    this.#smallBytes += bytes;
  }

  /** The request was answered, or will not be. */
  releaseClaim(claim: Claim): void {
    if (claim.bytes > SMALL_REQUEST_BYTES) {
      this.#purseOf(claim).release(claim);
      return;
    }
    const wasFull = this.isFull;
    this.#smallBytes -= claim.bytes;
    if (wasFull && !this.isFull) for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` whenever there is room for small requests again. Returns how to stop that. */
  onRoom(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes room for a reply, when there is some and it is the owner's turn. False: the owner has left. */
  async reserveReply(owner: object, bytes: number): Promise<boolean> {
    if (this.#waitingReplies.size === 0 && this.#mayHave(owner, bytes) && this.#hasRoomFor(bytes)) {
      this.holdReply(owner, bytes);
      return true;
    }
    return await new Promise<boolean>(settle => {
      this.#waitingReplies.push(owner, { owner, bytes, settle });
      // Others may wait for room that this one does not need.
      this.#grantReplies();
    });
  }

  /** Counts a reply that is made already. */
  holdReply(owner: object, bytes: number): void {
    this.#replyBytes += bytes;
    this.#repliesOf.set(owner, (this.#repliesOf.get(owner) ?? 0) + bytes);
  }

  /** Whether replies take so much that a connection which does not take its own is to get no more. */
  get isFullOfReplies(): boolean {
    return this.#replyBytes >= this.#limits.replyBytes;
  }

  releaseReply(owner: object, bytes: number): void {
    if (bytes === 0) return;
    this.#replyBytes -= bytes;
    const left = (this.#repliesOf.get(owner) ?? 0) - bytes;
    if (left > 0) this.#repliesOf.set(owner, left);
    else this.#repliesOf.delete(owner);
    this.#grantReplies();
  }

  /** The owner's replies that wait will not be made. */
  leave(owner: object): void {
    for (const { settle } of this.#waitingReplies.drop(owner)) settle(false);
    this.#grantReplies();
  }

  #grantReplies(): void {
    for (;;) {
      const next = this.#waitingReplies.take(({ owner, bytes }) => this.#mayHave(owner, bytes));
      if (!next) return;
      if (!this.#hasRoomFor(next.bytes)) {
        // Nobody overtakes it, or it might wait for ever.
        this.#waitingReplies.putBack(next.owner, next);
        return;
      }
      this.#waitingReplies.charge(next.owner, next.bytes);
      this.holdReply(next.owner, next.bytes);
      next.settle(true);
    }
  }

  /** Half of the room is for connections that have none yet. */
  #mayHave(owner: object, bytes: number): boolean {
    const own = this.#repliesOf.get(owner) ?? 0;
    const { replyBytesOfOne, replyBytes } = this.#limits;
    return own === 0 || (own + bytes <= replyBytesOfOne && this.#replyBytes + bytes <= replyBytes / 2);
  }

  /** What is larger than everything fits when nothing else is held. */
  #hasRoomFor(bytes: number): boolean {
    return this.#replyBytes === 0 || this.#replyBytes + bytes <= this.#limits.replyBytes;
  }

  #purseOf({ bytes }: Claim): RequestPurse {
    return bytes > LARGE_REQUEST_BYTES ? this.#largeRequests : this.#requests;
  }
}

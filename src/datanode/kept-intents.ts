/**
 * The intents that came with chunks of this node (protocol/intents.ts), until nobody can ask for them any more: the client tells with
 * later ones how far they are committed, and the metadata server says which logs are over.
 *
 * An intent stands in the segments as a record of its own behind its chunk's. `index.db` has those that are before its watermark.
 */
import type { Clock } from '../platform/clock.js';
import { Counts } from '../platform/counts.js';
import { Type } from '@sinclair/typebox';
import { MessageShape } from '../protocol/command.js';
import { LogNumber, MAX_INTENT_BYTES, MAX_KEPT_INTENTS, MAX_LOGS_ASKED } from '../protocol/intents.js';

/** What all of them may be; a client that keeps the rules has some hundred. */
const MAX_ALL_INTENTS = 65_536;
/** A log of which nothing was heard for so long may be over. */
const IDLE_MS = 10_000;

/** The payload of a record. */
const IntentRecord = new MessageShape(
  'intent in a segment',
  Type.Object({
    log: LogNumber,
    sequence: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    change: Type.Uint8Array({ maxByteLength: MAX_INTENT_BYTES }),
  }),
);

export interface NodeIntent {
  readonly log: number;
  readonly sequence: number;
  /** The chunk with which it came. */
  readonly chunk: number;
  /** As the client encoded it (IntendedChange). */
  readonly change: Uint8Array;
  /** The segment that has its record. */
  readonly segment: number;
}

export function encodeIntent({ log, sequence, change }: Omit<NodeIntent, 'segment' | 'chunk'>): Buffer {
  return IntentRecord.encode({ log, sequence, change });
}

/** Throws EPROTO for what is no intent. */
export function decodeIntent(bytes: Buffer): Omit<NodeIntent, 'segment' | 'chunk'> {
  const { log, sequence, change } = IntentRecord.decode(bytes);
  // A view of the whole message would keep it in memory.
  return { log, sequence, change: Buffer.from(change) };
}

interface KeptLog {
  readonly intents: Map<number, NodeIntent>;
  heardMs: number;
}

export class KeptIntents {
  readonly #clock: Clock;
  readonly #logs = new Map<number, KeptLog>();
  readonly #chunks = new Counts<number>();
  readonly #segments = new Counts<number>();
  #count = 0;
  /** Grows with every change. */
  #changes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  /** How often something came or went. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether one more intent of the log may be kept. */
  hasRoom(log: number): boolean {
    return this.#count < MAX_ALL_INTENTS && (this.#logs.get(log)?.intents.size ?? 0) < MAX_KEPT_INTENTS;
  }

  /** Whether the node has this intent, with this chunk. */
  has({ log, sequence, chunk }: Omit<NodeIntent, 'segment' | 'change'>): boolean {
    return this.#logs.get(log)?.intents.get(sequence)?.chunk === chunk;
  }

  add(intent: NodeIntent): void {
    const { log, sequence, chunk, segment } = intent;
    let kept = this.#logs.get(log);
    if (!kept) this.#logs.set(log, (kept = { intents: new Map(), heardMs: 0 }));
    kept.heardMs = this.#clock.monotonicMs();
    const before = kept.intents.get(sequence);
    if (before) this.#remove(kept, before);
    kept.intents.set(sequence, intent);
    this.#chunks.add(chunk);
    this.#segments.add(segment);
    this.#count += 1;
    this.#changes += 1;
  }

  /** As `add`, while the segments are read: they may hold any number of old ones, of which the oldest are forgotten. */
  restore(intent: NodeIntent): void {
    const kept = this.#logs.get(intent.log);
    const [oldest] = kept?.intents.values() ?? [];
    if (kept && oldest && kept.intents.size >= MAX_KEPT_INTENTS) this.#remove(kept, oldest);
    const [firstLog] = this.#logs.keys();
    if (this.#count >= MAX_ALL_INTENTS && firstLog !== undefined) this.end([firstLog]);
    this.add(intent);
  }

  /** Nobody will ask for the log's intents up to this one. */
  trim(log: number, done: number): void {
    const kept = this.#logs.get(log);
    if (!kept) return;
    // They came in their order, but for two that were on their way at the same time.
    for (const intent of kept.intents.values()) if (intent.sequence <= done) this.#remove(kept, intent);
  }

  /** The intents of a log behind `after`, in order. */
  of(log: number, after: number, limit: number): NodeIntent[] {
    const behind = [...(this.#logs.get(log)?.intents.values() ?? [])].filter(
      ({ sequence }) => sequence > after,
    );
    return behind.sort((a, b) => a.sequence - b.sequence).slice(0, limit);
  }

  all(): NodeIntent[] {
    const all: NodeIntent[] = [];
    for (const { intents } of this.#logs.values()) all.push(...intents.values());
    return all;
  }

  /** Whether somebody may still ask for an intent that came with this chunk. */
  hasOf(chunk: number): boolean {
    return this.#chunks.has(chunk);
  }

  /** Whether somebody may still ask for an intent whose record is in this segment. */
  isIn(segment: number): boolean {
    return this.#segments.has(segment);
  }

  /** Logs that may be over, since nothing was heard of them for a while; each again after as long. */
  takeIdleLogs(): number[] {
    const nowMs = this.#clock.monotonicMs();
    const idle: number[] = [];
    for (const [log, kept] of this.#logs) {
      if (idle.length === MAX_LOGS_ASKED) break;
      if (kept.heardMs >= nowMs - IDLE_MS) continue;
      idle.push(log);
      kept.heardMs = nowMs;
    }
    return idle;
  }

  /** These logs are over. */
  end(logs: readonly number[]): void {
    for (const log of logs) {
      const kept = this.#logs.get(log);
      for (const intent of kept?.intents.values() ?? []) if (kept) this.#remove(kept, intent);
      this.#logs.delete(log);
    }
  }

  /** Keeps only intents whose chunk is here. */
  prune(isHere: (chunk: number) => boolean): void {
    for (const kept of this.#logs.values())
      for (const intent of kept.intents.values()) if (!isHere(intent.chunk)) this.#remove(kept, intent);
  }

  clear(): void {
    this.end([...this.#logs.keys()]);
  }

  #remove(kept: KeptLog, { sequence, chunk, segment }: NodeIntent): void {
    kept.intents.delete(sequence);
    this.#chunks.take(chunk);
    this.#segments.take(segment);
    this.#count -= 1;
    this.#changes += 1;
  }
}

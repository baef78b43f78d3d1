/**
 * What clients did and were told, held against the promises of docs/decisions/04 and 05.
 *
 * Everything that can be seen is a register: a name in a directory (its value is the inode, or 0), a block of a file
 * (the tag that was written there, or 0), a record of a journal. A change gives registers new values, all of them at
 * one moment that nobody knows exactly: after it began, and before it was acknowledged (or first seen), if it ever was.
 * An observation is a lie when the value that it tells was replaced for good before it began:
 *
 *     change A   ├────┤ A is in effect by here
 *     change B           ├────┤ B is in effect by here
 *     observation               ├───┤  may tell B, not A; nor what nobody ever wrote
 *
 * A change whose fate is unknown (an error, a client that was killed) may be told, and may be left out. A power loss of
 * the metadata server makes that of everything that was acknowledged in the last second and that no fsync covers.
 */

/** A moment. Each happening has its own, so that before and after are always clear. */
type Moment = number;

const NEVER: Moment = Number.POSITIVE_INFINITY;

export type Value = number;

/** A register's value that is not known, such as the inode of a file whose creation was not answered. */
export const UNKNOWN: Value = -1;

export class Change {
  readonly what: string;
  readonly client: string;
  readonly began: Moment;
  /** Everybody sees it from here on, unless it was replaced. */
  inEffectBy: Moment = NEVER;
  /** When that was, in simulated ms. */
  inEffectMs = NEVER;
  /** Whether it survives the loss of power of everything. */
  isDurable = false;
  /**
   * Acknowledged, and then perhaps undone: by the crash of its client, which undoes the last changes and no others, or as the
   * servers or the client itself reported a loss.
   */
  doubt: 'none' | 'crash' | 'loss' = 'none';
  /** register → value */
  readonly effects = new Map<string, Value>();
  /** Whether it made a name that must not have been there. */
  isExclusive = false;
  isAcknowledged = false;
  /** A crash of its client undoes it only with everything that the client began after this. */
  orderedAt: Moment = NEVER;
  /** When `close` gave it that place, in simulated ms. */
  closedMs = NEVER;
  /** Another client has seen something that the client did after it. */
  isFollowed = false;
  /** Another client than the one who made it has seen it. */
  isSeen = false;

  constructor(what: string, client: string, began: Moment) {
    this.what = what;
    this.client = client;
    this.began = began;
  }
}

/** A promise that was broken. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

export class History {
  #moment: Moment = 1;
  /** register → its changes in the order in which they began */
  readonly #registers = new Map<string, Change[]>();
  readonly #initial = new Change('nothing was written', 'nobody', 0);
  readonly #nowMs: () => number;
  readonly #note: (line: string) => void;
  readonly #changes = new Set<Change>();
  /**
   * How long machines were stopped, cut off or dead, all together. What a client had acknowledged may have waited so much longer
   * than the times below say.
   */
  delayedMs = 0;

  /**
   * @param nowMs the simulated time
   * @param note where everything is told that is done and seen
   */
  constructor(nowMs: () => number, note: (line: string) => void) {
    this.#nowMs = nowMs;
    this.#note = note;
    this.#initial.inEffectBy = 0;
    this.#initial.inEffectMs = 0;
    this.#initial.isDurable = true;
  }

  /** A moment after everything that happened so far. */
  now(): Moment {
    this.#moment += 1;
    return this.#moment;
  }

  begin(what: string, client: string, effects: Iterable<readonly [string, Value]>): Change {
    const change = new Change(what, client, this.now());
    for (const [register, value] of effects) this.#give(change, register, value);
    this.#changes.add(change);
    this.#note(`${change.began}: ${client} begins to ${what}: ${[...change.effects.keys()].join(' ')}`);
    return change;
  }

  /**
   * Everybody sees it from now on.
   * @param isOrdered it also takes its place among what the client does; written bytes do when their file is closed
   */
  acknowledge(change: Change, isOrdered = true): void {
    change.isAcknowledged = true;
    this.#takesEffect(change, this.now());
    if (isOrdered) this.order(change);
    this.#note(`${change.inEffectBy}: ${change.client} did ${change.what}`);
  }

  /** What the client begins from now on comes after it. */
  order(change: Change): void {
    change.orderedAt = Math.min(change.orderedAt, this.now());
    change.closedMs = NEVER;
  }

  /** As `order`, for bytes of a file that was closed; but see `forgiveOrder`. */
  orderClosed(change: Change): void {
    if (change.orderedAt !== NEVER) return;
    this.order(change);
    change.closedMs = this.#nowMs();
  }

  /** A client has let names overtake what was closed within that time, because data nodes did not take it. */
  forgiveOrder(withinMs: number): void {
    for (const change of this.#changes) {
      const isForgiven = change.closedMs !== NEVER && change.closedMs >= this.#since(withinMs);
      if (isForgiven) change.orderedAt = NEVER;
    }
  }

  /** It was refused: nothing was done. */
  refuse(change: Change): void {
    for (const register of change.effects.keys()) {
      const changes = this.#registers.get(register);
      changes?.splice(changes.indexOf(change), 1);
    }
    this.#changes.delete(change);
  }

  /** The value of a register is known now: the inode of a file that was created. */
  learn(change: Change, register: string, value: Value): void {
    change.effects.set(register, value);
  }

  /** The registers that anybody ever changed and that begin so. */
  registers(prefix: string): string[] {
    return [...this.#registers.keys()].filter(register => register.startsWith(prefix));
  }

  /** How many registers have a change that a loss of power may have undone, or that was reported to be lost. */
  lostOf(prefix: string): number {
    const isLost = (register: string): boolean =>
      this.#registers.get(register)?.some(({ doubt }) => doubt === 'loss') === true;
    return this.registers(prefix).filter(isLost).length;
  }

  /** The client that began the first change of a register. */
  clientOf(register: string): string {
    return this.#registers.get(register)?.[0]?.client ?? '';
  }

  /** Values that the register may have had, 0 apart. */
  valuesOf(register: string): Value[] {
    return (this.#registers.get(register) ?? []).map(change => change.effects.get(register) ?? 0);
  }

  /**
   * Somebody was told a register's value between `began` and now.
   * @param client who was told
   */
  observe(client: string, how: string, register: string, value: Value, began: Moment): void {
    const ended = this.now();
    const what = `${client}, ${how},`;
    this.#note(`${began}-${ended}: ${what} was told ${value} for ${register}`);
    const candidates = this.#candidates(register, candidate => candidate === value, began, ended);
    const [first] = candidates;
    if (!first) throw new BrokenPromise(this.#explain(what, register, value, began));
    if (candidates.length > 1) return;
    if (first.effects.get(register) === UNKNOWN) first.effects.set(register, value);
    if (first.client !== client) this.#seen(first, ended);
  }

  /** As `observe`, when it was told only that the value is not 0. */
  observePresence(client: string, how: string, register: string, began: Moment): void {
    const ended = this.now();
    const candidates = this.#candidates(register, value => value !== 0, began, ended);
    const [first] = candidates;
    if (!first) throw new BrokenPromise(this.#explain(`${client}, ${how},`, register, UNKNOWN, began));
    if (candidates.length === 1 && first.client !== client) this.#seen(first, ended);
  }

  /** Of those who made the same name exclusively at the same time only one can have succeeded. */
  checkOneWinner(register: string, winner: Change): void {
    const changes = this.#registers.get(register) ?? [];
    for (const other of changes) {
      if (other === winner || !other.isExclusive || !other.isAcknowledged || other.doubt !== 'none') continue;
      const from = Math.min(other.began, winner.began);
      const until = Math.max(other.inEffectBy, winner.inEffectBy);
      const isFreed = changes.some(
        change =>
          change !== other &&
          change !== winner &&
          change.effects.get(register) === 0 &&
          change.began < until &&
          change.inEffectBy > from,
      );
      if (!isFreed) {
        throw new BrokenPromise(`two made ${register} exclusively: ${other.what}, and ${winner.what}`);
      }
    }
  }

  /** Survives the loss of power of everything from now on: what was in effect at `began` and fits. */
  makeDurable(began: Moment, fits: (change: Change) => boolean): void {
    for (const change of this.#changes) {
      if (!change.isDurable && change.inEffectBy < began && fits(change)) change.isDurable = true;
    }
  }

  /** The metadata server lost its power: what was not fsynced within the time that is promised may be gone. */
  losePower(withinMs: number): void {
    const sinceMs = this.#since(withinMs);
    for (const change of this.#changes) {
      if (change.inEffectMs >= sinceMs) this.#mayBeUndone(change, 'loss');
    }
  }

  /** A program was told that the change, which was acknowledged before, may have come to nothing. */
  reportLoss(change: Change): void {
    if (!change.isSeen) this.#mayBeUndone(change, 'loss');
  }

  /** A client reported that something which it had acknowledged is not done; nobody has seen it. */
  reportLosses(withinMs: number, client: string): void {
    const sinceMs = this.#since(withinMs);
    for (const change of this.#changes) {
      if (change.client === client && change.inEffectMs >= sinceMs) this.reportLoss(change);
    }
  }

  /**
   * A client is gone with what it had acknowledged and not sent yet (docs/decisions/04): neither fsynced, nor older than
   * that, nor done before anything that somebody else has seen.
   * @param client undefined: it is not known which
   */
  loseAhead(withinMs: number, client?: string): void {
    const sinceMs = this.#since(withinMs);
    for (const change of this.#changes) {
      if (client !== undefined && change.client !== client) continue;
      if (change.isSeen || change.isFollowed || change.inEffectMs < sinceMs) continue;
      this.#mayBeUndone(change, 'crash');
    }
  }

  /** Whether the bytes of a block may be lost with the power of the nodes that held them: nobody had synced them. */
  mayHaveLostContent(register: string, powerLossesMs: readonly number[], withinMs: number): boolean {
    const candidates = this.#candidates(register, () => true, this.now(), this.now());
    return candidates.some(
      ({ isDurable, inEffectMs, effects }) =>
        !isDurable &&
        effects.get(register) !== 0 &&
        powerLossesMs.some(ms => inEffectMs === NEVER || ms < inEffectMs + withinMs),
    );
  }

  /** The simulated time that lies so far back, and as much further as machines were away. */
  #since(withinMs: number): number {
    return this.#nowMs() - withinMs - this.delayedMs;
  }

  #give(change: Change, register: string, value: Value): void {
    change.effects.set(register, value);
    const changes = this.#registers.get(register);
    if (changes) changes.push(change);
    else this.#registers.set(register, [change]);
  }

  /**
   * Another client has seen it, so nothing that its client did before it is undone by a crash. But what the server lost with its
   * power, another client may go on showing from its cache for as long as its lease lasts.
   */
  #seen(change: Change, moment: Moment): void {
    if (change.doubt !== 'loss') this.#takesEffect(change, moment);
    if (change.isSeen) return;
    change.isSeen = true;
    if (change.doubt === 'loss') return;
    for (const earlier of this.#changes) {
      const isBefore = earlier.client === change.client && earlier.orderedAt < change.began;
      if (!isBefore || earlier.isFollowed) continue;
      earlier.isFollowed = true;
      if (earlier.doubt !== 'loss') this.#takesEffect(earlier, moment);
    }
  }

  #mayBeUndone(change: Change, doubt: 'crash' | 'loss'): void {
    if (change.isDurable || (change.inEffectBy === NEVER && change.doubt === 'none')) return;
    change.inEffectBy = NEVER;
    change.inEffectMs = NEVER;
    if (change.doubt !== 'loss') change.doubt = doubt;
  }

  #takesEffect(change: Change, moment: Moment): void {
    if (change === this.#initial || change.inEffectBy <= moment) return;
    change.inEffectBy = moment;
    change.inEffectMs = this.#nowMs();
  }

  /** Changes that an observation can tell of. */
  #candidates(register: string, isValue: (value: Value) => boolean, began: Moment, ended: Moment): Change[] {
    const changes = this.#registers.get(register) ?? [];
    // The latest beginning of a change that was in effect when the observation began: whatever was in effect before
    // that beginning is replaced.
    let replacedBefore = -1;
    for (const change of changes) {
      if (change.inEffectBy < began) replacedBefore = Math.max(replacedBefore, change.began);
    }
    const result: Change[] = [];
    for (const change of [this.#initial, ...changes]) {
      if (change.began > ended || change.inEffectBy < replacedBefore) continue;
      const value = change === this.#initial ? 0 : (change.effects.get(register) ?? 0);
      if (isValue(value) || (value === UNKNOWN && !isValue(0))) result.push(change);
    }
    return result;
  }

  #explain(what: string, register: string, value: Value, began: Moment): string {
    const lines = (this.#registers.get(register) ?? []).slice(-12).map(change => {
      const { effects, inEffectBy, client, isDurable, doubt } = change;
      return `    ${effects.get(register)} by ${change.what} (${client}), began ${change.began}, in effect by ${inEffectBy}${isDurable ? ', durable' : ''}${doubt === 'none' ? '' : `, perhaps undone by a ${doubt}`}`;
    });
    const told = value === UNKNOWN ? 'something' : String(value);
    return `${what} was told ${told} for ${register} between ${began} and ${this.#moment}:\n${lines.join('\n')}`;
  }
}

/**
 * The queue's invariants under whatever order of events a seed makes: writes, closes, chunks stored or not, commits answered or
 * refused, early or late, flights given up, the file truncated. What must not be seen, ScriptedCommits sees.
 */
import t from 'tap';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Flight } from '../../../src/vfs/flight.js';
import { SeededRandom } from '../../simulation/world/seeded-random.js';
import { rest, ScriptedCommits, written, type Runs } from './support/scripted-commits.js';

const SEEDS = 300;
const STEPS = 60;
/** So short that writes meet. */
const FILE_BYTES = 48;
const REASONS = (['ESTALE', 'ENOSPC', 'EIO', 'ENOENT'] as const).map(code => new DfsError(code, 'scripted'));

class RandomRun {
  readonly server = new ScriptedCommits();
  readonly flights: Flight[] = [];
  /** What a program did, in its order: a flight that was written, or the size to which the file was truncated. */
  readonly #done: ({ readonly flight: Flight; readonly runs: Runs } | number)[] = [];
  cuts = 0;
  joined = 0;
  #places = 0;
  readonly #random: SeededRandom;
  /** Set at the end, when everything is to come to rest. */
  #isOver = false;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.server.mayGoAhead = () => this.#chance(0.6);
    this.server.onQuiesce = () => {
      // Others' answers come while a commit waits for them.
      if (this.server.log.length > 0 && this.#chance(0.2)) this.server.answerLog(this.#refusal());
    };
  }

  async step(): Promise<void> {
    const { server } = this;
    const { stores, log, asked } = server;
    const drawn = this.#below(100);
    if (drawn < 35) this.#write();
    else if (drawn < 65 && stores.length > 0) this.#store();
    else if (drawn < 78 && log.length > 0) server.answerLog(this.#refusal());
    else if (drawn < 90) this.#answer(asked);
    else if (drawn < 94) this.#cut();
    else if (drawn < 96) asked?.sendAgain();
    else if (drawn < 98) server.queue.giveUp(new DfsError('EIO', 'given up'));
    else server.queue.setTime({ sec: drawn, nsec: 0 });
    if (this.#chance(0.7)) await rest();
  }

  /** Everything is answered: the queue comes to an end. */
  async finish(): Promise<void> {
    this.#isOver = true;
    const { server } = this;
    const settled = server.queue.settled(true).then(() => true);
    for (let round = 0; round < 40 * this.flights.length + 40; round += 1) {
      await rest();
      if (server.stores.length > 0) this.#store();
      else if (server.asked) server.asked.succeed();
      else if (server.log.length > 0) server.answerLog();
      else break;
    }
    await rest();
    const isSettled = await Promise.race([settled, rest().then(() => false)]);
    if (!isSettled) server.violations.push('it does not come to rest');
    this.#checkEnd();
  }

  #checkEnd(): void {
    const { freed, content, violations } = this.server;
    const expected: number[] = [];
    for (const done of this.#done) {
      if (typeof done === 'number') {
        expected.splice(done);
        continue;
      }
      const { number, state } = done.flight;
      if (!['committed', 'cut', 'failed'].includes(state.is))
        violations.push(`${number} ends as ${state.is}`);
      if (state.is === 'failed') continue;
      for (const [offset, length] of done.runs) {
        for (let at = offset; at < offset + length; at += 1) expected[at] = number;
      }
    }
    if (freed.length !== this.flights.length)
      violations.push(`${freed.length} of ${this.flights.length} freed`);
    for (let at = 0; at < FILE_BYTES; at += 1)
      if (expected[at] !== content[at]) violations.push(`${at} is of ${content[at]}, not of ${expected[at]}`);
  }

  #write(): void {
    const offset = this.#below(FILE_BYTES - 12);
    const length = 1 + this.#below(6);
    const gap = offset + length + 1 + this.#below(2);
    const runs: Runs = this.#chance(0.3)
      ? [
          [offset, length],
          [gap, 1 + this.#below(3)],
        ]
      : [[offset, length]];
    const last = this.server.queue.flights.at(-1);
    if (last && this.server.queue.join(written(runs), FILE_BYTES, () => true)) {
      this.joined += 1;
      this.#done.push({ flight: last, runs });
      return;
    }
    const isThrough = this.#chance(0.1);
    const flight = this.server.add(runs, { isThrough }, !isThrough && this.#chance(0.7));
    this.flights.push(flight);
    this.#done.push({ flight, runs });
    if (this.#chance(0.5)) this.#close();
  }

  #close(): void {
    this.#places += 2;
    this.server.queue.acknowledge({ order: this.#places, sinceMs: 0, hurry: () => undefined });
  }

  #cut(): void {
    // Then the truncation is asked for, too.
    if (this.server.queue.isAsking) return;
    const size = this.#chance(0.3) ? 0 : this.#below(FILE_BYTES);
    this.server.cut(size);
    this.#done.push(size);
    this.cuts += 1;
  }

  #store(): void {
    const { stores } = this.server;
    const [store] = stores.splice(this.#below(stores.length), 1);
    store?.flight.setOut();
    if (!this.#isOver && this.#chance(0.1)) store?.refuse(new DfsError('EIO', 'no data node'));
    else store?.succeed();
  }

  #answer(asked: ScriptedCommits['asked']): void {
    const reason = this.#refusal();
    if (reason) asked?.refuse(reason);
    else asked?.succeed();
  }

  #refusal(): DfsError | undefined {
    if (this.#isOver || this.#chance(0.65)) return undefined;
    return REASONS[this.#below(REASONS.length)];
  }

  #chance(part: number): boolean {
    return this.#below(1000) < part * 1000;
  }

  #below(limit: number): number {
    return this.#random.integer(0, limit);
  }
}

t.test('commits leave in the order written, and nothing older lands on what is newer', async t => {
  let ahead = 0;
  let cuts = 0;
  let joined = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const run = new RandomRun(seed);
    for (let step = 0; step < STEPS; step += 1) await run.step();
    await run.finish();
    cuts += run.cuts;
    joined += run.joined;
    ahead += run.server.left.filter(left => left.endsWith('ahead')).length;
    if (run.server.violations.length === 0) continue;
    t.same(run.server.violations.slice(0, 5), [], `seed ${seed}`);
    return;
  }
  t.ok(ahead > SEEDS, `${SEEDS} seeds, ${ahead} commits ahead of the server`);
  t.ok(cuts > SEEDS, `${cuts} truncations among them`);
  t.ok(joined > SEEDS, `${joined} writes that went with the close before them`);
});

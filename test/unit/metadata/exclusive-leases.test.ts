/** Which session has which inode to itself (metadata/leases/exclusive-leases.ts, inode-owners.ts). */
import t from 'tap';
import { ExclusiveLeases } from '../../../src/metadata/leases/exclusive-leases.js';
import { InodeOwners } from '../../../src/metadata/leases/inode-owners.js';
import { ManualClock } from '../../support/manual-clock.js';
import { SeededRandom } from '../../simulation/world/seeded-random.js';

const A = 1;
const B = 2;
const FILE = 10;
const PAUSE_MS = 200;

t.test('the table knows the owner of each inode, whatever is set and cleared', async t => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new SeededRandom(seed);
    const owners = new InodeOwners();
    const model = new Map<number, number>();
    for (let step = 0; step < 2000; step += 1) {
      const inode = random.integer(1, random.isChance(0.5) ? 300 : 1_000_000);
      if (random.isChance(0.01)) {
        const owner = random.integer(1, 4);
        owners.clear(owner, kept => kept % 2 === 0);
        for (const [number, its] of model) if (its === owner && number % 2 !== 0) model.delete(number);
      } else {
        const owner = random.integer(0, 4);
        owners.set(inode, owner);
        if (owner === 0) model.delete(inode);
        else model.set(inode, owner);
      }
    }
    for (const [inode, owner] of model) if (owners.get(inode) !== owner) t.fail(`seed ${seed}: ${inode}`);
    for (const owner of [1, 2, 3]) {
      const size = [...model.values()].filter(its => its === owner).length;
      t.equal(owners.sizeOf(owner), size, `seed ${seed}: all of owner ${owner}, and no more`);
    }
  }
});

t.test('a million inodes that were made one after the other take a few bytes each', async t => {
  const owners = new InodeOwners();
  for (let inode = 1; inode <= 1_000_000; inode += 1) owners.set(inode, 1 + (Math.floor(inode / 1024) % 200));
  t.ok(owners.usedBytes < 4_000_000, `${owners.usedBytes} bytes`);
  for (let owner = 1; owner <= 200; owner += 1) owners.clear(owner);
  t.equal(owners.usedBytes, 0, 'and nothing once they are given back');
});

t.test('an inode is given to one session, and not while a request of another one is about it', async t => {
  const exclusive = new ExclusiveLeases(new ManualClock());
  const [own, others] = [exclusive.claim(), exclusive.claim()];
  others.add(FILE);
  t.notOk(exclusive.mayGive(A, FILE, own), 'another request is about it');
  t.ok(exclusive.mayGive(B, FILE, others), 'to that request it may be given');
  others.release();
  t.ok(exclusive.mayGive(A, FILE, own));
  exclusive.give(A, FILE);
  t.equal(exclusive.holderOf(FILE), A);
  t.notOk(exclusive.mayGive(B, FILE, own));
  exclusive.take(B, FILE);
  t.equal(exclusive.holderOf(FILE), A, 'only its holder gives it back');
  others.add(FILE);
  t.notOk(
    exclusive.mayGive(A, FILE, own),
    'nor to its holder while it is recalled: a new one would outlive the recall',
  );
});

t.test('what was recalled is nobody’s alone for a while', async t => {
  const clock = new ManualClock();
  const exclusive = new ExclusiveLeases(clock);
  exclusive.pause(FILE);
  t.notOk(exclusive.mayGive(A, FILE, exclusive.claim()));
  clock.advance(PAUSE_MS);
  t.ok(exclusive.mayGive(A, FILE, exclusive.claim()));
});

t.test('after a restart every session may have anything, until it has said what it has', async t => {
  const exclusive = new ExclusiveLeases(new ManualClock());
  exclusive.presume(A);
  exclusive.presume(B);
  t.ok(exclusive.isUnsure(A), 'B may have it');
  t.ok(exclusive.resume(B, [FILE]));
  t.notOk(exclusive.isUnsure(A));
  t.ok(exclusive.isUnsure(B), 'A may have it');
  t.equal(exclusive.holderOf(FILE), B);
  t.ok(exclusive.resume(B, [FILE + 1]));
  t.equal(exclusive.holderOf(FILE + 1), undefined, 'it is believed once');
});

t.test('a session that was gone has nothing, and is given nothing until it knows that', async t => {
  const exclusive = new ExclusiveLeases(new ManualClock());
  exclusive.give(A, FILE);
  exclusive.forfeit(A);
  t.equal(exclusive.holderOf(FILE), undefined);
  t.notOk(exclusive.resume(A, [FILE]), 'it is told so');
  t.equal(exclusive.holderOf(FILE), undefined);
  t.notOk(exclusive.mayGive(A, FILE, exclusive.claim()));
  exclusive.accept(A);
  t.ok(exclusive.mayGive(A, FILE, exclusive.claim()));
});

t.test('a full table gives nothing more, and the largest holder gives back what it chooses', async t => {
  const exclusive = new ExclusiveLeases(new ManualClock(), 10 * 200);
  let inode = 0;
  for (; !exclusive.isFull; inode += 64) exclusive.give(inode < 256 ? B : A, inode);
  t.notOk(exclusive.mayGive(B, inode, exclusive.claim()));
  t.equal(exclusive.largest(), A);
  t.ok(exclusive.keepOnly(A, kept => kept === 256).length > 0);
  t.equal(exclusive.countOf(A), 1);
  t.ok(exclusive.mayGive(B, inode, exclusive.claim()));
});

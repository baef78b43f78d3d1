/** Bytes are acknowledged before they are stored only while data nodes take them (client/local/store-proof.ts). */
import t from 'tap';
import { StoreProof } from '../../../../src/client/local/store-proof.js';
import { ManualClock } from '../../../support/manual-clock.js';

const PROVEN_MS = 10_000;

t.test('nothing is proven before a chunk of the same goal was stored', async t => {
  const proof = new StoreProof(new ManualClock());
  t.notOk(proof.isProven(2));
  proof.noteStored(1);
  t.notOk(proof.isProven(2), 'another goal needs other nodes');
  t.ok(proof.isProven(1));
});

t.test('a proof holds for a while, counted from the newest chunk', async t => {
  const clock = new ManualClock();
  const proof = new StoreProof(clock);
  proof.noteStored(2);
  clock.advance(PROVEN_MS - 1);
  t.ok(proof.isProven(2));
  proof.noteStored(2);
  clock.advance(PROVEN_MS - 1);
  t.ok(proof.isProven(2));
  clock.advance(1);
  t.notOk(proof.isProven(2));
});

t.test('a node that failed ends the proof of every goal, until a chunk is stored again', async t => {
  const proof = new StoreProof(new ManualClock());
  proof.noteStored(1);
  proof.noteStored(2);
  proof.noteFailed();
  t.notOk(proof.isProven(1));
  t.notOk(proof.isProven(2));
  proof.noteStored(2);
  t.ok(proof.isProven(2));
});

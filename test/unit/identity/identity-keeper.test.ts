/** A certificate is replaced in time (identity/identity-keeper.ts). */
import { createPublicKey, type KeyObject } from 'node:crypto';
import t from 'tap';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { IdentityKeeper } from '../../../src/identity/identity-keeper.js';
import { selfIssued, type Identity } from '../../../src/identity/identity.js';
import { createLogger } from '../../../src/platform/log.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ManualClock } from '../../support/manual-clock.js';
import { waitUntil } from '../../support/wait-until.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const authority = new CertificateAuthority(Buffer.alloc(32, 1));

async function keeperOf(clock: ManualClock, failures: number) {
  const nowMs = (): number => clock.wallMs;
  const identity = await selfIssued(authority, 'client', 'web', nowMs(), 29 * DAY_MS);
  const asked: KeyObject[] = [];
  const saved: Identity[] = [];
  const renew = async (publicKey: KeyObject): Promise<string> => {
    asked.push(publicKey);
    if (asked.length <= failures) throw new DfsError('EHOSTUNREACH', 'the metadata server is away');
    return await authority.issue({
      role: 'client',
      name: 'web',
      publicKey,
      nowMs: nowMs(),
      lifetimeMs: 29 * DAY_MS,
    });
  };
  const keeper = new IdentityKeeper({
    clock,
    log: createLogger('test', 'silent'),
    nowMs,
    identity,
    renew,
    save: async renewed => void saved.push(renewed),
  });
  return { keeper, identity, asked, saved };
}

/** Lets time pass in steps, and what happens meanwhile happen. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= HOUR_MS) {
    clock.advance(Math.min(HOUR_MS, left));
    await new Promise(resolve => setImmediate(resolve));
  }
}

t.test(
  'when a third of its time is left it is renewed, for a new key, and saved before it is used',
  async t => {
    const clock = new ManualClock();
    const { keeper, identity, asked, saved } = await keeperOf(clock, 0);
    keeper.start();
    t.teardown(() => keeper.close());
    await pass(clock, 18 * DAY_MS);
    t.same(asked, [], 'not before');
    await pass(clock, 2 * DAY_MS);
    await waitUntil(() => keeper.identity !== identity, { what: 'it is renewed' });
    t.equal(asked.length, 1);
    t.same(saved, [keeper.identity]);
    t.ok(asked[0] && createPublicKey(keeper.identity.privateKey).equals(asked[0]));
    t.ok(keeper.identity.member.notAfterMs > identity.member.notAfterMs);
  },
);

t.test('as long as the server is away it is asked again, and the old one is used', async t => {
  const clock = new ManualClock();
  const { keeper, identity, asked, saved } = await keeperOf(clock, 3);
  keeper.start();
  t.teardown(() => keeper.close());
  // Three times in vain.
  for (let hour = 0; hour < 29 * 24 && asked.length < 3; hour += 1) await pass(clock, HOUR_MS);
  t.equal(asked.length, 3);
  t.equal(keeper.identity, identity);
  t.same(saved, []);
  for (let hour = 0; hour < 100 && asked.length < 4; hour += 1) await pass(clock, HOUR_MS);
  await waitUntil(() => keeper.identity !== identity, { what: 'it is renewed' });
  t.equal(asked.length, 4);
});

t.test('closed, it asks no more', async t => {
  const clock = new ManualClock();
  const { keeper, asked } = await keeperOf(clock, 0);
  keeper.start();
  keeper.close();
  await pass(clock, 28 * DAY_MS);
  t.same(asked, []);
});

/** A client's lease, by a clock that the test moves, and what the client has to itself under it. */
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { HeldInodes } from '../../../../src/client/leases/held-inodes.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { LOG } from '../../metadata/support/harness.js';

export async function leasedClient(leaseMs = 60_000) {
  const clock = new ManualClock();
  const lease = new CacheLease(clock, LOG);
  lease.want();
  lease.grant(clock.monotonicMs(), leaseMs);
  await lease.begun();
  return { clock, lease, held: new HeldInodes(lease) };
}

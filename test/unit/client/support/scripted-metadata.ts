/** A metadata server of which the test scripts every answer, and a client's session at it. */
import type { Test } from 'tap';
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { HeldLocks } from '../../../../src/client/locks/held-locks.js';
import { ServerClock } from '../../../../src/client/session/server-clock.js';
import { ServerSession, type SessionState } from '../../../../src/client/session/server-session.js';
import { systemClock, type Clock } from '../../../../src/platform/clock.js';
import { tcpNetwork, type Endpoint } from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import type { ReplyOf, RequestOf } from '../../../../src/protocol/command.js';
import { end, renew, session as greeting } from '../../../../src/protocol/session-commands.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { RpcServer } from '../../../../src/rpc/server.js';
import { AS_CLIENT, TEST_KEYS } from '../../../support/test-keys.js';
import { LOG } from '../../metadata/support/harness.js';
import { Cable } from '../../vfs/support/connected-clients.js';

type Greeting = RequestOf<typeof greeting>;
type Greeted = ReplyOf<typeof greeting>;
type Renewed = ReplyOf<typeof renew>;

export class ScriptedMetadata {
  /** The greetings as they came. */
  readonly greetings: Greeting[] = [];
  readonly renewals: RequestOf<typeof renew>[] = [];
  readonly ended: number[] = [];
  readonly cable = new Cable();
  /** The session that a greeting resumes; one of any other number begins it. */
  current = 1;
  /** What the next greetings are answered besides. */
  greeted: Partial<Greeted> = {};
  onRenew: () => Renewed | Promise<Renewed> = () => ({ leaseMs: 0 });
  readonly #server: RpcServer;

  private constructor(routes: Routes) {
    const all = new Routes(routes)
      .on(greeting, async request => this.#greet(request))
      .on(renew, async request => {
        this.renewals.push(request);
        return await this.onRenew();
      })
      .on(end, async request => {
        this.ended.push(request.session);
        return {};
      });
    this.#server = new RpcServer({
      network: tcpNetwork,
      clock: systemClock,
      random: systemRandom,
      log: LOG,
      endpoint: { host: '127.0.0.1', port: 0 },
      routes: all,
      keys: TEST_KEYS,
      kind: 'metadata',
    });
  }

  /** @param routes what it answers besides what concerns its session */
  static async start(t: Test, routes = new Routes()): Promise<ScriptedMetadata> {
    const metadata = new ScriptedMetadata(routes);
    t.teardown(async () => await metadata.close());
    await metadata.#server.start();
    return metadata;
  }

  get endpoint(): Endpoint {
    return this.#server.endpoint;
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  /** Every connection breaks; new ones can be made. */
  breakConnections(): void {
    this.cable.cut();
    this.cable.mend();
  }

  #greet(request: Greeting): Greeted {
    this.greetings.push(request);
    return {
      session: this.current,
      secret: Buffer.alloc(16, this.current),
      resumed: request.session === this.current,
      locksKept: true,
      heldKept: true,
      cluster: 'cluster',
      leaseMs: 0,
      run: 'run',
      lost: [],
      ...this.greeted,
    };
  }
}

/** A session with the state that is given, which ends with the test; `start` is for the caller. */
export function sessionAt(
  t: Test,
  metadata: ScriptedMetadata,
  state: Partial<SessionState> = {},
  clock: Clock = systemClock,
  clientName = 'test',
) {
  const told: string[] = [];
  const lease = new CacheLease(clock, LOG);
  const serverClock = new ServerClock(clock);
  const heldLocks = new HeldLocks();
  const session = new ServerSession(
    {
      network: metadata.cable,
      clock,
      random: systemRandom,
      log: LOG,
      metadata: metadata.endpoint,
      ...AS_CLIENT,
      clientName,
    },
    {
      lease,
      serverClock,
      heldLocks,
      opens: () => [],
      unsynced: () => [],
      held: () => [],
      routes: new Routes(),
      locksLost: inodes => told.push(`locks on ${inodes.join()} lost`),
      heldLost: () => told.push('held lost'),
      sessionLost: () => told.push('session lost'),
      resumed: (isRestarted, lost) => told.push(`resumed ${isRestarted} ${lost.join()}`),
      ...state,
    },
  );
  t.teardown(async () => await session.close());
  return { session, lease, serverClock, heldLocks, told };
}

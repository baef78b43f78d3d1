/**
 * The limits on a server's connections. Descriptors are reserved for its files and for its own connections to others. Most of
 * the rest are for members, that is peers that have proved their role. Strangers only ever push out strangers.
 *
 *     accepted ──► stranger ──proves──► member ──idle for long, or for too many others──► closed
 *                     └──too slow, or too many came after it──► closed
 */

/** A connection, as far as this is concerned. */
export interface LimitedConnection {
  /** host:port */
  readonly remote: string;
  /** Something depends on it. */
  readonly isKept: boolean;
  /** Whether a request came since this was asked last. */
  takeActivity(): boolean;
}

export interface ConnectionNumbers {
  readonly members: number;
  readonly membersOfAddress: number;
  readonly strangers: number;
}

/** Descriptors for files and for connections to others: a quarter, and so many at least. */
const LEAST_KEPT = 64;
const KEPT_PART = 0.25;
const MOST_CONNECTIONS = 16_384;
const LEAST_CONNECTIONS = 16;
const STRANGERS_PART = 0.25;
const MOST_STRANGERS = 256;
/** One address may have so much of what members may have. */
const ADDRESS_PART = 0.75;

/** How many connections a process may have that may open `descriptors` files. */
export function connectionNumbers(descriptors: number): ConnectionNumbers {
  const usable = Math.min(descriptors, 2 * MOST_CONNECTIONS);
  const kept = Math.max(LEAST_KEPT, usable * KEPT_PART);
  const all = Math.max(LEAST_CONNECTIONS, Math.min(MOST_CONNECTIONS, Math.floor(usable - kept)));
  const strangers = Math.min(MOST_STRANGERS, Math.ceil(all * STRANGERS_PART));
  const members = all - strangers;
  return { members, membersOfAddress: Math.ceil(members * ADDRESS_PART), strangers };
}

/** Looks at which a member was seen idle, one after the other, before it is closed. */
export const IDLE_LOOKS = 15;

export interface LimitsOptions<Connection> {
  readonly numbers: ConnectionNumbers;
  readonly close: (connection: Connection, reason: string) => void;
}

export class ConnectionLimits<Connection extends LimitedConnection> {
  readonly #options: LimitsOptions<Connection>;
  /** In the order in which they came. */
  readonly #strangers = new Set<Connection>();
  /** member → how often it was seen idle */
  readonly #members = new Map<Connection, number>();

  constructor(options: LimitsOptions<Connection>) {
    this.#options = options;
  }

  accepted(stranger: Connection): void {
    const { numbers, close } = this.#options;
    this.#strangers.add(stranger);
    if (this.#strangers.size <= numbers.strangers) return;
    const victim = this.#oldestOf(this.#busiestAddress());
    if (victim) close(victim, `more than ${numbers.strangers} connections have not proved what they are`);
  }

  proved(connection: Connection): void {
    const { numbers, close } = this.#options;
    this.#strangers.delete(connection);
    this.#members.set(connection, 0);
    const address = addressOf(connection);
    const ofAddress = [...this.#members.keys()].filter(each => addressOf(each) === address);
    if (ofAddress.length > numbers.membersOfAddress) {
      const reason = `more than ${numbers.membersOfAddress} connections come from ${address}`;
      close(this.#idlest(ofAddress, connection), reason);
    } else if (this.#members.size > numbers.members) {
      const reason = `there are more than ${numbers.members} connections; raise this server's limit (ulimit -n)`;
      close(this.#idlest([...this.#members.keys()], connection), reason);
    }
  }

  left(connection: Connection): void {
    this.#strangers.delete(connection);
    this.#members.delete(connection);
  }

  /** Called now and then: members that were idle at each of IDLE_LOOKS calls are closed. */
  look(): void {
    for (const [member, idleLooks] of this.#members) {
      const isIdle = !member.takeActivity() && !member.isKept;
      this.#members.set(member, isIdle ? idleLooks + 1 : 0);
      if (isIdle && idleLooks + 1 >= IDLE_LOOKS) this.#options.close(member, 'it was idle for long');
    }
  }

  #busiestAddress(): string {
    const counts = new Map<string, number>();
    let busiest = '';
    for (const stranger of this.#strangers) {
      const address = addressOf(stranger);
      counts.set(address, (counts.get(address) ?? 0) + 1);
      if ((counts.get(address) ?? 0) > (counts.get(busiest) ?? 0)) busiest = address;
    }
    return busiest;
  }

  #oldestOf(address: string): Connection | undefined {
    for (const stranger of this.#strangers) if (addressOf(stranger) === address) return stranger;
    return undefined;
  }

  /** The one on which nothing depends and that was idle longest; `last` if something depends on every other one. */
  #idlest(among: readonly Connection[], last: Connection): Connection {
    let idlest = last;
    let looks = -1;
    for (const each of among) {
      const own = this.#members.get(each) ?? 0;
      if (each !== last && !each.isKept && own > looks) [idlest, looks] = [each, own];
    }
    return idlest;
  }
}

function addressOf({ remote }: LimitedConnection): string {
  return remote.slice(0, remote.lastIndexOf(':'));
}

/** Which session speaks by which connection: a session's commands are taken only by a connection that proved to be its client's. */
import { DfsError } from '../protocol/errors.js';
import type { Once } from '../protocol/types.js';
import type { Peer } from './peer.js';

/** The number of a request that changes something; undefined for others. */
export function onceOf(request: object): Once | undefined {
  // Whatever has a field of this name has it from a command's shape, where it is of this type.
  return 'once' in request ? (request.once as Once) : undefined;
}

export class SessionBindings {
  /** connection → the session that was begun or resumed on it, the last one if there were several */
  readonly #sessions = new WeakMap<Peer, number>();

  /** The connection's client has proved to be the session's: it was told the session's secret, or knew it. */
  bind(peer: Peer, session: number): void {
    this.#sessions.set(peer, session);
  }

  /** The session of a connection. */
  of(peer: Peer): number | undefined {
    return this.#sessions.get(peer);
  }

  /**
   * EACCES when a request names another session than that of its connection, whether that other one is alive or not.
   * @param peer undefined for what this process asks of itself
   */
  check(request: object, peer: Peer | undefined): void {
    const named = sessionNamedBy(request);
    if (named === undefined || peer === undefined || this.#sessions.get(peer) === named) return;
    throw new DfsError(
      'EACCES',
      `session ${named} was not begun or resumed by this connection; resume it with its secret first`,
    );
  }
}

/** The session in whose name a request comes. `session` itself, which names one to prove it, is not asked about. */
function sessionNamedBy(request: object): number | undefined {
  const once = onceOf(request);
  if (once) return once.session;
  // As above: in every command's shape a field of this name is a session's number.
  return 'session' in request ? (request.session as number) : undefined;
}

/** The connection of a request, as operations see it. */
import type { Member } from '../rpc/member.js';

export interface Peer {
  readonly isClosed: boolean;
  /** What the other end has proved to be. */
  readonly member?: Member | undefined;
  /** The address of the other end. */
  readonly remoteHost?: string;
}

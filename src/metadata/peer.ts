/** The connection that a request came by, as far as operations care. */
export interface Peer {
  readonly isClosed: boolean;
}

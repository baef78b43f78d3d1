/** The connection of a request, as operations see it. */
export interface Peer {
  readonly isClosed: boolean;
}

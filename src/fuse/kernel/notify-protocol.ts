/** What the threads that write notifications are told, and answer. */

export interface NotifyWorkerData {
  /** /dev/fuse */
  readonly fd: number;
}

export type NotifyRequest = { readonly id: number; readonly messages: readonly Uint8Array[] } | 'end';

export interface NotifyAnswer {
  readonly id: number;
  /** For each message 0, or the errno (negative, as libuv has it). */
  readonly results: Int32Array;
}

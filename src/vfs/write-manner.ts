/** How a write is taken by the writer of its file, and answered. */
import type { Timespec } from '../platform/clock.js';
import type { DfsError } from '../protocol/errors.js';
import type { PrivilegeLoss } from '../protocol/types.js';

/** How bytes are written. */
export interface WriteManner {
  /** When, by the metadata server's clock. */
  readonly now: Timespec;
  /** How setuid, setgid and capabilities go with the commit. */
  readonly privilegeLoss?: PrivilegeLoss | undefined;
  /**
   * Asked when the bytes are taken: whether they are answered only when the server has committed them, and the write rejects when
   * that fails.
   */
  readonly isThrough?: () => boolean;
  /** Asked when the bytes are taken, perhaps after a wait: why they must not be, if so. */
  readonly refusal?: (() => DfsError | undefined) | undefined;
}

/** What a handle says of it. */
export type WriteTerms = Pick<WriteManner, 'privilegeLoss' | 'refusal'>;

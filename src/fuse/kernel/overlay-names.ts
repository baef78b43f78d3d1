/**
 * Whether the kernel may keep names: not once there is an overlay file system (as containers have it) with layers on this mount.
 *
 * FUSE_NOTIFY_INC_EPOCH makes every name invalid without a look (fuse_dentry_revalidate). A path is then looked up anew; but an
 * overlay that holds the name answers ESTALE until its own caches let go (ovl_revalidate_real), and what is mounted on it is
 * unmounted (d_invalidate). So from the first sign of an overlay on (RENAME_WHITEOUT, an attribute of its own) names are not kept:
 * the kernel asks here, and when what it was told before has run out, there is nothing to invalidate any more. From the
 * start it is so with `dfs mount --no-keep-names`.
 */
import type { Clock } from '../../platform/clock.js';
import { RenameFlag } from '../../protocol/namespace-commands.js';

const OVERLAY_ATTRIBUTE = /^(?:trusted|user)[.]overlay[.]/;

export interface OverlayNamesOptions {
  readonly clock: Clock;
  /** False: names are never kept. */
  readonly keepsNames: boolean;
  /** For how long the kernel believes names that it may keep. */
  readonly leasedMs: number;
}

export class OverlayNames {
  readonly #clock: Clock;
  readonly #leasedMs: number;
  /** Monotonic ms after which the kernel keeps no name; undefined while it may keep some. */
  #clearFromMs: number | undefined;

  constructor({ clock, keepsNames, leasedMs }: OverlayNamesOptions) {
    this.#clock = clock;
    this.#leasedMs = leasedMs;
    this.#clearFromMs = keepsNames ? undefined : Number.NEGATIVE_INFINITY;
  }

  /** The kernel may keep names as far as leases say so. */
  get mayKeep(): boolean {
    return this.#clearFromMs === undefined;
  }

  /** The kernel keeps no name that would have to be invalidated. */
  get isClear(): boolean {
    return this.#clearFromMs !== undefined && this.#clock.monotonicMs() > this.#clearFromMs;
  }

  /** Every name was invalidated. */
  forgotten(): void {
    if (this.#clearFromMs !== undefined) this.#clearFromMs = Number.NEGATIVE_INFINITY;
  }

  /** An extended attribute of this name is asked for, or set. */
  sawAttribute(name: Buffer): void {
    if (this.mayKeep && OVERLAY_ATTRIBUTE.test(name.toString('latin1'))) this.#saw();
  }

  /** A rename has these flags. */
  sawRename(flags: number): void {
    if (this.mayKeep && (flags & RenameFlag.whiteout) !== 0) this.#saw();
  }

  #saw(): void {
    this.#clearFromMs = this.#clock.monotonicMs() + this.#leasedMs;
  }
}

/**
 * Keeps a process's identity good: its certificate is replaced when a third of its time is left, long before it expires. Connections
 * that exist stay as they are; new ones use the new certificate.
 */
import type { KeyObject } from 'node:crypto';
import type { Clock, Timer } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { toDfsError } from '../protocol/errors.js';
import { identityOf, newKeyPair, type Identity } from './identity.js';

export interface IdentityKeeperOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** ms since the epoch */
  readonly nowMs: () => number;
  readonly identity: Identity;
  /** Asks for a new certificate for this public key; returns it as PEM. */
  readonly renew: (publicKey: KeyObject) => Promise<string>;
  /** Keeps the new identity where the next process finds it. */
  readonly save: (identity: Identity) => Promise<void>;
}

/** How often is looked, and so how soon it is tried again after a failure. */
const LOOK_MS = 3_600_000;
/** A certificate that holds for less than this many looks is looked at so often. */
const LOOKS = 24;
const PART_LEFT = 1 / 3;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  #identity: Identity;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    this.#identity = options.identity;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Looks at once, and from time to time. */
  start(): void {
    void this.#look();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock, log, nowMs } = this.#options;
    const { notBeforeMs, notAfterMs, name } = this.#identity.member;
    const lifetimeMs = notAfterMs - notBeforeMs;
    try {
      // A clock that is behind its beginning tells nothing of its end.
      const isOld = notAfterMs - nowMs() < lifetimeMs * PART_LEFT || nowMs() < notBeforeMs;
      if (isOld) await this.#renew();
    } catch (error) {
      const expires = new Date(notAfterMs).toISOString();
      log.warn(
        { member: name, expires, reason: toDfsError(error).message },
        'the certificate could not be renewed',
      );
    }
    if (this.#isClosed) return;
    const delayMs = Math.min(LOOK_MS, lifetimeMs / LOOKS);
    this.#timer = clock.setTimer(delayMs, () => void this.#look(), true);
  }

  async #renew(): Promise<void> {
    const { renew, save, log } = this.#options;
    const { publicKey, privateKey } = newKeyPair();
    const identity = identityOf(await renew(publicKey), privateKey, this.#identity.authority);
    // First where it outlives this process: the server knows of it by now.
    await save(identity);
    this.#identity = identity;
    const expires = new Date(identity.member.notAfterMs).toISOString();
    log.info({ member: identity.member.name, expires }, 'renewed the certificate');
  }
}

/** Access times (access-times.ts) and the session: reports them, and records accesses of which only the inode is known. */
import type { MetadataSession } from '../client/session/metadata-session.js';
import type { Logger } from '../platform/log.js';
import { toDfsError } from '../protocol/errors.js';
import { accessed } from '../protocol/namespace-commands.js';
import type { Attributes } from '../protocol/types.js';
import type { AccessTimes, AccessTimesOptions } from './access-times.js';

/** Sends accesses to the metadata server, and keeps the attributes that it answers. */
export function reportBy(session: Pick<MetadataSession, 'attributes' | 'ask'>): AccessTimesOptions['send'] {
  const { attributes: cache } = session;
  return async accesses => {
    const ticket = cache.ticket();
    const { attributes } = await session.ask(accessed, { accesses: [...accesses] });
    for (const told of attributes) cache.keep(ticket, told);
    return attributes;
  };
}

export interface AccessRecorderOptions {
  readonly times: Pick<AccessTimes, 'accessed'>;
  readonly session: Pick<MetadataSession, 'attributes' | 'getattr'>;
  /** What stat(2) shows. */
  readonly present: (attributes: Attributes) => Attributes;
  readonly log: Logger;
}

/** Records accesses of inodes that nobody has open here: directories and symbolic links. */
export class AccessRecorder {
  readonly #options: AccessRecorderOptions;

  constructor(options: AccessRecorderOptions) {
    this.#options = options;
  }

  /** The inode was read. Its attributes are asked for when they are not known, for which nobody waits. */
  record(inode: number): void {
    const { times, session, present, log } = this.#options;
    const known = session.attributes.get(inode);
    if (known) {
      times.accessed(present(known));
      return;
    }
    session.getattr(inode).then(
      told => times.accessed(present(told)),
      (error: unknown) => {
        const reason = toDfsError(error).message;
        log.debug({ inode, reason }, 'an access was not recorded');
      },
    );
  }
}

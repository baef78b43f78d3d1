/**
 * Changes that this client decides alone, of inodes that it has to itself (client/leases/held-inodes.ts): of each it
 * foretells what the metadata server will make of it, from what it keeps under its lease, by the server's own rules
 * (src/rules). Whatever it does not know for certain, or would be refused, it leaves to the server: then the methods of the
 * three kinds return undefined.
 *
 * What is foretold is compared with what the server says when it has committed it (`confirm`).
 */
import type { Timespec } from '../../platform/clock.js';
import type { Attributes } from '../../protocol/types.js';
import { Foretelling, type ForetellingOptions } from './foretelling.js';
import { ForetoldAttributes } from './foretold-attributes.js';
import { ForetoldContent } from './foretold-content.js';
import { ForetoldNames } from './foretold-names.js';
import { ForetoldXattrs } from './foretold-xattrs.js';

/** Told of a bug: the metadata server made something else of a change than this client had foretold. */
export type OnMisprediction = (foretold: Attributes, actual: Attributes) => void;

export interface ForetoldChangesOptions extends ForetellingOptions {
  /** See ClientOptions. */
  readonly onMisprediction?: OnMisprediction | undefined;
}

export class ForetoldChanges {
  readonly #options: ForetoldChangesOptions;
  readonly names: ForetoldNames;
  readonly attributes: ForetoldAttributes;
  readonly content: ForetoldContent;
  readonly xattrs: ForetoldXattrs;

  constructor(options: ForetoldChangesOptions) {
    this.#options = options;
    const foretelling = new Foretelling(options);
    this.names = new ForetoldNames(foretelling, options);
    this.attributes = new ForetoldAttributes(foretelling, options);
    this.content = new ForetoldContent(foretelling);
    this.xattrs = new ForetoldXattrs(foretelling, options);
  }

  /** What the server says of inodes once it has committed a batch; returns those of which something else was told. */
  confirm(changed: readonly Attributes[]): Attributes[] {
    const { attributes, changes, log, onMisprediction } = this.#options;
    return changed.filter(actual => {
      const foretold = attributes.get(actual.inode);
      if (!foretold || changes.isPending(actual.inode) || this.#options.client.isBusy()) return false;
      if (isSame(foretold, actual)) return false;
      onMisprediction?.(foretold, actual);
      log.warn({ foretold, actual }, 'the metadata server made something else of a change');
      return true;
    });
  }
}

const isSameTime = (a: Timespec, b: Timespec): boolean => a.sec === b.sec && a.nsec === b.nsec;

const COMPARED = ['mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'allocated', 'version', 'goal'] as const;

function isSame(a: Attributes, b: Attributes): boolean {
  const isEqual = COMPARED.every(field => a[field] === b[field]);
  return (
    isEqual && isSameTime(a.atime, b.atime) && isSameTime(a.mtime, b.mtime) && isSameTime(a.ctime, b.ctime)
  );
}

/** What a Vfs answers at once (ImmediateAnswers). */
import type { By } from '../client/namespace/namespace.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import type { Directories } from './directories.js';
import type { FileOpener } from './file-opener.js';
import type { ImmediateAnswers } from './file-system.js';
import type { FileXattrs } from './file-xattrs.js';
import { withPresent } from './names-page.js';
import type { OpenFiles } from './open-files.js';

export interface ImmediateAnswersOptions {
  readonly session: Pick<MetadataSession, 'attributes' | 'mayDelayLookup' | 'rights'>;
  readonly files: Pick<OpenFiles, 'found' | 'present' | 'writeNow' | 'flushNow'>;
  readonly opener: Pick<FileOpener, 'createNow'>;
  readonly xattrs: Pick<FileXattrs, 'lacks'>;
  readonly directories: Pick<Directories, 'lookupNow' | 'namesNow'>;
  /** Who asks where nobody is named. */
  readonly by: By;
  /** Every change is refused. */
  readonly readOnly: boolean;
}

export function immediateAnswers({
  session,
  files,
  opener,
  xattrs,
  directories,
  by,
  readOnly,
}: ImmediateAnswersOptions): ImmediateAnswers {
  return {
    lookup(parent, name) {
      const found = directories.lookupNow(parent, name);
      if (found === undefined || found === 'absent') return found;
      files.found(parent, name, found);
      return files.present(found);
    },
    getattr(inode) {
      const kept = session.mayDelayLookup(inode) ? undefined : session.attributes.get(inode);
      return kept && files.present(kept);
    },
    names(inode, after) {
      const page = directories.namesNow(inode, after, by);
      return page && withPresent(page, files);
    },
    lacksXattr: (inode, name) => xattrs.lacks(inode, name),
    create(parent, name, creation, openFlags, caller) {
      // Who owns it in the cluster depends on the rights.
      if (readOnly || session.rights) return undefined;
      return opener.createNow(parent, name, creation, openFlags, caller ? { caller } : by);
    },
    write: (handle, offset, data, isAppend) => files.writeNow(handle, offset, data, isAppend),
    flush: (handle, lockOwner) => files.flushNow(handle, lockOwner),
  };
}

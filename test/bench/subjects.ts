/** Makes subjects by name. */
import { DfsSubject } from './dfs-subject.js';
import { GlusterfsSubject } from './glusterfs-subject.js';
import { LocalSubject } from './local-subject.js';
import { MoosefsSubject } from './moosefs-subject.js';
import { NullSubject } from './null-subject.js';
import type { Subject, SubjectName, Workplace } from './subject.js';

const MAKERS: Readonly<Record<SubjectName, (workplace: Workplace) => Subject>> = {
  dfs1: workplace => new DfsSubject(workplace, 1),
  dfs2: workplace => new DfsSubject(workplace, 2),
  null: workplace => new NullSubject(workplace),
  local: workplace => new LocalSubject(workplace),
  moosefs1: workplace => new MoosefsSubject(workplace, 1),
  moosefs2: workplace => new MoosefsSubject(workplace, 2),
  glusterfs: workplace => new GlusterfsSubject(workplace),
};

/** A subject that is not started yet. */
export function makeSubject(name: SubjectName, workplace: Workplace): Subject {
  return MAKERS[name](workplace);
}

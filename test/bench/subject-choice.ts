/** Chooses the subjects of a benchmark. */
import { SUBJECT_NAMES, type SubjectName } from './subject.js';

const USUAL: readonly SubjectName[] = ['dfs1', 'dfs2', 'null', 'local'];
/** subject → MooseFS with the same goal */
const PEERS: ReadonlyMap<SubjectName, SubjectName> = new Map([
  ['dfs1', 'moosefs1'],
  ['dfs2', 'moosefs2'],
]);

function isSubjectName(name: string): name is SubjectName {
  return SUBJECT_NAMES.some(known => known === name);
}

/** `dfs1,null` as a list; a sentence for the user when one is not known. */
export function parseSubjects(text: string): SubjectName[] | string {
  const names = [...new Set(text.split(','))];
  const unknown = names.find(name => !isSubjectName(name));
  if (unknown !== undefined)
    return `there is no subject '${unknown}'; give some of ${SUBJECT_NAMES.join(',')}`;
  return names.filter(isSubjectName);
}

/** The subjects that were given, or the usual ones; with the peers of those, if peers are wanted. */
export function chosenSubjects(given: readonly SubjectName[] | undefined, hasPeers: boolean): SubjectName[] {
  const subjects = given ?? USUAL;
  const peers = hasPeers ? subjects.flatMap(subject => PEERS.get(subject) ?? []) : [];
  return [...new Set([...subjects, ...peers])];
}

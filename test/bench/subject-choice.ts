/** Chooses the subjects of a benchmark. */
import { SUBJECT_NAMES, type SubjectName } from './subject.js';

const USUAL: readonly SubjectName[] = ['dfs1', 'dfs2', 'null', 'local'];
export const PEER_NAMES = ['moosefs', 'glusterfs'] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** peer → subject → the peer's subject with as many replicas */
const PEERS: Readonly<Record<PeerName, ReadonlyMap<SubjectName, SubjectName>>> = {
  moosefs: new Map([
    ['dfs1', 'moosefs1'],
    ['dfs2', 'moosefs2'],
  ]),
  glusterfs: new Map([['dfs2', 'glusterfs']]),
};

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

/** The subjects that were given, or the usual ones; with those of the peer, if one is wanted. */
export function chosenSubjects(
  given: readonly SubjectName[] | undefined,
  peer: PeerName | undefined,
): SubjectName[] {
  const subjects = given ?? USUAL;
  const peers = peer === undefined ? [] : subjects.flatMap(subject => PEERS[peer].get(subject) ?? []);
  return [...new Set([...subjects, ...peers])];
}

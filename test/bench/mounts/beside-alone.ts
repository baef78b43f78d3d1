/** Compares several mounts at work together with one mount of the same subject alone. */
import type { Row } from '../comparison.js';
import type { SubjectName } from '../subject.js';
import { TOGETHER_AGAINST_ALONE } from '../targets.js';

const ALONE = 'create@1';
const TOGETHER = /^create@([2-9]|\d{2,})$/;

/** A sentence for each number of mounts of a subject of DFS. */
export function togetherBesideAlone(rows: readonly Row[], subjects: readonly SubjectName[]): string[] {
  const alone = rows.find(({ workload }) => workload === ALONE);
  if (!alone) return [];
  return subjects
    .filter(subject => subject.startsWith('dfs'))
    .flatMap(subject =>
      rows.flatMap(({ workload, summaries }) => {
        const mounts = TOGETHER.exec(workload)?.[1];
        const together = summaries.get(subject)?.median;
        const reference = alone.summaries.get(subject)?.median;
        if (mounts === undefined || together === undefined || reference === undefined) return [];
        const ratio = together / reference;
        const mark = ratio >= TOGETHER_AGAINST_ALONE ? '✓' : '✗';
        return [
          `${subject}: ${mounts} mounts create ${ratio.toFixed(2)} × the files that one creates alone ≥${TOGETHER_AGAINST_ALONE} ${mark}`,
        ];
      }),
    );
}

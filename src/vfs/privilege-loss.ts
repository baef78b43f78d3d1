/** What writes without CAP_FSETID take away from a file's mode. */
import type { PrivilegeLoss } from '../protocol/types.js';

/** What both take away. */
export function greaterLoss(
  a: PrivilegeLoss | undefined,
  b: PrivilegeLoss | undefined,
): PrivilegeLoss | undefined {
  return a === 'all' || b === 'all' ? 'all' : (a ?? b);
}

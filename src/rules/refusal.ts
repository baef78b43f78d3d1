/**
 * A rule that forbids something returns the error; undefined means that it allows it. The metadata server throws the error
 * (`refuse`). A client that would decide alone asks the server instead.
 */
import type { DfsError } from '../protocol/errors.js';

export type Refusal = DfsError | undefined;

/** Throws what a rule returned, unless it allows the request. */
export function refuse(refusal: Refusal): void {
  if (refusal) throw refusal;
}

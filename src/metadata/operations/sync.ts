/** fsync(2) for the metadata. */
import { sync as command } from '../../protocol/session-commands.js';
import { operation } from '../operation.js';

/** Every acknowledged change was committed before this, and an fsync takes all commits before it along. */
export const sync = operation(command, async (_tx, _request, { control }) => {
  control.requireDurable();
  return {};
});

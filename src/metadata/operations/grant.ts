/** Permission to store chunks. */
import { grant as command } from '../../protocol/content-commands.js';
import { issueGrants } from '../content/grants.js';
import { operation } from '../operation.js';

export const grant = operation(
  command,
  async (tx, request, context) => await issueGrants(tx, request, context),
);

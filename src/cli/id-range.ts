/** Ranges of users or groups as people type them. */
import type { IdRange } from '../protocol/export-commands.js';
import { UsageError } from './usage-error.js';

const MAX_ID = 0xffff_fffe;

/** `1000:2000`, or `1000:2000:50` for fifty of them. UsageError otherwise. */
export function parseIdRange(text: string): IdRange {
  const [, client, cluster, count = '1'] = /^(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  const range = { client: Number(client), cluster: Number(cluster), count: Number(count) };
  const last = Math.max(range.client, range.cluster) + range.count - 1;
  if (client !== undefined && range.count > 0 && last <= MAX_ID) return range;
  throw new UsageError(
    `'${text}' maps no users; give THERE:HERE or THERE:HERE:COUNT, such as 1000:2000, with numbers up to ${MAX_ID}`,
  );
}

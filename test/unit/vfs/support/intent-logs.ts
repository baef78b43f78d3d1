/** Logs of intents of a client that has a file to itself, or none. */
import { IntentLogs } from '../../../../src/client/log/intent-logs.js';
import type { Attributes } from '../../../../src/protocol/types.js';
import { LOG } from '../../metadata/support/harness.js';

/** @param known what is known of every file that the client has to itself; undefined: it has none, and gets no log */
export function intentLogs(known?: Attributes): IntentLogs {
  return new IntentLogs({
    log: LOG,
    held: { has: () => known !== undefined, ticket: () => 0, mayGive: () => true },
    attributes: () => known,
    greetings: () => 0,
    sync: async () => undefined,
    end: async () => undefined,
  });
}

/** One with a log in use, of this number, for a file of which this is known. */
export function logInUse(known: Attributes, log: number): IntentLogs {
  const logs = intentLogs(known);
  logs.opened({ log, nodes: [1, 2] }, known, logs.ticket());
  logs.synced(known);
  return logs;
}

/** A client of which no file gets an intent log. */
import { IntentLogs } from '../../../../src/client/log/intent-logs.js';
import { LOG } from '../../metadata/support/harness.js';

export function noIntents(): IntentLogs {
  return new IntentLogs({
    log: LOG,
    held: { has: () => false, ticket: () => 0, mayGive: () => false },
    attributes: () => undefined,
    greetings: () => 0,
    sync: async () => undefined,
    end: async () => undefined,
  });
}

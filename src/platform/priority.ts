/**
 * The scheduling priority of servers and mounts. Programs wait for them, so they come before programs that merely compute: on a busy
 * machine a request that passes three processes would else wait for three turns.
 */
import { setPriority } from 'node:os';
import type { Logger } from './log.js';

/** setpriority(2): from -20, which comes first, to 19. */
const SERVING_PRIORITY = -10;

/** Raises the priority of this process, which only root may (CAP_SYS_NICE); for others it stays as it is. */
export function serveFirst(log: Logger): void {
  try {
    setPriority(SERVING_PRIORITY);
  } catch (error) {
    log.debug({ reason: String(error) }, 'the priority of this process stays as it is');
  }
}

import { readFileSync } from 'node:fs';

/** The default limit of open descriptors on POSIX systems, where nothing says another. */
const USUAL_LIMIT = 1024;

/**
 * How many files and connections this process may have open (RLIMIT_NOFILE of getrlimit(2)). Node raises it to the most
 * that is allowed when it starts.
 */
export function descriptorLimit(): number {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    if (!line) return USUAL_LIMIT;
    return line[1] === 'unlimited' ? Infinity : Number(line[1]);
  } catch {
    // Not Linux.
    return USUAL_LIMIT;
  }
}

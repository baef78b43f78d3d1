/** setsid(2), which Node offers only for a process that it starts. */
import type { KoffiFunc } from 'koffi';
import { loadKoffi } from './foreign-functions.js';

type Setsid = KoffiFunc<() => number>;

/** Leaves the session, terminal and process group of the process that started this one. */
export function beginSession(): void {
  const setsid = loadKoffi().load(null).func('int setsid()') as Setsid;
  // It fails for the leader of a process group alone, who has left already.
  setsid();
}

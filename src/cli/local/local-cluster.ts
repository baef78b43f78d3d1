/** What `dfs local` does; loaded by that command alone. */
export { down } from './down.js';
export { status } from './status.js';
export { up } from './up.js';

/**
 * When V8 compiles what runs often into faster code, which it does on threads of its own. A server that has just started
 * would have a second's worth of that done while its clients, on the same machine, want the processor; measured with two
 * cores, the first 4,000 files took a tenth longer to be made, and to be read. Much of that code does not run often enough
 * to be worth it. The price: a client that waits for the server at each step waits a fifth longer during the server's first
 * 6,000 requests or so.
 */
import { setFlagsFromString } from 'node:v8';

/** Bytes of bytecode that a function runs through before it is looked at: eight times V8's own choice. */
const INTERRUPT_BUDGET_BYTES = 8 * 67_584;

/** For servers: from now on, only what runs more often than usual is compiled. V8 reads the flag each time. */
export function compileLate(): void {
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET_BYTES}`);
}

/** A Unix socket that takes datagrams, as systemd has one for its services: in a process of its own, as Node has none. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';

/** Binds a datagram socket, and prints each datagram as a line. */
const LISTENER = `
import json, os, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name[0] == "@" else name)
if name[0] == "/":
    os.chmod(name, 0o777)
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(s.recv(4096).decode()), flush=True)
`;

/**
 * Listens at a path, or an abstract name with @ before it, until the test ends.
 * @returns reads the next datagram
 */
export async function listenForDatagrams(t: Test, name: string): Promise<() => Promise<string>> {
  const listener = spawn('python3', ['-c', LISTENER, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(async () => {
    const ended = once(listener, 'exit');
    listener.kill('SIGKILL');
    await ended;
  });
  const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String(JSON.parse(String((await lines.next()).value)));
  t.equal(await next(), 'bound');
  return next;
}

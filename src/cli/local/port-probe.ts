import { connect } from 'node:net';
import { LOOPBACK } from '../address.js';

/** Whether a process listens on this port of 127.0.0.1. */
export async function somebodyListens(port: number): Promise<boolean> {
  return await new Promise(resolve => {
    const socket = connect(port, LOOPBACK);
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

import t from 'tap';
import {
  ConnectionLimits,
  connectionNumbers,
  IDLE_LOOKS,
  type LimitedConnection,
} from '../../../src/rpc/connection-limits.js';

class Peer implements LimitedConnection {
  readonly remote: string;
  isKept = false;
  isActive = false;

  constructor(remote: string) {
    this.remote = remote;
  }

  takeActivity(): boolean {
    return this.isActive;
  }
}

interface Setting {
  readonly limits: ConnectionLimits<Peer>;
  readonly closed: string[];
}

function start(numbers = { members: 4, membersOfAddress: 3, strangers: 2 }): Setting {
  const closed: string[] = [];
  const limits: ConnectionLimits<Peer> = new ConnectionLimits({
    numbers,
    close: (peer, reason) => {
      t.ok(reason);
      closed.push(peer.remote);
      limits.left(peer);
    },
  });
  return { limits, closed };
}

function member(limits: ConnectionLimits<Peer>, remote: string, isKept = false): Peer {
  const peer = new Peer(remote);
  peer.isKept = isKept;
  limits.accepted(peer);
  limits.proved(peer);
  return peer;
}

t.test('descriptors are kept back for files and for connections to others', async t => {
  for (const descriptors of [200, 1024, 65_536, Infinity]) {
    const { members, strangers, membersOfAddress } = connectionNumbers(descriptors);
    t.ok(members + strangers <= descriptors - 64);
    t.ok(members > strangers && strangers > 0 && membersOfAddress < members);
  }
});

t.test('strangers push out the oldest stranger of the address that has most, and no member', async t => {
  const { limits, closed } = start();
  for (let port = 1; port <= 3; port += 1) member(limits, `good:${port}`);
  limits.accepted(new Peer('new:1'));
  for (let port = 1; port <= 3; port += 1) limits.accepted(new Peer(`bad:${port}`));
  t.same(closed, ['bad:1', 'bad:2']);
});

t.test('an address has its share of members, and those that something depends on stay', async t => {
  const { limits, closed } = start();
  member(limits, 'a:1', true);
  member(limits, 'a:2');
  member(limits, 'a:3', true);
  member(limits, 'a:4');
  t.same(closed, ['a:2'], 'too many of an address');
  member(limits, 'b:1', true);
  member(limits, 'c:1');
  t.same(closed, ['a:2', 'a:4'], 'too many of all');
  const all = start({ members: 2, membersOfAddress: 2, strangers: 2 });
  for (let port = 1; port <= 3; port += 1) member(all.limits, `a:${port}`, true);
  t.same(all.closed, ['a:3'], 'one more than there can be is the one that goes');
});

t.test('members that are idle for long are closed, unless something depends on them', async t => {
  const { limits, closed } = start();
  member(limits, 'kept:1', true);
  const busy = member(limits, 'busy:1');
  busy.isActive = true;
  member(limits, 'idle:1');
  for (let look = 1; look < IDLE_LOOKS; look += 1) limits.look();
  t.same(closed, []);
  limits.look();
  t.same(closed, ['idle:1']);
});

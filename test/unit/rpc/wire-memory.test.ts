import t from 'tap';
import { SMALL_REQUEST_BYTES, WireMemory, type Claim } from '../../../src/rpc/wire-memory.js';

const KIB = 1024;
const memory = (): WireMemory =>
  new WireMemory({
    smallRequestBytes: 100 * KIB,
    requestBytes: 1000 * KIB,
    largeRequestBytes: 20_000 * KIB,
    replyBytes: 200,
    replyBytesOfOne: 60,
  });
const request = (kib: number, passesOn = 0): Claim => ({ bytes: kib * KIB, passesOn });

/** What was granted, by name, in order. */
class Claims {
  readonly granted: string[] = [];
  readonly #memory: WireMemory;

  constructor(of: WireMemory) {
    this.#memory = of;
  }

  take(name: string, claim: Claim): () => void {
    const granted = (): void => void this.granted.push(name);
    const giveUp = this.#memory.claim(claim, granted);
    if (!giveUp) granted();
    return giveUp ?? (() => undefined);
  }
}

t.test('requests wait for room in the order in which they came, and small ones never', async t => {
  const wire = memory();
  const claims = new Claims(wire);
  claims.take('first', request(900));
  claims.take('second', request(200, 0));
  const giveUp = claims.take('left', request(200));
  claims.take('third', request(100));
  claims.take('small', { bytes: SMALL_REQUEST_BYTES, passesOn: 0 });
  t.same(claims.granted, ['first', 'small']);
  t.equal(wire.isShort, true);
  giveUp();
  wire.releaseClaim(request(900));
  t.same(claims.granted, ['first', 'small', 'second', 'third'], 'who gave up waiting gets nothing');
  t.equal(wire.isShort, false);
});

t.test('very large requests do not stand in the way of others', async t => {
  const wire = memory();
  const claims = new Claims(wire);
  for (const name of ['a', 'b', 'c', 'd']) claims.take(name, request(9000));
  claims.take('ordinary', request(500));
  t.same(claims.granted, ['a', 'b', 'ordinary']);
});

t.test('a request larger than everything is received when no other is held', async t => {
  const wire = memory();
  const claims = new Claims(wire);
  claims.take('huge', request(60_000));
  claims.take('next', request(60_000));
  t.same(claims.granted, ['huge']);
  wire.releaseClaim(request(60_000));
  t.same(claims.granted, ['huge', 'next']);
});

t.test('servers that pass requests on to each other in a circle cannot all be full', async t => {
  const servers = Array.from({ length: 3 }, memory);
  const claims = servers.map(wire => new Claims(wire));
  // Each is full of chunks that are to go on to two further servers.
  for (const each of claims)
    for (let index = 0; index < 3; index += 1) each.take('two to go', request(500, 2));
  for (const each of claims) t.same(each.granted, ['two to go', 'two to go']);
  for (const each of claims) each.take('one to go', request(500, 1));
  for (const each of claims) each.take('none to go', request(500, 0));
  for (const each of claims) t.same(each.granted.slice(2), ['one to go', 'none to go']);
  for (const each of claims) each.take('none to go', request(500, 0));
  for (const each of claims) t.equal(each.granted.length, 4, 'one of each length of way, and no more');
});

t.test('connections are told when there is room for small requests again', async t => {
  const wire = memory();
  let told = 0;
  const stop = wire.onRoom(() => (told += 1));
  const small = { bytes: 50 * KIB, passesOn: 0 };
  for (let index = 0; index < 3; index += 1) wire.claim(small, () => undefined);
  t.equal(wire.isFull, true);
  wire.releaseClaim(small);
  t.equal(told, 0);
  wire.releaseClaim(small);
  t.equal(told, 1);
  stop();
});

t.test(
  'replies wait for room, connections in turns, and those of a connection that is gone are not made',
  async t => {
    const wire = memory();
    const [greedy, modest, gone] = [{}, {}, {}];
    const order: string[] = [];
    const reserve = (name: string, owner: object, bytes: number): void =>
      void wire.reserveReply(owner, bytes).then(isGranted => order.push(isGranted ? name : `${name} not`));
    for (let index = 0; index < 4; index += 1) reserve(`greedy${index}`, greedy, 30);
    reserve('gone', gone, 150);
    reserve('modest', modest, 30);
    await Promise.resolve();
    t.same(order, ['greedy0', 'greedy1'], 'a connection has its share and no more');
    wire.leave(gone);
    await new Promise(setImmediate);
    t.same(order.slice(2).sort(), ['gone not', 'modest']);
    wire.releaseReply(greedy, 30);
    await new Promise(setImmediate);
    t.equal(order.at(-1), 'greedy2');
  },
);

t.test('a reply larger than everything is made when nothing else is held', async t => {
  const wire = memory();
  const owner = {};
  t.equal(await wire.reserveReply(owner, 1000), true);
  let isGranted = false;
  void wire.reserveReply({}, 10).then(() => (isGranted = true));
  await new Promise(setImmediate);
  t.equal(isGranted, false);
  wire.releaseReply(owner, 1000);
  await new Promise(setImmediate);
  t.equal(isGranted, true);
});

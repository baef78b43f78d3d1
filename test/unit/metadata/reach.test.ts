/** Whether data nodes answer where they say that they are, and what follows when they do not. */
import t from 'tap';
import { NodeTable } from '../../../src/metadata/node-table.js';
import { ReachProbe } from '../../../src/metadata/reach-probe.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { NODE_LOST_MS } from '../../../src/protocol/limits.js';
import { LOG } from './support/harness.js';
import { ManualClock } from '../../support/manual-clock.js';

const RECORD = { node: 1, id: 'identity-1', host: 'a', port: 1, domain: '', isDraining: false, member: '' };
const SPACE = { totalBytes: 1e12, freeBytes: 5e11, chunks: 0 };

/** One node whose heartbeats arrive, and which answers as `answer` says. */
class Fixture {
  readonly clock = new ManualClock();
  readonly nodes = new NodeTable(0);
  readonly probe: ReachProbe;
  answer: () => Promise<string> = async () => RECORD.id;
  tries = 0;

  constructor() {
    const ask = async (): Promise<string> => {
      this.tries += 1;
      return await this.answer();
    };
    this.probe = new ReachProbe({ clock: this.clock, log: LOG, nodes: this.nodes, ask });
  }

  async register(): Promise<void> {
    await this.probe.tryFirst(RECORD);
    this.beat();
    this.probe.start();
  }

  beat(): void {
    const heardMs = this.clock.monotonicMs();
    this.nodes.set({
      record: RECORD,
      space: SPACE,
      heardMs,
      hasReported: true,
      skewMs: 0,
      peer: undefined,
      proof: Buffer.alloc(0),
    });
  }

  get state(): string {
    const [node] = this.nodes.all();
    return node ? this.nodes.stateOf(node, this.clock.monotonicMs()) : 'unknown';
  }

  /** Lets seconds pass, in each of which the node is heard. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      this.beat();
      this.clock.advance(1000);
      await new Promise(resolve => {
        setImmediate(resolve);
      });
    }
    this.beat();
  }
}

const refuse = async (): Promise<string> => {
  throw new DfsError('ECONNREFUSED', 'nobody listens there');
};

t.test('a node that is not reached when it registers gets nothing, until it is', async t => {
  const fixture = new Fixture();
  fixture.answer = refuse;
  await fixture.register();
  t.equal(fixture.state, 'suspect');
  t.match(fixture.nodes.status(0), [{ unreachable: 'nobody listens there' }]);
  fixture.answer = async () => RECORD.id;
  await fixture.pass(4);
  t.equal(fixture.state, 'live', 'by itself');
  t.match(fixture.nodes.status(0), [{ unreachable: '' }]);
});

t.test('another node at its address is not it', async t => {
  const fixture = new Fixture();
  fixture.answer = async () => 'identity-2';
  await fixture.register();
  t.equal(fixture.state, 'suspect');
  t.match(fixture.nodes.status(0), [{ unreachable: 'another data node answers at a:1' }]);
});

t.test('silence at its address ends the attempt', async t => {
  const fixture = new Fixture();
  fixture.answer = async () => await new Promise(() => undefined);
  const registering = fixture.register();
  fixture.clock.advance(2000);
  await registering;
  t.match(fixture.nodes.status(0), [{ unreachable: 'a:1 did not answer within 2 s' }]);
});

t.test(
  'a node that was reached may fail once; after a while without an answer its replicas are made again',
  async t => {
    const fixture = new Fixture();
    await fixture.register();
    t.equal(fixture.state, 'live');
    fixture.answer = refuse;
    await fixture.pass(12);
    t.equal(fixture.state, 'live', 'it was tried once');
    await fixture.pass(12);
    t.equal(fixture.state, 'suspect');
    await fixture.pass(NODE_LOST_MS / 1000);
    t.equal(fixture.state, 'lost');
    fixture.answer = async () => RECORD.id;
    await fixture.pass(4);
    t.equal(fixture.state, 'live');
  },
);

t.test('a node that a client could not use is tried soon', async t => {
  const fixture = new Fixture();
  await fixture.register();
  await fixture.pass(2);
  const { tries } = fixture;
  fixture.nodes.reach.doubt(RECORD);
  await fixture.pass(1);
  t.equal(fixture.tries, tries + 1);
});

/** Everything of DFS that reads what somebody else may have written, by its name. */
import type { Decoder } from './decoder.js';

/** name → what opens it; each is loaded alone, so that one's code does not weigh on another's coverage */
export const DECODERS: ReadonlyMap<string, () => Promise<Decoder>> = new Map<string, () => Promise<Decoder>>([
  ['frame', async () => (await import('./decoders/frame.js')).frame],
  ['message', async () => (await import('./decoders/message.js')).message],
  ['bodies', async () => (await import('./decoders/bodies.js')).bodies],
  ['packed-names', async () => (await import('./decoders/packed-names.js')).packedNames],
  ['fuse', async () => (await import('./decoders/fuse.js')).fuse()],
  ['segments', async () => (await import('./decoders/segments.js')).segments],
  ['index-rows', async () => (await import('./decoders/index-rows.js')).indexRows],
  ['node-json', async () => (await import('./decoders/node-json.js')).nodeJson],
  ['backups', async () => (await import('./decoders/backups.js')).backups()],
  ['dumps', async () => await (await import('./decoders/dumps.js')).dumps()],
  ['tokens', async () => (await import('./decoders/tokens.js')).tokens],
  ['certificates', async () => await (await import('./decoders/certificates.js')).certificates()],
  ['identities', async () => await (await import('./decoders/identities.js')).identities()],
  ['acl', async () => (await import('./decoders/acl.js')).acl],
  ['mount-table', async () => (await import('./decoders/mount-table.js')).mountTable],
  ['toml', async () => (await import('./decoders/toml.js')).toml()],
  ['take-over', async () => (await import('./decoders/take-over.js')).takeOver],
  ['exports', async () => (await import('./decoders/exports.js')).exportTargets],
  ['fstab', async () => (await import('./decoders/fstab.js')).fstab],
  ['addresses', async () => (await import('./decoders/addresses.js')).addresses],
]);

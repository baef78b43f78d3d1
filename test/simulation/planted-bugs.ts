/** Bugs that are put into a cluster to see that simulation finds them. */
import type { MetadataService, MetadataServiceOptions } from '../../src/metadata/metadata-service.js';
import type { Store } from '../../src/metadata/store/store.js';
import type { Clock } from '../../src/platform/clock.js';
import type { SeededRandom } from './world/seeded-random.js';
import type { SimulatedDisk } from './world/simulated-disk.js';

export interface PlantedBug {
  readonly name: string;
  breakDisk?(disk: SimulatedDisk, isMetadata: boolean): void;
  breakStore?(store: Store, clock: Clock): Store;
  makeService?(store: Store, options: MetadataServiceOptions): MetadataService;
  /** Whether a mount ignores the revocation that just came. */
  ignoresRevocation?(random: SeededRandom): () => boolean;
}

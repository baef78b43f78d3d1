/** Roles: the commands that a member of the cluster may use. A member proves its role when it connects (rpc/gate.ts). */

/** client: uses files; node: a data node; admin: also decides about nodes, and reads backups. */
export const ROLES = ['client', 'node', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/**
 * metadata: the metadata server, where it asks on a connection that a client or a data node made to it. joiner: has proved that it may
 * become a member, and asks for a certificate.
 */
export type Sender = Role | 'metadata' | 'joiner';

/** From whom a command is taken; `strangers`: also from a peer that has proved nothing yet. */
export type Allow = readonly Sender[] | 'strangers';

export const CLIENTS: Allow = ['client', 'admin'];
export const NODES: Allow = ['node'];
export const ADMINS: Allow = ['admin'];
export const MEMBERS: Allow = ROLES;
export const METADATA_SERVER: Allow = ['metadata'];
/** Of a data node, from those who store there and from the metadata server. */
export const CLIENTS_AND_METADATA: Allow = ['client', 'admin', 'metadata'];
export const JOINERS: Allow = ['joiner'];
export const STRANGERS: Allow = 'strangers';

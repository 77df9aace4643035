/**
 * The layers of Millrace as data: what each folder is for and what it may import. `test/architecture.test.ts` checks
 * every import against it, `test/docs.test.ts` checks that `docs/architecture.md` prints the same table.
 *
 * Folders are named without `src/` where they lie under it. The longest matching folder owns a file, so that
 * `env/node` is a layer of its own and not part of `env`.
 */

export interface Layer {
  /** Depth: a layer imports from lower ones, or from those of its own depth that it names. Null: above all. */
  readonly level: number | null
  /** Folders, or single files of `src/`, that form the layer. */
  readonly folders: readonly string[]
  readonly purpose: string
  /** Folders it may import besides itself. */
  readonly mayImport: readonly string[]
}

/** What nearly every layer stands on. */
const BASE = ['base', 'bytes', 'env'] as const

const ADAPTERS = ['env/node', 'env/memory', 'env/sim', 'env/browser'] as const

const BELOW_BROKER = [
  ...['coordinator', 'replication', 'controller', 'raft', 'metadata'],
  ...['rpc', 'log', 'records', 'protocol', ...BASE],
] as const

export const PUBLIC_SURFACES = [
  ...(['index.ts', 'client.ts', 'browser.ts', 'testing.ts', 'kafkajs.ts', 'protocol.ts'] as const),
]

export const LAYERS: readonly Layer[] = [
  {
    level: 0,
    folders: ['base'],
    purpose: 'assertions, error roots, heaps, queues, back-off; no word of the domain',
    mayImport: [],
  },
  {
    level: 1,
    folders: ['bytes'],
    purpose: 'reader, writer, varints, CRC-32C, UUID text',
    mayImport: ['base'],
  },
  {
    level: 1,
    folders: ['env'],
    purpose: 'the only door to the outside: clock, randomness, files, network, logger; interfaces',
    mayImport: ['base'],
  },
  {
    level: 1,
    folders: ['env/node'],
    purpose: 'the real ones; the only importer of `node:` modules, timers, `process` and `ws`',
    mayImport: ['env', 'bytes', 'base'],
  },
  {
    level: 1,
    folders: ['env/memory'],
    purpose: 'files in memory and connections inside the process, for embedded brokers and `memory` topics',
    mayImport: ['env', 'base'],
  },
  {
    level: 1,
    folders: ['env/sim'],
    purpose: 'the deterministic ones: virtual time, seeded draws, crashable disk, faulty network',
    mayImport: ['env', 'env/memory', 'base'],
  },
  {
    level: 1,
    folders: ['env/browser'],
    purpose: 'what a browser has: `WebSocket`, timers, Web Crypto',
    mayImport: ['env', 'base'],
  },
  {
    level: 2,
    folders: ['protocol'],
    purpose: 'schema language, one file per message, error table, headers',
    mayImport: ['bytes', 'base'],
  },
  {
    level: 2,
    folders: ['records'],
    purpose: 'record batch v2: read in place, build, iterate, validate, compress',
    mayImport: ['bytes', 'base'],
  },
  {
    level: 3,
    folders: ['log'],
    purpose: "one partition's log on disk: segments, indexes, epochs, producer state, recovery, retention",
    mayImport: ['records', ...BASE],
  },
  {
    level: 3,
    folders: ['rpc'],
    purpose: 'frames over a connection: correlation, pipelining, ordered answers, back-pressure; both ends',
    mayImport: ['protocol', ...BASE],
  },
  {
    level: 4,
    folders: ['raft'],
    purpose: 'the quorum that orders the metadata log',
    mayImport: ['log', 'records', 'rpc', 'protocol', ...BASE],
  },
  {
    level: 4,
    folders: ['metadata'],
    purpose: 'metadata records, the immutable cluster image they fold into, snapshots',
    mayImport: ['protocol', 'bytes', 'base'],
  },
  {
    level: 4,
    folders: ['client'],
    purpose: 'connection pool, metadata cache, producer, consumer, admin; Node and browser',
    mayImport: ['rpc', 'protocol', 'records', ...BASE],
  },
  {
    level: 5,
    folders: ['controller'],
    purpose: 'the active controller: commands in, records out; one file per concern',
    mayImport: ['raft', 'metadata', 'protocol', ...BASE],
  },
  {
    level: 5,
    folders: ['replication'],
    purpose:
      '`Partition` as leader and follower, in-sync replicas, high watermark, fetcher, waiting requests',
    mayImport: ['log', 'records', 'rpc', 'metadata', 'protocol', ...BASE],
  },
  {
    level: 6,
    folders: ['coordinator'],
    purpose: 'group and transaction coordinators: state machines over internal topics',
    mayImport: ['metadata', 'records', 'protocol', ...BASE],
  },
  {
    level: 7,
    folders: ['broker'],
    purpose: 'one node: assembly, lifecycle, config, sessions, quotas; one file per request in `handlers/`',
    mayImport: BELOW_BROKER,
  },
  {
    level: 8,
    folders: ['node'],
    purpose: 'brokers and clients bound to the real adapters',
    mayImport: ['client', 'broker', 'log', 'records', ...BASE, ...ADAPTERS],
  },
  {
    level: 8,
    folders: ['sim'],
    purpose: 'a whole cluster on simulated machines, for the tests of other projects and for our own',
    mayImport: ['client', 'broker', 'metadata', 'records', ...BASE, 'env/memory', 'env/sim'],
  },
  {
    level: 9,
    folders: ['testing.ts'],
    purpose: 'the public surface for tests: real brokers and simulated ones',
    mayImport: ['node', 'sim', 'client', 'broker', ...BASE, ...ADAPTERS],
  },
  {
    level: 9,
    folders: PUBLIC_SURFACES.filter((name) => name !== 'testing.ts'),
    purpose: 'the public surfaces, nothing else',
    mayImport: ['node', 'client', 'broker', 'log', 'metadata', 'protocol', 'records', ...BASE, ...ADAPTERS],
  },
  {
    level: null,
    folders: ['cli'],
    purpose: 'the `millrace` command',
    mayImport: ['index.ts'],
  },
  {
    level: null,
    folders: ['bench'],
    purpose: 'the benchmark harness, with adapters to peers',
    mayImport: ['index.ts', 'testing.ts'],
  },
]

/** Where each package may be imported: a file, or a folder with a slash at its end. Tests may import any. */
export const PACKAGE_DOORS: Readonly<Record<string, readonly string[]>> = {
  ws: ['src/env/node/', 'bench/limits/'],
  'crc-32': ['src/bytes/crc32c.ts', 'bench/limits/'],
  '@node-rs/crc32': ['src/env/node/', 'bench/limits/'],
  fastq: ['src/base/serial-queue.ts'],
  '@noble/hashes': ['src/rpc/peer-proof.ts'],
  commander: ['cli/', 'bench/main.ts'],
  re2js: ['src/coordinator/groups/subscription-pattern.ts'],
  pako: ['src/records/compression/'],
  zstddec: ['src/records/compression/'],
  '@hpcc-js/wasm-zstd': ['src/records/compression/'],
}

/** Folders that may import `node:` modules. */
export const NODE_FOLDERS: readonly string[] = ['src/env/node/', 'cli/', 'bench/']

/** Folders that also run in browsers, where `Buffer` does not exist. */
export const BROWSER_FOLDERS: readonly string[] = [
  ...['base', 'bytes', 'protocol', 'records', 'rpc', 'client', 'env/browser'].map((name) => `src/${name}/`),
  ...['src/client.ts', 'src/browser.ts', 'src/protocol.ts'],
]

/** Files that nothing imports because a process, a package export or only the tests start from them. */
export const ENTRY_POINTS: readonly string[] = [
  ...PUBLIC_SURFACES.map((name) => `src/${name}`),
  ...['cli/main.ts', 'cli/demo.ts', 'bench/main.ts', 'bench/worker-main.ts', 'bench/metronome.ts'],
  // Stands in place of engine.ts in the browser's build.
  'src/protocol/schema/engine-interpreted.ts',
]

/** Files that may re-export: the public surfaces, the ports, and the entry of each adapter. */
export const RE_EXPORTING_FILES: readonly string[] = [
  ...PUBLIC_SURFACES.map((name) => `src/${name}`),
  'src/env/index.ts',
  ...ADAPTERS.map((folder) => `src/${folder}/index.ts`),
]

/** The layer that owns a file of the project, or null when no layer does (tests, configuration). */
export function findLayer(path: string): Layer | null {
  return findFolder(path)?.layer ?? null
}

/** The folder, as `LAYERS` names it, that owns a file; the longest match wins. */
export function findFolder(path: string): { readonly layer: Layer; readonly folder: string } | null {
  const local = path.startsWith('src/') ? path.slice('src/'.length) : path
  let best: { layer: Layer; folder: string } | null = null
  for (const layer of LAYERS) {
    for (const folder of layer.folders) {
      const isInside = folder.endsWith('.ts') ? path === `src/${folder}` : local.startsWith(`${folder}/`)
      if (isInside && (best === null || folder.length > best.folder.length)) best = { layer, folder }
    }
  }
  return best
}

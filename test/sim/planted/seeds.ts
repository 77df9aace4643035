/**
 * The first seed from 1 at which random lives caught each planted bug, as `--planted --search` found it. It goes stale with every
 * change of what a seed draws; a run therefore goes on from it for some seeds, and only then gives up.
 */
import { readFileSync, writeFileSync } from 'node:fs'

const PATH = 'test/sim/planted/from-seeds.json'

/** Missing: nobody has searched yet. */
export function readSeeds(): ReadonlyMap<string, number> {
  return new Map(Object.entries(JSON.parse(readFileSync(PATH, 'utf8')) as Record<string, number>))
}

export function writeSeeds(seeds: ReadonlyMap<string, number>): void {
  const sorted = [...seeds].sort(([a], [b]) => (a < b ? -1 : 1))
  writeFileSync(PATH, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`)
}

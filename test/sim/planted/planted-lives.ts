/**
 * A process that lives random lives with a bug in the product, until one of them fails:
 *
 *   node planted-lives.js '{ "file": "src/…", "source": "…", "seeds": [3, 4], "hasGroup": false }'
 *
 * Without `file` the product is as it is. One line of JSON for each life goes to standard output. What a process does when a
 * promise is rejected that nobody waits for is a failure, too (S4).
 */
import { readFileSync } from 'node:fs'
import { register } from 'node:module'

/** What the process is told to do. */
export interface LivesOrder {
  readonly seeds: readonly number[]
  readonly hasGroup: boolean
  /** Path of the module, `src/…ts`, and of the JavaScript that takes its place. */
  readonly planted: { readonly file: string; readonly sourcePath: string } | null
}

export interface LifeLine {
  readonly seed: number
  /** Null: the life went well. */
  readonly failure: string | null
  readonly ms: number
}

const { seeds, hasGroup, planted } = JSON.parse(process.argv[2]!) as LivesOrder

if (planted !== null) {
  const url = new URL(`../../../${planted.file.replace(/ts$/, 'js')}`, import.meta.url).href
  register('./hook.js', import.meta.url, {
    data: { url, source: readFileSync(planted.sourcePath, 'utf8') },
  })
}

let current = { seed: seeds[0]!, startMs: performance.now() }

function tell(failure: string | null): void {
  const line: LifeLine = { seed: current.seed, failure, ms: Math.round(performance.now() - current.startMs) }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function died(error: unknown): void {
  tell(`S4: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(0)
}
process.on('uncaughtException', died)
process.on('unhandledRejection', died)

// Not before the hook is in place.
const { runLife } = await import('../life/life.ts')
for (const seed of seeds) {
  current = { seed, startMs: performance.now() }
  const { failure } = await runLife(seed, hasGroup ? { groupChance: 1 } : {})
  tell(failure)
  if (failure !== null && planted !== null) break
}
process.exit(0)

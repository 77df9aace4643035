/**
 * CPU profiles of the processes of a run: which flags record one, and which functions took the time.
 *
 * Self time is what a function took without those it called. Time outside of JavaScript shows as V8 names it, such as
 * `(garbage collector)`; idle time is left out. Lines are those of the sources, by the source maps of the build.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatNumber, formatTable } from '../format.ts'

/** The parts of a `.cpuprofile` that are read: a tree of calls, and per sample which node was running, for how long. */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  readonly samples: readonly number[]
  /** In µs, one per sample. */
  readonly timeDeltas: readonly number[]
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  /** From 0. */
  readonly lineNumber: number
  readonly columnNumber: number
}

export interface FunctionCost {
  readonly name: string
  /** `path:line` in the sources, or what V8 gives for its own. */
  readonly place: string
  readonly selfMs: number
}

/** Functions in a table. */
const TOP_COUNT = 25
/** µs between samples: fine enough for a run of a second, and a few percent of its time. */
const SAMPLE_INTERVAL_US = 500

/** Flags that make a Node process write a profile when it ends; none without a directory. */
export function profileFlags(directory: string | null, role: string): string[] {
  if (directory === null) return []
  return [
    '--cpu-prof',
    `--cpu-prof-dir=${directory}`,
    `--cpu-prof-interval=${SAMPLE_INTERVAL_US}`,
    // Starts count up within a run, so that two processes of one role do not write one file.
    `--cpu-prof-name=${role}-${startCount++}.cpuprofile`,
  ]
}
let startCount = 1

/** A table per profile in `directory`. */
export function formatProfiles(directory: string): string {
  const names = readdirSync(directory).filter((name) => name.endsWith('.cpuprofile'))
  return names
    .map((name) => {
      const profile = JSON.parse(readFileSync(join(directory, name), 'utf8')) as CpuProfile
      const costs = selfTimes(profile)
      const totalMs = costs.reduce((sum, { selfMs }) => sum + selfMs, 0)
      const rows = costs
        .slice(0, TOP_COUNT)
        .map(({ name: what, place, selfMs }) => [
          formatNumber((100 * selfMs) / totalMs),
          formatNumber(selfMs),
          what,
          place,
        ])
      return `${name}: ${formatNumber(totalMs)} ms busy\n${formatTable(['self %', 'self ms', 'function', 'at'], rows)}`
    })
    .join('\n\n')
}

/** Self time by function, the dearest first, without idle time. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): FunctionCost[] {
  const byId = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const byPlace = new Map<string, { frame: CallFrame; selfUs: number }>()
  for (const [index, id] of samples.entries()) {
    const frame = byId.get(id)!
    if (frame.functionName === '(idle)') continue
    const key = `${frame.functionName} ${frame.url}:${frame.lineNumber}:${frame.columnNumber}`
    const cost = byPlace.get(key) ?? { frame, selfUs: 0 }
    cost.selfUs += timeDeltas[index]!
    byPlace.set(key, cost)
  }
  return [...byPlace.values()]
    .sort((a, b) => b.selfUs - a.selfUs)
    .map(({ frame, selfUs }) => ({
      name: frame.functionName === '' ? '(anonymous)' : frame.functionName,
      place: placeOf(frame),
      selfMs: selfUs / 1000,
    }))
}

const maps = new Map<string, SourceMap | null>()

function placeOf({ url, lineNumber, columnNumber }: CallFrame): string {
  if (!url.startsWith('file:')) return url
  const path = fileURLToPath(url)
  let map = maps.get(path)
  if (map === undefined) {
    map = findMap(path)
    maps.set(path, map)
  }
  const entry = map?.findEntry(lineNumber, columnNumber)
  const isMapped = entry !== undefined && 'originalSource' in entry
  const found = isMapped ? join(path, '..', entry.originalSource) : path
  return `${relative(process.cwd(), found)}:${(isMapped ? entry.originalLine : lineNumber) + 1}`
}

function findMap(path: string): SourceMap | null {
  try {
    return new SourceMap(
      JSON.parse(readFileSync(`${path}.map`, 'utf8')) as ConstructorParameters<typeof SourceMap>[0],
    )
  } catch {
    return null // a dependency without a map: its own lines have to do
  }
}

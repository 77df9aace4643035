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
  readonly nodes: readonly CallNode[]
  readonly samples: readonly number[]
  /** In µs, one per sample. */
  readonly timeDeltas: readonly number[]
}

interface CallNode {
  readonly id: number
  readonly callFrame: CallFrame
  /** Ids of the calls that were made here. */
  readonly children?: readonly number[]
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
  /** `path:line` in the sources; for what is not written in JavaScript files, after `from`, where it was called. */
  readonly place: string
  readonly selfMs: number
}

/** Functions in a table. */
const TOP_COUNT = 25
/** A process that was busy for a smaller share of the busiest one's time only started and waited. */
const BUSY_SHARE_MIN = 0.2
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

/** A table per process that worked, the busiest first; those that only started and waited are left out. */
export function formatProfiles(directory: string): string {
  const profiles = readdirSync(directory)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => {
      const costs = selfTimes(JSON.parse(readFileSync(join(directory, name), 'utf8')) as CpuProfile)
      return { name, costs, busyMs: costs.reduce((sum, { selfMs }) => sum + selfMs, 0) }
    })
    .sort((a, b) => b.busyMs - a.busyMs)
  const leastMs = (profiles[0]?.busyMs ?? 0) * BUSY_SHARE_MIN
  return profiles
    .filter(({ busyMs }) => busyMs >= leastMs)
    .map(({ name, costs, busyMs }) => {
      const rows = costs
        .slice(0, TOP_COUNT)
        .map(({ name: what, place, selfMs }) => [
          formatNumber((100 * selfMs) / busyMs),
          formatNumber(selfMs),
          what,
          place,
        ])
      const table = formatTable(['self %', 'self ms', 'function', 'at'], rows)
      return `${name}: ${formatNumber(busyMs)} ms busy\n${table}`
    })
    .join('\n\n')
}

/**
 * Self time by function, the dearest first, without idle time. What belongs to Node or to the system is told apart by the
 * nearest caller that is ours: a write to a file and one to a socket have the same name.
 */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): FunctionCost[] {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(
    nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)),
  )
  const costs = new Map<string, { name: string; place: string; selfMs: number }>()
  for (const [index, id] of samples.entries()) {
    const { functionName } = byId.get(id)!.callFrame
    if (functionName === '(idle)') continue
    let node: CallNode | undefined = byId.get(id)
    while (node !== undefined && !isOfFile(node.callFrame)) node = parents.get(node.id)
    const isOwn = node?.id === id
    const place = node === undefined ? '' : `${isOwn ? '' : 'from '}${placeOf(node.callFrame)}`
    const name = functionName === '' ? '(anonymous)' : functionName
    const key = `${name} ${place}`
    const cost = costs.get(key) ?? { name, place, selfMs: 0 }
    cost.selfMs += timeDeltas[index]! / 1000
    costs.set(key, cost)
  }
  return [...costs.values()].sort((a, b) => b.selfMs - a.selfMs)
}

const isOfFile = ({ url }: CallFrame): boolean => url.startsWith('file:')

const maps = new Map<string, SourceMap | null>()

function placeOf({ url, lineNumber, columnNumber }: CallFrame): string {
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

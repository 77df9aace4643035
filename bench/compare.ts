/**
 * Systems side by side, in one run: same replication, durability, sizes, rates and amounts of work, one partition, over
 * TCP on this machine's loopback.
 *
 * Only one system runs at a time: idle servers of the others would take from the two cores that are measured. A round runs
 * all cases of a system, then those of the next, and every other round runs backwards, so that a slow phase of the machine
 * falls on all. A system starts anew, on an empty directory, whenever its turn comes, and is warmed up before it counts: some
 * of them compile while they run.
 *
 * Invariants: what systems are compared in differs in nothing but who acknowledges (told beside the figures, and never
 * weaker for Millrace), or the comparison is refused; all systems do the same work, or the run fails.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { COMPARE_WORKLOAD, SEPARATOR } from './comparison.ts'
import { formatBytes, formatNumber } from './format.ts'
import { Histogram } from './histogram.ts'
import { kafka } from './peers/kafka.ts'
import { millrace } from './peers/millrace.ts'
import { nats } from './peers/nats.ts'
import { rabbitmq } from './peers/rabbitmq.ts'
import { redis } from './peers/redis.ts'
import {
  CHUNK_BYTES,
  REPLICAS,
  type PeerContext,
  type PeerLoad,
  type PeerWork,
  type RunningSystem,
  type System,
} from './peers/system.ts'
import { measureUsage, type Measured } from './usage.ts'
import { NO_CONDITIONS, type Case, type Measurement, type Workload } from './workload.ts'

/** Millrace first: the others are held against it. */
export const SYSTEMS: readonly System[] = [millrace, kafka, rabbitmq, nats, redis]

export interface Absence {
  readonly system: string
  readonly why: string
}

const RECORD_BYTES = [100, 1024] as const
/** Megabytes of values per repetition; each is written three times. */
const CHUNKS = 96
const TOY_CHUNKS = 2
const RATES = [
  { recordBytes: 100, ratePerSecond: 1000 },
  { recordBytes: 1024, ratePerSecond: 5000 },
] as const
const SECONDS = 4
const TOY_SECONDS = 0.3

/** A thing that is measured of every system, under the same name. */
interface Kind {
  readonly name: string
  readonly work: PeerWork
  readonly ratePerSecond: number | null
  measure(servers: Measured, load: PeerLoad): Promise<Measurement>
}

/**
 * @param wanted - Parts of systems' names; empty: all.
 * @param onAbsent - Told of every system, or client of one, that cannot be measured here.
 */
export function compareWorkload(
  packages: string,
  wanted: readonly string[],
  onAbsent: (absence: Absence) => void,
): Workload {
  return {
    name: COMPARE_WORKLOAD,
    summary: 'systems side by side',
    open: async (context) => {
      const peerContext: PeerContext = { ...context, packages }
      const stage = new Stage(peerContext)
      context.onClose(() => stage.clear())
      const kinds = kindsOf(context.isToy)
      const works = new Map<string, string>()
      const cases: Case[] = []
      for (const system of SYSTEMS) {
        if (wanted.length > 0 && !wanted.some((part) => system.name.toLowerCase().includes(part.toLowerCase()))) continue // prettier-ignore
        const obstacle = await system.findObstacle(peerContext)
        if (obstacle !== null) {
          onAbsent({ system: system.name, why: obstacle })
          continue
        }
        for (const client of system.clients) {
          const name = client === '' ? system.name : `${system.name} by ${client}`
          const missing = system.findClientObstacle?.(peerContext, client) ?? null
          if (missing !== null) onAbsent({ system: name, why: missing })
          else
            cases.push(...kinds.map((kind) => caseOf(peerContext, stage, works, system, client, name, kind)))
        }
      }
      return cases
    },
  }
}

function kindsOf(isToy: boolean): Kind[] {
  const chunks = isToy ? TOY_CHUNKS : CHUNKS
  const throughput = RECORD_BYTES.flatMap((recordBytes): Kind[] => {
    const work = { recordBytes, records: chunks * Math.floor(CHUNK_BYTES / recordBytes) }
    const size = formatBytes(recordBytes)
    return [
      {
        name: `produce ${size}`,
        work,
        ratePerSecond: null,
        measure: (servers, load) => measureUsage(servers, () => load.produce(work)),
      },
      {
        name: `consume ${size}`,
        work,
        ratePerSecond: null,
        measure: async (servers, load) => {
          await load.produce(work)
          return await measureUsage(servers, () => load.consume(work))
        },
      },
    ]
  })
  const latency = RATES.map(({ recordBytes, ratePerSecond }): Kind => {
    const work = { recordBytes, records: ratePerSecond * (isToy ? TOY_SECONDS : SECONDS) }
    return {
      name: `acknowledged, ${formatBytes(recordBytes)} at ${formatNumber(ratePerSecond)}/s`,
      work,
      ratePerSecond,
      measure: async (_, load) => {
        const result = await load.openLoop({ ...work, ratePerSecond })
        const lateness = Histogram.fromData(result.lateness)
        const histogram = Histogram.fromData(result.latency)
        return {
          metrics: [
            {
              name: 'generator late, p99',
              unit: 'µs',
              value: lateness.percentile(99) / 1e3,
              better: 'lower',
            },
          ],
          latency: histogram,
          work: `${histogram.count} records of ${recordBytes} bytes acknowledged`,
        }
      },
    }
  })
  return [...throughput, ...latency]
}

let streamCount = 0

function caseOf(
  context: PeerContext,
  stage: Stage,
  works: Map<string, string>,
  system: System,
  client: string,
  name: string,
  kind: Kind,
): Case {
  return {
    name: `${name}${SEPARATOR}${kind.name}`,
    conditions: {
      ...NO_CONDITIONS,
      durability: context.durability,
      acks: system.acks,
      recordBytes: kind.work.recordBytes,
      replicas: REPLICAS,
      partitions: 1,
      transport: 'TCP',
      ratePerSecond: kind.ratePerSecond,
    },
    run: async () => {
      const { servers, load } = await stage.get(system, client)
      await load.prepare(`compare-${streamCount++}`)
      const measurement = await kind.measure(servers, load)
      await load.remove()
      const work = works.get(kind.name) ?? measurement.work
      works.set(kind.name, work)
      if (work !== measurement.work) {
        throw new Error(`Compared ${kind.name}: ${name} did other work: ${measurement.work}, wanted ${work}`)
      }
      return measurement
    },
  }
}

/** Holds the one system that runs, and one client of it. */
class Stage {
  readonly #context: PeerContext
  #startCount = 0
  #current: {
    readonly system: System
    readonly running: RunningSystem
    readonly directory: string
    readonly loads: Map<string, PeerLoad>
  } | null = null

  constructor(context: PeerContext) {
    this.#context = context
  }

  async get(system: System, client: string): Promise<{ servers: Measured; load: PeerLoad }> {
    if (this.#current?.system !== system) {
      await this.clear()
      const directory = join(this.#context.directory, `system-${this.#startCount++}`)
      const running = await system.start(this.#context, directory)
      this.#current = { system, running, directory, loads: new Map() }
    }
    const { running, loads } = this.#current
    let load = loads.get(client)
    const isFirst = loads.size === 0
    if (load === undefined) {
      load = await running.connect(client)
      loads.set(client, load)
      if (isFirst && !this.#context.isToy) await warmUp(load)
    }
    return { servers: running.servers, load }
  }

  async clear(): Promise<void> {
    if (this.#current === null) return
    const { running, directory, loads } = this.#current
    this.#current = null
    await Promise.all([...loads.values()].map((load) => load.stop()))
    await running.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** As much as a repetition does, of either size, which does not count. */
async function warmUp(load: PeerLoad): Promise<void> {
  for (const recordBytes of RECORD_BYTES) {
    const work = { recordBytes, records: CHUNKS * Math.floor(CHUNK_BYTES / recordBytes) }
    await load.prepare(`warm-up-${recordBytes}`)
    await load.produce(work)
    await load.consume(work)
    await load.remove()
  }
}

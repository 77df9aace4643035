/**
 * What happened in a life, in the order of virtual time, as lines that a person can read:
 *
 *       time s  who     what
 *       12.345  b2      dies
 *       12.871  t0-1    leader b3 in epoch 7 (was b2); in sync 1 3 (was 1 2 3)
 *
 * Shown are the acts of the storm, deaths and returns of nodes, changes of leaders and in-sync sets as the first broker to know them
 * has them, and what nodes log: warnings and errors, of the rest what tells of elections, controllers and cuts. Lines of one node
 * that differ in numbers alone are shown once in a while. Everything is only read: a life that is watched is the same life.
 */
import type { ClusterImage, PartitionImage } from '../../../src/metadata/cluster-image.ts'
import type { Said, SimCluster } from '../support/sim-cluster.ts'
import type { LifePhase, LifeWatcher } from '../life/life.ts'
import type { Act } from '../life/weather.ts'
import { wrapText } from './wrap.ts'

export interface TimelineOptions {
  readonly print: (line: string) => void
  /** Every line that is logged, and repetitions. */
  readonly isVerbose?: boolean
}

/** Of what is logged at these levels only the following is shown. */
const TELLING: ReadonlySet<string> = new Set([
  'Controller is active',
  'Controller is inactive',
  'Metadata quorum role',
  'Cutting a log that has left its leader’s',
  'A change of the in-sync replicas was refused',
  'Loaded a shard of the group coordinator',
  'Rebalance of a group begins',
  'Generation of a group begins',
  'Member removed from its group: out of time',
  'Send failed',
  'Creating a topic failed',
  'Deleting a topic failed',
])
/** A line that was shown is not shown again within this, in virtual ms. */
const REPEATED_WITHIN_MS = 1000
const TIME_COLUMNS = 9
const NAME_COLUMNS = 9
const INDENT = TIME_COLUMNS + 2 + NAME_COLUMNS + 1

interface NodeState {
  readonly generation: number
  readonly isUp: boolean
  readonly isPaused: boolean
}

export class Timeline implements LifeWatcher {
  readonly #print: (line: string) => void
  readonly #isVerbose: boolean
  readonly #nodes = new Map<string, NodeState>()
  /** When a line was shown, and how many like it were not since. */
  readonly #shown = new Map<string, { atMs: number; held: number }>()
  #cluster: SimCluster | null = null
  #image: ClusterImage | null = null

  constructor({ print, isVerbose = false }: TimelineOptions) {
    this.#print = print
    this.#isVerbose = isVerbose
  }

  begun(cluster: SimCluster): void {
    this.#cluster = cluster
    cluster.listeners.push((line) => this.#log(line))
    cluster.simulation.checks.push(() => this.#look())
  }

  act({ index, fault }: Act): void {
    this.#show('act', `#${index} ${fault}`)
  }

  phase(name: LifePhase): void {
    this.#show('life', `--- ${name} ---`)
  }

  /** Shows what was held back. */
  end(): void {
    for (const [key, { held }] of this.#shown) if (held > 0) this.#show(...this.#heldText(key, held))
    this.#shown.clear()
  }

  #show(who: string, what: string): void {
    const seconds = (this.#cluster!.simulation.nowMs / 1000).toFixed(3)
    const line = `${seconds.padStart(TIME_COLUMNS)}  ${who.padEnd(NAME_COLUMNS)} ${what.replace(/\s*\n\s*/g, ' ')}`
    for (const part of wrapText(line, INDENT)) this.#print(part)
  }

  #look(): void {
    const cluster = this.#cluster!
    for (const { node } of cluster.hosts) this.#lookAtNode(node)
    const image = cluster.hasImage ? cluster.image : null
    if (image !== null && image.endOffset > (this.#image?.endOffset ?? -1)) this.#follow(image)
  }

  #lookAtNode({ name, generation, isUp, isPaused }: NodeState & { readonly name: string }): void {
    const old = this.#nodes.get(name)
    if (old?.generation === generation && old.isUp === isUp && old.isPaused === isPaused) return
    this.#nodes.set(name, { generation, isUp, isPaused })
    if (old === undefined) return
    if (old.isUp && (!isUp || generation > old.generation)) this.#show(name, 'dies')
    if (generation > old.generation) this.#show(name, `is started again, life ${generation}`)
    else if (isUp && isPaused !== old.isPaused) this.#show(name, isPaused ? 'stands still' : 'goes on')
  }

  #follow(image: ClusterImage): void {
    const before = this.#image
    this.#image = image
    if (before === null) return
    for (const [id, { epoch, isFenced }] of image.brokers) {
      const old = before.brokers.get(id)
      if (old === undefined || old.epoch !== epoch)
        this.#show(`b${id}`, `is registered, broker epoch ${epoch}`)
      if (old !== undefined && old.isFenced !== isFenced)
        this.#show(`b${id}`, isFenced ? 'is fenced' : 'serves')
    }
    for (const [name, { partitions }] of image.topicsByName)
      for (const [index, partition] of partitions.entries())
        this.#compare(`${name}-${index}`, before.topicsByName.get(name)?.partitions[index], partition)
    for (const name of before.topicsByName.keys())
      if (!image.topicsByName.has(name)) this.#show(name, 'is deleted')
  }

  #compare(log: string, old: PartitionImage | undefined, now: PartitionImage): void {
    if (old === undefined) {
      this.#show(
        log,
        `is created: leader ${leaderOf(now)} in epoch ${now.leaderEpoch}, replicas ${now.replicas.join(' ')}`,
      )
      return
    }
    if (old === now || old.partitionEpoch === now.partitionEpoch) return
    const changes: string[] = []
    if (old.leader !== now.leader || old.leaderEpoch !== now.leaderEpoch)
      changes.push(`leader ${leaderOf(now)} in epoch ${now.leaderEpoch} (was ${leaderOf(old)})`)
    const sets = [
      ['in sync', old.isr, now.isr],
      ['eligible', old.eligibleLeaderReplicas, now.eligibleLeaderReplicas],
    ] as const
    for (const [name, was, is] of sets)
      if (was.join() !== is.join())
        changes.push(`${name} ${is.join(' ') || 'none'} (was ${was.join(' ') || 'none'})`)
    if (now.isRecovering && !old.isRecovering)
      changes.push('from a leader that may lack what was not acknowledged')
    if (changes.length > 0) this.#show(log, changes.join('; '))
  }

  #log(line: Said): void {
    if (!this.#isVerbose && !isTelling(line)) return
    const { node, level, message, fields, atMs } = line
    const text = Object.entries(fields)
      .map(([key, value]) =>
        value instanceof Error ? `${key}=${value.message}` : `${key}=${JSON.stringify(value)}`,
      )
      .join(' ')
    const prefix = level === 'warn' || level === 'error' ? `${level}: ` : ''
    if (!this.#isVerbose) {
      const key = `${node}\n${message}`
      const last = this.#shown.get(key)
      if (last !== undefined && atMs < last.atMs + REPEATED_WITHIN_MS) {
        last.held++
        return
      }
      if (last !== undefined && last.held > 0) this.#show(...this.#heldText(key, last.held))
      this.#shown.set(key, { atMs, held: 0 })
    }
    this.#show(node, `${prefix}${message}${text === '' ? '' : `  ${text}`}`)
  }

  #heldText(key: string, held: number): [string, string] {
    const [node = '', message = ''] = key.split('\n')
    return [node, `(${held} more: ${message})`]
  }
}

function isTelling({ level, message }: Said): boolean {
  return level === 'warn' || level === 'error' || TELLING.has(message)
}

function leaderOf({ leader }: PartitionImage): string {
  return leader === null ? 'none' : `b${leader}`
}

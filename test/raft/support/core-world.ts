/**
 * Raft cores without a driver: every message, sync and tick is the test's to give. Logs are lists in memory, of which
 * a crash keeps what was synced.
 */
import { CoreState } from '../../../src/raft/core-state.ts'
import type { LogView, RaftEffect, RaftSettings, Ready } from '../../../src/raft/core-state.ts'
import { NO_STATE } from '../../../src/raft/quorum-state.ts'
import type { QuorumState } from '../../../src/raft/quorum-state.ts'
import { RaftCore } from '../../../src/raft/raft-core.ts'
import type { RaftEvent } from '../../../src/raft/raft-core.ts'
import type { RaftMessage } from '../../../src/raft/raft-messages.ts'
import type { SnapshotId } from '../../../src/raft/snapshot-file.ts'
import { VoterHistory, VoterSet } from '../../../src/raft/voter-set.ts'
import type { Voter } from '../../../src/raft/voter-set.ts'

export const WORLD_SETTINGS: RaftSettings = {
  electionTimeoutMs: 100,
  fetchTimeoutMs: 200,
  checkQuorumMs: 300,
  fetchWaitMs: 50,
  retryMs: 20,
  fetchBytesMax: 1000,
}

export const diskOf = (id: number, disk = 1): string => `${id}${disk}`.padEnd(22, 'A')

interface Entry {
  readonly epoch: number
  readonly value: string
  readonly voters?: readonly Voter[]
}

export class MemoryLog implements LogView {
  entries: Entry[] = []
  startOffset = 0
  durableEndOffset = 0
  snapshots: readonly SnapshotId[] = []

  get endOffset(): number {
    return this.startOffset + this.entries.length
  }

  get lastEpoch(): number {
    const last = this.entries.at(-1)
    return last?.epoch ?? this.snapshots.find(({ endOffset }) => endOffset === this.endOffset)?.epoch ?? 0
  }

  get firstEpoch(): number {
    return this.entries[0]?.epoch ?? -1
  }

  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } {
    const index = this.entries.findLastIndex((entry) => entry.epoch <= epoch)
    if (index < 0) return { epoch: 0, endOffset: this.startOffset }
    return { epoch: this.entries[index]!.epoch, endOffset: this.startOffset + index + 1 }
  }

  /** Epochs of all entries, for reading at a glance. */
  toString(): string {
    const values = this.entries.map(({ epoch, value }) => `${value}@${epoch}`)
    return `[${this.startOffset > 0 ? `…${this.startOffset} ` : ''}${values.join(' ')}] durable ${this.durableEndOffset}`
  }
}

export class WorldNode {
  readonly id: number
  disk = 1
  log = new MemoryLog()
  durableState: QuorumState = NO_STATE
  core: RaftCore
  /** Waits for the epoch's file. */
  blocked: Ready | null = null
  readonly #world: World

  constructor(world: World, id: number) {
    this.#world = world
    this.id = id
    this.core = this.#makeCore()
  }

  #makeCore(): RaftCore {
    const voters = new VoterHistory(new VoterSet(this.#world.listOf(this.id)))
    this.log.entries.forEach((entry, index) => {
      if (entry.voters !== undefined) voters.add(this.log.startOffset + index, new VoterSet(entry.voters))
    })
    const state = new CoreState({
      self: { id: this.id, directoryId: diskOf(this.id, this.disk) },
      log: this.log,
      voters,
      settings: WORLD_SETTINGS,
      random: { below: () => 0, uuid: () => diskOf(this.id) },
      state: this.durableState,
      highWatermark: this.log.snapshots[0]?.endOffset ?? 0,
      nowMs: this.#world.nowMs,
    })
    return new RaftCore(state)
  }

  step(event: RaftEvent): void {
    this.core.step(event, this.#world.nowMs)
    this.pump()
  }

  pump(): void {
    while (this.blocked === null) {
      const ready = this.core.takeReady()
      if (ready === null) return
      if (ready.persist !== null) {
        this.blocked = ready
        return
      }
      for (const effect of ready.effects) this.#carryOut(effect)
    }
  }

  /** The epoch's file is written. */
  persist(): void {
    const { blocked } = this
    if (blocked === null || blocked.persist === null) return
    this.blocked = null
    this.durableState = blocked.persist
    const { leaderEpoch, votedId } = blocked.persist
    this.#world.say(`${this.id} persisted epoch ${leaderEpoch}${votedId < 0 ? '' : ` vote ${votedId}`}`)
    this.core.step({ kind: 'persisted', state: blocked.persist }, this.#world.nowMs)
    for (const effect of blocked.effects) this.#carryOut(effect)
    this.pump()
  }

  sync(): void {
    this.log.durableEndOffset = this.log.endOffset
    this.step({ kind: 'durable' })
  }

  append(value: string): void {
    const { leader, state } = this.core
    if ((leader?.epochStartOffset ?? null) === null) throw new Error(`n${this.id} cannot append`)
    this.log.entries.push({ epoch: state.epoch, value })
  }

  /** Power is lost: what was not synced is gone. */
  crash(): void {
    this.log.entries.length = Math.max(0, this.log.durableEndOffset - this.log.startOffset)
    this.blocked = null
    this.core = this.#makeCore()
    this.#world.dropFrom(this.id)
    this.pump()
  }

  wipe(): void {
    this.disk++
    this.log = new MemoryLog()
    this.durableState = NO_STATE
    this.crash()
  }

  #carryOut(effect: RaftEffect): void {
    const { log } = this
    switch (effect.kind) {
      case 'send': {
        this.#world.send(this.id, effect.to, effect.message)
        return
      }
      case 'sendRecords': {
        const from = effect.startOffset - log.startOffset
        const entries = log.entries.slice(from, effect.endOffset - log.startOffset)
        const records = new TextEncoder().encode(JSON.stringify(entries))
        this.#world.send(this.id, effect.to, { ...effect.message, records })
        return
      }
      case 'sendSnapshotChunk': {
        const { snapshotEndOffset: endOffset, snapshotEpoch: epoch, position } = effect.message
        const isThere = log.snapshots.some((id) => id.endOffset === endOffset && id.epoch === epoch)
        const errorCode = isThere ? 0 : 98
        // Two pieces of one byte.
        const message = { ...effect.message, errorCode, size: 2, chunk: new Uint8Array(position < 2 ? 1 : 0) }
        this.#world.send(this.id, effect.to, message)
        return
      }
      case 'appendLeaderChange': {
        this.#appendAll([{ epoch: effect.epoch, value: `leader${this.id}` }])
        return
      }
      case 'appendVoters': {
        const value = `voters${effect.voters.map(({ id }) => id).join('')}`
        this.#appendAll([{ epoch: effect.epoch, value, voters: effect.voters }])
        return
      }
      case 'appendRecords': {
        this.#appendAll(JSON.parse(new TextDecoder().decode(effect.records)) as Entry[])
        return
      }
      case 'truncate':
        this.#world.say(`${this.id} cuts its log at ${effect.offset}`)
        log.entries.length = effect.offset - log.startOffset
        log.durableEndOffset = Math.min(log.durableEndOffset, effect.offset)
        {
          this.step({ kind: 'truncated' })
          return
        }
      case 'writeSnapshotChunk': {
        this.step({ kind: 'chunkWritten' })
        return
      }
      case 'installSnapshot':
        this.#world.say(`${this.id} installs snapshot ${effect.id.endOffset}@${effect.id.epoch}`)
        log.entries = []
        log.startOffset = effect.id.endOffset
        log.durableEndOffset = effect.id.endOffset
        log.snapshots = [effect.id]
        {
          this.step({ kind: 'snapshotInstalled', id: effect.id, voters: null })
          return
        }
      case 'commit': {
        this.#world.say(`${this.id} high watermark ${effect.highWatermark}`)
        return
      }
      case 'role': {
        this.#world.say(`${this.id} is ${effect.role} in epoch ${effect.epoch}`)
        return
      }
    }
  }

  #appendAll(entries: readonly Entry[]): void {
    const voters = entries.flatMap((entry, index) =>
      entry.voters === undefined
        ? []
        : [{ offset: this.log.endOffset + index, set: new VoterSet(entry.voters) }],
    )
    this.log.entries.push(...entries)
    this.step({ kind: 'appended', voters })
  }
}

export interface InTransit {
  readonly from: number
  readonly to: number
  readonly message: RaftMessage
}

export class World {
  nowMs = 0
  readonly bootstrap: readonly Voter[]
  readonly nodes: readonly WorldNode[]
  transit: InTransit[] = []
  readonly lines: string[] = []
  showsMessages = true
  readonly #lists: ReadonlyMap<number, readonly Voter[]>

  /** @param lists - Voters in the settings of nodes that have not those of the others, by node. */
  constructor(
    voterCount: number,
    observerCount = 0,
    lists: ReadonlyMap<number, readonly Voter[]> = new Map(),
  ) {
    this.#lists = lists
    const ids = Array.from({ length: voterCount + observerCount }, (_, index) => index + 1)
    this.bootstrap = ids.slice(0, voterCount).map((id) => ({ id, directoryId: diskOf(id) }))
    this.nodes = ids.map((id) => new WorldNode(this, id))
    for (const node of this.nodes) node.pump()
  }

  node(id: number): WorldNode {
    return this.nodes[id - 1]!
  }

  /** Who votes, as the settings of a node say. */
  listOf(id: number): readonly Voter[] {
    return this.#lists.get(id) ?? this.bootstrap
  }

  say(line: string): void {
    this.lines.push(line)
  }

  send(from: number, to: number, message: RaftMessage): void {
    if (this.showsMessages) this.say(`${from}>${to} ${describe(message)}`)
    this.transit.push({ from, to, message })
  }

  dropFrom(id: number): void {
    this.transit = this.transit.filter(({ from }) => from !== id)
  }

  /** Takes out the messages under way on a link, `*` for any end. */
  take(from: string, to: string): InTransit[] {
    const isOn = (message: InTransit): boolean =>
      (from === '*' || message.from === Number(from)) && (to === '*' || message.to === Number(to))
    const taken = this.transit.filter(isOn)
    this.transit = this.transit.filter((message) => !isOn(message))
    return taken
  }

  deliver(messages: readonly InTransit[]): void {
    for (const { to, message } of messages) this.node(to).step({ kind: 'message', message })
  }

  /** Messages, files and syncs of all nodes but `without`, until nothing is left to do; no time passes. */
  settle(without: readonly number[] = []): void {
    for (let round = 0; round < 1000; round++) {
      const messages = this.transit.filter(({ from, to }) => !without.includes(from) && !without.includes(to))
      this.transit = this.transit.filter(({ from, to }) => without.includes(from) && without.includes(to))
      this.deliver(messages)
      let isBusy = messages.length > 0
      for (const node of this.nodes) {
        if (without.includes(node.id)) continue
        if (node.blocked !== null) isBusy = true
        node.persist()
        if (node.log.durableEndOffset < node.log.endOffset) {
          isBusy = true
          node.sync()
        }
      }
      if (!isBusy) return
    }
    throw new Error('The world does not settle')
  }

  /** Time passes for one node: as much as until something of its is due, or `ms`. */
  tick(id: number, ms?: number): void {
    const node = this.node(id)
    this.nowMs = Math.max(this.nowMs, ms === undefined ? node.core.deadlineMs : this.nowMs + ms)
    node.step({ kind: 'tick' })
  }

  /** All nodes but `without` hear from their leader that it leaves, and `toId` stands at once. */
  handOver(fromId: number, toId: number, without: readonly number[] = []): void {
    for (const node of this.nodes) {
      if (without.includes(node.id) || node.id === fromId) continue
      const { state } = this.node(fromId).core
      const said = state.addressed(node.id, { kind: 'EndQuorumEpochRequest', preferredSuccessors: [toId] }, 1)
      node.step({ kind: 'message', message: { ...said, epoch: node.core.state.epoch, leaderId: -1 } })
    }
    this.node(toId).persist()
  }

  /** Makes a node the leader with the votes of all nodes but `without`. */
  elect(id: number, without: readonly number[] = []): void {
    for (let tries = 0; this.node(id).core.role.kind !== 'leader' && tries < 20; tries++) {
      this.tick(id)
      this.settle(without)
    }
    if (this.node(id).core.role.kind !== 'leader') throw new Error(`n${id} was not elected`)
  }
}

function describe(message: RaftMessage): string {
  const { kind, epoch } = message
  const name = kind.replace('Request', '')
  switch (message.kind) {
    case 'VoteRequest':
      return `${message.isPreVote ? 'Pre' : ''}${name} epoch ${epoch}, log ${message.logEndOffset}@${message.lastEpoch}`
    case 'VoteResponse':
      return `${message.isPreVote ? 'Pre' : ''}${name} epoch ${epoch}: ${message.isGranted ? 'yes' : 'no'}`
    case 'FetchRequest':
      return `${name} epoch ${epoch} from ${message.fetchOffset}@${message.lastFetchedEpoch}`
    case 'FetchResponse': {
      if (message.errorCode !== 0) return `${name} epoch ${epoch}: error ${message.errorCode}`
      if (message.snapshotEpoch >= 0)
        return `${name} epoch ${epoch}: snapshot ${message.snapshotEndOffset}@${message.snapshotEpoch}`
      if (message.divergingEpoch >= 0)
        return `${name} epoch ${epoch}: diverges from ${message.divergingEndOffset}@${message.divergingEpoch}`
      const entries =
        message.records.length === 0 ? [] : (JSON.parse(new TextDecoder().decode(message.records)) as Entry[])
      const values = entries.map((entry) => `${entry.value}@${entry.epoch}`).join(' ')
      return `${name} epoch ${epoch}: [${values}] high watermark ${message.highWatermark}`
    }
    case 'EndQuorumEpochRequest':
      return `${name} epoch ${epoch}, next ${message.preferredSuccessors.join(',')}`
    case 'FetchSnapshotRequest':
    case 'FetchSnapshotResponse':
      return `${name} epoch ${epoch}: ${message.snapshotEndOffset}@${message.snapshotEpoch} at ${message.position}`
    case 'BeginQuorumEpochRequest':
      return `${name} epoch ${epoch}`
  }
}

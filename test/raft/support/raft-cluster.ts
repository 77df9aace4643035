/** A cluster of metadata quorum nodes in the simulation, with the invariants of docs/raft.md checked after every event. */
import { expect } from 'vitest'
import type { Env } from '../../../src/env/index.ts'
import { newDirectory } from '../../../src/env/sim/disk-image.ts'
import type { Inode } from '../../../src/env/sim/disk-image.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import type { CommittedBatch, QuorumListener, QuorumSnapshot } from '../../../src/raft/metadata-quorum.ts'
import { RAFT_ERRORS } from '../../../src/raft/raft-messages.ts'
import type { RaftMessage } from '../../../src/raft/raft-messages.ts'
import { RaftQuorum } from '../../../src/raft/raft-quorum.ts'
import type { RaftSettings } from '../../../src/raft/core-state.ts'
import { parseQuorumState } from '../../../src/raft/quorum-state.ts'
import type { QuorumState } from '../../../src/raft/quorum-state.ts'
import type { RaftTransport } from '../../../src/raft/raft-transport.ts'
import type { Voter } from '../../../src/raft/voter-set.ts'
import { Oracle } from './oracle.ts'
import { SimRaftNetwork } from './sim-transport.ts'

const DIRECTORY = '/data'
/** Short, so that a run of some virtual seconds sees many elections. */
export const SIM_SETTINGS: RaftSettings = {
  electionTimeoutMs: 100,
  fetchTimeoutMs: 300,
  checkQuorumMs: 450,
  fetchWaitMs: 50,
  retryMs: 20,
  fetchBytesMax: 2048,
}

/** 22 characters that name a disk: the node and how often it was replaced. */
export const directoryId = (id: number, disk = 1): string => `disk${disk}of${id}`.padEnd(21, 'x') + 'A'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What the listener of a node has: every value, in order. */
export class FoldingListener implements QuorumListener {
  values: string[] = []
  endOffset = 0
  epoch = 0
  failure: Error | null = null
  /** Has been given what was there at the start. */
  isSubscribed = false
  /** A snapshot came later than that: from a leader. */
  onInstalled: () => void = () => undefined
  readonly #who: string
  readonly #oracle: Oracle

  constructor(who: string, oracle: Oracle) {
    this.#who = who
    this.#oracle = oracle
  }

  onSnapshot(snapshot: QuorumSnapshot): void {
    expect(snapshot.endOffset).toBeGreaterThanOrEqual(this.endOffset)
    if (this.isSubscribed) this.onInstalled()
    this.values = [...snapshot.records].map((record) => decoder.decode(record))
    this.endOffset = snapshot.endOffset
    this.epoch = snapshot.epoch
    this.#oracle.onSnapshot(this.#who, snapshot.endOffset, this.values)
  }

  onCommit(batch: CommittedBatch): void {
    expect(batch.baseOffset).toBe(this.endOffset)
    const values = batch.records.map((record) => decoder.decode(record))
    this.#oracle.onCommit(this.#who, batch, values)
    this.values.push(...values)
    this.endOffset = batch.endOffset
    this.epoch = batch.epoch
  }

  takeSnapshot(): QuorumSnapshot {
    const records = this.values.map((value) => encoder.encode(value))
    return { endOffset: this.endOffset, epoch: this.epoch, records }
  }

  onRolledBack(): void {}

  onFailed(error: Error): void {
    this.failure = error
  }
}

export class Member {
  readonly id: number
  readonly node: SimNode
  disk = 1
  quorum: RaftQuorum | null = null
  listener: FoldingListener | null = null
  /** Of the present life. */
  highWatermark = 0
  /** Of the present disk, as last seen. */
  durableEndOffset = 0
  starts = 0

  constructor(id: number, node: SimNode) {
    this.id = id
    this.node = node
  }

  get directoryId(): string {
    return directoryId(this.id, this.disk)
  }

  get isLeader(): boolean {
    return this.quorum !== null && this.node.isUp && this.quorum.leaderId === this.id
  }
}

export interface ClusterOptions {
  readonly seed: number | string
  readonly voterCount: number
  readonly observerCount?: number
  readonly keepsTrace?: boolean
  readonly settings?: Partial<RaftSettings>
  readonly snapshotRecordCount?: number
  /** The configuration names node ids only. */
  readonly hidesDisks?: boolean
  /** How the present life of a node reaches others; default: by messages that the test loses, repeats and delays. */
  readonly transportOf?: (member: Member, env: Env) => Promise<RaftTransport>
}

export class RaftCluster {
  readonly simulation: Simulation
  readonly network: SimRaftNetwork
  readonly oracle = new Oracle()
  readonly members: readonly Member[]
  readonly bootstrap: readonly Voter[]
  /** How often a rare path was taken: a swarm in which one never was proves nothing about it. */
  readonly marks = {
    elections: 0,
    acked: 0,
    divergences: 0,
    snapshotPieces: 0,
    snapshotsInstalled: 0,
    preVotesRefused: 0,
    votesRefused: 0,
    leadersLeft: 0,
    fencedRequests: 0,
    voterChanges: 0,
  }
  /** Nodes whose disk is made to fail. */
  readonly mayFail = new Set<number>()
  readonly #options: ClusterOptions
  #valueCount = 0
  #problem: Error | null = null

  constructor(options: ClusterOptions) {
    this.#options = options
    this.simulation = new Simulation({ seed: options.seed, keepsTrace: options.keepsTrace ?? false })
    this.network = new SimRaftNetwork(this.simulation)
    const count = options.voterCount + (options.observerCount ?? 0)
    const ids = Array.from({ length: count }, (_, index) => index + 1)
    this.members = ids.map((id) => new Member(id, this.simulation.node(`n${id}`)))
    this.bootstrap = ids.slice(0, options.voterCount).map((id) => ({
      id,
      directoryId: options.hidesDisks === true ? 'A'.repeat(22) : directoryId(id),
    }))
    this.oracle.idOf = (disk) => Number(/of(\d+)/.exec(disk)?.[1])
    this.network.onSend = (fromId, _toId, message) => {
      this.#guard(() => this.oracle.onMessage(message))
      this.#guard(() => this.oracle.onSend(message, this.#durableState(this.member(fromId))))
      this.#mark(message)
    }
    this.simulation.checks.push(() => this.#check())
  }

  member(id: number): Member {
    return this.members[id - 1]!
  }

  get ids(): number[] {
    return this.members.map(({ id }) => id)
  }

  /** The node that leads and can decide, in the highest epoch; null if there is none. */
  get leader(): Member | null {
    const leaders = this.members.filter((member) => member.isLeader)
    leaders.sort((a, b) => b.quorum!.leaderEpoch - a.quorum!.leaderEpoch)
    return leaders[0] ?? null
  }

  async startAll(): Promise<void> {
    await Promise.all(this.members.map((member) => this.start(member)))
  }

  /** Begins a life of a node. Rejects if it cannot start; stays pending if it dies in between. */
  async start(member: Member): Promise<void> {
    const env: Env = member.node.isUp && member.starts === 0 ? member.node.env : member.node.restart()
    member.starts++
    member.quorum = null
    member.highWatermark = 0
    const who = `n${member.id}#${member.node.generation}`
    const { transportOf } = this.#options
    const transport =
      transportOf === undefined
        ? this.network.join(member.id)
        : this.network.watch(member.id, await transportOf(member, env))
    const listener = new FoldingListener(who, this.oracle)
    listener.onInstalled = () => {
      this.marks.snapshotsInstalled++
      this.#guard(() => expect(member.quorum?.role, 'M7: a leader was given a snapshot').not.toBe('leader'))
    }
    member.listener = listener
    try {
      await env.files.makeDirectory(DIRECTORY)
      await env.files.syncDirectory('/')
      const quorum = await RaftQuorum.open(env, {
        directory: DIRECTORY,
        nodeId: member.id,
        directoryId: member.directoryId,
        voters: this.bootstrap,
        transport,
        settings: { ...SIM_SETTINGS, ...this.#options.settings },
        snapshotRecordCount: this.#options.snapshotRecordCount ?? 20,
        segmentBytes: 1024,
      })
      if (listener !== member.listener) return
      member.quorum = quorum
      quorum.onRole = (role, epoch) => {
        if (role !== 'leader') return
        this.marks.elections++
        this.#guard(() => this.oracle.onLeader(who, epoch, quorum.logEndOffset))
      }
      await quorum.subscribe(listener)
      listener.isSubscribed = true
    } catch (error) {
      this.#problem ??= error as Error
    }
  }

  /** Ends a life, if there is one. */
  kill(member: Member, how: 'crash' | 'powerCut'): void {
    this.network.leave(member.id)
    // It may die in the very event in which its disk was done and it said so.
    if (member.quorum !== null) {
      member.durableEndOffset = member.quorum.describe().durableEndOffset
      this.#guard(() => this.#observeCommit(member))
    }
    if (member.node.isUp) member.node[how]()
    member.quorum = null
  }

  /** The node comes back with an empty disk (faults.md F-DISK). */
  wipe(member: Member): void {
    this.kill(member, 'powerCut')
    member.node.disk.image.root = newDirectory(0)
    member.disk++
    member.durableEndOffset = 0
  }

  /** Appends a value at a node that takes itself for the leader. @returns Whether it was acknowledged. */
  async append(member: Member): Promise<boolean> {
    const quorum = member.quorum
    if (quorum === null) return false
    const value = `v${++this.#valueCount} by n${member.id}`
    try {
      const offset = await quorum.append(quorum.leaderEpoch, [encoder.encode(value)])
      this.oracle.acked.set(value, offset)
      this.marks.acked++
      return true
    } catch {
      return false // not the leader (any more), or no room: unknown or refused, never acknowledged
    }
  }

  async untilLeader(limitMs = 10_000): Promise<Member> {
    await this.simulation.runUntil(() => this.leader !== null, limitMs)
    return this.leader!
  }

  /** Everything stops failing: within the bound there is a leader, it takes appends, and all nodes are equal (S3). */
  async settle(limitMs = 20_000): Promise<void> {
    this.network.heal()
    this.simulation.network.heal()
    Object.assign(this.network.faults, { lossRate: 0, repeatRate: 0, lateRate: 0 })
    const endMs = this.simulation.nowMs + limitMs
    for (const member of this.members) {
      member.node.disk.onOperation = () => undefined
      if (member.node.isPaused) member.node.resume()
      if (!member.node.isUp) void this.start(member)
    }
    for (;;) {
      const leader = await this.untilLeader(endMs - this.simulation.nowMs).catch((error: unknown) => {
        throw new Error(`S3: nobody leads in time: ${this.toString()}`, { cause: error })
      })
      const isAcked = await this.simulation.runUntil(
        Promise.race([this.append(leader), this.#later(1000).then(() => false)]),
        endMs - this.simulation.nowMs,
      )
      if (isAcked) break
    }
    const hasAll = (member: Member): boolean =>
      member.listener?.endOffset === this.oracle.trueHighWatermark && member.listener.endOffset > 0
    try {
      await this.simulation.runUntil(() => this.members.every(hasAll), endMs - this.simulation.nowMs)
    } catch (error) {
      throw new Error(`S3: the nodes are not equal in time: ${this.toString()}`, { cause: error })
    }
    this.checkAtRest()
  }

  toString(): string {
    const nodes = this.members.map(({ id, node, quorum, listener, starts }) => {
      if (quorum === null) return `n${id} ${node.isUp ? 'starting' : 'down'} (life ${starts})`
      const { leaderId, leaderEpoch, highWatermark, durableEndOffset } = quorum.describe()
      const log = `high watermark ${highWatermark}, durable ${durableEndOffset}, end ${quorum.logEndOffset}`
      return `n${id} ${quorum.role} of ${leaderId} in ${leaderEpoch}, ${log}, listener ${listener?.endOffset}`
    })
    return `${nodes.join('; ')}; committed ${this.oracle.trueHighWatermark}`
  }

  checkAtRest(): void {
    const expected = this.oracle.fold(this.oracle.trueHighWatermark)
    for (const member of this.members) expect(member.listener!.values).toEqual(expected)
    const values = new Set(expected)
    const lost = [...this.oracle.acked.keys()].filter((value) => !values.has(value))
    expect(lost, 'M11: acknowledged and lost').toEqual([])
    expect(values.size, 'a value is committed once').toBe(expected.length)
  }

  /** The epoch's file as a power cut that loses all that may be lost would leave it. */
  #durableState(member: Member): QuorumState | null {
    let inode: Inode | undefined = member.node.disk.image.root
    for (const name of ['data', '__cluster_metadata-0', 'quorum-state']) {
      inode = inode?.kind === 'directory' ? inode.durable.get(name) : undefined
    }
    if (inode?.kind !== 'file') return null
    const bytes = inode.durable.read(0, inode.durable.size)
    return parseQuorumState(decoder.decode(bytes), 'durable quorum-state')
  }

  #mark(message: RaftMessage): void {
    const { marks } = this
    if (message.kind === 'FetchResponse' && message.divergingEpoch >= 0) marks.divergences++
    if (message.kind === 'FetchResponse' && message.errorCode === RAFT_ERRORS.FENCED_EPOCH)
      marks.fencedRequests++
    if (message.kind === 'FetchSnapshotResponse') marks.snapshotPieces++
    if (message.kind === 'EndQuorumEpochRequest') marks.leadersLeft++
    if (message.kind === 'VoteResponse' && !message.isGranted) {
      if (message.isPreVote) marks.preVotesRefused++
      else marks.votesRefused++
    }
  }

  #later(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.simulation.schedule(delayMs, 'patience', resolve))
  }

  /** Keeps what a check found in a callback of the product, where a throw would be taken for the product's. */
  #guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#problem ??= error as Error
    }
  }

  #check(): void {
    if (this.#problem !== null) throw this.#problem
    for (const member of this.members) {
      const { quorum, listener } = member
      if (quorum === null || !member.node.isUp) continue
      const failure = listener?.failure ?? null
      if (failure !== null && this.mayFail.has(member.id)) continue
      if (failure !== null) throw new Error(`n${member.id} stopped`, { cause: failure.cause })
      const { highWatermark, durableEndOffset } = quorum.describe()
      if (highWatermark < member.highWatermark) throw new Error(`M5: high watermark of n${member.id} fell`)
      if (highWatermark > quorum.logEndOffset) throw new Error(`M5: n${member.id} lacks committed records`)
      member.highWatermark = highWatermark
      member.durableEndOffset = durableEndOffset
    }
    for (const member of this.members) if (member.node.isUp) this.#observeCommit(member)
  }

  /** M5: what the first node to know of a commit knows, which is its leader: a majority of its voters has it on disk. */
  #observeCommit({ id, quorum }: Member): void {
    if (quorum === null) return
    const { highWatermark, voters } = quorum.describe()
    if (highWatermark <= this.oracle.trueHighWatermark) return
    this.oracle.trueHighWatermark = highWatermark
    const ends = voters.map((voter) => this.member(voter.id).durableEndOffset).sort((a, b) => b - a)
    const majorityEnd = ends[Math.floor(voters.length / 2)]!
    if (highWatermark > majorityEnd)
      throw new Error(
        `M5: n${id} committed to ${highWatermark}, voters have ${ends.join()}: ${this.toString()}`,
      )
  }
}

/**
 * A classic group on virtual time, over a log in memory whose commits can be slow, refused or lost, and whose coordinator can
 * fail over. Records go through their bytes, so that what is loaded is what was written.
 */
import { Simulation } from '../../../src/env/sim/simulation.ts'
import { silentLogger } from '../../../src/env/index.ts'
import { EMPTY_IMAGE } from '../../../src/metadata/cluster-image.ts'
import type { ErrorName } from '../../../src/protocol/errors.ts'
import { errorByCode } from '../../../src/protocol/errors.ts'
import type { JoinGroupRequest, JoinGroupResponse } from '../../../src/protocol/messages/join-group.ts'
import type { SyncGroupResponse } from '../../../src/protocol/messages/sync-group.ts'
import { DEFAULT_GROUP_CONFIG } from '../../../src/coordinator/group-config.ts'
import type { GroupConfig } from '../../../src/coordinator/group-config.ts'
import { ClassicGroup } from '../../../src/coordinator/groups/classic/classic-group.ts'
import type { GroupRecordValue } from '../../../src/coordinator/groups/classic/group-record.ts'
import {
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../src/coordinator/records/coordinator-record.ts'
import type { CoordinatorRecord } from '../../../src/coordinator/records/coordinator-record.ts'
import { CoordinatorFailure } from '../../../src/coordinator/shard-context.ts'
import type { ShardContext } from '../../../src/coordinator/shard-context.ts'

export const GROUP = 'g'

interface Write {
  readonly records: readonly CoordinatorRecord[]
  readonly resolve: () => void
  readonly reject: (failure: CoordinatorFailure) => void
}

/** A request under way: `answer` is undefined until it comes. */
export interface Asked<Response> {
  answer: Response | undefined
  readonly promise: Promise<Response>
}

export interface JoinOptions {
  readonly memberId?: string
  readonly instanceId?: string | null
  readonly apiVersion?: number
  readonly sessionMs?: number
  readonly rebalanceMs?: number
  readonly protocolType?: string
  /** By name, in the order of preference. */
  readonly protocols?: Readonly<Record<string, Uint8Array>>
  readonly clientId?: string
}

export class ClassicBench {
  readonly simulation: Simulation
  readonly config: GroupConfig
  /** What is committed. */
  readonly log: CoordinatorRecord[] = []
  /** How long a commit takes, in ms. */
  commitMs = 1
  /** Writes are refused before the append while this is set. */
  refusal: ErrorName | null = null
  group: ClassicGroup
  #inFlight: Write[] = []
  #epoch = 0
  /** Calls of `after` by the group, for counting timers. */
  timerCount = 0
  /** Bytes of records that were written. */
  writtenBytes = 0
  writeCount = 0

  constructor(options: { seed?: number | string; config?: Partial<GroupConfig> } = {}) {
    this.simulation = new Simulation({ seed: options.seed ?? 1 })
    this.config = { ...DEFAULT_GROUP_CONFIG, initialRebalanceDelayMs: 0, ...options.config }
    this.group = new ClassicGroup(this.#context(), GROUP)
  }

  get nowMs(): number {
    return this.simulation.nowMs
  }

  /** Values of the group's records that are committed. */
  get values(): (GroupRecordValue | null)[] {
    return this.log.flatMap((record) => (record.kind === 'GroupMetadata' ? [record.value] : []))
  }

  /** Lets so much virtual time pass. */
  async run(ms: number): Promise<void> {
    await this.simulation.run(this.nowMs + ms)
  }

  /**
   * The coordinator moves: what waits is answered by the old one, and a new one is loaded from the log.
   *
   * @param keptWrites - How many of the writes that are not committed the new leader has all the same.
   */
  failOver(keptWrites = 0): void {
    this.#epoch++
    const lost = this.#inFlight
    this.#inFlight = []
    for (const { records } of lost.slice(0, keptWrites)) this.log.push(...records)
    this.group.close('NOT_COORDINATOR')
    for (const write of lost) write.reject(new CoordinatorFailure('NOT_COORDINATOR', 'lost in a test'))
    this.group = new ClassicGroup(this.#context(), GROUP)
    for (const value of this.values) this.group.replay(value)
    this.group.loaded()
  }

  get inFlightCount(): number {
    return this.#inFlight.length
  }

  // Requests

  join(options: JoinOptions = {}): Asked<JoinGroupResponse> {
    const sessionTimeoutMs = options.sessionMs ?? 10_000
    const request: JoinGroupRequest = {
      groupId: GROUP,
      sessionTimeoutMs,
      rebalanceTimeoutMs: options.rebalanceMs ?? 20_000,
      memberId: options.memberId ?? '',
      groupInstanceId: options.instanceId ?? null,
      protocolType: options.protocolType ?? 'consumer',
      protocols: Object.entries(options.protocols ?? { range: subscription('t') }).map(
        ([name, metadata]) => ({
          name,
          metadata,
        }),
      ),
      reason: null,
    }
    const client = {
      apiVersion: options.apiVersion ?? 3,
      clientId: options.clientId ?? 'client',
      clientHost: '/10.0.0.1',
    }
    return track(this.group.join(request, client))
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Readonly<Record<string, string>> = {},
    more: { instanceId?: string | null; protocolType?: string; protocolName?: string } = {},
  ): Asked<SyncGroupResponse> {
    return track(
      this.group.sync(
        {
          groupId: GROUP,
          generationId,
          memberId,
          groupInstanceId: more.instanceId ?? null,
          protocolType: more.protocolType ?? null,
          protocolName: more.protocolName ?? null,
          assignments: Object.entries(assignments).map(([id, text]) => ({
            memberId: id,
            assignment: utf8(text),
          })),
        },
        5,
      ),
    )
  }

  async heartbeat(memberId: string, generationId: number, instanceId: string | null = null): Promise<string> {
    const asked = track(
      this.group.heartbeat({ groupId: GROUP, generationId, memberId, groupInstanceId: instanceId }),
    )
    await this.run(this.commitMs)
    return errorOf(asked)
  }

  async leave(...members: { memberId?: string; instanceId?: string }[]): Promise<string[]> {
    const asked = track(
      this.group.leave(
        {
          groupId: GROUP,
          memberId: '',
          members: members.map(({ memberId, instanceId }) => ({
            memberId: memberId ?? '',
            groupInstanceId: instanceId ?? null,
            reason: 'test',
          })),
        },
        5,
      ),
    )
    await this.run(this.commitMs)
    return asked.answer!.members.map(({ errorCode }) => errorByCode(errorCode).name)
  }

  commitFault(memberId: string, generation: number, instanceId: string | null = null): ErrorName | null {
    return this.group.findCommitFault(
      { memberId, groupInstanceId: instanceId, generationIdOrMemberEpoch: generation },
      9,
      false,
    )
  }

  /**
   * Brings a group of members up that is stable, and returns their ids, the leader's first, which is assigned `p0` and so on.
   *
   * @param members - Options of each join.
   */
  async stable(members: readonly JoinOptions[]): Promise<string[]> {
    const joins = members.map((options) => this.join(options))
    await this.run(this.config.initialRebalanceDelayMs * 2 + 10 * this.commitMs + 10)
    const answers = joins.map(({ answer }) => answer!)
    const leader = answers.find(({ leader: id, memberId }) => id === memberId)!
    const ids = [leader, ...answers.filter((answer) => answer !== leader)].map(({ memberId }) => memberId)
    const assignments = Object.fromEntries(ids.map((id, index) => [id, `p${index}`]))
    for (const answer of answers) {
      const isLeader = answer === leader
      this.sync(answer.memberId, leader.generationId, isLeader ? assignments : {})
    }
    await this.run(this.commitMs * 2)
    if (this.group.stateName !== 'Stable') throw new Error(`Expected a stable group: ${this.group.stateName}`)
    return ids
  }

  #context(): ShardContext {
    const { clock, random } = this.simulation.env('broker')
    const epoch = this.#epoch
    return {
      clock: {
        wallTimeMs: () => clock.wallTimeMs(),
        monotonicMs: () => clock.monotonicMs(),
        endOfTurn: (task) => clock.endOfTurn(task),
        after: (delayMs, task) => {
          this.timerCount++
          return clock.after(delayMs, task)
        },
      },
      random,
      logger: silentLogger,
      config: this.config,
      image: () => EMPTY_IMAGE,
      batchBytesMax: () => 1_048_588,
      write: (records) => this.#write(epoch, records),
    }
  }

  #write(epoch: number, records: readonly CoordinatorRecord[]): Promise<void> {
    if (epoch !== this.#epoch)
      return Promise.reject(new CoordinatorFailure('NOT_COORDINATOR', 'of an old epoch'))
    if (this.refusal !== null && records.length > 0) {
      return Promise.reject(new CoordinatorFailure(this.refusal, 'refused in a test'))
    }
    if (records.length > 0) this.writeCount++
    const decoded = records.map((record) => {
      const { key, value } = encodeCoordinatorRecord(record)
      this.writtenBytes += key.length + (value?.length ?? 0)
      return decodeCoordinatorRecord(key, value)!
    })
    for (const record of decoded) if (record.kind === 'GroupMetadata') this.group.replay(record.value)
    if (records.length === 0 && this.#inFlight.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const write: Write = { records: decoded, resolve, reject }
      this.#inFlight.push(write)
      if (records.length > 0) this.simulation.schedule(this.commitMs, 'commit', () => this.#commitUpTo(write))
    })
  }

  /** Commits come in the order of the appends; what waits for them alone comes right after. */
  #commitUpTo(last: Write): void {
    if (!this.#inFlight.includes(last)) return
    let isLast = false
    while (this.#inFlight.length > 0 && (!isLast || this.#inFlight[0]!.records.length === 0)) {
      const write = this.#inFlight.shift()!
      isLast ||= write === last
      this.log.push(...write.records)
      write.resolve()
    }
  }
}

export function track<Response>(promise: Promise<Response>): Asked<Response> {
  const asked: Asked<Response> = { answer: undefined, promise }
  void promise.then((answer) => {
    asked.answer = answer
  })
  return asked
}

/** Name of the error of an answer, or `waits`. */
export function errorOf(asked: Asked<{ errorCode: number }>): string {
  return asked.answer === undefined ? 'waits' : errorByCode(asked.answer.errorCode).name
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function textOf(asked: Asked<SyncGroupResponse>): string {
  return asked.answer === undefined ? 'waits' : new TextDecoder().decode(asked.answer.assignment)
}

/** A consumer's subscription, version 1, with what else a consumer says in `userData`. */
export function subscription(topics: string, userData = ''): Uint8Array {
  const bytes: number[] = [0, 1]
  const names = topics.split(',')
  bytes.push(0, 0, 0, names.length)
  for (const name of names) bytes.push(0, name.length, ...utf8(name))
  bytes.push(0, 0, 0, userData.length, ...utf8(userData), 0, 0, 0, 0)
  return Uint8Array.from(bytes)
}

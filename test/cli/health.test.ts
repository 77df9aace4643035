/** What `cluster health` finds, and what it says to do. */
import { describe, expect, it } from 'vitest'
import { judge } from '../../cli/health.ts'
import type { HealthFacts } from '../../cli/health.ts'
import { describeLoss } from '../../cli/topic-elect.ts'

const partition = {
  partition: 0,
  leader: 1 as number | null,
  leaderEpoch: 0,
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  eligibleLeaderReplicas: [] as number[],
  lastKnownEligibleLeaders: [] as number[],
  offlineReplicas: [] as number[],
}

const voter = (nodeId: number, lastFetchTimestamp: number | null) => ({
  ...{ nodeId, directoryId: null, logEndOffset: 10, lastFetchTimestamp },
  lastCaughtUpTimestamp: lastFetchTimestamp,
})

function facts(
  change: Partial<typeof partition> = {},
  { down = [] as number[], ...rest }: { down?: number[] } & Partial<HealthFacts> = {},
): HealthFacts {
  const broker = (id: number) => ({ id, host: 'h', port: id, rack: null, isFenced: down.includes(id) })
  return {
    cluster: { clusterId: 'c', controllerId: 1, brokers: [1, 2, 3].map(broker) },
    topics: [{ name: 't', topicId: null, isInternal: false, partitions: [{ ...partition, ...change }] }],
    minInsyncReplicas: new Map([['t', 2]]),
    quorum: {
      ...{ leaderId: 1, leaderEpoch: 1, highWatermark: 10, observers: [] },
      voters: [1, 2, 3].map((id) => voter(id, 50_000)),
    },
    reassignments: [],
    ...rest,
  }
}

const found = (given: HealthFacts) => {
  const { status, findings } = judge(given)
  return [status, ...findings.map(({ name }) => name)]
}

describe('judge()', () => {
  it('finds nothing where everything is in sync', () => {
    expect(found(facts())).toEqual(['healthy'])
  })

  it('calls a broker that is down, and the replicas it lacks, degraded, and says to start it', () => {
    const health = judge(facts({ isr: [1, 2], offlineReplicas: [3] }, { down: [3] }))
    expect(health.status).toBe('degraded')
    expect(health.findings.map(({ name }) => name)).toEqual(['under-replicated', 'broker-down'])
    expect(health.findings[0]).toMatchObject({
      message: 't-0 lacks in-sync replicas on broker 3',
      advice: expect.stringContaining('Start broker 3') as string,
      partitions: ['t-0'],
    })
    expect(health.findings[1]!.advice).toContain('millrace broker decommission 3')
  })

  it('tells a replica that lags from one that is down', () => {
    const [finding] = judge(facts({ isr: [1, 2] })).findings
    expect(finding!.advice).toContain('Wait for broker 3 to catch up')
  })

  it('calls partitions below min.insync.replicas unavailable', () => {
    expect(found(facts({ isr: [1], offlineReplicas: [2, 3] }))).toEqual(['unavailable', 'below-min-isr'])
  })

  it('names those who can lead a partition without a leader, and the last resort only where nobody can', () => {
    const eligible = judge(facts({ leader: null, isr: [], eligibleLeaderReplicas: [2, 3] }))
    expect(eligible.status).toBe('unavailable')
    expect(eligible.findings[0]!.advice).toBe(
      'Start brokers 2 or 3, which hold everything that was committed',
    )
    const [lost] = judge(facts({ leader: null, isr: [] })).findings
    expect(lost!.advice).toContain('millrace topic elect t --unclean')
  })

  it('does not take replicas for missing that a move is still making', () => {
    const reassignments = [{ topic: 't', partition: 0, replicas: [1, 2, 3, 4], adding: [4], removing: [3] }]
    expect(found(facts({ replicas: [1, 2, 3, 4] }, { reassignments }))).toEqual(['healthy'])
  })

  it('sees voters that are silent, by the clock of their leader, and a quorum without a leader', () => {
    const quorum = { ...facts().quorum!, voters: [voter(1, 50_000), voter(2, 49_000), voter(3, 40_000)] }
    const health = judge(facts({}, { quorum }))
    expect(health.findings).toMatchObject([
      {
        name: 'voter-silent',
        status: 'degraded',
        message: expect.stringContaining('2 of 3 voters') as string,
      },
    ])
    expect(found(facts({}, { quorum: null }))).toEqual(['unavailable', 'no-controller'])
  })
})

describe('describeLoss()', () => {
  it('says who would lead, and how to lose nothing', () => {
    const target = { ...partition, topic: 't', leader: null, isr: [2], offlineReplicas: [2, 3] }
    expect(describeLoss(target)).toBe(
      't-0: broker 1 would lead; every acknowledged record that it lacks is lost for good (start broker 2 instead, and nothing is lost)',
    )
    expect(describeLoss({ ...target, offlineReplicas: [1, 2, 3] })).toContain('nobody can lead')
  })
})

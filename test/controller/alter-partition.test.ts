/** AlterPartition: what a leader may change, and what it is told when it may not. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Controller } from '../../src/controller/controller.ts'
import {
  create,
  heartbeat,
  joinBroker,
  nameOf,
  partitionsOf,
  startController,
  stateOf,
  topicRequest,
} from './support.ts'

let controller: Controller
const partition = () => partitionsOf(controller.image, 't')[0]!
const epochOf = (id: number) => controller.image.brokers.get(id)!.epoch

beforeEach(async () => {
  controller = (await startController({ brokerCount: 4 })).controller
  await create(controller, [
    topicRequest('t', {
      assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
      configs: { 'min.insync.replicas': '2' },
    }),
  ])
})

interface Wish {
  readonly from?: number
  readonly fromEpoch?: number
  readonly topicId?: string
  readonly index?: number
  readonly leaderEpoch?: number
  readonly partitionEpoch?: number
  readonly recovery?: number
  readonly epochs?: Readonly<Record<number, number>>
}

/** @returns The error's name or `NONE`, of the request or of its one partition. */
async function alter(isr: readonly number[], wish: Wish = {}): Promise<string> {
  const { leader, leaderEpoch, partitionEpoch } = partition()
  const from = wish.from ?? leader ?? 1
  const response = await controller.alterPartition({
    brokerId: from,
    brokerEpoch: wish.fromEpoch ?? epochOf(from),
    topics: [
      {
        topicId: wish.topicId ?? controller.image.topicsByName.get('t')!.id,
        partitions: [
          {
            partitionIndex: wish.index ?? 0,
            leaderEpoch: wish.leaderEpoch ?? leaderEpoch,
            partitionEpoch: wish.partitionEpoch ?? partitionEpoch,
            leaderRecoveryState: wish.recovery ?? 0,
            newIsrWithEpochs: isr.map((brokerId) => ({
              brokerId,
              brokerEpoch: wish.epochs?.[brokerId] ?? controller.image.brokers.get(brokerId)?.epoch ?? -1,
            })),
          },
        ],
      },
    ],
  })
  if (response.errorCode !== 0) return nameOf(response.errorCode)
  return nameOf(response.topics[0]!.partitions[0]!.errorCode)
}

describe('AlterPartition', () => {
  it('takes members out and in; the partition epoch rises, the leader epoch stays', async () => {
    expect(await alter([1, 2])).toBe('NONE')
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1,2')
    expect(partition().partitionEpoch).toBe(1)
    expect(await alter([1, 2, 3])).toBe('NONE')
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1,2,3')
  })

  it('RP-11: who leaves a set that is too small afterwards stays eligible, until it is large enough', async () => {
    await alter([1, 2])
    await alter([1])
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1 elr 2')
    await alter([1, 3])
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1,3')
  })

  it('RP-11: an eligible replica leads when the last one in sync is gone, and that is no unclean election', async () => {
    await alter([1, 2])
    await alter([1])
    await heartbeat(controller, 1, epochOf(1), { wantsFence: true })
    expect(stateOf(controller.image, 't')).toBe('2@1 isr 2 elr 1')
  })

  it('R2: a lower min.insync.replicas ends eligibility in the same change', async () => {
    await alter([1])
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1 elr 2,3')
    await controller.incrementalAlterConfigs({
      resources: [
        {
          resourceType: 2,
          resourceName: 't',
          configs: [{ name: 'min.insync.replicas', configOperation: 0, value: '1' }],
        },
      ],
      validateOnly: false,
    })
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1')
  })

  it('a request whose answer was lost can be sent again', async () => {
    const { partitionEpoch } = partition()
    await alter([1, 2])
    const before = controller.image
    expect(await alter([2, 1], { partitionEpoch })).toBe('NONE')
    expect(controller.image).toBe(before)
    expect(await alter([1], { partitionEpoch })).toBe('INVALID_UPDATE_VERSION')
  })

  it('R6: a leader of an earlier epoch changes nothing', async () => {
    const { leaderEpoch } = partition()
    await heartbeat(controller, 1, epochOf(1), { wantsFence: true })
    expect(await alter([1], { from: 1, leaderEpoch })).toBe('FENCED_LEADER_EPOCH')
    expect(stateOf(controller.image, 't')).toBe('2@1 isr 2,3')
  })

  it('RP-9: a member counts only in the incarnation that caught up', async () => {
    const old = epochOf(3)
    await joinBroker(controller, 3, 'J')
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1,2')
    expect(await alter([1, 2, 3], { epochs: { 3: old } })).toBe('INELIGIBLE_REPLICA')
    expect(await alter([1, 2, 3], { epochs: { 3: -1 } })).toBe('INELIGIBLE_REPLICA')
    expect(await alter([1, 2, 3])).toBe('NONE')
  })

  it('RP-8: who is fenced, or about to stop, does not come in', async () => {
    await heartbeat(controller, 3, epochOf(3), { wantsFence: true })
    expect(await alter([1, 2, 3])).toBe('INELIGIBLE_REPLICA')
    await heartbeat(controller, 3, epochOf(3))
    await heartbeat(controller, 2, epochOf(2), { wantsShutdown: true })
    expect(await alter([1, 2])).toBe('INELIGIBLE_REPLICA')
    expect(await alter([1, 3])).toBe('NONE')
  })

  it('a leader about to stop takes others in, and so gets rid of its leadership', async () => {
    await alter([1])
    await create(controller, [topicRequest('u', { assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }] })])
    await heartbeat(controller, 1, epochOf(1), { wantsShutdown: true })
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1 elr 2,3')
    expect(await alter([1, 2])).toBe('NEW_LEADER_ELECTED')
    expect(stateOf(controller.image, 't')).toBe('2@1 isr 1,2')
    await heartbeat(controller, 1, epochOf(1), { wantsShutdown: true })
    expect(stateOf(controller.image, 't')).toBe('2@1 isr 2 elr 1')
  })

  it('a leader that is recovering stays alone until it says that it has recovered', async () => {
    for (const id of [3, 2, 1]) await joinBroker(controller, id, 'J', { staysFenced: true })
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  last 1')
    for (const id of [2, 1]) await heartbeat(controller, id, epochOf(id))
    expect(stateOf(controller.image, 't')).toBe('1@2 isr 1 recovering')
    expect(await alter([1, 2], { recovery: 1 })).toBe('INVALID_REQUEST')
    expect(await alter([1], { recovery: 1 })).toBe('NONE')
    expect(stateOf(controller.image, 't')).toBe('1@2 isr 1 recovering')
    expect(await alter([1])).toBe('NONE')
    expect(stateOf(controller.image, 't')).toBe('1@2 isr 1')
    expect(await alter([1], { recovery: 1 })).toBe('INVALID_REQUEST')
  })

  it.each<[string, readonly number[], () => Wish, string]>([
    ['a stale incarnation', [1, 2], () => ({ fromEpoch: epochOf(1) - 1 }), 'STALE_BROKER_EPOCH'],
    ['one that does not lead', [2, 3], () => ({ from: 2 }), 'INVALID_REQUEST'],
    ['a set without the leader', [2, 3], () => ({}), 'INVALID_REQUEST'],
    ['an empty set', [], () => ({}), 'INVALID_REQUEST'],
    ['a member named twice', [1, 1], () => ({}), 'INVALID_REQUEST'],
    ['a broker that has no replica', [1, 4], () => ({}), 'INVALID_REQUEST'],
    ['an unknown recovery state', [1, 2], () => ({ recovery: 2 }), 'INVALID_REQUEST'],
    ['a topic that is not there', [1], () => ({ topicId: 'X'.padEnd(22, 'A') }), 'UNKNOWN_TOPIC_ID'],
    ['a partition that is not there', [1], () => ({ index: 7 }), 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['one that has seen a later leader', [1], () => ({ leaderEpoch: 9 }), 'NOT_CONTROLLER'],
    ['one that has seen a later state', [1], () => ({ partitionEpoch: 9 }), 'NOT_CONTROLLER'],
  ])('refuses %s and changes nothing', async (_what, isr, wish, error) => {
    const before = controller.image
    expect(await alter(isr, wish())).toBe(error)
    expect(controller.image).toBe(before)
  })
})

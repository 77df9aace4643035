/** Replicas whose logs cannot be used: others lead, and the cluster counts on others (docs/faults.md ST-2, ST-7, R2, R15). */
import { describe, expect, it } from 'vitest'
import type { Controller } from '../../src/controller/controller.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import {
  create,
  heartbeat,
  joinBroker,
  partitionsOf,
  startController,
  stateOf,
  topicRequest,
} from './support.ts'

const TOPIC = 't'

async function start(
  replicas: readonly number[],
  configs: Record<string, string> = {},
): Promise<{ controller: Controller; epochs: Map<number, number> }> {
  const { controller } = await startController({ brokerCount: 0 })
  const epochs = new Map<number, number>()
  for (const id of [1, 2, 3]) epochs.set(id, await joinBroker(controller, id))
  const assignments = [{ partitionIndex: 0, brokerIds: [...replicas] }]
  expect(await create(controller, [topicRequest(TOPIC, { assignments, configs })])).toEqual({
    [TOPIC]: 'NONE',
  })
  return { controller, epochs }
}

function resign(controller: Controller, brokerId: number, brokerEpoch: number, leaderEpoch?: number) {
  const topicId = controller.image.topicsByName.get(TOPIC)!.id
  const epoch = leaderEpoch ?? partitionsOf(controller.image, TOPIC)[0]!.leaderEpoch
  const partitions = [{ topicId, partitionId: 0, leaderEpoch: epoch }]
  return controller.resignReplicas({ brokerId, brokerEpoch, partitions })
}

describe('A replica that its broker cannot use', () => {
  it('is led by another in-sync one in a new epoch, and is in neither set', async () => {
    const { controller, epochs } = await start([1, 2, 3], { 'min.insync.replicas': '3' })
    expect(await resign(controller, 1, epochs.get(1)!)).toMatchObject({ error: 'NONE' })
    expect(stateOf(controller.image, TOPIC)).toBe('2@1 isr 2,3')
  })

  it('RP-10: leaves the set of another leader, whose epoch ends: what it was told of the old log says nothing of the next', async () => {
    const { controller, epochs } = await start([1, 2, 3])
    await resign(controller, 3, epochs.get(3)!)
    expect(stateOf(controller.image, TOPIC)).toBe('1@1 isr 1,2')
    const { partitionEpoch, leaderEpoch } = partitionsOf(controller.image, TOPIC)[0]!
    const late = await controller.alterPartition({
      ...{ brokerId: 1, brokerEpoch: epochs.get(1)! },
      topics: [
        {
          topicId: controller.image.topicsByName.get(TOPIC)!.id,
          partitions: [
            {
              ...{ partitionIndex: 0, leaderEpoch: leaderEpoch - 1, partitionEpoch, leaderRecoveryState: 0 },
              newIsrWithEpochs: [1, 2, 3].map((id) => ({ brokerId: id, brokerEpoch: epochs.get(id)! })),
            },
          ],
        },
      ],
    })
    expect(errorByCode(late.topics[0]!.partitions[0]!.errorCode).name).toBe('FENCED_LEADER_EPOCH')
    expect(stateOf(controller.image, TOPIC)).toBe('1@1 isr 1,2')
  })

  it('RP-10: begins an epoch also where nobody counted on it, since the leader may be about to', async () => {
    const { controller, epochs } = await start([1, 2, 3])
    await resign(controller, 3, epochs.get(3)!)
    await resign(controller, 3, epochs.get(3)!)
    expect(stateOf(controller.image, TOPIC)).toBe('1@2 isr 1,2')
    await resign(controller, 3, epochs.get(3)!, 1)
    expect(stateOf(controller.image, TOPIC), 'but not twice for one epoch').toBe('1@2 isr 1,2')
  })

  it('R15: gives way to an eligible one when nobody else is in sync, and that is no unclean election', async () => {
    const { controller, epochs } = await start([1, 2], { 'min.insync.replicas': '2' })
    await heartbeat(controller, 2, epochs.get(2)!, { wantsFence: true })
    expect(stateOf(controller.image, TOPIC)).toBe('1@0 isr 1 elr 2')
    await resign(controller, 1, epochs.get(1)!)
    expect(stateOf(controller.image, TOPIC), 'the other one is not let in').toBe('1@0 isr 1 elr 2')
    await heartbeat(controller, 2, epochs.get(2)!)
    await resign(controller, 1, epochs.get(1)!)
    expect(stateOf(controller.image, TOPIC)).toBe('2@1 isr 2')
  })

  it('R2: stays what it is when it is the last that has everything', async () => {
    const { controller, epochs } = await start([1, 2])
    await heartbeat(controller, 2, epochs.get(2)!, { wantsFence: true })
    await heartbeat(controller, 2, epochs.get(2)!)
    expect(stateOf(controller.image, TOPIC)).toBe('1@0 isr 1')
    const { endOffset } = controller.image
    expect(await resign(controller, 1, epochs.get(1)!)).toMatchObject({ error: 'NONE' })
    expect(stateOf(controller.image, TOPIC)).toBe('1@0 isr 1')
    expect(controller.image.endOffset, 'and nothing is written, however often it asks').toBe(endOffset)
  })

  it('R15: the last one gives way to one that lacks something only where the topic allows it, and that is marked', async () => {
    const { controller, epochs } = await start([1, 2], { 'unclean.leader.election.enable': 'true' })
    await heartbeat(controller, 2, epochs.get(2)!, { wantsFence: true })
    await heartbeat(controller, 2, epochs.get(2)!)
    await resign(controller, 1, epochs.get(1)!)
    expect(stateOf(controller.image, TOPIC)).toBe('2@1 isr 2 recovering')
  })

  it('R6: is given up by the registered incarnation, in the present epoch, or not at all', async () => {
    const { controller, epochs } = await start([1, 2, 3])
    expect(await resign(controller, 1, epochs.get(1)! - 1)).toMatchObject({ error: 'STALE_BROKER_EPOCH' })
    expect(await resign(controller, 1, epochs.get(1)!, 7)).toMatchObject({ error: 'NONE' })
    expect(stateOf(controller.image, TOPIC)).toBe('1@0 isr 1,2,3')
  })
})

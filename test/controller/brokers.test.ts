/** Registration, heartbeats, fencing, and what they do to leaderships. */
import { describe, expect, it } from 'vitest'
import { PARTITIONS_TOTAL_MAX } from '../../src/metadata/limits.ts'
import { encodeMetadataRecord } from '../../src/metadata/records.ts'
import { METADATA_BATCH_BYTES_MAX } from '../../src/raft/metadata-quorum.ts'
import { BROKER_SESSION_MS } from '../../src/controller/broker-sessions.ts'
import { create, heartbeat, joinBroker, partitionsOf, startController, topicRequest } from './support.ts'

const summary = (partitions: ReturnType<typeof partitionsOf>) =>
  partitions.map(({ leader, leaderEpoch, isr }) => `${leader ?? 'none'}@${leaderEpoch} isr ${isr.join()}`)

describe('brokers', () => {
  it('a broker’s epoch is the offset of its registration', async () => {
    const { controller } = await startController({ brokerCount: 0 })
    const offset = controller.image.endOffset
    expect(await joinBroker(controller, 1)).toBe(offset)
    expect(controller.image.brokers.get(1)).toMatchObject({ epoch: offset, isFenced: false })
  })

  it('a broker stays fenced until it has seen its own registration', async () => {
    const { controller } = await startController({ brokerCount: 0 })
    const offset = controller.image.endOffset
    const { brokerEpoch } = await controller.registerBroker({
      brokerId: 1,
      incarnationId: 'IAAAAAAAAAAAAAAAAAAAAA',
      listeners: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
      rack: null,
      logDirs: [],
    })
    const beat = (metadataEndOffset: number) =>
      controller.heartbeat({
        brokerId: 1,
        brokerEpoch,
        metadataEndOffset,
        wantsFence: false,
        wantsShutdown: false,
      })
    expect(await beat(offset)).toMatchObject({ isCaughtUp: false, isFenced: true })
    expect(await beat(offset + 1)).toMatchObject({ isCaughtUp: true, isFenced: false })
    const end = controller.image.endOffset
    await beat(end)
    expect(controller.image.endOffset).toBe(end)
  })

  it('M9, R6: a new incarnation gets every leadership with a new epoch, and its predecessor is refused', async () => {
    const { controller, clock } = await startController()
    await create(controller, [topicRequest('t', { numPartitions: 2 })])
    const oldEpoch = controller.image.brokers.get(1)!.epoch
    clock.advance(BROKER_SESSION_MS)

    const newEpoch = await joinBroker(controller, 1, 'J')

    expect(newEpoch).toBeGreaterThan(oldEpoch)
    expect(summary(partitionsOf(controller.image, 't'))).toEqual(['1@2 isr 1', '1@2 isr 1'])
    expect((await heartbeat(controller, 1, oldEpoch)).error).toBe('STALE_BROKER_EPOCH')
  })

  it('MQ-12: a second process with the id of a live broker is refused; the same process may ask again', async () => {
    const { controller } = await startController()
    const epoch = controller.image.brokers.get(1)!.epoch
    await expect(joinBroker(controller, 1, 'J')).rejects.toThrow('DUPLICATE_BROKER_REGISTRATION')
    expect(await joinBroker(controller, 1, 'I')).toBe(epoch)
  })

  it('R15: when a leader goes, another in-sync replica leads; the last one stays in the in-sync set', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    await create(controller, [topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }] })])
    const epochs = [1, 2].map((id) => controller.image.brokers.get(id)!.epoch)

    await heartbeat(controller, 1, epochs[0]!, { wantsShutdown: true })
    expect(summary(partitionsOf(controller.image, 't'))).toEqual(['2@1 isr 2'])
    await heartbeat(controller, 2, epochs[1]!, { wantsFence: true })
    expect(summary(partitionsOf(controller.image, 't'))).toEqual(['none@2 isr 2'])
    await heartbeat(controller, 1, epochs[0]!)
    expect(summary(partitionsOf(controller.image, 't'))).toEqual(['none@2 isr 2'])
    await heartbeat(controller, 2, epochs[1]!)
    expect(summary(partitionsOf(controller.image, 't'))).toEqual(['2@3 isr 2'])
  })

  it('R15: an election is unclean only where the topic allows it, and is marked', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }]
    await create(controller, [
      topicRequest('strict', { assignments }),
      topicRequest('loose', { assignments, configs: { 'unclean.leader.election.enable': 'true' } }),
    ])
    const epochs = [1, 2].map((id) => controller.image.brokers.get(id)!.epoch)
    await heartbeat(controller, 1, epochs[0]!, { wantsFence: true })
    await heartbeat(controller, 2, epochs[1]!, { wantsFence: true })
    await heartbeat(controller, 1, epochs[0]!)
    expect(summary(partitionsOf(controller.image, 'strict'))).toEqual(['none@2 isr 2'])
    expect(summary(partitionsOf(controller.image, 'loose'))).toEqual(['1@3 isr 1'])
    expect(partitionsOf(controller.image, 'loose')[0]!.isRecovering).toBe(true)
  })

  it('fences other brokers that fall silent, after a whole session time and not before', async () => {
    const { controller, clock } = await startController({ brokerCount: 3 })
    clock.advance(BROKER_SESSION_MS - 1)
    await controller.fenceSilentBrokers()
    expect([...controller.image.brokers.values()].map(({ isFenced }) => isFenced)).toEqual([
      false,
      false,
      false,
    ])
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch)
    clock.advance(1)
    await controller.fenceSilentBrokers()
    expect([...controller.image.brokers.values()].map(({ isFenced }) => isFenced)).toEqual([
      false,
      false,
      true,
    ])
  })

  it('a leader gets a new epoch when it asks for one, once, and nobody else does', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    await create(controller, [topicRequest('t', { numPartitions: 2, replicationFactor: 2 })])
    const partitions = () => controller.image.topicsByName.get('t')!.partitions
    const { id } = controller.image.topicsByName.get('t')!
    const before = partitions()
    const leader = before[0]!.leader!
    const renew = (brokerId: number, brokerEpoch = controller.image.brokers.get(brokerId)!.epoch) =>
      controller.renewLeaderEpochs({
        brokerId,
        brokerEpoch,
        partitions: [{ topicId: id, partitionId: 0, leaderEpoch: before[0]!.leaderEpoch }],
      })
    expect((await renew(3 - leader)).error).toBe('NONE')
    expect((await renew(leader, 999)).error).toBe('STALE_BROKER_EPOCH')
    expect(partitions()).toEqual(before)
    expect((await renew(leader)).error).toBe('NONE')
    expect((await renew(leader)).error).toBe('NONE')
    expect(partitions()[0]).toMatchObject({ leader, leaderEpoch: before[0]!.leaderEpoch + 1 })
    expect(partitions()[1]).toEqual(before[1])
  })

  it('a broker that is gone can be removed, one that is alive cannot', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    expect((await controller.unregisterBroker(2)).error).toBe('INVALID_REQUEST')
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch, { wantsShutdown: true })
    expect((await controller.unregisterBroker(2)).error).toBe('NONE')
    expect((await controller.unregisterBroker(2)).error).toBe('BROKER_ID_NOT_REGISTERED')
    expect([...controller.image.brokers.keys()]).toEqual([1])
  })

  it('MQ-11: the largest change, fencing a broker with a replica of every partition there may be, fits one batch', () => {
    const isr = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    const change = {
      kind: 'partitionChange',
      topicId: 'T'.padEnd(22, 'A'),
      partitionId: 0,
      leader: 1,
      isr,
    } as const
    const framingBytes = 16 // length, attributes, timestamp and offset deltas, key, value length, headers
    expect((encodeMetadataRecord(change).length + framingBytes) * PARTITIONS_TOTAL_MAX).toBeLessThan(
      METADATA_BATCH_BYTES_MAX,
    )
  })

  it.each([
    ['a negative id', { brokerId: -1 }],
    ['no incarnation', { incarnationId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    ['no listener', { listeners: [] }],
    ['a listener without a port', { listeners: [{ name: 'A', host: 'h', port: 0, securityProtocol: 0 }] }],
    [
      'a host of a megabyte',
      { listeners: [{ name: 'A', host: 'h'.repeat(1 << 20), port: 1, securityProtocol: 0 }] },
    ],
  ])('refuses a registration with %s', async (_what, change) => {
    const { controller } = await startController({ brokerCount: 0 })
    const before = controller.image
    const request = {
      brokerId: 1,
      incarnationId: 'IAAAAAAAAAAAAAAAAAAAAA',
      listeners: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
      rack: null,
      logDirs: [],
    }
    expect((await controller.registerBroker({ ...request, ...change })).error).toBe('INVALID_REGISTRATION')
    expect(controller.image).toBe(before)
  })
})

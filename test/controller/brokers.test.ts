/** Registration, heartbeats, fencing, and what they do to leaderships. */
import { describe, expect, it } from 'vitest'
import { PARTITIONS_TOTAL_MAX, REPLICAS_PER_PARTITION_MAX } from '../../src/metadata/limits.ts'
import { encodeMetadataRecord } from '../../src/metadata/records.ts'
import { METADATA_BATCH_BYTES_MAX } from '../../src/raft/metadata-quorum.ts'
import {
  create,
  heartbeat,
  joinBroker,
  partitionsOf,
  settle,
  startController,
  stateOf,
  topicRequest,
} from './support.ts'

const BROKER_SESSION_MS = 9000

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
    await expect(joinBroker(controller, 1, 'J', { disk: 'E' })).rejects.toThrow(
      'DUPLICATE_BROKER_REGISTRATION',
    )
    expect(await joinBroker(controller, 1, 'I')).toBe(epoch)
  })

  it('a process on the same disk replaces the one before at once: only one can hold the lock', async () => {
    const { controller } = await startController()
    const epoch = controller.image.brokers.get(1)!.epoch
    expect(await joinBroker(controller, 1, 'J')).toBeGreaterThan(epoch)
  })

  it('R15: when a leader goes, another in-sync replica leads; the last one stays eligible', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    await create(controller, [topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }] })])
    const epochs = [1, 2].map((id) => controller.image.brokers.get(id)!.epoch)

    await heartbeat(controller, 1, epochs[0]!, { wantsFence: true })
    expect(stateOf(controller.image, 't')).toBe('2@1 isr 2')
    await heartbeat(controller, 2, epochs[1]!, { wantsFence: true })
    expect(stateOf(controller.image, 't')).toBe('none@2 isr  elr 2 last 2')
    await heartbeat(controller, 1, epochs[0]!)
    expect(stateOf(controller.image, 't')).toBe('none@2 isr  elr 2 last 2')
    await heartbeat(controller, 2, epochs[1]!)
    expect(stateOf(controller.image, 't')).toBe('2@3 isr 2')
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
    expect(stateOf(controller.image, 'strict')).toBe('none@2 isr  elr 2 last 2')
    // Who was eligible before is no more: its log may differ from what the new leader has now.
    expect(stateOf(controller.image, 'loose')).toBe('1@3 isr 1 recovering')
  })

  it('RP-11, RP-12: who comes back without a clean stop is in no set; the last leader leads, and is marked', async () => {
    const { controller } = await startController({ brokerCount: 3 })
    await create(controller, [
      topicRequest('t', {
        assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
        configs: { 'min.insync.replicas': '2' },
      }),
    ])
    // All lose power at once and come back in the reverse order.
    await joinBroker(controller, 3, 'J')
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1,2')
    await joinBroker(controller, 2, 'J')
    expect(stateOf(controller.image, 't')).toBe('1@0 isr 1')
    await joinBroker(controller, 1, 'J', { staysFenced: true })
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  last 1')
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch)
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  last 1')
    await heartbeat(controller, 1, controller.image.brokers.get(1)!.epoch)
    expect(stateOf(controller.image, 't')).toBe('1@2 isr 1 recovering')
  })

  it('a clean stop is proved by the epoch of the last incarnation on the same disk, and by nothing else', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    const { epoch } = controller.image.brokers.get(1)!
    await create(controller, [topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [1] }] })])
    const back = (name: string, previousBrokerEpoch: number, disk = 'D') =>
      joinBroker(controller, 1, name, { previousBrokerEpoch, disk, staysFenced: true })
    await heartbeat(controller, 1, epoch, { wantsFence: true })
    const second = await back('J', epoch)
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  elr 1 last 1')
    const third = await back('K', second)
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  elr 1 last 1')
    await back('L', third - 1)
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  last 1')
  })

  it('another disk proves no clean stop, whatever it says', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    const { epoch } = controller.image.brokers.get(1)!
    await create(controller, [topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [1] }] })])
    await heartbeat(controller, 1, epoch, { wantsFence: true })
    await joinBroker(controller, 1, 'J', { previousBrokerEpoch: epoch, disk: 'E', staysFenced: true })
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  last 1')
  })

  it('fences brokers that fall silent, after a whole session time and not before; not the one in its own process', async () => {
    const { controller, clock } = await startController({ brokerCount: 3 })
    const fenced = () => [...controller.image.brokers.values()].map(({ isFenced }) => isFenced)
    await clock.pass(BROKER_SESSION_MS - 1)
    expect(fenced()).toEqual([false, false, false])
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch)
    await clock.pass(600)
    expect(fenced()).toEqual([false, false, true])
  })

  it.each([
    ['that puts none of the metadata into effect that it lacks leads nothing that others could', 0, 3],
    ['that is slow leads on', 1, 2],
  ])('ST-8: a broker that beats, and %s', async (_what, stepOffsets, leaderAfter) => {
    const { controller, clock } = await startController({ brokerCount: 3 })
    const on = (...brokerIds: number[]) => ({ assignments: [{ partitionIndex: 0, brokerIds }] })
    await create(controller, [topicRequest('shared', on(2, 3)), topicRequest('own', on(2))])
    let knownEndOffset = controller.image.endOffset
    for (let count = 0; count < 12; count++)
      await create(controller, [topicRequest(`later-${count}`, { replicationFactor: 1 })])
    const leaders = () =>
      ['shared', 'own'].map((name) => controller.image.topicsByName.get(name)!.partitions[0]!.leader)
    const epochOf = (id: number) => controller.image.brokers.get(id)!.epoch
    for (let passedMs = 0; passedMs < BROKER_SESSION_MS + 2000; passedMs += 1000) {
      if (passedMs < BROKER_SESSION_MS) expect(leaders()).toEqual([2, 2])
      await heartbeat(controller, 2, epochOf(2), { metadataEndOffset: knownEndOffset })
      await heartbeat(controller, 3, epochOf(3))
      knownEndOffset += stepOffsets
      await clock.pass(1000)
    }
    expect(leaders()).toEqual([leaderAfter, 2])
    expect(controller.image.brokers.get(2)!.isFenced).toBe(false)
    expect(controller.image.topicsByName.get('shared')!.partitions[0]!.isr).toEqual([2, 3])
  })

  it('ND-1: a controller that stood still itself gives brokers the time to be heard', async () => {
    const { controller, clock } = await startController({ brokerCount: 3 })
    clock.advance(60_000)
    await settle()
    await clock.pass(5000)
    expect([...controller.image.brokers.values()].some(({ isFenced }) => isFenced)).toBe(false)
    await clock.pass(5000)
    expect(controller.image.brokers.get(3)!.isFenced).toBe(true)
  })

  it('leaving: others lead first, and all who live know it before the broker may go', async () => {
    const { controller } = await startController({ brokerCount: 3 })
    await create(controller, [
      topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [2, 1, 3] }] }),
      topicRequest('alone', { assignments: [{ partitionIndex: 0, brokerIds: [2] }] }),
    ])
    const epochOf = (id: number) => controller.image.brokers.get(id)!.epoch
    const beat = (id: number, wantsShutdown = false, metadataEndOffset = controller.image.endOffset) =>
      controller.heartbeat({
        brokerId: id,
        brokerEpoch: epochOf(id),
        metadataEndOffset,
        wantsFence: false,
        wantsShutdown,
      })
    const before = controller.image.endOffset

    expect(await beat(2, true)).toMatchObject({ isFenced: false, mayShutDown: false })
    expect(stateOf(controller.image, 't')).toBe('1@1 isr 1,3')
    expect(stateOf(controller.image, 'alone')).toBe('2@0 isr 2') // nobody else can: it leads to the end
    expect(await beat(2, true)).toMatchObject({ mayShutDown: false })
    await beat(3, false, before)
    expect(await beat(2, true)).toMatchObject({ mayShutDown: false })
    await beat(3)
    expect(await beat(2, true)).toMatchObject({ isFenced: true, mayShutDown: true })
    expect(stateOf(controller.image, 'alone')).toBe('none@1 isr  elr 2 last 2')
    // A heartbeat that was under way does not let it in again.
    expect(await beat(2)).toMatchObject({ isFenced: true })
    expect(controller.image.brokers.get(2)!.isFenced).toBe(true)
  })

  it('MQ-12: a heartbeat of an earlier incarnation is no sign of life', async () => {
    const { controller, clock } = await startController({ brokerCount: 2 })
    const old = controller.image.brokers.get(2)!.epoch
    await joinBroker(controller, 2, 'J')
    for (let round = 0; round < 10; round++) {
      await clock.pass(1000)
      await heartbeat(controller, 2, old, { wantsShutdown: round % 2 === 0 })
    }
    expect(controller.image.brokers.get(2)!.isFenced).toBe(true)
  })

  it('knows when all live brokers have put a change into effect', async () => {
    const { controller, clock } = await startController({ brokerCount: 3 })
    await create(controller, [topicRequest('t')])
    const { endOffset } = controller.image
    const outcomes: boolean[] = []
    void controller.whenKnownToLiveBrokers(endOffset, 20_000).then((isKnown) => outcomes.push(isKnown))
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch)
    await settle()
    expect(outcomes).toEqual([])
    // The third says nothing any more: it counts until it is fenced.
    for (let round = 0; round < 5; round++) {
      await clock.pass(2000)
      await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch)
    }
    expect(controller.image.brokers.get(3)!.isFenced).toBe(true)
    expect(outcomes).toEqual([true])
    const late = controller.whenKnownToLiveBrokers(endOffset + 100, 500)
    await clock.pass(600)
    expect(await late).toBe(false)
  })

  it.each([
    ['another in-sync replica leads then', 2],
    ['it leads on if there is no other', 1],
  ])(
    'a leader gets a new epoch when it asks for one, once, and nobody else does: %s',
    async (_what, factor) => {
      const { controller } = await startController({ brokerCount: 2 })
      await create(controller, [topicRequest('t', { numPartitions: 2, replicationFactor: factor })])
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
      const leaderEpoch = before[0]!.leaderEpoch + 1
      expect(partitions()[0]).toMatchObject({ leader: factor === 2 ? 3 - leader : leader, leaderEpoch })
      expect(partitions()[0]!.isr).toEqual(before[0]!.isr)
      expect(partitions()[1]).toEqual(before[1])
    },
  )

  it('a broker that is gone can be removed, one that is alive cannot', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    expect((await controller.unregisterBroker(2)).error).toBe('INVALID_REQUEST')
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch, { wantsShutdown: true })
    expect((await controller.unregisterBroker(2)).error).toBe('NONE')
    expect((await controller.unregisterBroker(2)).error).toBe('BROKER_ID_NOT_REGISTERED')
    expect([...controller.image.brokers.keys()]).toEqual([1])
  })

  it('a broker that does not understand the metadata of the cluster is not let in', async () => {
    const { controller } = await startController({ brokerCount: 0 })
    const register = (
      features: { name: string; minSupportedVersion: number; maxSupportedVersion: number }[],
    ) =>
      controller.registerBroker({
        brokerId: 1,
        incarnationId: 'IAAAAAAAAAAAAAAAAAAAAA',
        listeners: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
        rack: null,
        logDirs: [],
        features,
      })
    const range = (minSupportedVersion: number, maxSupportedVersion: number) => [
      { name: 'millrace.version', minSupportedVersion, maxSupportedVersion },
    ]
    expect(await register([])).toMatchObject({ error: 'UNSUPPORTED_VERSION' })
    expect((await register(range(2, 3))).errorMessage).toMatch(/at level 1, the broker understands 2 to 3/)
    expect((await register(range(1, 3))).error).toBe('NONE')
    expect(controller.image.brokers.get(1)!.features).toEqual([{ name: 'millrace.version', min: 1, max: 3 }])
  })

  it('a broker that holds replicas cannot be removed', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    await create(controller, [topicRequest('t', { replicationFactor: 2 })])
    await heartbeat(controller, 2, controller.image.brokers.get(2)!.epoch, { wantsFence: true })
    const { error, errorMessage } = await controller.unregisterBroker(2)
    expect([error, errorMessage]).toEqual([
      'INVALID_REQUEST',
      expect.stringContaining('replicas of 1 partitions'),
    ])
  })

  it('MQ-11: the largest change, fencing a broker with a replica of every partition there may be, fits one batch', () => {
    // In the middle of a move, and all but one are in sync.
    const isr = Array.from({ length: 2 * REPLICAS_PER_PARTITION_MAX - 1 }, (_, index) => index)
    const change = {
      kind: 'partitionChange',
      topicId: 'T'.padEnd(22, 'A'),
      partitionId: 0,
      leader: 1,
      isr,
      eligibleLeaderReplicas: [99],
      lastKnownElr: [99],
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

/** The driver: what is answered when, and what is left after an append that was undone. */
import { describe, expect, it } from 'vitest'
import { imageHash } from '../../src/metadata/snapshot.ts'
import { create, nameOf, settle, startController, topicRequest } from './support.ts'

describe('Controller', () => {
  it('answers a change only once it is committed, and readers do not see it before', async () => {
    const { controller, quorum } = await startController()
    quorum.commitsAtOnce = false
    let answer: Record<string, string> | null = null

    void create(controller, [topicRequest('t')]).then((result) => (answer = result))
    await settle()

    expect(answer).toBeNull()
    expect(controller.image.topicsByName.has('t')).toBe(false)
    quorum.commit()
    await settle()
    expect(answer).toEqual({ t: 'NONE' })
    expect(controller.image.topicsByName.has('t')).toBe(true)
  })

  it('decides on top of what is not committed yet, and does not tell of it before it is', async () => {
    const { controller, quorum } = await startController()
    quorum.commitsAtOnce = false
    const answers: string[] = []
    void create(controller, [topicRequest('t')]).then(({ t }) => answers.push(`first ${t}`))
    void create(controller, [topicRequest('t')]).then(({ t }) => answers.push(`second ${t}`))
    await settle()
    expect(answers).toEqual([])
    quorum.commit()
    await settle()
    expect(answers).toEqual(['first NONE', 'second TOPIC_ALREADY_EXISTS'])
  })

  it('ST-8: drops decisions whose append was undone, with those made on top of them, and goes on', async () => {
    const { controller, quorum } = await startController()
    const before = controller.image
    quorum.commitsAtOnce = false
    const first = create(controller, [topicRequest('t')])
    const second = controller.createPartitions({
      topics: [{ name: 't', count: 5, assignments: null }],
      timeoutMs: 1000,
      validateOnly: false,
    })
    quorum.rollBack()
    expect(await first).toEqual({ t: 'KAFKA_STORAGE_ERROR' })
    expect(nameOf((await second).results[0]!.errorCode)).toBe('KAFKA_STORAGE_ERROR')
    expect(controller.image).toBe(before)

    quorum.commitsAtOnce = true
    expect(await create(controller, [topicRequest('t')])).toEqual({ t: 'NONE' })
    expect(controller.image.topicsByName.get('t')?.partitions).toHaveLength(1)
  })

  it('D4: resigns when the quorum fails: what waits and what comes is refused, and the owner is told', async () => {
    const { controller, quorum } = await startController()
    let failures = 0
    controller.onFailed = () => failures++
    quorum.commitsAtOnce = false
    const waiting = create(controller, [topicRequest('t')])
    quorum.fail()
    expect(await waiting).toEqual({ t: 'REQUEST_TIMED_OUT' }) // nobody knows
    expect(await create(controller, [topicRequest('u')])).toEqual({ u: 'NOT_CONTROLLER' })
    expect(failures).toBe(1)
  })

  it('S2: answers by the deadline of the request even if the disk does not', async () => {
    const { controller, quorum, clock } = await startController()
    quorum.commitsAtOnce = false
    const waiting = controller.createTopics({
      topics: [topicRequest('t')],
      timeoutMs: 250,
      validateOnly: false,
    })
    clock.advance(250)
    expect(nameOf((await waiting).topics[0]!.errorCode)).toBe('REQUEST_TIMED_OUT')
    quorum.commit()
    await settle()
    expect(controller.image.topicsByName.has('t')).toBe(true)
    expect(clock.timerCount).toBe(1) // the next round of chores
  })

  it('hands followers everything once: first all there is, then each committed change', async () => {
    const { controller } = await startController()
    await create(controller, [topicRequest('a', { numPartitions: 2 })])
    const seen: string[] = []
    controller.follow((delta) => {
      seen.push(
        `${delta.before.endOffset}-${delta.after.endOffset} +${delta.createdTopics.map(({ name }) => name).join()} -${delta.deletedTopics.map(({ name }) => name).join()} ~${delta.changedTopics.map(({ after, partitions }) => `${after.name}:${partitions.join()}`).join()} c${delta.changedConfigs.map(({ type, name }) => `${type}${name}`).join()}`,
      )
    })
    await create(controller, [topicRequest('b', { configs: { 'retention.ms': '1' } })])
    await controller.createPartitions({
      topics: [{ name: 'a', count: 3, assignments: null }],
      timeoutMs: 1000,
      validateOnly: false,
    })
    await controller.deleteTopics({ topics: [], topicNames: ['b'], timeoutMs: 1000 })
    const end = controller.image.endOffset
    expect(seen).toEqual([
      `0-${end - 5} +a - ~ c4`,
      `${end - 5}-${end - 2} +b - ~ c2b`,
      `${end - 2}-${end - 1} + - ~a:2 c`,
      `${end - 1}-${end} + -b ~ c2b`,
    ])
  })

  it('MQ-10: the same commands and seed give the same image', async () => {
    const run = async () => {
      const { controller } = await startController({ brokerCount: 3, seed: 7 })
      await create(controller, [
        topicRequest('a', { numPartitions: 5, replicationFactor: 2 }),
        topicRequest('b'),
      ])
      return imageHash(controller.image)
    }
    expect(await run()).toBe(await run())
  })

  it('P4: gives out each block of producer ids once, also to a broker that asks with an old epoch', async () => {
    const { controller } = await startController()
    const { epoch } = controller.image.brokers.get(1)!
    const blocks = await Promise.all(
      [1, 2, 3].map(() => controller.allocateProducerIds({ brokerId: 1, brokerEpoch: epoch })),
    )
    expect(blocks.map(({ firstId, count }) => [firstId, count])).toEqual([
      [0, 1000],
      [1000, 1000],
      [2000, 1000],
    ])
    expect((await controller.allocateProducerIds({ brokerId: 1, brokerEpoch: epoch - 1 })).error).toBe(
      'STALE_BROKER_EPOCH',
    )
    expect((await controller.allocateProducerIds({ brokerId: 9, brokerEpoch: 0 })).error).toBe(
      'BROKER_ID_NOT_REGISTERED',
    )
    expect(controller.image.nextProducerId).toBe(3000)
  })

  it('raises features only to levels that are known, and never lowers one', async () => {
    const { controller } = await startController()
    expect(controller.image.features.get('millrace.version')).toBe(1)
    expect((await controller.updateFeature({ name: 'millrace.version', level: 1 })).error).toBe('NONE')
    expect((await controller.updateFeature({ name: 'millrace.version', level: 2 })).error).toBe(
      'FEATURE_UPDATE_FAILED',
    )
    expect((await controller.updateFeature({ name: 'millrace.version', level: 0 })).error).toBe(
      'FEATURE_UPDATE_FAILED',
    )
    expect((await controller.updateFeature({ name: '__proto__', level: 1 })).error).toBe(
      'FEATURE_UPDATE_FAILED',
    )
  })
})

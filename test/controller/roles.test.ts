/** When a controller decides, and what it forgets when it does no more. */
import { describe, expect, it } from 'vitest'
import {
  create,
  FakeQuorum,
  heartbeat,
  joinBroker,
  ManualClock,
  settle,
  startController,
  topicRequest,
} from './support.ts'

describe('Controller roles', () => {
  it('MQ-12: refuses everything while another node leads, and decides once this one does', async () => {
    const { controller, quorum } = await startController()
    const events: string[] = []
    controller.onActive = (epoch) => events.push(`active in ${epoch}`)
    controller.onInactive = () => events.push('inactive')
    quorum.loseLeadership()
    expect(controller.isActive).toBe(false)
    expect(await create(controller, [topicRequest('t')])).toEqual({ t: 'NOT_CONTROLLER' })
    const list = controller.listPartitionReassignments({ timeoutMs: 0, topics: null })
    expect(list.errorCode).not.toBe(0)
    await quorum.win()
    expect(await create(controller, [topicRequest('t')])).toEqual({ t: 'NONE' })
    expect(events).toEqual(['inactive', 'active in 2'])
  })

  it('MQ-4: what was pending when leadership was lost is built on no more, and its fate is told as unknown', async () => {
    const { controller, quorum } = await startController()
    quorum.commitsAtOnce = false
    const waiting = create(controller, [topicRequest('t')])
    quorum.loseLeadership()
    expect(await waiting).toEqual({ t: 'REQUEST_TIMED_OUT' })
    quorum.commitsAtOnce = true
    await quorum.win()
    expect(await create(controller, [topicRequest('t')])).toEqual({ t: 'NONE' })
  })

  it('decides nothing past records of the quorum itself, and says nothing of a full disk', async () => {
    const { controller, quorum } = await startController()
    quorum.addOwnEntry(false)
    let answer: Record<string, string> | null = null
    void create(controller, [topicRequest('t')]).then((result) => (answer = result))
    await settle()
    expect(answer).toBeNull()
    quorum.commitOwnEntry()
    await settle()
    expect(answer).toEqual({ t: 'NONE' })
  })

  it('S2: waits for those no longer than the request allows', async () => {
    const { controller, quorum, clock } = await startController()
    quorum.addOwnEntry(false)
    const waiting = controller.createTopics({
      topics: [topicRequest('t')],
      timeoutMs: 250,
      validateOnly: false,
    })
    await settle()
    clock.advance(250)
    expect((await waiting).topics[0]!.errorMessage).toMatch(/did not come to rest/)
  })

  it('gives everyone a whole session time anew when it becomes active', async () => {
    const { controller, quorum, clock } = await startController({ brokerCount: 3 })
    await clock.pass(8000)
    quorum.loseLeadership()
    await quorum.win()
    await clock.pass(8000)
    expect([...controller.image.brokers.values()].some(({ isFenced }) => isFenced)).toBe(false)
    await clock.pass(2000)
    // Its own broker, too: the one that is registered may be of an earlier process.
    expect([...controller.image.brokers.values()].every(({ isFenced }) => isFenced)).toBe(true)
  })

  it('counts the silence of the last controller’s broker from when it was heard, and leaves it half a session at least', async () => {
    for (const [silentMs, restMs] of [
      [1500, 7500],
      [8000, 4500],
    ] as const) {
      const { controller, quorum, clock } = await startController({ brokerCount: 3 })
      quorum.loseLeadership(3)
      quorum.lastLeader = { id: 3, heardMs: clock.monotonicMs() }
      await clock.pass(silentMs)
      await quorum.win()
      const isFenced = (id: number): boolean => controller.image.brokers.get(id)!.isFenced
      await clock.pass(restMs - 500)
      expect(isFenced(3)).toBe(false)
      await clock.pass(1500)
      expect([isFenced(3), isFenced(2)]).toEqual([true, false])
    }
  })

  it('MQ-12: after a change of controllers, too, a live broker’s id is not given to another disk', async () => {
    const { controller, quorum } = await startController({ brokerCount: 2 })
    quorum.loseLeadership()
    await quorum.win()
    await expect(joinBroker(controller, 2, 'J', { disk: 'E' })).rejects.toThrow(
      'DUPLICATE_BROKER_REGISTRATION',
    )
  })

  it('a new cluster is formatted once, by whoever is active first', async () => {
    const { controller, quorum } = await startController({ brokerCount: 0 })
    const { endOffset } = controller.image
    expect(endOffset).toBe(2)
    expect(controller.image.features.get('millrace.version')).toBe(1)
    quorum.loseLeadership()
    await quorum.win()
    await settle()
    expect(controller.image.endOffset).toBe(endOffset + 1) // the entry of the new epoch, and nothing else
  })

  it('a first controller without room for the first records writes them when there is room', async () => {
    const quorum = new FakeQuorum()
    quorum.commitsAtOnce = false
    const clock = new ManualClock()
    const { controller } = await startController({ brokerCount: 0, quorum, clock, waits: false })
    await settle()
    quorum.rollBack()
    await settle()
    expect(controller.image.features.size).toBe(0)
    quorum.commitsAtOnce = true
    await clock.pass(1000)
    expect(controller.image.features.get('millrace.version')).toBe(1)
  })

  it('stops its chores with its role', async () => {
    const { controller, quorum, clock } = await startController({ brokerCount: 2 })
    quorum.loseLeadership()
    expect(clock.timerCount).toBe(0)
    await quorum.win()
    expect(clock.timerCount).toBe(1)
    controller.stop()
    expect(clock.timerCount).toBe(0)
    expect((await heartbeat(controller, 1, 0)).error).toBe('NOT_CONTROLLER')
  })
})

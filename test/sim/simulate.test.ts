/** `simulate()` of `millrace/testing`, as its users meet it. */
import { describe, expect, it } from 'vitest'
import { simulate, WorldError } from '../../src/testing.ts'
import type { SimulateOptions, World } from '../../src/testing.ts'
import type { RealPorts } from '../../src/sim/virtual-time.ts'
import { World as InternalWorld } from '../../src/sim/world.ts'

const text = new TextDecoder()

async function begin(options: SimulateOptions = {}): Promise<World> {
  const world = await simulate({ seed: 1, ...options })
  await world.run(
    world
      .client('admin')
      .admin()
      .createTopics([{ name: 'orders', partitions: 1 }]),
  )
  return world
}

async function send(world: World, values: readonly string[]): Promise<void> {
  await world.run(async () => {
    await using client = world.client('producer')
    await using producer = client.producer()
    for (const value of values) await producer.send({ topic: 'orders', value })
  })
}

function readAll(world: World): Promise<string[]> {
  return world.run(async () => {
    await using client = world.client('reader')
    await using consumer = client.consumer({ topics: ['orders'], from: 'beginning', untilEnd: true })
    const values: string[] = []
    for await (const { value } of consumer) values.push(text.decode(value))
    return values
  })
}

/** A worker as applications write them. */
async function work(world: World, name: string, handled: string[]): Promise<void> {
  const { clock } = world.machine(name)
  const consumer = world
    .client(name)
    .consumer({ group: 'workers', topics: ['orders'], from: 'beginning', commit: 'manual' })
  for await (const { records } of consumer.batches()) {
    await clock.sleep(10)
    handled.push(...records.map(({ value }) => text.decode(value)))
    await consumer.commit()
  }
}

/** The same with a mistake: what it holds counts as handled before it is. */
async function workCarelessly(world: World, name: string, handled: string[]): Promise<void> {
  const { clock } = world.machine(name)
  const consumer = world
    .client(name)
    .consumer({ group: 'workers', topics: ['orders'], from: 'beginning', commit: 'manual' })
  for await (const { topic, partition, nextOffset, records } of consumer.batches()) {
    await consumer.commit([{ topic, partition, offset: nextOffset }])
    handled.push('begun')
    await clock.sleep(10)
    handled.push(...records.map(({ value }) => text.decode(value)))
  }
}

/** A real process whose clock stands until it is told to go on. */
class RealProcess implements RealPorts {
  readonly warnings: string[] = []
  #due: (() => void)[] = []
  readonly clock = {
    after: (_ms: number, task: () => void) => {
      this.#due.push(task)
      return () => void this.#due.splice(this.#due.indexOf(task), 1)
    },
  }
  readonly logger = { warn: (message: string) => void this.warnings.push(message) }

  get timers(): number {
    return this.#due.length
  }

  /** Some time passes, in which what is under way outside of virtual time has ended. */
  async pass(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const due = this.#due
    this.#due = []
    for (const task of due) task()
  }
}

describe('simulate()', () => {
  it('gives a cluster that serves, in which a minute takes no time', async () => {
    await using world = await begin()

    await send(world, ['a', 'b'])
    await world.clock.advance(60_000)

    expect(await readAll(world)).toEqual(['a', 'b'])
    expect(world.brokers.map(({ state }) => state)).toEqual(['up', 'up', 'up'])
    expect(world.isWhole).toBe(true)
    expect(world.clock.elapsedMs).toBeGreaterThan(60_000)
    expect(new Date(world.clock.now()).toISOString()).toMatch(/^2026-01-01T00:01/)
  })

  it('S7: does the same with the same seed, and something else with another', async () => {
    const lives = []
    for (const seed of [7, 7, 'another']) {
      const world = await begin({ seed })
      const handled: string[] = []
      void work(world, 'worker', handled)
      await send(world, ['a', 'b', 'c'])
      world.broker(world.leaderOf('orders')!).powerCut()
      await send(world, ['d'])
      await world.run(() => handled.length === 4)
      lives.push({ fingerprint: world.fingerprint, said: world.said, atMs: world.clock.elapsedMs })
      await world.close()
    }

    expect(lives[1]).toEqual(lives[0])
    expect(lives[2]!.fingerprint).not.toBe(lives[0]!.fingerprint)
  })

  it('does the same with codecs that load in real time', async () => {
    const prints = []
    for (const compression of ['zstd', 'zstd', 'gzip', 'gzip'] as const) {
      await using world = await begin()
      await world.run(async () => {
        const producer = world.client('producer').producer({ compression })
        await producer.send({ topic: 'orders', value: 'a'.repeat(1000) })
      })
      expect(await readAll(world)).toEqual(['a'.repeat(1000)])
      prints.push(world.fingerprint)
    }

    expect(prints[1]).toBe(prints[0])
    expect(prints[3]).toBe(prints[2])
  })

  it('takes settings, racks and the time of day', async () => {
    await using world = await simulate({
      ...{ brokers: 2, racks: ['a', 'b'], settings: { 'num.partitions': '3' } },
      startMs: Date.UTC(2030, 0, 1),
    })
    const client = world.client('admin')

    await world.run(client.admin().createTopics([{ name: 'orders' }]))
    const { brokers } = await world.run(client.admin().describeCluster())

    expect(brokers.map(({ rack }) => rack)).toEqual(['a', 'b'])
    expect(world.leaderOf('orders', 2)).not.toBeNull()
    expect(new Date(world.machine('admin').clock.now()).getUTCFullYear()).toBe(2030)
  })

  it.each<[SimulateOptions, string]>([
    [{ brokers: 0 }, 'Cannot simulate 0 brokers: wanted 1 to 9'],
    [{ brokers: 2.5 }, 'Cannot simulate 2.5 brokers: wanted 1 to 9'],
    [{ limitMs: -1 }, 'Cannot use limitMs: -1, wanted 1 or more'],
    [{ stallMs: NaN }, 'Cannot use stallMs: NaN, wanted 1 or more'],
    [{ settings: { 'no.such': '1' } }, 'no.such'],
  ])('refuses %j and says why', async (options, message) => {
    await expect(simulate(options)).rejects.toThrow(message)
  })
})

describe('world.run()', () => {
  it('takes a promise, a function that makes one, or a condition', async () => {
    await using world = await begin()
    const { clock } = world.machine('worker')
    const before = world.clock.elapsedMs
    let isDone = false
    clock.after(500, () => (isDone = true))

    expect(await world.run(clock.sleep(100).then(() => 'a'))).toBe('a')
    expect(await world.run(async () => 'b')).toBe('b')
    await world.run(() => isDone)

    expect(world.clock.elapsedMs - before).toBeCloseTo(500, 3)
  })

  it('fails as the promise does, the function or the condition', async () => {
    await using world = await begin()
    const error = new Error('mine')
    const fails = () => {
      throw error
    }

    await expect(world.run(Promise.reject(error))).rejects.toBe(error)
    await expect(world.run(fails)).rejects.toBe(error)
    let tests = 0
    await expect(world.run(() => tests++ > 3 && fails())).rejects.toBe(error)
  })

  it('fails with what a timer of the code under test throws', async () => {
    await using world = await begin()
    world.machine('worker').clock.after(5, () => {
      throw new Error('in the handler')
    })

    await expect(world.clock.advance(10)).rejects.toThrow('in the handler')
  })

  it('may be called inside of itself, and beside: whoever waits goes on at his own moment', async () => {
    await using world = await begin()
    const { clock } = world.machine('worker')
    const beganMs = world.clock.elapsedMs
    const atMs: Record<string, number> = {}
    const at = (name: string) => (atMs[name] = Math.round(world.clock.elapsedMs - beganMs))

    await Promise.all([
      world.run(clock.sleep(30)).then(() => at('beside')),
      world.run(async () => {
        await clock.sleep(10)
        at('inside')
        await world.clock.advance(50)
        at('advanced')
        await world.run(() => world.clock.elapsedMs - beganMs >= 100)
        at('condition')
      }),
    ])

    expect(atMs).toMatchObject({ inside: 10, beside: 30, advanced: 60 })
    expect(atMs['condition']).toBeGreaterThanOrEqual(100)
  })

  it('gives up in virtual time, and tells the state of the world and what to look for', async () => {
    await using world = await begin({ limitMs: 5000 })
    const beganMs = world.clock.elapsedMs
    world.broker(2).kill()

    const late = world.run(new Promise(() => undefined))

    await expect(late).rejects.toMatchObject({ name: 'WorldError', code: 'WORLD_TIMED_OUT' })
    const message = await late.catch((error: unknown) => (error as WorldError).message)
    expect(message).toMatch(/^Ran the world of seed 1: what was waited for did not come within 5000 ms/)
    expect(message).toMatch(/b1: up .*\nb2: down .*\n/)
    expect(message).toMatch(/orders-0: leader \d in \d+, isr/)
    expect(world.clock.elapsedMs - beganMs).toBe(5000)
    await expect(world.run(() => false, { limitMs: 10 })).rejects.toThrow('within 10 ms')
  })
})

describe('a machine of the code under test', () => {
  it('F-KILL: dies between handling and commit; the next one handles the batch again', async () => {
    await using world = await begin()
    await send(world, ['a', 'b'])
    const handled: string[] = []
    void work(world, 'first', handled)
    await world.run(() => handled.length === 2)

    world.machine('first').kill()
    void work(world, 'second', handled)
    await world.run(() => handled.length === 4)
    await world.clock.advance(5000)

    expect(handled).toEqual(['a', 'b', 'a', 'b'])
  })

  it('F-KILL: shows the mistake of a worker that commits before it handles', async () => {
    await using world = await begin()
    await send(world, ['a', 'b'])
    const handled: string[] = []
    void workCarelessly(world, 'first', handled)
    await world.run(() => handled.length === 1)

    world.machine('first').kill()
    void workCarelessly(world, 'second', handled)
    await send(world, ['c'])
    await world.run(() => handled.includes('c'))

    expect(handled).toEqual(['begun', 'begun', 'c']) // nobody has handled a and b
  })

  it('stops where it is: no timer, no answer, no record comes to it any more', async () => {
    await using world = await begin()
    const machine = world.machine('worker')
    const heard: string[] = []
    machine.clock.after(100, () => heard.push('timer'))
    void machine.clock.sleep(100).then(() => heard.push('sleep'))
    const consumer = machine.client().consumer({ topics: ['orders'], from: 'beginning' })
    void consumer[Symbol.asyncIterator]()
      .next()
      .then(() => heard.push('record'))
    await world.clock.advance(50)

    machine.kill()
    await send(world, ['a'])
    await world.clock.advance(30_000)

    expect(heard).toEqual([])
    expect(machine.isUp).toBe(false)
    expect(() => machine.client()).toThrow(
      "Cannot make a client on worker: its process was killed; call world.machine('worker').restart() first",
    )
    machine.restart()
    expect(await world.run(machine.client().admin().listTopics())).toHaveLength(1)
  })

  it('F-PAUSE: is paused until the group has given it up, cannot commit what it held, and goes on', async () => {
    await using world = await begin()
    await send(world, ['a'])
    const machine = world.machine('worker')
    const consumer = machine
      .client()
      .consumer({ group: 'workers', topics: ['orders'], from: 'beginning', commit: 'manual' })
    const batches = consumer.batches()
    await world.run(batches.next())

    machine.pause()
    await world.clock.advance(120_000)
    machine.resume()

    await expect(world.run(consumer.commit())).rejects.toMatchObject({ code: 'CLIENT_NOT_A_MEMBER' })
    const again = await world.run(batches.next())
    expect(again.done === true ? null : text.decode(again.value.records[0]!.value)).toBe('a')
  })

  it('has a clock and draws of its own', async () => {
    const told = []
    for (const seed of [3, 3]) {
      await using world = await begin({ seed })
      const machine = world.machine('worker')
      const before = machine.clock.now()
      machine.jumpClock(-3_600_000)
      machine.driftClock(100_000)
      await world.run(machine.clock.sleep(11_000))
      told.push([machine.random(), machine.uuid(), machine.clock.now() - before, world.fingerprint])
    }

    expect(told[1]).toEqual(told[0])
    expect(told[0]![2]).toBe(-3_600_000 + 11_000)
  })
})

describe('a broker of the world', () => {
  it('F-KILL: is replaced by another when it is killed, and comes back', async () => {
    await using world = await begin()
    await send(world, ['a'])
    const leader = world.leaderOf('orders')!

    world.broker(leader).kill()
    expect(world.broker(leader).state).toBe('down')
    await send(world, ['b'])
    expect(world.leaderOf('orders')).not.toBe(leader)
    await world.broker(leader).restart()
    await world.untilWhole()

    expect(await readAll(world)).toEqual(['a', 'b'])
  })

  it('F-PWR: loses nothing that was acknowledged when the power of all of them is cut', async () => {
    await using world = await begin()
    await send(world, ['a', 'b'])

    for (const broker of world.brokers) broker.powerCut({ data: 'lost', names: 'lost' })
    expect(world.leaderOf('orders')).toBeNull()
    await Promise.all(world.brokers.map((broker) => broker.restart()))
    await world.untilWhole()

    expect(await readAll(world)).toEqual(['a', 'b'])
  })

  it('hands over when it is stopped, and is stopped first when it is started again', async () => {
    await using world = await begin()
    const leader = world.leaderOf('orders')!

    await world.broker(leader).stop()
    expect(world.leaderOf('orders')).not.toBe(leader)
    await world.broker(leader).restart()
    await world.broker(leader).restart()
    await world.untilWhole()

    expect(world.said.filter(({ message }) => /unclean|recover/i.test(message))).toEqual([])
  })

  it('F-PAUSE: is replaced while it is paused, and follows when it goes on', async () => {
    await using world = await begin()
    const leader = world.broker(world.leaderOf('orders')!)

    leader.pause()
    await send(world, ['a'])
    expect([leader.state, world.leaderOf('orders')]).not.toContain(leader.nodeId)
    leader.resume()
    await world.untilWhole()

    expect(await readAll(world)).toEqual(['a'])
  })

  it('F-SLOW: delays acknowledgements by its disk, and stalls them', async () => {
    await using world = await begin({ brokers: 1 })
    const broker = world.broker(1)
    const timed = async () => {
      const beganMs = world.clock.elapsedMs
      await send(world, ['a'])
      return world.clock.elapsedMs - beganMs
    }

    broker.slowDisk({ syncMs: [300, 400] })
    expect(await timed()).toBeGreaterThan(300)
    broker.healDisk()
    expect(await timed()).toBeLessThan(100)
    broker.stallDisk()
    await expect(world.run(send(world, ['b']), { limitMs: 1000 })).rejects.toThrow('within 1000 ms')
    broker.healDisk()
    await world.untilWhole()
  })

  it('F-EIO: goes out of service by a failing disk, others take over; it comes back', async () => {
    await using world = await begin()
    await send(world, ['a'])
    const leader = world.broker(world.leaderOf('orders')!)

    leader.failDisk({ operations: ['sync'], topic: 'orders', once: true })
    await send(world, ['b'])
    expect([leader.state, leader.failure?.message]).toEqual(['failed', expect.stringContaining('has failed')])
    expect(world.leaderOf('orders')).not.toBe(leader.nodeId)
    await leader.restart()
    await world.untilWhole()

    expect(await readAll(world)).toEqual(['a', 'b'])
  })

  it('F-FULL: takes no records while its disk is full, and takes them when there is room', async () => {
    await using world = await begin()
    const leader = world.broker(world.leaderOf('orders')!)

    leader.fullDisk()
    const sending = send(world, ['a'])
    await expect(world.run(sending, { limitMs: 5000 })).rejects.toThrow('within 5000 ms')
    leader.healDisk()
    await world.run(sending)

    expect(await readAll(world)).toEqual(['a'])
  })

  it('is told by number, and its disk is wiped only when it is off', async () => {
    await using world = await begin()

    expect(() => world.broker(4)).toThrow('There is no broker 4: wanted 1 to 3')
    expect(() => world.broker(1).wipeDisk()).toThrow('it is up; call kill() first')
    world.broker(1).kill()
    world.broker(1).wipeDisk()
    await world.broker(1).restart()
    await world.untilWhole()
  })
})

describe('the network of the world', () => {
  it('F-PART: a leader that is cut off from the others is replaced, and loses what only it had', async () => {
    await using world = await begin()
    await send(world, ['a'])
    const leader = world.broker(world.leaderOf('orders')!)
    const others = world.brokers.filter((broker) => broker !== leader).map(({ name }) => name)

    world.partition([leader.name], others)
    await send(world, ['b'])
    expect(world.leaderOf('orders')).not.toBe(leader.nodeId)
    world.heal()
    await world.untilWhole()

    expect(await readAll(world)).toEqual(['a', 'b'])
  })

  it('F-NET: is slow, one-way and reset between machines that it is told', async () => {
    await using world = await begin({ brokers: 1 })
    const client = world.client('producer')
    const producer = client.producer()
    const sendOne = async () => {
      const beganMs = world.clock.elapsedMs
      await world.run(producer.send({ topic: 'orders', value: 'a' }))
      return world.clock.elapsedMs - beganMs
    }
    await sendOne()

    world.delay(['producer'], ['b1'], [100, 120])
    expect(await sendOne()).toBeGreaterThan(200)
    world.heal()
    world.reset(['producer'], ['b1'])
    expect(await sendOne()).toBeLessThan(1000)
    world.cut(['b1'], ['producer'])
    await expect(
      world.run(producer.send({ topic: 'orders', value: 'b' }), { limitMs: 5000 }),
    ).rejects.toThrow('within 5000 ms')
    expect(() => world.partition(['b1'], ['nobody'])).toThrow(
      'There is no machine "nobody": there are b1, admin, producer; world.machine(name) makes one',
    )
    expect(() => world.machine('b1')).toThrow('not the name of a broker')
  })
})

describe('a world that is closed', () => {
  it('ends who waits, refuses everything, and leaves no timer', async () => {
    const real = new RealProcess()
    const world = await InternalWorld.start({ seed: 1 }, real)
    const waiting = world.run(new Promise(() => undefined))

    await world.close()

    await expect(waiting).rejects.toMatchObject({ code: 'WORLD_CLOSED' })
    await expect(world.run(() => true)).rejects.toThrow('begin another one with simulate()')
    expect(() => world.client('worker')).toThrow(WorldError)
    expect(() => world.broker(1).kill()).toThrow(WorldError)
    expect(() => world.partition(['b1'], ['b2'])).toThrow(WorldError)
    expect(real.timers).toBe(0)
    await world.close()
  })

  it('leaves nothing behind in the process', async () => {
    const before = process.getActiveResourcesInfo()
    {
      await using world = await begin()
      void work(world, 'worker', [])
      await send(world, ['a'])
    }
    await new Promise((resolve) => setImmediate(resolve))
    const left = process.getActiveResourcesInfo().filter((name) => {
      const index = before.indexOf(name)
      return index < 0 || before.splice(index, 1).length === 0
    })
    expect(left).toEqual([])
  })
})

describe('virtual time that stands still', () => {
  it('is told to who awaits a client outside of run(), and then goes on until somebody waits in the world', async () => {
    const real = new RealProcess()
    await using world = await InternalWorld.start({ seed: 'still', stallMs: 250 }, real)
    const admin = world.client('admin').admin()
    await world.run(admin.listTopics())

    const listing = admin.createTopics([{ name: 'orders', partitions: 1 }])
    await real.pass()
    await listing

    expect(real.warnings).toEqual([
      expect.stringMatching(
        /^Virtual time has stood still for 250 ms .* seed still: .*write `await world.run\(promise\)`/,
      ),
    ])
    const beganMs = world.clock.elapsedMs
    await world.clock.advance(1000)
    expect(world.clock.elapsedMs).toBe(beganMs + 1000)
  })

  it('is told once, and nothing moves, where a client only might be waited for', async () => {
    const real = new RealProcess()
    await using world = await InternalWorld.start({ seed: 1 }, real)
    await real.pass()
    expect(real.warnings).toEqual([])
    const { clock } = world.machine('worker')
    void clock.sleep(2000)
    await world.clock.advance(1000)
    const { elapsedMs } = world.clock

    await real.pass()
    await world.run(() => true)
    await real.pass()

    expect(real.warnings).toHaveLength(1)
    expect(world.clock.elapsedMs).toBe(elapsedMs)
  })
})

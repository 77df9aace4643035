/** The quorum of one on a simulated disk: replay, snapshots, crashes at every step, damage. */
import { describe, expect, it } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { SimNode } from '../../src/env/sim/sim-node.ts'
import type { Env } from '../../src/env/index.ts'
import { clusterConfigShape } from '../../src/metadata/broker-config.ts'
import { resolveConfigs } from '../../src/metadata/config-resolution.ts'
import { imageHash } from '../../src/metadata/snapshot.ts'
import { RaftQuorum } from '../../src/raft/raft-quorum.ts'
import { batchSizeAt } from '../../src/records/batch-header.ts'

const seed = Number(process.env['SEED'] ?? 1)
const DIRECTORY = '/data'
const LOG = '/data/__cluster_metadata-0'
const LIMIT_MS = 60_000
/** Of the most significant byte of a batch's leader epoch, which no CRC covers. */
const EPOCH_POSITION = 12

interface Started {
  readonly quorum: RaftQuorum
  readonly controller: Controller
}

/** Opens the quorum and a controller on it, with a snapshot every few records and tiny segments. */
async function start(env: Env): Promise<Started> {
  await env.files.makeDirectory(DIRECTORY)
  await env.files.syncDirectory('/')
  const quorum = await RaftQuorum.open(env, {
    directory: DIRECTORY,
    nodeId: 1,
    snapshotRecordCount: 8,
    segmentBytes: 1024,
  })
  const settings = { nodeId: 1, staticEntries: new Map(), cluster: resolveConfigs(clusterConfigShape, []) }
  const controller = new Controller(env, quorum, settings)
  await controller.start()
  const { brokerEpoch } = await controller.registerBroker({
    brokerId: 1,
    incarnationId: env.random.uuid(),
    listeners: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
    rack: null,
    logDirs: [],
  })
  await controller.heartbeat({
    brokerId: 1,
    brokerEpoch,
    metadataEndOffset: controller.image.endOffset,
    wantsFence: false,
    wantsShutdown: false,
  })
  return { quorum, controller }
}

async function createTopic({ controller }: Started, name: string): Promise<boolean> {
  const topic = {
    name,
    numPartitions: 2,
    replicationFactor: 1,
    assignments: [],
    configs: [{ name: 'retention.ms', value: '1' }],
  }
  const { topics } = await controller.createTopics({
    topics: [topic],
    timeoutMs: 30_000,
    validateOnly: false,
  })
  return topics[0]!.errorCode === 0
}

function newNode(name: string | number = seed): { simulation: Simulation; node: SimNode } {
  const simulation = new Simulation({ seed: `${seed} ${name}` })
  return { simulation, node: simulation.node('a') }
}

const checkpoints = async (env: Env) =>
  (await env.files.list(LOG)).filter((name) => name.endsWith('.checkpoint'))

describe(`RaftQuorum (seed ${seed})`, () => {
  it('M1: leads in a new epoch at each start, and replays to the same image (M6)', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const first = await start(node.env)
        await createTopic(first, 'a')
        const topicId = first.controller.image.topicsByName.get('a')!.id
        expect(first.quorum.leaderEpoch).toBe(1)
        await first.quorum.close()
        const second = await start(node.env)
        expect(second.quorum.leaderEpoch).toBe(2)
        expect(second.controller.image.topicsByName.get('a')!.id).toBe(topicId)
        expect(second.quorum.highWatermark).toBe(second.quorum.logEndOffset)
        await second.quorum.close()
      })(),
      LIMIT_MS,
    )
  })

  it('takes snapshots, cuts the log below them, keeps two, and starts from them to the same image (M6)', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const first = await start(node.env)
        for (let index = 0; index < 30; index++) expect(await createTopic(first, `t${index}`)).toBe(true)
        await first.quorum.close()
        const hash = imageHash(first.controller.image)
        expect(await checkpoints(node.env)).toHaveLength(2)
        const segments = (await node.env.files.list(LOG)).filter((name) => name.endsWith('.log'))
        expect(Number.parseInt(segments[0]!, 10)).toBeGreaterThan(0)

        const quorum = await RaftQuorum.open(node.env, {
          directory: DIRECTORY,
          nodeId: 1,
          segmentBytes: 1024,
        })
        const controller = new Controller(node.env, quorum, {
          nodeId: 1,
          staticEntries: new Map(),
          cluster: resolveConfigs(clusterConfigShape, []),
        })
        await controller.start()
        expect(imageHash(controller.image).split('@')[0]).toBe(hash.split('@')[0])
        await quorum.close()
      })(),
      LIMIT_MS,
    )
  })

  it('ST-5: starts from the older snapshot when the newest is damaged, and refuses when both are', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const first = await start(node.env)
        for (let index = 0; index < 30; index++) await createTopic(first, `t${index}`)
        await first.quorum.close()
        const [older, newest] = await checkpoints(node.env)
        node.disk.flipBit(`${LOG}/${newest!}`, 100, 0)
        const second = await start(node.env)
        expect(second.controller.image.topicsByName.size).toBe(30)
        await second.quorum.close()
        for (const name of await checkpoints(node.env))
          if (name !== newest) node.disk.flipBit(`${LOG}/${name}`, 100, 0)
        expect(older).toBeDefined()
        await expect(start(node.env)).rejects.toMatchObject({ code: 'QUORUM_SNAPSHOT_CORRUPT' })
      })(),
      LIMIT_MS,
    )
  })

  it('ST-5, D3, M11: refuses a log with a bit flipped below what is known to be durable, and leaves it as it is', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const first = await start(node.env)
        await createTopic(first, 'a')
        await first.quorum.close()
        const path = `${LOG}/${'0'.repeat(20)}.log`
        node.disk.flipBit(path, 200, 3)
        const before = node.disk.contents(path)
        await expect(start(node.env)).rejects.toThrow(/position \d+/)
        expect(node.disk.contents(path)).toEqual(before)
      })(),
      LIMIT_MS,
    )
  })

  it('M11: refuses a log that ends before its newest snapshot, since committed metadata is lost', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const first = await start(node.env)
        for (let index = 0; index < 10; index++) await createTopic(first, `t${index}`)
        await first.quorum.close()
        await node.env.files.remove(`${LOG}/recovery-point-offset-checkpoint`)
        const names = (await node.env.files.list(LOG)).filter((name) => name.endsWith('.log'))
        expect(names.length).toBeGreaterThan(0)
        for (const name of names) await node.env.files.remove(`${LOG}/${name}`)
        await expect(start(node.env)).rejects.toMatchObject({ code: 'LOG_CORRUPT' })
      })(),
      LIMIT_MS,
    )
  })

  it('closing waits for what was appended, and commits it', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const started = await start(node.env)
        let failures = 0
        started.controller.onFailed = () => failures++
        const creating = createTopic(started, 'a')
        await started.quorum.close()
        expect(await creating).toBe(true)
        expect(await createTopic(started, 'b')).toBe(false)
        expect(failures).toBe(0)
        const again = await start(node.env)
        expect([...again.controller.image.topicsByName.keys()]).toEqual(['a'])
        await again.quorum.close()
      })(),
      LIMIT_MS,
    )
  })

  it('M10: refuses metadata without its quorum-state, and a quorum-state that does not match its checksum', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        await (await start(node.env)).quorum.close()
        node.disk.flipBit(`${LOG}/quorum-state`, 30, 0)
        await expect(start(node.env)).rejects.toMatchObject({ code: 'QUORUM_STATE_CORRUPT' })
        await node.env.files.remove(`${LOG}/quorum-state`)
        await expect(start(node.env)).rejects.toMatchObject({ code: 'QUORUM_STATE_CORRUPT' })
      })(),
      LIMIT_MS,
    )
  })

  it('ST-3, M5: refuses a log whose last epoch is later than any that quorum-state knows: it would win elections', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const first = await start(node.env)
        await createTopic(first, 'a')
        await first.quorum.close()
        const name = (await node.env.files.list(LOG)).filter((one) => one.endsWith('.log')).at(-1)!
        const bytes = node.disk.contents(`${LOG}/${name}`)!
        let last = 0
        for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) last = at
        node.disk.flipBit(`${LOG}/${name}`, last + EPOCH_POSITION, 6)
        // All is below the recovery point, and the list of epochs is lost: the batch itself is all that names its epoch.
        await node.env.files.remove(`${LOG}/leader-epoch-checkpoint`)
        const before = node.disk.contents(`${LOG}/${name}`)
        await expect(start(node.env)).rejects.toMatchObject({ code: 'QUORUM_LOG_CORRUPT' })
        expect(node.disk.contents(`${LOG}/${name}`)).toEqual(before)
      })(),
      LIMIT_MS,
    )
  })

  it('D4: stops at a failed sync: nothing is acknowledged after it, and the owner is told', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const started = await start(node.env)
        let failures = 0
        started.controller.onFailed = () => failures++
        node.disk.fail({ kind: 'sync' })
        expect(await createTopic(started, 'a')).toBe(false)
        expect(await createTopic(started, 'b')).toBe(false)
        expect(failures).toBe(1)
        expect(started.quorum.leaderId).toBeNull()
      })(),
      LIMIT_MS,
    )
  })

  it('ST-8: survives a full disk: refuses, keeps what it has, and works again once there is room', async () => {
    const { simulation, node } = newNode()
    await simulation.runUntil(
      (async () => {
        const started = await start(node.env)
        expect(await createTopic(started, 'a')).toBe(true)
        const free = node.disk.freeBytes
        node.disk.freeBytes = 10
        expect(await createTopic(started, 'b')).toBe(false)
        expect([...started.controller.image.topicsByName.keys()]).toEqual(['a'])
        node.disk.freeBytes = free
        await new Promise<void>((resolve) => node.env.clock.after(1000, resolve))
        expect(await createTopic(started, 'b')).toBe(true)
        await started.quorum.close()
      })(),
      LIMIT_MS,
    )
  })
})

describe('a crash before any operation on the disk', () => {
  /** Runs one life of the node. @returns Whether `work` was done before the crash at operation `point` of this life. */
  async function live(
    { simulation, node }: ReturnType<typeof newNode>,
    kind: 'powerCut' | 'crash',
    point: number,
    work: (env: Env) => Promise<unknown>,
  ): Promise<boolean> {
    const env = node.isUp ? node.env : node.restart()
    const crashAt = node.disk.operationCount + point
    node.disk.onOperation = (number) => {
      if (number === crashAt) node[kind]()
    }
    const end = { isReached: false }
    const done = work(env).then(() => {
      end.isReached = true
    })
    // A failed check ends the run with its own message; a crash leaves `done` pending for ever.
    await simulation.runUntil(Promise.race([done, crashOf(simulation, node)]), LIMIT_MS)
    if (!end.isReached) return false
    if (node.isUp) node[kind]()
    return true
  }

  /** Resolves at the first event after the node's death. */
  function crashOf(simulation: Simulation, node: SimNode): Promise<void> {
    return new Promise((resolve) => {
      const poll = (): void => {
        if (node.isUp) simulation.schedule(5, 'crash watch', poll)
        else resolve()
      }
      poll()
    })
  }

  it.each(['powerCut', 'crash'] as const)(
    'M11, M1, M6, ST-12: %s keeps every acknowledged topic, whole, and never repeats an epoch',
    async (kind) => {
      const acked: string[] = []
      const epochs: number[] = []
      let isWholeRun = false
      let point = 0
      while (!isWholeRun) {
        point++
        const world = newNode(`${kind} ${point}`)
        acked.length = 0
        epochs.length = 0
        isWholeRun = await live(world, kind, point, async (env) => {
          const started = await start(env)
          epochs.push(started.quorum.leaderEpoch)
          for (let index = 0; index < 6; index++) {
            if (await createTopic(started, `t${index}`)) acked.push(`t${index}`)
          }
          await started.quorum.close()
        })
        // The start after it dies a few steps in, too.
        await live(world, kind, 1 + (point % 23), async (env) => {
          epochs.push((await start(env)).quorum.leaderEpoch)
        })
        const survives = await live(world, kind, Infinity, async (env) => {
          const { quorum, controller } = await start(env)
          const names = new Set(controller.image.topicsByName.keys())
          expect(
            acked.filter((name) => !names.has(name)),
            `lost at point ${point}, seed ${seed}`,
          ).toEqual([])
          for (const topic of controller.image.topicsByName.values()) {
            // MQ-11: a change is there whole or not at all.
            expect(topic.partitions).toHaveLength(2)
            expect(controller.image.configs.has(`2:${topic.name}`)).toBe(true)
          }
          for (const epoch of epochs) expect(quorum.leaderEpoch).toBeGreaterThan(epoch)
          expect(await createTopic({ quorum, controller }, 'after')).toBe(true)
          await quorum.close()
        })
        expect(survives).toBe(true)
      }
      expect(point).toBeGreaterThan(50)
    },
  )
})

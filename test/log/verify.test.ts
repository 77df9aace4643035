/** What `verify` finds in a stopped broker's directory: damage by file and position, and nothing where there is none. */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { verifyDirectory } from '../../src/log/verify.ts'
import type { VerifiedDirectory, VerifiedLog, VerifyFault } from '../../src/log/verify.ts'
import { append, logConfig, simulate, TOPIC_ID, whenDurable } from './support.ts'

const HOME = '/data/log'
const LOG = `${HOME}/orders-0`
const BATCHES = 20

type Found = readonly (VerifiedDirectory | VerifiedLog)[]

/** Writes a log of several segments, stops cleanly, lets `tamper` at the files, and verifies. */
async function verifyAfter(seed: string, tamper: (env: Env) => Promise<void>): Promise<Found> {
  const { simulation, env } = simulate(seed)
  const work = async (): Promise<Found> => {
    const memoryFiles = new MemoryFileSystem({ clock: env.clock })
    const manager = await LogManager.open(env, { directory: HOME, nodeId: 1, memoryFiles })
    const log = await manager.create('orders', 0, TOPIC_ID, logConfig({ segmentBytes: 1024 }))
    for (let index = 0; index < BATCHES; index++) {
      append(log, { records: 2, timestampMs: 1000 + index }, index < BATCHES / 2 ? 0 : 1)
    }
    await whenDurable(log, 2 * BATCHES)
    await manager.close()
    await tamper(env)
    const found = []
    for await (const item of verifyDirectory(env.files, HOME)) found.push(item)
    return found
  }
  return simulation.runUntil(work())
}

function faultsOf(found: Found): readonly VerifyFault[] {
  return found.flatMap(({ faults }) => faults)
}

async function read(env: Env, path: string): Promise<Uint8Array> {
  const file = await env.files.open(path, 'read')
  try {
    return await file.read(0, await file.size())
  } finally {
    await file.close()
  }
}

async function write(env: Env, path: string, bytes: Uint8Array): Promise<void> {
  await env.files.remove(path)
  const file = await env.files.open(path, 'create')
  await file.append([bytes])
  await file.close()
}

async function flip(env: Env, path: string, position: number): Promise<void> {
  const bytes = await read(env, path)
  bytes[position]! ^= 1
  await write(env, path, bytes)
}

async function filesWith(env: Env, suffix: string): Promise<string[]> {
  return (await env.files.list(LOG)).filter((name) => name.endsWith(suffix)).map((name) => `${LOG}/${name}`)
}

describe('verifyDirectory()', () => {
  it('finds nothing wrong after a clean stop, and counts what there is', async () => {
    const [directory, log] = await verifyAfter('clean', async () => undefined)
    expect(directory).toMatchObject({ kind: 'directory', nodeId: 1, wasClosedCleanly: true, faults: [] })
    expect(log).toMatchObject({
      topic: 'orders',
      startOffset: 0,
      endOffset: 40,
      batchCount: 20,
      recordCount: 40,
      faults: [],
    })
    expect((log as VerifiedLog).segmentCount).toBeGreaterThan(1)
  })

  it('names the index entry that does not agree with its log', async () => {
    const fields = [
      { suffix: '.index', entry: 8, within: 3 },
      { suffix: '.index', entry: 8, within: 7 },
      { suffix: '.timeindex', entry: 12, within: 7 },
      { suffix: '.timeindex', entry: 12, within: 11 },
    ]
    for (const { suffix, entry, within } of fields) {
      let path = ''
      const found = await verifyAfter(`index ${suffix} ${within}`, async (env) => {
        path = (await filesWith(env, suffix))[0]!
        await flip(env, path, entry + within)
      })
      expect(faultsOf(found)).toMatchObject([{ severity: 'damage', path, position: entry }])
    }
  })

  it('finds an index that points past the end of its log, or ends within an entry', async () => {
    for (const extra of [8, 3]) {
      const found = await verifyAfter(`long index ${extra}`, async (env) => {
        const path = (await filesWith(env, '.index'))[0]!
        const bytes = await read(env, path)
        await write(env, path, Buffer.concat([bytes, new Uint8Array(extra).fill(0x7f)]))
      })
      expect(faultsOf(found)).toHaveLength(1)
    }
  })

  it('finds a segment that is missing in the middle', async () => {
    const found = await verifyAfter('hole', async (env) =>
      env.files.remove((await filesWith(env, '.log'))[1]!),
    )
    expect(faultsOf(found)[0]).toMatchObject({ severity: 'damage', position: 0 })
    expect(faultsOf(found)[0]!.fault).toMatch(/begins at offset \d+: the one before ends at \d+/)
  })

  it('finds a log that lost its flushed end, though every batch that is left is sound', async () => {
    const found = await verifyAfter('short', async (env) => {
      const last = (await filesWith(env, '.log')).at(-1)!
      for (const suffix of ['.log', '.index', '.timeindex']) {
        await env.files.remove(last.replace(/\.log$/, suffix))
      }
    })
    expect(faultsOf(found).map(({ fault }) => fault)).toContainEqual(
      expect.stringMatching(/^The log ends at offset \d+: all below 40 was flushed$/),
    )
  })

  it('believes no epoch that the checkpoint does not know', async () => {
    const found = await verifyAfter('epoch', async (env) => flip(env, (await filesWith(env, '.log'))[0]!, 15))
    expect(faultsOf(found)[0]).toMatchObject({ severity: 'damage', position: 0 })
    expect(faultsOf(found)[0]!.fault).toContain('the epoch checkpoint says 0')
  })

  it('finds damaged checkpoints, snapshots and identities', async () => {
    for (const name of [
      'meta.properties',
      'recovery-point-offset-checkpoint',
      'orders-0/leader-epoch-checkpoint',
      'orders-0/partition.metadata',
    ]) {
      const path = `${HOME}/${name}`
      const found = await verifyAfter(name, async (env) => write(env, path, Uint8Array.from([1, 2, 3])))
      expect(faultsOf(found)).toMatchObject([{ severity: 'damage', path }])
    }
    let snapshot = ''
    const found = await verifyAfter('snapshot', async (env) => {
      snapshot = (await filesWith(env, '.snapshot'))[0]!
      await flip(env, snapshot, 3)
    })
    expect(faultsOf(found)).toMatchObject([{ severity: 'damage', path: snapshot }])
  })

  it('calls bytes at the end of an uncleanly stopped log unfinished, but not those below the recovery point', async () => {
    const tear = async (env: Env): Promise<void> => {
      await env.files.remove(`${HOME}/.kafka_cleanshutdown`)
      const last = (await filesWith(env, '.log')).at(-1)!
      await write(env, last, Buffer.concat([await read(env, last), new Uint8Array(30)]))
    }
    const torn = await verifyAfter('torn', tear)
    expect(faultsOf(torn)).toMatchObject([{ severity: 'unfinished' }])
    const damaged = await verifyAfter('torn below', async (env) => {
      await tear(env)
      await flip(env, (await filesWith(env, '.log')).at(-1)!, 70)
    })
    expect(faultsOf(damaged)).toMatchObject([{ severity: 'damage', position: 0 }])
  })

  it('stays out of a directory that a broker uses', async () => {
    const { simulation, env } = simulate('locked')
    const work = async (): Promise<void> => {
      const memoryFiles = new MemoryFileSystem({ clock: env.clock })
      const manager = await LogManager.open(env, { directory: HOME, nodeId: 1, memoryFiles })
      await expect(verifyDirectory(env.files, HOME).next()).rejects.toMatchObject({ code: 'FILE_LOCKED' })
      await manager.close()
    }
    await simulation.runUntil(work())
  })
})

/**
 * The simulated disk does what faults.md 7.4 asks: what was synced survives, what was not may be lost, torn or
 * zeroed, and every fault can be switched on.
 */
import { describe, expect, test } from 'vitest'
import type { File } from '../../../src/env/index.ts'
import type { DataLoss } from '../../../src/env/sim/disk-image.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'

const SEED = process.env['SEED'] ?? '7'

function bytes(length: number, fill: number): Uint8Array {
  return new Uint8Array(length).fill(fill)
}

/** A promise whether or not the append was done within the call. */
async function appended(file: File, chunks: Uint8Array[]): Promise<void> {
  await file.append(chunks)
}

async function withNode(body: (node: SimNode, simulation: Simulation) => Promise<void>, seed: string = SEED) {
  const simulation = new Simulation({ seed })
  await body(simulation.node('a'), simulation)
}

/** A synced file of 1,000 ones, then 3,000 twos in two writes without a sync. */
async function writeSome(node: SimNode): Promise<void> {
  const { files } = node.env
  const file = await files.open('/f', 'create')
  await file.append([bytes(1000, 1)])
  await file.sync()
  await files.syncDirectory('/')
  await file.append([bytes(1500, 2)])
  await file.append([bytes(1500, 2)])
}

describe('SimDisk.powerCut()', () => {
  test('F-PWR: keeps synced bytes and drops the rest when all is lost', () =>
    withNode(async (node, simulation) => {
      await simulation.runUntil(writeSome(node))
      node.powerCut({ data: 'lost', names: 'lost' })
      expect(node.disk.contents('/f')).toEqual(bytes(1000, 1))
    }))

  test('F-PWR: undoes creations, renames and removals without a directory sync', () =>
    withNode(async (node, simulation) => {
      const { files } = node.env
      await simulation.runUntil(
        (async () => {
          await (await files.open('/old', 'create')).close()
          await (await files.open('/gone', 'create')).close()
          await files.syncDirectory('/')
          await files.rename('/old', '/new')
          await files.remove('/gone')
          const made = await files.open('/made', 'create')
          await made.append([bytes(5, 1)])
          await made.sync()
        })(),
      )
      node.powerCut({ data: 'lost', names: 'lost' })
      const { files: after } = node.restart()
      expect(await simulation.runUntil(after.list('/'))).toEqual(['gone', 'old'])
    }))

  test('F-PWR: a directory sync keeps the names, whatever is lost', () =>
    withNode(async (node, simulation) => {
      const { files } = node.env
      await simulation.runUntil(
        (async () => {
          await files.makeDirectory('/d')
          await files.syncDirectory('/')
          await (await files.open('/d/old', 'create')).close()
          await files.rename('/d/old', '/d/new')
          await files.syncDirectory('/d')
        })(),
      )
      node.powerCut({ data: 'lost', names: 'lost' })
      const { files: after } = node.restart()
      expect(await simulation.runUntil(after.list('/d'))).toEqual(['new'])
    }))

  const modes: readonly DataLoss[] = ['lost', 'kept', 'prefix', 'sectors', 'zero-tail']
  for (const mode of modes) {
    test(`F-PWR: ${mode} keeps the synced start and leaves a tail of that kind, over many seeds`, async () => {
      const sizes = new Set<number>()
      let sawZeros = false
      let sawHole = false
      for (let seed = 0; seed < 40; seed++) {
        await withNode(async (node, simulation) => {
          await simulation.runUntil(writeSome(node))
          node.powerCut({ data: mode, names: 'kept' })
          const after = node.disk.contents('/f')!
          expect(after.subarray(0, 1000)).toEqual(bytes(1000, 1))
          const tail = after.subarray(1000)
          sizes.add(after.length)
          sawZeros ||= tail.includes(0)
          const firstZero = tail.indexOf(0)
          sawHole ||= firstZero >= 0 && tail.subarray(firstZero).includes(2)
          if (mode === 'prefix')
            expect(after.length % 512 === 0 || [1000, 2500, 4000].includes(after.length)).toBe(true)
        }, `${SEED}.${seed}`)
      }
      expect(sawZeros).toBe(mode === 'sectors' || mode === 'zero-tail')
      expect(sawHole).toBe(mode === 'sectors')
      if (mode === 'lost') expect([...sizes]).toEqual([1000])
      else if (mode === 'prefix') expect(sizes.size).toBeGreaterThan(4)
      else expect([...sizes]).toEqual([4000])
    })
  }

  test('a sync covers only the appends called before it', () =>
    withNode(async (node, simulation) => {
      const { files } = node.env
      await simulation.runUntil(
        (async () => {
          const file = await files.open('/f', 'create')
          await files.syncDirectory('/')
          const before = file.append([bytes(10, 1)])
          const synced = file.sync()
          const after = file.append([bytes(10, 2)])
          await Promise.all([before, synced, after])
        })(),
      )
      node.powerCut({ data: 'lost', names: 'lost' })
      expect(node.disk.contents('/f')).toEqual(bytes(10, 1))
    }))
})

describe('SimDisk after kill -9', () => {
  test('F-KILL: keeps what was written without a sync', () =>
    withNode(async (node, simulation) => {
      await simulation.runUntil(writeSome(node))
      node.crash()
      expect(node.disk.contents('/f')?.length).toBe(4000)
    }))

  test('ends the life: its operations never settle, its locks are free, the next life works', () =>
    withNode(async (node, simulation) => {
      const { files } = node.env
      await simulation.runUntil(files.lock('/'))
      let settled = false
      const settle = () => {
        settled = true
      }
      const open = files.open('/f', 'create')
      open.then(settle, settle)
      node.crash()
      files.open('/g', 'create').then(settle, settle)
      await simulation.run(simulation.nowMs + 1000)
      expect(settled).toBe(false)
      const after = node.restart()
      await simulation.runUntil(after.files.lock('/'))
      expect(await simulation.runUntil(after.files.stat('/g'))).toBe(null)
    }))

  test('a write under way may be torn at any byte', async () => {
    const sizes = new Set<number>()
    for (let seed = 0; seed < 30; seed++) {
      await withNode(async (node, simulation) => {
        const file = await simulation.runUntil(node.env.files.open('/f', 'create'))
        void file.append([bytes(1000, 1), bytes(1000, 2)])
        node.crash()
        sizes.add(node.disk.contents('/f')!.length)
      }, `${SEED}.${seed}`)
    }
    expect(sizes.size).toBeGreaterThan(5)
  })
})

describe('SimDisk faults', () => {
  test('F-FULL: writes what fits, then fails with FILE_NO_SPACE (ND-6)', () =>
    withNode(async (node, simulation) => {
      const file = await simulation.runUntil(node.env.files.open('/f', 'create'))
      node.disk.freeBytes = 10
      await expect(simulation.runUntil(appended(file, [bytes(6, 1), bytes(6, 2)]))).rejects.toMatchObject({
        code: 'FILE_NO_SPACE',
      })
      expect(await simulation.runUntil(file.size())).toBe(10)
      node.disk.freeBytes = 100
      await expect(simulation.runUntil(appended(file, [bytes(1, 1)]))).rejects.toMatchObject({
        code: 'FILE_NO_SPACE',
      })
      await simulation.runUntil(file.truncate(6))
      await simulation.runUntil(appended(file, [bytes(4, 3)]))
    }))

  test('F-EIO: once fails once, sticky for good, after counts', () =>
    withNode(async (node, simulation) => {
      const file = await simulation.runUntil(node.env.files.open('/f', 'create'))
      await simulation.runUntil(appended(file, [bytes(10, 1)]))
      node.disk.fail({ kind: 'read', after: 1 })
      await simulation.runUntil(file.read(0, 1))
      await expect(simulation.runUntil(file.read(0, 1))).rejects.toMatchObject({ code: 'FILE_IO' })
      await simulation.runUntil(file.read(0, 1))
      const heal = node.disk.fail({ kind: 'append', isSticky: true, path: (path) => path === '/f' })
      for (let time = 0; time < 3; time++) {
        await expect(simulation.runUntil(appended(file, [bytes(1, 1)]))).rejects.toMatchObject({
          code: 'FILE_IO',
        })
      }
      heal()
      await simulation.runUntil(file.truncate(10))
      await simulation.runUntil(appended(file, [bytes(1, 1)]))
    }))

  test('ST-7: a failed sync drops the pages, and a later sync that succeeds does not bring them back', () =>
    withNode(async (node, simulation) => {
      const { files } = node.env
      const file = await simulation.runUntil(files.open('/f', 'create'))
      await simulation.runUntil(files.syncDirectory('/'))
      await simulation.runUntil(appended(file, [bytes(600, 1)]))
      node.disk.fail({ kind: 'sync' })
      await expect(simulation.runUntil(file.sync())).rejects.toMatchObject({ code: 'FILE_IO' })
      expect(await simulation.runUntil(file.read(0, 600))).toEqual(bytes(600, 1))
      await simulation.runUntil(appended(file, [bytes(4, 2)]))
      await simulation.runUntil(file.sync())
      node.powerCut()
      expect(node.disk.contents('/f')).toEqual(new Uint8Array([...bytes(600, 0), ...bytes(4, 2)]))
    }))

  test('F-SLOW: a stalled disk completes nothing until it goes on', () =>
    withNode(async (node, simulation) => {
      const file = await simulation.runUntil(node.env.files.open('/f', 'create'))
      node.disk.stall()
      let isDone = false
      const done = appended(file, [bytes(1, 1)]).then(() => {
        isDone = true
      })
      await simulation.run(simulation.nowMs + 60_000)
      expect(isDone).toBe(false)
      node.disk.unstall()
      await simulation.runUntil(done)
    }))

  test('F-ROT: a flipped bit shows in reads and survives a power cut', () =>
    withNode(async (node, simulation) => {
      await simulation.runUntil(writeSome(node))
      node.disk.flipBit('/f', 3, 7)
      expect(node.disk.contents('/f')![3]).toBe(129)
      node.powerCut({ data: 'lost' })
      expect(node.disk.contents('/f')![3]).toBe(129)
    }))

  test('F-ROT: what is copied from rot and takes its place is rot, what is written anew is not', () =>
    withNode(async (node, simulation) => {
      const { files } = node.env
      const replace = async (content: Uint8Array): Promise<unknown> => {
        const copy = await files.open('/copy', 'create')
        await copy.append([content])
        await files.rename('/copy', '/f')
        return node.disk.find('/f')
      }
      await simulation.runUntil(writeSome(node))
      node.disk.flipBit('/f', 3, 7)
      const rotten = node.disk.contents('/f')!
      expect(await simulation.runUntil(replace(rotten))).toMatchObject({ isRotten: true })
      expect(await simulation.runUntil(replace(bytes(rotten.length, 1)))).toMatchObject({ isRotten: false })
    }))

  test('F-ROT: zeroed and cut off parts show in reads and survive a power cut', () =>
    withNode(async (node, simulation) => {
      await simulation.runUntil(writeSome(node))
      node.disk.zero('/f', 990, 1_000_000)
      node.disk.zero('/f', 0, 10)
      expect(node.disk.contents('/f')!.slice(8, 12)).toEqual(Uint8Array.of(0, 0, 1, 1))
      expect(node.disk.contents('/f')!.slice(988, 992)).toEqual(Uint8Array.of(1, 1, 0, 0))
      node.disk.cutOff('/f', 500)
      node.powerCut({ data: 'kept' })
      expect(node.disk.contents('/f')!.length).toBe(500)
    }))

  test('F-DISK: a restored volume holds what was durable at its backup, and nothing that came after', () =>
    withNode(async (node, simulation) => {
      await simulation.runUntil(writeSome(node))
      const backup = node.disk.backUp()
      const { files } = node.env
      await simulation.runUntil(
        (async () => {
          const file = await files.open('/f', 'append')
          await file.sync()
          await (await files.open('/later', 'create')).close()
          await files.syncDirectory('/')
        })(),
      )
      for (let times = 0; times < 2; times++) {
        node.powerCut()
        node.disk.restore(backup)
        node.restart()
        expect(node.disk.contents('/f')).toEqual(bytes(1000, 1))
        expect(node.disk.contents('/later')).toBe(null)
        node.disk.flipBit('/f', 0, 0)
      }
    }))

  test('crash points: every operation that changes the disk can be preceded by a crash', async () => {
    const story = async (node: SimNode) => {
      const { files } = node.env
      await files.makeDirectory('/d')
      const file = await files.open('/d/t', 'create')
      await file.append([bytes(1, 1)])
      await file.sync()
      await files.rename('/d/t', '/d/f')
      await files.syncDirectory('/d')
    }
    const whole = new Simulation({ seed: SEED })
    await whole.runUntil(story(whole.node('a')))
    expect(whole.node('a').disk.operationCount).toBe(6)
    for (let point = 1; point <= 6; point++) {
      const simulation = new Simulation({ seed: SEED })
      const node = simulation.node('a')
      node.disk.onOperation = (number) => {
        if (number === point) node.powerCut()
      }
      void story(node)
      await simulation.run(1000)
      expect(node.isUp).toBe(false)
      expect(node.disk.operationCount).toBe(point)
    }
  })
})

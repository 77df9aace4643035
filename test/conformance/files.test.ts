/**
 * What every adapter of the file port promises, whatever it stands on: `src/env/files.ts` as claims.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../src/env/files.ts'
import { FileError } from '../../src/env/files.ts'
import { Gate } from '../../src/env/memory/gate.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { DiskTrouble, troubledFiles } from '../../src/env/memory/troubled-files.ts'
import { NodeClock } from '../../src/env/node/node-clock.ts'
import { NodeFileSystem } from '../../src/env/node/node-file-system.ts'
import { NodeRandom } from '../../src/env/node/node-random.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'

interface Subject {
  readonly files: FileSystem
  /** An existing, empty directory. */
  readonly root: string
  /** Lets what an operation waits for happen. */
  readonly drive: <T>(promise: Promise<T>) => Promise<T>
}

const leftovers: string[] = []
afterAll(() => {
  for (const path of leftovers) rmSync(path, { recursive: true, force: true })
})

const subjects: Record<string, () => Subject> = {
  node: () => ({ files: new NodeFileSystem(), root: temporaryDirectory(), drive: (promise) => promise }),
  memory: () => ({
    files: new MemoryFileSystem({ clock: { wallTimeMs: () => 1 } }),
    root: '/',
    drive: (promise) => promise,
  }),
  'memory, on a disk that could be in trouble': () => troubled(() => undefined),
  'memory, on a slow disk': () =>
    troubled((trouble) => trouble.slow({ syncMs: [0, 2], writeMs: [0, 2], readMs: [0, 2] })),
  sim: () => {
    const simulation = new Simulation({ seed: 1 })
    return { files: simulation.env('a').files, root: '/', drive: (promise) => simulation.runUntil(promise) }
  },
}

function troubled(begin: (trouble: DiskTrouble) => void): Subject {
  const clock = new NodeClock()
  const trouble = new DiskTrouble({ clock, random: new NodeRandom(), gate: new Gate(clock) })
  begin(trouble)
  return {
    files: troubledFiles(new MemoryFileSystem({ clock }), trouble),
    root: '/',
    drive: (promise) => promise,
  }
}

function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-'))
  leftovers.push(path)
  return path
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function text(read: Uint8Array): string {
  return new TextDecoder().decode(read)
}

for (const [name, make] of Object.entries(subjects)) {
  describe(`FileSystem (${name})`, () => {
    /** Runs a whole story, driven. */
    const story = (claim: string, body: (files: FileSystem, root: string) => Promise<void>) =>
      test(claim, async () => {
        const { files, root, drive } = make()
        await drive(body(files, root === '/' ? '' : root))
      })
    const refuses = async (promise: Promise<unknown> | undefined, code: string) => {
      const error: unknown = await Promise.resolve(promise).then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(FileError)
      expect(error).toMatchObject({ code })
    }

    story('append() gathers chunks in order and read() gives them back', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      await file.append([bytes('ab'), bytes(''), bytes('cde')])
      await file.append([])
      await file.append([bytes('f')])
      expect(text(await file.read(0, 100))).toBe('abcdef')
      expect(text(await file.read(2, 3))).toBe('cde')
      expect(await file.read(6, 10)).toHaveLength(0)
      expect(await file.read(60, 10)).toHaveLength(0)
      expect(await file.size()).toBe(6)
      await file.close()
    })

    story('append() takes effect in call order without waiting', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      const appended = Array.from({ length: 50 }, (_, index) => file.append([bytes(`${index},`)]))
      for (const each of appended) await each
      const expected = Array.from({ length: 50 }, (_, index) => `${index},`).join('')
      expect(text(await file.read(0, 1000))).toBe(expected)
      await file.close()
    })

    story('append() borrows its buffers only until it settles (ND-7)', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      const buffer = bytes('one')
      await file.append([buffer])
      buffer.set(bytes('two'))
      expect(text(await file.read(0, 3))).toBe('one')
      await file.close()
    })

    story('read() gives a buffer that belongs to the caller (ND-7)', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      await file.append([bytes('abc')])
      const first = await file.read(0, 3)
      const kept = await file.read(0, 3)
      first.fill(0)
      expect(text(await file.read(0, 3))).toBe('abc')
      await file.truncate(1)
      await file.append([bytes('xy')])
      expect(text(kept)).toBe('abc')
      await file.close()
    })

    story('append() takes more chunks at once than one system call may (IOV_MAX)', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      const chunks = Array.from({ length: 2500 }, (_, index) => bytes(String(index % 10)))
      await file.append(chunks)
      expect(await file.size()).toBe(2500)
      expect(text(await file.read(1020, 10))).toBe('0123456789')
      await file.close()
    })

    story('append() and read() of several MiB keep every byte', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      const block = new Uint8Array(3_000_001)
      for (let index = 0; index < block.length; index++) block[index] = (index * 31 + (index >> 8)) & 255
      await file.append([block.subarray(0, 1_000_000), block.subarray(1_000_000)])
      await file.append([block])
      expect(Buffer.compare(await file.read(0, 3_000_001), block)).toBe(0)
      expect(Buffer.compare(await file.read(3_000_001, 4_000_000), block)).toBe(0)
      expect(Buffer.compare(await file.read(4093, 1_100_007), block.subarray(4093, 1_104_100))).toBe(0)
      await file.close()
    })

    story('truncate() cuts, then appends go on at the cut; it extends with zeros', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      await file.append([bytes('abcdef')])
      await file.truncate(2)
      await file.append([bytes('X')])
      expect(text(await file.read(0, 10))).toBe('abX')
      await file.truncate(1)
      await file.truncate(5)
      expect([...(await file.read(0, 10))]).toEqual([97, 0, 0, 0, 0])
      await file.sync()
      await file.close()
    })

    story('open() for append keeps what is there; a second handle sees it', async (files, root) => {
      const first = await files.open(`${root}/f`, 'create')
      await first.append([bytes('ab')])
      const second = await files.open(`${root}/f`, 'read')
      await first.append([bytes('c')])
      expect(text(await second.read(0, 9))).toBe('abc')
      await first.close()
      const third = await files.open(`${root}/f`, 'append')
      await third.append([bytes('d')])
      expect(text(await second.read(0, 9))).toBe('abcd')
      await second.close()
      await third.close()
    })

    story('open() refuses by mode', async (files, root) => {
      await refuses(files.open(`${root}/none`, 'read'), 'FILE_NOT_FOUND')
      await refuses(files.open(`${root}/none/f`, 'append'), 'FILE_NOT_FOUND')
      const file = await files.open(`${root}/f`, 'create')
      await file.close()
      await refuses(files.open(`${root}/f`, 'create'), 'FILE_EXISTS')
      const reader = await files.open(`${root}/f`, 'read')
      await refuses(reader.append([bytes('x')]), 'FILE_NO_ACCESS')
      await refuses(reader.truncate(0), 'FILE_NO_ACCESS')
      await reader.close()
    })

    story('open() refuses paths that climb or are relative (X21)', async (files) => {
      for (const path of ['f', './f', '/a/../f', '/a/./f', '/a\0b', '..']) {
        await refuses(files.open(path, 'append'), 'FILE_NO_ACCESS')
      }
    })

    story('names like __proto__ are ordinary files (X22)', async (files, root) => {
      const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString']
      for (const name of names) await (await files.open(`${root}/${name}`, 'create')).close()
      expect(await files.list(root === '' ? '/' : root)).toEqual([...names].sort())
      for (const name of names) await files.remove(`${root}/${name}`)
      expect(await files.stat(`${root}/__proto__`)).toBe(null)
    })

    story('a closed file refuses everything, and closes twice', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      await file.close()
      await file.close()
      await refuses(file.read(0, 1), 'FILE_CLOSED')
      await refuses(file.append([bytes('x')]), 'FILE_CLOSED')
      await refuses(file.truncate(0), 'FILE_CLOSED')
      await refuses(file.sync(), 'FILE_CLOSED')
      await refuses(file.size(), 'FILE_CLOSED')
    })

    story('close() waits for what is under way', async (files, root) => {
      const file = await files.open(`${root}/f`, 'append')
      const appended = file.append([bytes('abc')])
      await file.close()
      await appended
      expect((await files.stat(`${root}/f`))?.size).toBe(3)
    })

    story('makeDirectory() makes parents, list() sorts by code unit', async (files, root) => {
      await files.makeDirectory(`${root}/d/e`)
      await files.makeDirectory(`${root}/d/e`)
      for (const file of ['b', 'B', 'a-10', 'a-9'])
        await (await files.open(`${root}/d/${file}`, 'create')).close()
      expect(await files.list(`${root}/d`)).toEqual(['B', 'a-10', 'a-9', 'b', 'e'])
      expect(await files.stat(`${root}/d`)).toMatchObject({ kind: 'directory', size: 0 })
      await refuses(files.list(`${root}/none`), 'FILE_NOT_FOUND')
      await refuses(files.makeDirectory(`${root}/d/b`), 'FILE_EXISTS')
    })

    story('rename() moves files and whole directories, and replaces a file', async (files, root) => {
      await files.makeDirectory(`${root}/d/e`)
      const file = await files.open(`${root}/d/e/f`, 'create')
      await file.append([bytes('new')])
      await files.rename(`${root}/d`, `${root}/g`)
      expect(await files.stat(`${root}/d`)).toBe(null)
      await file.append([bytes('er')])
      await file.close()
      await (await files.open(`${root}/old`, 'create')).close()
      await files.rename(`${root}/g/e/f`, `${root}/old`)
      expect((await files.stat(`${root}/old`))?.size).toBe(5)
      expect(await files.list(`${root}/g/e`)).toEqual([])
      await refuses(files.rename(`${root}/none`, `${root}/x`), 'FILE_NOT_FOUND')
      await files.makeDirectory(`${root}/full/inner`)
      await refuses(files.rename(`${root}/g`, `${root}/full`), 'FILE_NOT_EMPTY')
      await files.syncDirectory(`${root}/g`)
    })

    story('remove() takes files and empty directories, a missing name is no error', async (files, root) => {
      await files.makeDirectory(`${root}/d`)
      const file = await files.open(`${root}/d/f`, 'create')
      await file.append([bytes('still here')])
      await refuses(files.remove(`${root}/d`), 'FILE_NOT_EMPTY')
      await files.remove(`${root}/d/f`)
      await files.remove(`${root}/d/f`)
      await files.remove(`${root}/nowhere/f`)
      expect(text(await file.read(0, 5))).toBe('still')
      await file.close()
      await files.remove(`${root}/d`)
      expect(await files.stat(`${root}/d`)).toBe(null)
    })

    story('lock() admits one owner until it releases', async (files, root) => {
      await files.makeDirectory(`${root}/data`)
      const lock = await files.lock(`${root}/data`)
      await refuses(files.lock(`${root}/data`), 'FILE_LOCKED')
      await refuses(files.lock(`${root}/data/`), 'FILE_LOCKED')
      await lock.release()
      await lock.release()
      const again = await files.lock(`${root}/data`)
      await again.release()
      await refuses(files.lock(`${root}/none`), 'FILE_NOT_FOUND')
    })

    story('space() tells sizes in bytes', async (files, root) => {
      const space = await files.space(root === '' ? '/' : root)
      expect(space.totalBytes).toBeGreaterThan(0)
      expect(space.usableBytes).toBeLessThanOrEqual(space.totalBytes)
    })
  })
}

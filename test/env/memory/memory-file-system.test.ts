import { describe, expect, test } from 'vitest'
import { MemoryFileSystem } from '../../../src/env/memory/memory-file-system.ts'

const KIB = 1024

function files(capacityBytes: number): MemoryFileSystem {
  return new MemoryFileSystem({ clock: { wallTimeMs: () => 1 }, capacityBytes })
}

describe('MemoryFileSystem', () => {
  test('F-FULL: fails with FILE_NO_SPACE before it writes anything, and appends stop until a cut', async () => {
    const system = files(16 * KIB)
    const file = await system.open('/f', 'create')
    await file.append([new Uint8Array(4 * KIB)])
    await expect(file.append([new Uint8Array(32 * KIB)])).rejects.toMatchObject({ code: 'FILE_NO_SPACE' })
    expect(await file.size()).toBe(4 * KIB)
    await expect(file.append([new Uint8Array(1)])).rejects.toMatchObject({ code: 'FILE_NO_SPACE' })
    await file.truncate(4 * KIB)
    await file.append([new Uint8Array(8 * KIB)])
    expect(await file.size()).toBe(12 * KIB)
  })

  test('gives memory back when a file is cut, replaced, or removed and closed', async () => {
    const system = files(64 * 1024 * KIB)
    const file = await system.open('/f', 'create')
    await file.append([new Uint8Array(5 * 1024 * KIB)])
    await file.truncate(3 * 1024 * KIB)
    expect(system.usedBytes).toBeLessThanOrEqual(4 * 1024 * KIB)
    await system.remove('/f')
    expect(system.usedBytes).toBeGreaterThan(0)
    await file.close()
    expect(system.usedBytes).toBe(0)

    for (const name of ['/a', '/b']) {
      const one = await system.open(name, 'create')
      await one.append([new Uint8Array(10)])
      await one.close()
    }
    const usedByTwo = system.usedBytes
    await system.rename('/a', '/b')
    expect(system.usedBytes).toBe(usedByTwo / 2)
    await system.remove('/b')
    expect(system.usedBytes).toBe(0)
  })
})

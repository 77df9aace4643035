import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { framesOf } from '../../../bench/peers/rabbitmq-load.ts'
import { findMissing, rabbitmq } from '../../../bench/peers/rabbitmq.ts'
import { CHUNK_BYTES, type PeerContext } from '../../../bench/peers/system.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rabbitmq-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true })
})

describe('rabbitmq', () => {
  it('leaves itself out where an acknowledgement must stand on the disk', async () => {
    const context: PeerContext = {
      isToy: true,
      durability: 'disk',
      profileDirectory: null,
      directory,
      packages: directory,
      onClose: () => undefined,
    }
    expect(await rabbitmq.findObstacle(context)).toBe('it acknowledges before it syncs')
  })
})

describe('findMissing()', () => {
  it('names what is missing, and how to get it: the server, Erlang, the plugin', () => {
    const script = join(directory, 'sbin/rabbitmq-server')
    const put = (path: string): void => writeFileSync(path, '', { mode: 0o755 })
    vi.stubEnv('PATH', directory)
    expect(findMissing(script)).toBe(`there is no ${script}: install rabbitmq-server with apt-get`)
    mkdirSync(join(directory, 'sbin'))
    put(script)
    expect(findMissing(script)).toBe('there is no Erlang (erl): install rabbitmq-server with apt-get')
    put(join(directory, 'erl'))
    put(join(directory, 'epmd'))
    expect(findMissing(script)).toContain('no stream plugin')
    mkdirSync(join(directory, 'plugins/rabbitmq_stream_common-3.10.8'), { recursive: true })
    expect(findMissing(script)).toContain('no stream plugin')
    mkdirSync(join(directory, 'plugins/rabbitmq_stream-3.10.8'))
    expect(findMissing(script)).toBeNull()
  })
})

describe('framesOf()', () => {
  /** The server takes no larger frame from a client unless told to. */
  const FRAME_BYTES_MAX = 2 ** 20

  it.each([
    [100, true],
    [100, false],
    [1024, true],
    [1024, false],
  ])(
    'holds the records of a chunk, of %i bytes, sub-entries: %s, in frames that a server takes',
    (recordBytes, hasSubEntries) => {
      const frames = framesOf(recordBytes, hasSubEntries)
      const records = frames.reduce((sum, frame) => sum + frame.records, 0)
      expect(records).toBe(Math.floor(CHUNK_BYTES / recordBytes))
      expect(Math.max(...frames.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(FRAME_BYTES_MAX)
      const spread = frames.map((frame) => frame.records)
      expect(Math.min(...spread) / Math.max(...spread)).toBeGreaterThan(0.5)
    },
  )
})

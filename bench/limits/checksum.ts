/** CRC-32C over one buffer, again and again: native code and its fallback. */
import { createRequire } from 'node:module'
import { NO_CONDITIONS, type Case, type WorkloadContext } from '../workload.ts'
import { patternedBytes } from './pattern.ts'

type Checksum = (bytes: Uint8Array) => number

/** A small batch and a large one. */
const BUFFER_BYTES = [1024, 65_536] as const

/** CRC-32C of the digits 1 to 9, as RFC 3720 has it for checking implementations. */
const CHECK_VALUE = 0xe3069283

export async function checksumCases({ isToy }: WorkloadContext): Promise<Case[]> {
  const totalBytes = isToy ? 2 ** 24 : 2 ** 28
  const native = await loadNative()
  const implementations: [string, Checksum][] = [['CRC-32C in JavaScript', loadPortable()]]
  if (native) implementations.push(['CRC-32C, native', native])
  return implementations.flatMap(([name, checksum]) => {
    if (checksum(Buffer.from('123456789')) !== CHECK_VALUE)
      throw new Error(`Checked ${name}: it computes something else`)
    return BUFFER_BYTES.map((bytes) => checksumCase(name, checksum, bytes, totalBytes))
  })
}

function checksumCase(name: string, checksum: Checksum, recordBytes: number, totalBytes: number): Case {
  const buffer = patternedBytes(recordBytes)
  const count = totalBytes / recordBytes
  return {
    name: `${name}, ${recordBytes / 1024} KiB`,
    conditions: { ...NO_CONDITIONS, recordBytes },
    run: async () => {
      let folded = 0
      const startMs = performance.now()
      for (let index = 0; index < count; index++) folded = (folded + checksum(buffer)) >>> 0
      const elapsedMs = performance.now() - startMs
      return {
        metrics: [
          { name: 'checksum rate', unit: 'MB/s', value: totalBytes / 1e3 / elapsedMs, better: 'higher' },
        ],
        work: `${count} checksums of ${recordBytes} bytes, sum ${folded}`,
      }
    },
  }
}

function loadPortable(): Checksum {
  const crc32c = createRequire(import.meta.url)('crc-32/crc32c.js') as { buf(bytes: Uint8Array): number }
  return (bytes) => crc32c.buf(bytes) >>> 0
}

async function loadNative(): Promise<Checksum | null> {
  try {
    const { crc32c } = await import('@node-rs/crc32')
    return (bytes) => crc32c(bytes)
  } catch {
    return null // an optional dependency: there may be no prebuilt binary for this platform
  }
}

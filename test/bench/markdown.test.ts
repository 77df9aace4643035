import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Histogram } from '../../bench/histogram.ts'
import { BEGIN_MARKER, END_MARKER, replaceBlock, writeDocument } from '../../bench/markdown.ts'
import type { Report } from '../../bench/report.ts'
import { NO_CONDITIONS } from '../../bench/workload.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-markdown-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const latency = new Histogram()
latency.record(5000)
const report: Report = {
  version: 1,
  startedAt: '2026-11-21T01:02:03.000Z',
  isToy: false,
  environment: {
    processor: 'a processor',
    cores: 2,
    memoryGiB: 24,
    system: 'linux',
    volume: 'ext4',
    node: '20.19.0',
    packageVersion: '0.1.0',
    commit: 'abcdef0',
    loadAverage: 1.5,
  },
  cases: [
    {
      workload: 'end-to-end',
      name: 'a | b',
      conditions: { ...NO_CONDITIONS, durability: 'disk', transport: 'WebSocket', ratePerSecond: 1000 },
      repetitions: 3,
      metrics: [{ name: 'p50', unit: 'µs', better: 'lower', median: 5, min: 4, max: 6 }],
      latency: latency.toData(),
      workHash: '0123456789abcdef',
    },
  ],
}

describe('writeDocument()', () => {
  it('replaces what is between the markers, keeps the rest, writes pictures, and does the same again', async () => {
    const path = join(directory, 'performance.md')
    writeFileSync(path, `# Title\n\n${BEGIN_MARKER}\n\nold figures\n\n${END_MARKER}\n\nThe end.\n`)

    const written = writeDocument(report, path, 'A note.')
    const text = readFileSync(path, 'utf8')
    writeDocument(report, path, 'A note.')

    expect(written).toEqual([path, join(directory, 'performance-latency.svg')])
    expect(text).toContain('# Title')
    expect(text).toContain('The end.')
    expect(text).toContain('\nA note.\n')
    expect(text).not.toContain('old figures')
    for (const part of [
      '2026-11-21 01:02 UTC',
      'commit abcdef0',
      'load average 1.50',
      '5.00 (4.00–6.00)',
      'a \\| b',
    ]) {
      expect(text).toContain(part)
    }
    expect(text).toContain('WebSocket, disk, 1 000 a second')
    expect(text).toContain('![performance latency](performance-latency.svg)')
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect(readFileSync(join(directory, 'performance-latency.svg'), 'utf8')).toContain('<svg')
    const style = await resolveConfig(import.meta.filename)
    expect(await format(text, { ...style, parser: 'markdown' })).toBe(text)
  })

  it.each([
    'no markers',
    BEGIN_MARKER,
    `${END_MARKER}${BEGIN_MARKER}`,
    `${BEGIN_MARKER}${END_MARKER}`.repeat(2),
  ])('refuses a document without exactly one pair of markers: %s', (document) => {
    expect(() => replaceBlock(document, 'x', 'd.md')).toThrow('Wrote measurements into d.md: wanted one')
  })
})

import { platform } from 'node:os'
import process from 'node:process'
import { describe, expect, it } from 'vitest'
import { findCpuMs, findResidentSet, resetPeak } from '../../bench/process-stats.ts'

/** Above any process id of Linux. */
const NO_PROCESS = 2 ** 30

describe.skipIf(platform() !== 'linux')('process-stats', () => {
  it('read what the process itself knows', () => {
    const { user, system } = process.cpuUsage()
    const ticksMs = findCpuMs(process.pid)!
    const resident = findResidentSet(process.pid)!

    expect(Math.abs(ticksMs - (user + system) / 1000)).toBeLessThan(100)
    expect(resident.bytes).toBeGreaterThan(2 ** 20)
    expect(resident.peakBytes).toBeGreaterThanOrEqual(resident.bytes)
  })

  it('know nothing of a process that is gone', () => {
    resetPeak(NO_PROCESS)
    expect([findCpuMs(NO_PROCESS), findResidentSet(NO_PROCESS)]).toEqual([null, null])
  })
})

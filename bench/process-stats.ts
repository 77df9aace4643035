/**
 * What a process costs, read from Linux's `/proc` without asking the process: a broker that is measured need not
 * measure itself. Other systems have no `/proc`; there the figures are absent, and the rows with them.
 */
import { readFileSync, writeFileSync } from 'node:fs'

/** Clock ticks a second in `/proc/<pid>/stat`: `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100
/** Fields of `/proc/<pid>/stat` after the command's name, from 0: `utime` is the 14th of all, `stime` the 15th. */
const USER_TICKS_FIELD = 11
const SYSTEM_TICKS_FIELD = 12
/** Written to `/proc/<pid>/clear_refs`, it makes the kernel forget the peak of the resident set. */
const RESET_PEAK = '5'

/** CPU time of all threads of a process since it began, in ms, to 10 ms; null where it cannot be known. */
export function findCpuMs(pid: number): number | null {
  const stat = findText(`/proc/${pid}/stat`)
  if (stat === null) return null
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[USER_TICKS_FIELD]) + Number(fields[SYSTEM_TICKS_FIELD])) * 1000) / TICKS_PER_SECOND
}

export interface ResidentSet {
  readonly bytes: number
  /** Largest since the process began or the peak was forgotten. */
  readonly peakBytes: number
}

/** Memory of a process that is in RAM; null where it cannot be known. */
export function findResidentSet(pid: number): ResidentSet | null {
  const status = findText(`/proc/${pid}/status`)
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status ?? '')?.[1])
  return status === null ? null : { bytes: read('VmRSS') * 1024, peakBytes: read('VmHWM') * 1024 }
}

/** Begins a new peak at what is resident now; where the kernel refuses, the old one stays, which is the safe side. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK)
  } catch {
    return
  }
}

function findText(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null // another system, or the process has ended
  }
}

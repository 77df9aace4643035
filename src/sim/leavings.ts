/**
 * What a simulated machine still has open. A real process ends by itself when nothing holds it any more; what was closed and
 * holds it all the same is a leak (docs/faults.md S1).
 */
import type { SimNode } from '../env/sim/sim-node.ts'

export interface Leavings {
  readonly name: string
  readonly openFiles: readonly string[]
  readonly connections: readonly string[]
  /** Labels of events that are still to come. */
  readonly timers: readonly string[]
}

export function leavingsOf({ name, generation, openFiles, simulation }: SimNode): Leavings {
  const ends = simulation.network.openEnds()
  const timers: string[] = []
  for (const { label, timeMs } of simulation.pending())
    if (label.startsWith(`${name}#${generation} `))
      timers.push(`${label} in ${(timeMs - simulation.nowMs).toFixed(0)} ms`)
  return {
    name,
    openFiles,
    connections: ends.filter((end) => end.startsWith(`${name}>`) || end.startsWith(`listens at ${name}:`)),
    timers,
  }
}

export function isNothingLeft({ openFiles, connections, timers }: Leavings): boolean {
  return openFiles.length + connections.length + timers.length === 0
}

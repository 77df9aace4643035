/** One life, with what happens in it. */
import { writeFileSync } from 'node:fs'
import { counted, humanCount } from '../../../cli/human.ts'
import { Prng } from '../../../src/env/sim/prng.ts'
import { FAULTS } from '../life/faults.ts'
import { drawWeather } from '../life/weather.ts'
import { commandFor } from './command.ts'
import { liveHere } from './one-life.ts'
import type { ReplayOrder } from './options.ts'
import { describeWeather } from './weather-text.ts'
import { wrapText } from './wrap.ts'

/** @returns Whether it went well. */
export async function replay(order: ReplayOrder, print: (line: string) => void): Promise<boolean> {
  const { task, isVerbose, tracePath } = order
  print(commandFor(task))
  const weather = drawWeather(new Prng(`swarm ${task.seed}`, 'weather'), {
    faults: Object.keys(FAULTS),
    ...(task.groupChance === undefined ? {} : { groupChance: task.groupChance }),
  })
  print(describeWeather(weather))
  print('')
  print('   time s  who       what')
  const summary = await liveHere(task, {
    timeline: { print, isVerbose },
    ...(tracePath === null ? {} : { onTrace: (lines) => writeFileSync(tracePath, `${lines.join('\n')}\n`) }),
  })
  const { failure, phase, events, virtualMs, cpuMs, ackedCount, hash, story } = summary
  print('')
  const printWrapped = (text: string): void => {
    for (const line of text.split('\n')) for (const part of wrapText(line, 4)) print(part)
  }
  if (story !== null) printWrapped(story.state)
  printWrapped(
    `${(virtualMs / 1000).toFixed(1)} s simulated in ${(cpuMs / 1000).toFixed(1)} s of a core; ${humanCount(events)} events with hash ${hash}; ${counted(ackedCount, 'record')} acknowledged`,
  )
  if (tracePath !== null) print(`Every event: ${tracePath}`)
  const verdict = failure === null ? 'The life went well' : `FAILED in its ${phase}: ${failure}`
  printWrapped(verdict)
  return failure === null
}

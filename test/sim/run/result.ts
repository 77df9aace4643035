/** How a run ended, in words. */
import { counted, humanCount } from '../../../cli/human.ts'
import type { SwarmOrder } from './options.ts'
import type { SwarmResult } from './swarm.ts'

export function isWell({ tally, missingMarks, endedBy }: SwarmResult): boolean {
  return tally.failed === 0 && missingMarks.length === 0 && endedBy !== 'interrupt' && tally.lives > 0
}

export function describeResult(order: SwarmOrder, result: SwarmResult): string {
  const { tally, realMs, comparedCount, missingMarks } = result
  const lines = [
    tally.format(realMs, order.jobs),
    '',
    '  how often each path was taken',
    order.isVerbose ? tally.marks.format() : tally.marks.formatWanted(),
    '',
  ]
  if (comparedCount > 0)
    lines.push(`  ${counted(comparedCount, 'seed')} twice, with equal traces unless it is said above`)
  for (const name of missingMarks) lines.push(`  NEVER, or too seldom for a run of this length: ${name}`)
  const wanted = order.seeds === null ? '' : ` of ${humanCount(order.seeds)}`
  const ended = endings[result.endedBy ?? 'all']
  lines.push(
    `${verdictOf(result)}: ${humanCount(tally.lives)}${wanted} lives from seed ${order.from}${ended}`,
  )
  return lines.join('\n')
}

function verdictOf(result: SwarmResult): string {
  if (result.tally.failed > 0) return `${humanCount(result.tally.failed)} FAILED`
  if (result.endedBy === 'interrupt') return 'None has failed'
  return isWell(result) ? 'All went well' : 'FAILED'
}

const endings = {
  all: '',
  interrupt: ', then it was interrupted',
  time: ', then time was up',
  failures: ', then there were failures enough',
} as const

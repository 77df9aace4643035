/** The command that lives a life again. */
import type { LifeTask } from './lives.ts'
import { formatNumbers } from './number-list.ts'

export function commandFor(task: LifeTask): string {
  const { seed, groupChance, without, producers, consumers, hasGroup, hasOperator, stormMs } = task
  const words = [`npm run sim -- --seed ${seed}`]
  if (groupChance !== undefined) words.push(`--groups ${groupChance}`)
  if (without !== undefined && without.size > 0) words.push(`--without ${formatNumbers(without)}`)
  if (producers !== undefined) words.push(`--producers ${producers}`)
  if (consumers !== undefined) words.push(`--consumers ${consumers}`)
  if (hasGroup === false) words.push('--no-group')
  if (hasOperator === false) words.push('--no-operator')
  if (stormMs !== undefined) words.push(`--storm-ms ${stormMs}`)
  return words.join(' ')
}

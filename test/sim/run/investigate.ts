/** What is found out about a life that has failed, before anybody looks at it. */
import { counted, humanDuration } from '../../../cli/human.ts'
import { commandFor } from './command.ts'
import type { LifeSummary, LifeTask, LiveLife } from './lives.ts'
import { symptomOf } from './lives.ts'
import { shrink } from './shrink.ts'
import { wrapText } from './wrap.ts'

export interface InvestigateOptions {
  readonly live: LiveLife
  /** Monotonic, in ms. */
  readonly now: () => number
  /** For making it small. */
  readonly shrinkMs: number
  /** Nobody waits for it any more. */
  readonly isStopped: () => boolean
}

/** A terminal's worth of scrolling; all of it is what the command prints. */
const TIMELINE_LINES = 150

/** @returns What to print of it. */
export async function investigate(
  task: LifeTask,
  first: LifeSummary,
  { live, now, shrinkMs, isStopped }: InvestigateOptions,
): Promise<string> {
  const symptom = symptomOf(first)
  const head = [headline(first), `  whole     ${commandFor(task)}`]
  const again = await live(task)
  if (symptomOf(again) !== symptom || again.hash !== first.hash) {
    const now = again.failure === null ? 'it does not fail' : `it fails by: ${again.failure.split('\n')[0]!}`
    return [
      ...head,
      `  compare   ${commandFor(task)} --trace FILE, more than once`,
      `  A second time ${now}. The life is not a function of its seed (S7), or not of it alone.`,
    ].join('\n')
  }
  const { story } = again
  if (story === null || isStopped()) return head.join('\n')
  const startMs = now()
  const { cuts, actsLeft, tries, isDone } = await shrink(
    {
      ...story,
      actCount: again.actCount,
      stormMs: Math.max(1, Math.min(story.endMs, story.stormEndMs) - story.stormAtMs),
    },
    task,
    {
      fails: async (tried) => {
        const summary = await live({ ...task, ...tried })
        return symptomOf(summary) === symptom ? (summary.story?.acts ?? null) : null
      },
      isTimeUp: () => isStopped() || now() - startMs > shrinkMs,
    },
  )
  const smallest = { ...task, ...cuts }
  const last = await live({ ...smallest, wantsTimeline: true })
  const effort = `${actsLeft.length} of ${counted(again.actCount, 'act')} left after ${counted(tries, 'life', 'lives')} in ${humanDuration(now() - startMs)}${isDone ? '' : ', when time was up'}`
  const lines = last.timeline ?? []
  const shown = lines.slice(-TIMELINE_LINES)
  return [
    ...head,
    `  smallest  ${commandFor(smallest)}`,
    `            ${effort}`,
    '',
    ...indented(story.weather),
    '',
    ...(shown.length < lines.length ? [`  … ${counted(lines.length - shown.length, 'line')} before`] : []),
    ...shown,
    '',
    ...(last.failure ?? '').split('\n').flatMap((line) => wrapText(`  ${line}`, 4)),
    ...indented(last.story?.state ?? ''),
  ].join('\n')
}

/** One line for a life that failed. */
export function headline({ seed, failure, phase }: LifeSummary): string {
  const [first = ''] = (failure ?? '').split('\n')
  return wrapText(`Seed ${seed} FAILED in its ${phase}: ${first}`, 4).join('\n')
}

function indented(text: string): string[] {
  return text.split('\n').flatMap((line) => wrapText(`  ${line}`, 13))
}

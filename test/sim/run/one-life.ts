/** One life in this process, with everything that went astray in it: a promise whose rejection nobody took fails it too (S4). */
import { runLife } from '../life/life.ts'
import type { LifeReport } from '../life/life.ts'
import { STORM_MS } from '../life/weather.ts'
import type { LifeSummary, LifeTask, Story } from './lives.ts'
import { Timeline } from './timeline.ts'
import type { TimelineOptions } from './timeline.ts'
import { describeWeather } from './weather-text.ts'

/** Rejections and exceptions that reached nobody. Processes run one life at a time, so they are of the life under way. */
const strays: unknown[] = []
let isListening = false

function listenForStrays(): void {
  if (isListening) return
  isListening = true
  process.on('unhandledRejection', (reason) => strays.push(reason))
  process.on('uncaughtException', (error) => strays.push(error))
}

export interface OneLifeOptions {
  /** Gets lines of the timeline as they happen. */
  readonly timeline?: TimelineOptions
  /** Gets the trace, event for event. */
  readonly onTrace?: (lines: readonly string[]) => void
}

export async function liveHere(task: LifeTask, options: OneLifeOptions = {}): Promise<LifeSummary> {
  listenForStrays()
  strays.length = 0
  const lines: string[] = []
  const print =
    options.timeline?.print ?? (task.wantsTimeline === true ? (line: string) => void lines.push(line) : null)
  const timeline = print === null ? null : new Timeline({ ...options.timeline, print })
  const before = process.cpuUsage()
  const report = await runLife(task.seed, {
    ...task,
    keepsTrace: options.onTrace !== undefined,
    ...(timeline === null ? {} : { watcher: timeline }),
  })
  // A rejection is reported a turn after it was found that nobody takes it.
  await new Promise((resolve) => setImmediate(resolve))
  const { user, system } = process.cpuUsage(before)
  timeline?.end()
  options.onTrace?.(report.cluster.simulation.trace.lines)
  return {
    seed: task.seed,
    failure: strays.length > 0 ? describeStrays() : report.failure,
    phase: report.phase,
    hash: report.hash,
    events: report.events,
    virtualMs: report.virtualMs,
    cpuMs: (user + system) / 1000,
    ackedCount: report.ackedCount,
    faults: report.faults,
    marks: report.marks,
    actCount: report.weather.acts.length,
    story: report.failure === null && strays.length === 0 ? null : storyOf(report, task),
    timeline: timeline === null ? null : lines,
  }
}

function describeStrays(): string {
  const [first] = strays
  return `S4: nobody took ${first instanceof Error ? (first.stack ?? first.message) : String(first)}`
}

function storyOf({ weather, lived, actsDone, stormAtMs, cluster }: LifeReport, { stormMs }: LifeTask): Story {
  return {
    weather: describeWeather(weather),
    acts: actsDone,
    producers: lived.producers.length,
    consumers: lived.consumers.length,
    hasGroup: lived.hasGroup,
    stormAtMs,
    stormEndMs: stormAtMs + (stormMs ?? STORM_MS),
    endMs: cluster.simulation.nowMs,
    state: cluster.describe(),
  }
}

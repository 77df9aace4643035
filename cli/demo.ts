/**
 * `npm run demo`: what the cluster promises, live. Three brokers, a process each; a producer with acks=all at a steady rate; a
 * tail; then `kill -9` of the leader, the new leader, and the old one back in the in-sync set. In the end all records are
 * read once more and counted: lost, duplicated, reordered.
 *
 *   start ── 3 s ── kill -9 the leader ── another leads ── 3 s ── start it again ── in sync ── 3 s ── count
 *
 * Exit code: 0 if nothing acknowledged was lost, duplicated or reordered, 1 if something was or a step did not come, 130
 * after Ctrl-C. It leaves no process and no file behind, however it ends.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '../src/index.ts'
import { processContext } from './context.ts'
import type { Context } from './context.ts'
import { DemoCluster } from './demo-cluster.ts'
import { DemoLoad } from './demo-load.ts'
import type { Verdict } from './demo-load.ts'
import { DemoScreen } from './demo-screen.ts'
import { CommandError, describeError, printError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted, humanCount, humanDuration } from './human.ts'
import { onInterrupt } from './interrupts.ts'

const BROKERS = 3
const TOPIC = 'demo'
/** How long everything is left alone before, between and after what is done to it, in ms. */
const CALM_MS = 3000
/** Longest that a step may take, in ms: a multiple of what it takes on a busy machine. */
const STEP_MS_MAX = 20_000
/** Between two looks at what the cluster says of itself, in ms. */
const LOOK_MS = 50

/** Nothing of what clients say on the way is news here: that brokers die is the point. */
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

async function main(context: Context): Promise<void> {
  const interrupted = new AbortController()
  const release = onInterrupt(() => interrupted.abort())
  const cluster = new DemoCluster(BROKERS)
  const screen = new DemoScreen(context.out)
  try {
    const verdict = await play(cluster, screen, interrupted.signal)
    screen.stop()
    await tell(context, verdict)
    context.exitCode = isKept(verdict) ? EXIT.ok : EXIT.failed
  } catch (error) {
    screen.stop()
    if (interrupted.signal.aborted) {
      context.exitCode = EXIT.interrupted
      await context.err.line('Interrupted: the brokers are stopped, their data is removed')
      return
    }
    context.exitCode = EXIT.failed
    await printError(context.err, describeError(error))
  } finally {
    cluster.destroy()
    release()
  }
}

async function play(cluster: DemoCluster, screen: DemoScreen, signal: AbortSignal): Promise<Verdict> {
  screen.note('Starting three brokers, a process each')
  await withTime('start the brokers', cluster.start(), signal)
  await using client = new Client({
    bootstrap: cluster.bootstrap,
    logger: silent,
    retryBackoffMs: 20,
    retryBackoffMaxMs: 200,
    connectTimeoutMs: 1000,
  })
  const admin = client.admin()
  await admin.createTopics([{ name: TOPIC, partitions: 1, replicationFactor: BROKERS }], { signal })
  const look = async () => {
    const [topic] = await admin.describeTopics([TOPIC], { timeoutMs: 1000, signal })
    const { leader, isr } = topic!.partitions[0]!
    screen.update({ brokers: cluster.brokers, leader, isr })
    return { leader, isr }
  }
  /** Looks until `holds`; a look that fails while a broker dies is as good as none. */
  const until = async (step: string, holds: (seen: Awaited<ReturnType<typeof look>>) => boolean) => {
    const deadlineMs = performance.now() + STEP_MS_MAX
    for (;;) {
      const seen = await look().catch(() => null)
      if (seen !== null && holds(seen)) return seen
      if (performance.now() > deadlineMs) throw tooLate(step)
      await delay(LOOK_MS, null, { signal })
    }
  }
  const { leader } = await until(
    'find a leader',
    (seen) => seen.leader !== null && seen.isr.length === BROKERS,
  )
  screen.note(
    `Brokers ${cluster.ids.join(', ')} run; broker ${leader!} leads the partition, all three are in sync`,
  )

  const load = new DemoLoad(client, TOPIC)
  screen.watch(load)
  load.start()
  try {
    await delay(CALM_MS, null, { signal })
    const killedMs = performance.now()
    const { leader: victim } = await until('find the leader', (seen) => seen.leader !== null)
    cluster.kill(victim!)
    screen.note(`kill -9 broker ${victim!}, the leader`)
    const { leader: heir } = await until(
      'elect another leader',
      (seen) => ![null, victim].includes(seen.leader),
    )
    screen.note(`Broker ${heir!} leads, ${humanDuration(performance.now() - killedMs)} after the kill`)
    await delay(CALM_MS, null, { signal })
    screen.note(`Broker ${victim!} starts again, with what its disk holds`)
    const startedMs = performance.now()
    await withTime(`start broker ${victim!} again`, cluster.restart(victim!), signal)
    await until(`get broker ${victim!} in sync`, (seen) => seen.isr.length === BROKERS)
    screen.note(`Broker ${victim!} is in sync again, after ${humanDuration(performance.now() - startedMs)}`)
    await delay(CALM_MS, null, { signal })
    screen.note('The producer stops; everything is read once more, and counted')
    return await withTime('read everything again', load.finish(), signal)
  } finally {
    load.stop()
  }
}

function tooLate(step: string): CommandError {
  return new CommandError(EXIT.failed, `Cannot ${step}: it took longer than ${STEP_MS_MAX / 1000} s`)
}

/** The result of a step; fails when it takes too long, or at Ctrl-C. */
async function withTime<T>(step: string, work: Promise<T>, signal: AbortSignal): Promise<T> {
  const done = new AbortController()
  const timeout = delay(STEP_MS_MAX, null, { signal: AbortSignal.any([signal, done.signal]) }).then(
    (): never => {
      throw tooLate(step)
    },
  )
  try {
    return await Promise.race([work, timeout])
  } finally {
    timeout.catch(() => undefined) // Nobody waits for it any more.
    done.abort()
  }
}

function isKept({ acknowledged, lost, duplicated, reordered }: Verdict): boolean {
  return acknowledged > 0 && lost + duplicated + reordered === 0
}

async function tell({ out }: Context, verdict: Verdict): Promise<void> {
  const rows: readonly (readonly [string, number])[] = [
    ['acknowledged', verdict.acknowledged],
    ['read by the tail', verdict.tailed],
    ['in the log', verdict.read],
    ['lost', verdict.lost],
    ['duplicated', verdict.duplicated],
    ['reordered', verdict.reordered],
  ]
  await out.line()
  for (const [title, count] of rows) await out.line(`  ${title.padEnd(20)}${humanCount(count).padStart(9)}`)
  await out.line(`  ${'longest without ack'.padEnd(20)}${humanDuration(verdict.longestGapMs).padStart(9)}`)
  await out.line()
  const sentence = isKept(verdict)
    ? out.style(
        'green',
        `Nothing was lost: ${counted(verdict.acknowledged, 'record')} acknowledged, each in the log once and in order`,
      )
    : out.style('red', 'Something went wrong: see the counts above')
  await out.line(sentence)
}

const context = processContext()
await main(context)
process.exitCode = context.exitCode

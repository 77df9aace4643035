/**
 * librdkafka, the C client of Kafka, through its Python package: the same foreign client against Kafka and against
 * Millrace. The program is `bench/peers/librdkafka_load.py`; a line of JSON goes in for each call, and one comes out.
 *
 *   call := { "method", "argument" }      answer := { "result" } | { "error" }
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Histogram } from '../histogram.ts'
import type { OpenLoopResult } from '../load/open-loop-load.ts'
import type { LoadResult } from '../usage.ts'
import { PYTHON_FOLDER } from './install.ts'
import { producedText, readText, type PeerContext, type PeerLoad, type PeerWork } from './system.ts'

export const LIBRDKAFKA = 'librdkafka'

/** The program lies in the sources; a built file finds it from `dist/bench/peers/`. */
const PROGRAM = ['./librdkafka_load.py', '../../../bench/peers/librdkafka_load.py']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path))
const ASK_MS_MAX = 20_000
const STOP_MS_MAX = 5000
const STDERR_SIZE_MAX = 3000

interface Timed {
  readonly elapsedMs: number
  readonly cpuMs: number
}
type ReadResult = Timed & { readonly records: number; readonly bytes: number; readonly firstBytes: number }
type PacedResult = Timed & { readonly latencyNs: readonly number[]; readonly latenessNs: readonly number[] }

/** An interpreter that has the package: the environment's, as the tests use it, or the one that was installed here. */
function findPython({ packages }: PeerContext): string | null {
  const candidates = [
    process.env['PYTHON_WITH_CONFLUENT_KAFKA'],
    join(packages, PYTHON_FOLDER, 'bin/python'),
    'python3',
  ]
  for (const candidate of candidates) {
    if (candidate === undefined) continue
    try {
      execFileSync(candidate, ['-c', 'import confluent_kafka'], { stdio: 'ignore', timeout: ASK_MS_MAX })
      return candidate
    } catch {
      continue // no such interpreter, or it lacks the package
    }
  }
  return null
}

export function findLibrdkafkaObstacle(context: PeerContext): string | null {
  if (PROGRAM === undefined) return 'its program is not beside the built benchmark'
  return findPython(context) === null ? 'no Python has confluent_kafka: npm run bench -- install-peers' : null
}

/** @param configs - Of the topics. */
export async function connectLibrdkafka(
  context: PeerContext,
  bootstrap: string,
  configs: Readonly<Record<string, string | number>>,
): Promise<PeerLoad> {
  const child = spawn(findPython(context)!, [PROGRAM!], { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'exit').then(() => undefined)
  const stop = async (): Promise<void> => {
    child.stdin.end()
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await ended
    clearTimeout(killer)
  }
  context.onClose(stop)
  const call = callerOf(child, ended)
  await call('open', { bootstrap, configs })
  return {
    prepare: (stream) => call('prepare', stream) as Promise<void>,
    produce: async (work: PeerWork): Promise<LoadResult> => {
      const cost = (await call('produce', work)) as Timed
      return { ...cost, ...sizeOf(work), work: producedText(work) }
    },
    consume: async (work: PeerWork): Promise<LoadResult> => {
      const result = (await call('consume', work)) as ReadResult
      return { ...result, work: readText(result) }
    },
    openLoop: async (work): Promise<OpenLoopResult> => {
      const result = (await call('open_loop', work)) as PacedResult
      return { ...result, latency: histogramOf(result.latencyNs), lateness: histogramOf(result.latenessNs) }
    },
    remove: () => call('remove', null) as Promise<void>,
    stop,
  }
}

const sizeOf = ({ records, recordBytes }: PeerWork) => ({ records, bytes: records * recordBytes })

function histogramOf(durationsNs: readonly number[]) {
  const histogram = new Histogram()
  for (const ns of durationsNs) histogram.record(ns)
  return histogram.toData()
}

function callerOf(child: ChildProcess, ended: Promise<void>) {
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_SIZE_MAX)
  })
  const lines = createInterface({ input: child.stdout! })
  return async (method: string, argument: unknown): Promise<unknown> => {
    const answered = once(lines, 'line') as Promise<[string]>
    child.stdin!.write(`${JSON.stringify({ method, argument })}\n`)
    const answer = await Promise.race([answered, ended.then(() => null)])
    if (answer === null) throw new Error(`Drove librdkafka: its process ended\n${stderr}`)
    const { result, error } = JSON.parse(answer[0]) as { result?: unknown; error?: string }
    if (error !== undefined) throw new Error(`Drove librdkafka: ${error}\n${stderr}`)
    return result
  }
}

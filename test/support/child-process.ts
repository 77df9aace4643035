/**
 * Child processes as tests want them: what they print is read line by line as it comes, so that a test waits for the line
 * that it needs and never for a time. Every process still running when the test file ends is killed.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'

export interface Exit {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

interface Waiting {
  readonly isWanted: (line: string) => boolean
  /** The first line that it has not looked at. */
  nextIndex: number
  readonly resolve: (line: string) => void
  readonly reject: (error: Error) => void
}

/** Lines of one stream. Each is given to one waiter at most, in order. */
class LineStream {
  readonly lines: string[] = []
  #takenCount = 0
  #rest = ''
  #hasEnded = false
  readonly #decoder = new StringDecoder('utf8')
  readonly #waiting: Waiting[] = []
  readonly #describe: () => string

  constructor(stream: NodeJS.ReadableStream, describe: () => string) {
    this.#describe = describe
    stream.on('data', (chunk: Buffer) => {
      const parts = (this.#rest + this.#decoder.write(chunk)).split('\n')
      this.#rest = parts.pop()!
      this.lines.push(...parts)
      this.#serve()
    })
    stream.on('end', () => {
      this.#hasEnded = true
      if (this.#rest !== '') this.lines.push(this.#rest)
      this.#serve()
    })
  }

  next(isWanted: (line: string) => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ isWanted, nextIndex: 0, resolve, reject })
      this.#serve()
    })
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!
      let index = Math.max(first.nextIndex, this.#takenCount)
      while (index < this.lines.length && !first.isWanted(this.lines[index]!)) index++
      first.nextIndex = index
      if (index === this.lines.length) break
      this.#takenCount = index + 1
      this.#waiting.shift()
      first.resolve(this.lines[index]!)
    }
    if (!this.#hasEnded) return
    const error = new Error(
      `Waiting for a line: the process ended without it, its last line: ${this.#describe()}`,
    )
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}

/** Of what a process printed that ended too early. */
const LINES_TOLD = 20

const running = new Set<ChildProcessWithoutNullStreams>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class LineProcess {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #out: LineStream
  readonly #err: LineStream
  /** Resolves when it has ended and all it printed was read. */
  readonly exited: Promise<Exit>

  constructor(command: string, args: readonly string[], options: ProcessOptions = {}) {
    const child = spawn(command, args, { ...options, env: { ...process.env, ...options.env }, stdio: 'pipe' })
    this.#child = child
    running.add(child)
    const describe = (): string => {
      const last = [...this.outLines, ...this.errLines].slice(-LINES_TOLD)
      // The last line says why it ended, and of a message of many lines some show only the first.
      return [last.at(-1) ?? 'it printed nothing', `${command} ${args.join(' ')}`, ...last].join('\n')
    }
    this.#out = new LineStream(child.stdout, describe)
    this.#err = new LineStream(child.stderr, describe)
    child.stdin.on('error', () => undefined) // It has ended, and its exit code says how.
    this.exited = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        running.delete(child)
        resolve({ code, signal })
      })
    })
    this.exited.catch(() => undefined) // Whoever waits for a line or the exit is told.
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** All lines printed so far. */
  get outLines(): readonly string[] {
    return this.#out.lines
  }

  get errLines(): readonly string[] {
    return this.#err.lines
  }

  /** The next line of standard output, after the one returned last, that is wanted. Rejects when there will be none. */
  line(isWanted: (line: string) => boolean = () => true): Promise<string> {
    return this.#out.next(isWanted)
  }

  errLine(isWanted: (line: string) => boolean = () => true): Promise<string> {
    return this.#err.next(isWanted)
  }

  write(text: string): void {
    this.#child.stdin.write(text)
  }

  endInput(): void {
    this.#child.stdin.end()
  }

  /** Sends a signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.#child.kill(signal)
    return this.exited
  }
}

export interface Finished extends Exit {
  readonly out: Buffer
  readonly err: string
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: ProcessOptions & { readonly input?: string | Uint8Array } = {},
): Promise<Finished> {
  const { input = '', ...spawnOptions } = options
  const child = spawn(command, args, {
    ...spawnOptions,
    env: { ...process.env, ...options.env },
    stdio: 'pipe',
  })
  running.add(child)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.on('error', () => undefined) // It may end without reading all; its exit code says whether that is right.
  child.stdin.end(input)
  const exit = await new Promise<Exit>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal }))
  })
  running.delete(child)
  return { ...exit, out: Buffer.concat(out), err: Buffer.concat(err).toString() }
}

/** A driver as a program of its own, on the lines that driver.ts draws. */
import { LineProcess } from '../../support/child-process.ts'
import type { Commands, Driver, Settings } from './driver.ts'

export class LineDriver implements Driver {
  readonly #process: LineProcess

  constructor(command: readonly string[], settings: Settings) {
    const [program, ...args] = command
    this.#process = new LineProcess(program!, [...args, JSON.stringify(settings)])
  }

  get log(): readonly string[] {
    return this.#process.errLines
  }

  async do<Name extends keyof Commands>(name: Name, args: Commands[Name][0]): Promise<Commands[Name][1]> {
    this.#process.write(`${JSON.stringify({ do: name, ...args })}\n`)
    const answer = JSON.parse(await this.#process.line()) as { value?: unknown; error?: string }
    if (answer.error !== undefined) throw new Error(`${name} failed: ${answer.error}`)
    return answer.value as Commands[Name][1]
  }

  async end(): Promise<void> {
    this.#process.endInput()
    await this.#process.exited
  }
}

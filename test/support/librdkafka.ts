/** librdkafka by its Python binding: commands to a driver in Python, and their answers. */
import { join } from 'node:path'
import { LineProcess } from './child-process.ts'
import { REPOSITORY } from './repository.ts'

const DRIVER = join(REPOSITORY, 'test/support/librdkafka-driver.py')

/** Settings of librdkafka, such as `compression.type`. */
export type RdkafkaConfig = Readonly<Record<string, string | number | boolean>>

/** The name that librdkafka has for what went wrong, such as `UNKNOWN_TOPIC_OR_PART`. */
export class RdkafkaError extends Error {
  override readonly name = 'RdkafkaError'
}

export class Librdkafka {
  readonly #process: LineProcess
  readonly #config: RdkafkaConfig

  /** @param python - An interpreter that can import `confluent_kafka`. */
  constructor(python: string, config: RdkafkaConfig) {
    this.#process = new LineProcess(python, ['-u', DRIVER])
    this.#config = config
  }

  /** What it logged so far. */
  get complaints(): readonly string[] {
    return this.#process.errLines
  }

  /** Runs a command of the driver. One at a time. @throws {RdkafkaError} */
  async do<T>(name: string, command: object = {}, config: RdkafkaConfig = {}): Promise<T> {
    const whole = { do: name, config: { ...this.#config, ...config }, ...command }
    this.#process.write(`${JSON.stringify(whole)}\n`)
    const answer = JSON.parse(await this.#process.line()) as { readonly value?: T; readonly error?: string }
    if (answer.error !== undefined) throw new RdkafkaError(answer.error)
    return answer.value as T
  }

  async end(): Promise<void> {
    this.#process.endInput()
    await this.#process.exited
  }
}

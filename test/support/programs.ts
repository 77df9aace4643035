/**
 * Foreign programs that some tests need and not every machine has. Tests without their program are skipped by name: the
 * name of the suite then ends with what is missing.
 */
import { spawnSync } from 'node:child_process'
import { describe } from 'vitest'

export interface Program {
  readonly name: string
  readonly command: string
  /** Why it cannot be used here; null when it can. */
  readonly missing: string | null
}

function probe(name: string, command: string | undefined, args: readonly string[], missing: string): Program {
  const isThere = command !== undefined && spawnSync(command, args, { stdio: 'ignore' }).status === 0
  return { name, command: command ?? name, missing: isThere ? null : missing }
}

export const kcat = (): Program => probe('kcat', 'kcat', ['-V'], 'kcat is not in the PATH')

/** librdkafka by its Python binding. */
export const confluentKafka = (): Program =>
  probe(
    'confluent-kafka',
    process.env['PYTHON_WITH_CONFLUENT_KAFKA'],
    ['-c', 'import confluent_kafka'],
    'PYTHON_WITH_CONFLUENT_KAFKA names no Python that can import confluent_kafka',
  )

/** kafka-python, in the same interpreter. */
export const kafkaPython = (): Program =>
  probe(
    'kafka-python',
    process.env['PYTHON_WITH_CONFLUENT_KAFKA'],
    ['-c', 'import kafka; assert int(kafka.__version__.split(".")[0]) >= 2'],
    'PYTHON_WITH_CONFLUENT_KAFKA names no Python that can import kafka (kafka-python 2 or later)',
  )

export function chromium(): Program {
  const named = process.env['CHROMIUM']
  const candidates = named === undefined ? ['chromium', 'chromium-browser', 'google-chrome'] : [named]
  const found = candidates.find((command) => spawnSync(command, ['--version']).status === 0)
  const missing =
    found === undefined ? 'no Chromium: neither CHROMIUM names one nor is one in the PATH' : null
  return { name: 'chromium', command: found ?? 'chromium', missing }
}

/** `describe` for tests of a program: runs them, or skips them with the reason in the name. */
export function skipUnless(program: Program): (name: string, tests: () => void) => void {
  const { missing } = program
  return (name, tests) => {
    describe.skipIf(missing !== null)(missing === null ? name : `${name} [${missing}]`, tests)
  }
}

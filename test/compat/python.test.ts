/** Clients in Python that share no code with librdkafka: kafka-python and aiokafka. */
import { join } from 'node:path'
import { testClient } from './support/capabilities.ts'
import { LineDriver } from './support/line-driver.ts'
import { findProgram } from './support/programs.ts'

for (const [name, module, driver] of [
  ['kafka-python', 'kafka', 'kafka_python.py'],
  ['aiokafka', 'aiokafka', 'aiokafka_driver.py'],
] as const) {
  const { path, missing } = findProgram('COMPAT_PYTHON', ['-c', `import ${module}`])
  testClient({
    name,
    missing,
    open: (settings) => new LineDriver([path, '-u', join(import.meta.dirname, 'drivers', driver)], settings),
  })
}

/** Apache Kafka's own client in Java, in groups of both protocols. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { testClient } from './support/capabilities.ts'
import { LineDriver } from './support/line-driver.ts'

/** Where Maven has put the compiled driver and what it needs. */
const target = process.env['COMPAT_JAVA_TARGET'] ?? ''
const isThere = existsSync(join(target, 'classes', 'CompatDriver.class'))

/** Short-lived processes: little compiling, and warnings alone. */
const COMMAND = [
  ...['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx256m'],
  ...['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', `${target}/classes:${target}/dependency/*`],
  'CompatDriver',
]

for (const protocol of ['classic', 'consumer'] as const) {
  testClient({
    name: `Java client, group.protocol=${protocol}`,
    missing: isThere ? null : 'COMPAT_JAVA_TARGET has no compiled driver',
    protocol,
    open: (settings) => new LineDriver(COMMAND, settings),
  })
}

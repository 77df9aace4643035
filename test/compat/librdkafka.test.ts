/** librdkafka, old as Debian has it and new as PyPI does, in groups of both protocols. */
import { join } from 'node:path'
import { testClient } from './support/capabilities.ts'
import type { CompatClient } from './support/capabilities.ts'
import { LineDriver } from './support/line-driver.ts'
import { findProgram } from './support/programs.ts'

const DRIVER = join(import.meta.dirname, 'drivers/librdkafka.py')

const CLIENTS = [
  { name: 'librdkafka of Debian', variable: 'COMPAT_DEBIAN_PYTHON', protocol: 'classic' },
  { name: 'librdkafka', variable: 'COMPAT_PYTHON', protocol: 'classic' },
  { name: 'librdkafka, group.protocol=consumer', variable: 'COMPAT_PYTHON', protocol: 'consumer' },
] as const

for (const { name, variable, protocol } of CLIENTS) {
  const { path, missing } = findProgram(variable, ['-c', 'import confluent_kafka'])
  const client: CompatClient = {
    name,
    missing,
    protocol,
    open: (settings) => new LineDriver([path, '-u', DRIVER], settings),
  }
  testClient(client)
}

// Its install script downloads a binary from GitHub, or builds with headers of nodejs.org: no registry of packages has either.
// The librdkafka in it is the one that runs above.
testClient({
  name: '@confluentinc/kafka-javascript',
  missing: 'its install script needs GitHub or nodejs.org; librdkafka itself runs by its binding for Python',
  open: () => {
    throw new Error('Opened @confluentinc/kafka-javascript: it is not installed')
  },
})

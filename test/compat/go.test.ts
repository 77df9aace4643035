/** franz-go, in groups of both protocols. */
import { existsSync } from 'node:fs'
import { testClient } from './support/capabilities.ts'
import { LineDriver } from './support/line-driver.ts'

/** The built driver. */
const program = process.env['COMPAT_GO'] ?? ''

for (const [protocol, name] of [
  ['classic', 'franz-go'],
  ['consumer', 'franz-go, ServerSideBalancer'],
] as const) {
  testClient({
    name,
    missing: existsSync(program) ? null : 'COMPAT_GO names no built driver',
    protocol,
    open: (settings) => new LineDriver([program], settings),
  })
}

/**
 * Installs what `compare` needs and no package manager of the system has: Kafka's jars from Maven Central, librdkafka's
 * Python package from PyPI. Servers that Debian packages are left to `apt-get`, and named.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand } from './server-process.ts'

/** In the folder of packages. */
export const KAFKA_JARS = 'kafka-jars'
export const PYTHON_FOLDER = 'python'

const KAFKA_VERSION = '3.9.1'
const DEBIAN_PACKAGES = ['redis-server', 'nats-server', 'rabbitmq-server'] as const
const INSTALL_MS_MAX = 600_000

/** A project of Maven that needs Kafka's server and nothing else. */
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bench</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
  </dependencies>
</project>
`

/** What could not be installed does not stop the rest: `compare` names what it has to leave out. */
export function installPeers(packages: string, say: (text: string) => void): void {
  mkdirSync(packages, { recursive: true })
  const attempt = (what: string, install: () => void): void => {
    say(`${what} …`)
    try {
      install()
    } catch (error) {
      say(`${what}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  attempt(`Apache Kafka ${KAFKA_VERSION}`, () => {
    const pom = join(packages, 'pom.xml')
    writeFileSync(pom, POM)
    run('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${join(packages, KAFKA_JARS)}`]) // prettier-ignore
  })
  attempt('confluent-kafka for Python', () => {
    const python = join(packages, PYTHON_FOLDER)
    run('python3', ['-m', 'venv', python])
    run(join(python, 'bin/pip'), ['install', '--quiet', '--only-binary', ':all:', 'confluent-kafka'])
  })
  const missing = DEBIAN_PACKAGES.filter((name) => findCommand(name) === null)
  if (missing.length > 0) say(`Still to be installed, as root: apt-get install ${missing.join(' ')}`)
}

function run(command: string, commandLine: readonly string[]): void {
  execFileSync(command, commandLine, { stdio: ['ignore', 'inherit', 'inherit'], timeout: INSTALL_MS_MAX })
}

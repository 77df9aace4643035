/** kcat: every command is a run of it; a member of a group is one that goes on. */
import { LineProcess, run } from '../../support/child-process.ts'
import type { ReadRecord, Settings } from '../support/driver.ts'
import { byPartition, Inbox, LocalDriver, waitFor } from '../support/local-driver.ts'
import type { Handlers } from '../support/local-driver.ts'

/** How it prints a record: partition, offset and value. Values are text without line ends. */
const FORMAT = '%p %o %s\\n'

export class KcatDriver extends LocalDriver {
  readonly #bootstrap: string
  #member: LineProcess | null = null
  #inbox = new Inbox()
  /** Lines of the member that were looked at. */
  #lineCount = 0

  constructor({ bootstrap }: Settings) {
    super()
    this.#bootstrap = bootstrap.join(',')
  }

  protected readonly handlers: Handlers = {
    connect: async () => {
      const { out } = await run('kcat', ['-V'])
      const [, version, librdkafka] = /Version (\S+) .*librdkafka (\S+)/.exec(out.toString())!
      const metadata = await this.#metadata()
      return {
        version: `${version} (librdkafka ${librdkafka})`,
        brokers: metadata.brokers.map(({ id }) => id),
      }
    },
    create_topic: unable,
    delete_topic: unable,
    describe_topic: async ({ topic }) => {
      const { topics } = await this.#metadata()
      return topics.find((each) => each.topic === topic)?.partitions.length ?? null
    },
    produce: async ({ topic, codec, idempotent, records }) => {
      const offsets = records.map((): number | null => null)
      const runs = Array.from(byPartition(records), async ([partition, indexes]) => {
        const input = indexes.map((index) => `${records[index]!.value}\n`).join('')
        const options = ['-X', `enable.idempotence=${idempotent}`, '-X', 'acks=all', '-z', codec]
        const args = ['-P', '-t', topic, '-p', String(partition), ...options]
        const { code, err } = await run('kcat', ['-b', this.#bootstrap, ...args], { input })
        this.#note(err)
        // It does not say where records lie, and its exit code says whether all are there.
        if (code === 0) for (const index of indexes) offsets[index] = -1
      })
      await Promise.all(runs)
      return offsets
    },
    read: async ({ topic, partition, from, count }) => {
      const start = 'offset' in from ? String(from.offset) : `s@${from.time}`
      const place = ['-t', topic, '-p', String(partition), '-o', start, '-c', String(count)]
      const args = ['-b', this.#bootstrap, '-C', '-q', '-f', FORMAT, ...place]
      const { out, err } = await run('kcat', args)
      this.#note(err)
      return out.toString().trimEnd().split('\n').map(recordOf)
    },
    join: async ({ group, topic, count }) => {
      this.#inbox = new Inbox()
      this.#lineCount = 0
      const own = ['auto.offset.reset=earliest', 'heartbeat.interval.ms=500', 'session.timeout.ms=10000']
      const options = own.flatMap((option) => ['-X', option])
      const end = count === undefined ? [] : ['-c', String(count)]
      this.#member = new LineProcess('kcat', [
        ...['-b', this.#bootstrap, '-u', '-f', FORMAT, ...options, ...end],
        ...['-G', group, topic],
      ])
      return null
    },
    owned: async ({ count, ms }) => {
      await waitFor(() => this.#owned().length === count, ms)
      return this.#owned()
    },
    take: async ({ count, ms }) => {
      const member = this.#member!
      const fresh = (): number => member.outLines.length - this.#lineCount
      await waitFor(() => fresh() >= count, ms)
      const lines = member.outLines.slice(this.#lineCount, this.#lineCount + count)
      this.#lineCount += lines.length
      for (const line of lines) this.#inbox.push(recordOf(line))
      return this.#inbox.take(lines.length, 0)
    },
    // It commits by itself what it has printed: every some seconds, when it gives partitions up, and when it leaves.
    commit: async () => null,
    leave: async () => {
      await this.#member?.kill('SIGTERM')
      for (const line of this.#member?.errLines ?? []) this.#note(line)
      this.#member = null
      return null
    },
  }

  async end(): Promise<void> {
    await this.#member?.kill('SIGKILL')
  }

  /** What it says after `assigned:`, unless it was taken away since. */
  #owned(): readonly number[] {
    const last = this.#member!.errLines.filter((line) => / (assigned|revoked): /.test(line)).at(-1) ?? ''
    if (!last.includes(' assigned: ')) return []
    return [...last.matchAll(/\[(\d+)\]/g)].map(([, partition]) => Number(partition))
  }

  #note(err: string): void {
    if (err !== '') this.log.push(err.trimEnd())
  }

  async #metadata(): Promise<Metadata> {
    const { out, err } = await run('kcat', ['-b', this.#bootstrap, '-L', '-J'])
    this.#note(err)
    return JSON.parse(out.toString()) as Metadata
  }
}

interface Metadata {
  readonly brokers: readonly { readonly id: number }[]
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly unknown[] }[]
}

function recordOf(line: string): ReadRecord {
  const [partition, offset, value] = line.split(' ')
  return { partition: Number(partition), offset: Number(offset), value: value! }
}

const unable = (): Promise<never> => Promise.reject(new Error('kcat has no command for it'))

/**
 * A network of real links (F-PART): each broker in a network namespace of its own, joined to this machine by a bridge. A link
 * that is cut loses what is sent over it, and nobody is told; TCP sends it again for as long as it likes.
 *
 *   broker n: 198.18.x.n ──veth── bridge 198.18.x.254 ── clients, in this process
 *
 * 198.18.0.0/15 is set aside for trials of networks (RFC 2544), so that no machine has it for anything else.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { onTestFinished } from 'vitest'

/** Of all networks of tests; then the process that made it, in base 36. */
const PREFIX = 'mr'
const CLIENTS_HOST = 254
/** Nodes of one network at most. */
const NODES_MAX = 9
/** Networks that processes may have beside each other on one machine. */
const NETWORKS = 256

export class Namespaces {
  readonly #count: number
  readonly #id: string
  readonly #network: string
  /** What undoes the cuts, command by command. */
  #cuts: (readonly string[])[] = []

  private constructor(count: number, pid = process.pid) {
    this.#count = count
    this.#id = PREFIX + pid.toString(36)
    this.#network = `198.18.${pid % NETWORKS}`
  }

  /** Why this machine allows no such networks; null when it does. */
  static get missing(): string | null {
    const namespaces = new Namespaces(1)
    try {
      namespaces.#build()
      return null
    } catch (error) {
      return (error as Error).message
    } finally {
      namespaces.#remove()
    }
  }

  /** One for one test, with nodes from 1 to `count`: removed when that has finished. */
  static forTest(count: number): Namespaces {
    sweep()
    const namespaces = new Namespaces(count)
    onTestFinished(() => namespaces.#remove())
    namespaces.#build()
    return namespaces
  }

  addressOf(nodeId: number): string {
    return `${this.#network}.${nodeId}`
  }

  /** What to put before a command that is to run at a node. */
  prefixOf(nodeId: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.#nameOf(nodeId)]
  }

  /** Cuts a node off: by its cable from everybody, or by routes that lead nowhere from some. */
  isolate(nodeId: number, from: { readonly peers: boolean; readonly clients: boolean }): void {
    if (from.peers && from.clients) {
      const cable = ['link', 'set', this.#nameOf(nodeId)]
      ip([...cable, 'down'])
      this.#cuts.push([...cable, 'up'])
      return
    }
    const others = this.#nodeIds().filter((id) => id !== nodeId)
    for (const host of from.peers ? others : [CLIENTS_HOST]) {
      const route = ['blackhole', `${this.#network}.${host}/32`]
      const at = ['-n', this.#nameOf(nodeId), 'route']
      ip([...at, 'add', ...route])
      this.#cuts.push([...at, 'del', ...route])
    }
  }

  heal(): void {
    for (const command of this.#cuts.splice(0)) ip(command)
  }

  /** Removes what a process has left. */
  static removeAllOf(pid: number): void {
    new Namespaces(NODES_MAX, pid).#remove()
  }

  #build(): void {
    const bridge = this.#id
    ip(['link', 'add', bridge, 'type', 'bridge'])
    ip(['address', 'add', `${this.#network}.${CLIENTS_HOST}/24`, 'dev', bridge])
    ip(['link', 'set', bridge, 'up'])
    for (const nodeId of this.#nodeIds()) {
      const name = this.#nameOf(nodeId)
      ip(['netns', 'add', name])
      ip(['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name])
      ip(['link', 'set', name, 'master', bridge, 'up'])
      ip(['-n', name, 'address', 'add', `${this.addressOf(nodeId)}/24`, 'dev', 'eth0'])
      for (const device of ['lo', 'eth0']) ip(['-n', name, 'link', 'set', device, 'up'])
    }
  }

  /** Whatever there is of it. */
  #remove(): void {
    for (const nodeId of this.#nodeIds()) {
      spawnSync('ip', ['link', 'del', this.#nameOf(nodeId)])
      spawnSync('ip', ['netns', 'del', this.#nameOf(nodeId)])
    }
    spawnSync('ip', ['link', 'del', this.#id])
  }

  #nodeIds(): readonly number[] {
    return Array.from({ length: this.#count }, (_, index) => index + 1)
  }

  /** Of its namespace, and of the end of its cable that is not in it. */
  #nameOf(nodeId: number): string {
    return `${this.#id}n${nodeId}`
  }
}

/** A test that was killed has removed nothing, and its network may be ours. */
function sweep(): void {
  const { stdout } = spawnSync('ip', ['-br', 'link', 'show', 'type', 'bridge'], { encoding: 'utf8' })
  for (const [, id] of stdout.matchAll(new RegExp(`^${PREFIX}([0-9a-z]+)\\s`, 'gm'))) {
    const pid = Number.parseInt(id!, 36)
    if (!existsSync(`/proc/${pid}`)) Namespaces.removeAllOf(pid)
  }
}

function ip(args: readonly string[]): void {
  const { status, error, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0)
    throw new Error(`ip ${args.join(' ')} does not work here: ${error?.message ?? stderr.trim()}`)
}

/**
 * Transcripts of Raft cores, in etcd-raft's manner: each file of `test/transcripts/raft` is a list of commands, and after
 * each what it made the nodes do and say, in full. UPDATE_TRANSCRIPTS=1 rewrites what follows the commands.
 *
 *   nodes <voters> [observers]     tick <node> [ms]      deliver <from> <to>     drop <from> <to>
 *   persist <node>                 sync <node>           append <node> <value>   settle [without …]
 *   crash <node>                   wipe <node>           resign <node>           snapshot <node> <end offset>
 *   log <node>                     add <node> <voter>    remove <node> <voter>
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { diskOf, World } from './support/core-world.ts'

const folder = join(import.meta.dirname, '../transcripts/raft')
const isUpdate = process.env['UPDATE_TRANSCRIPTS'] === '1'

/** Runs one command. @returns The world it left, which `nodes` makes. */
function run(world: World | null, line: string): World {
  const [name, ...words] = line.split(/\s+/)
  const [first, second] = words.map(Number)
  if (name === 'nodes') return new World(first!, second ?? 0)
  if (world === null) throw new Error('A transcript begins with `nodes`')
  const commands: Readonly<Record<string, () => void>> = {
    tick: () => world.tick(first!, second),
    deliver: () => world.deliver(world.take(words[0]!, words[1]!)),
    drop: () => world.take(words[0]!, words[1]!),
    persist: () => world.node(first!).persist(),
    sync: () => world.node(first!).sync(),
    append: () => world.node(first!).append(words[1]!),
    settle: () => world.settle(words.map(Number)),
    crash: () => world.node(first!).crash(),
    wipe: () => world.node(first!).wipe(),
    resign: () => world.node(first!).step({ kind: 'resign' }),
    log: () => world.say(`${first} log ${world.node(first!).log.toString()}`),
    snapshot: () => {
      const { log } = world.node(first!)
      const epoch = log.entries[second! - 1 - log.startOffset]!.epoch
      log.entries.splice(0, second! - log.startOffset)
      log.startOffset = second!
      log.snapshots = [{ endOffset: second!, epoch }]
    },
    add: () => {
      const { core } = world.node(first!)
      const voter = { id: second!, directoryId: diskOf(second!, world.node(second!).disk) }
      const refusal = core.changeVoters([...core.state.voters.latest.voters, voter], world.nowMs)
      if (refusal !== null) world.say(`refused: ${refusal}`)
      world.node(first!).pump()
    },
    remove: () => {
      const { core } = world.node(first!)
      const rest = core.state.voters.latest.voters.filter(({ id }) => id !== second)
      const refusal = core.changeVoters(rest, world.nowMs)
      if (refusal !== null) world.say(`refused: ${refusal}`)
      world.node(first!).pump()
    },
  }
  const command = commands[name!]
  if (command === undefined) throw new Error(`Unknown command: ${line}`)
  command()
  return world
}

/** The transcript with what its commands say now. */
function replay(text: string): string {
  let world: World | null = null
  const out: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('    ')) continue
    out.push(line)
    if (line === '' || line.startsWith('#')) continue
    world = run(world, line)
    for (const said of world.lines.splice(0)) out.push(`    ${said}`)
  }
  return out.join('\n')
}

describe('transcripts', () => {
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

  it.each(names)('%s happens as it is written', (name) => {
    const path = join(folder, name)
    const text = readFileSync(path, 'utf8')
    const replayed = replay(text)
    if (isUpdate) writeFileSync(path, replayed)
    else expect(replayed).toBe(text)
  })
})

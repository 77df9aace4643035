/** What a shell is offered at each place of a line. */
import { Writable } from 'node:stream'
import { Readable } from 'node:stream'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Command } from 'commander'
import { complete } from '../../cli/completion.ts'
import { completionScripts } from '../../cli/completion-scripts.ts'
import type { Context } from '../../cli/context.ts'
import { createProgram } from '../../cli/program.ts'
import { Terminal } from '../../cli/terminal.ts'

const silent = new Terminal(new Writable({ write: (_chunk, _encoding, done) => done() }), {})
const context: Context = {
  out: silent,
  err: silent,
  input: Readable.from([]),
  environment: {},
  exitCode: 0,
  onBrokenPipe: () => undefined,
}

describe('complete()', () => {
  let program: Command
  let asked: (string | null)[] = []
  const offered = async (...words: string[]): Promise<readonly string[]> => {
    asked = []
    return complete(program, words, async (what, bootstrap) => {
      asked.push(bootstrap)
      return what === 'groups' ? ['billing', 'board'] : ['events', 'orders', 'other']
    })
  }

  beforeAll(async () => {
    program = await createProgram(context, ['__complete'])
  })

  it('offers commands, but not what scripts call', async () => {
    const commands = await offered('')
    expect(commands).toEqual(expect.arrayContaining(['start', 'topic', 'produce', 'tail']))
    expect(commands).not.toContain('__complete')
    expect(await offered('to')).toEqual(['topic'])
  })

  it('offers subcommands and flags', async () => {
    expect(await offered('topic', 'de')).toEqual(['describe', 'delete'])
    expect(await offered('tail', '--fr')).toEqual(['--from'])
  })

  it('offers the choices of an option whose value is being typed, and files where it takes any', async () => {
    expect(await offered('tail', 'x', '-o', '')).toEqual(['json', 'ndjson'])
    expect(await offered('start', '--config', '')).toEqual([])
  })

  it('offers topics of the broker that -b names', async () => {
    expect(await offered('tail', '-b', 'ws://h:1', 'o')).toEqual(['orders', 'other'])
    expect(asked).toEqual(['ws://h:1'])
    expect(await offered('topic', 'delete', 'orders', 'o')).toEqual(['other'])
  })

  it('offers groups where a group is named, and topics as the value of an option', async () => {
    expect(await offered('group', 'describe', 'b')).toEqual(['billing', 'board'])
    expect(await offered('group', 'delete', 'board', 'b')).toEqual(['billing'])
    expect(await offered('tail', 'events', '--group', 'bi')).toEqual(['billing'])
    expect(await offered('group', 'seek', 'board', '--topic', 'o')).toEqual(['orders', 'other'])
    expect(await offered('group', 'list', '--kind', '')).toEqual(['classic', 'consumer'])
  })

  it('asks no broker where no topic can stand', async () => {
    expect(await offered('tail', 'events', '')).toEqual([])
    expect(await offered('topic', 'create', '')).toEqual([])
    expect(await offered('verify', '')).toEqual([])
    expect(asked).toEqual([])
  })
})

describe('completionScripts', () => {
  it.each([...completionScripts])('%s asks __complete and names no command', (_shell, script) => {
    expect(script).toContain('millrace __complete')
    expect(script).not.toMatch(/produce|describe|--bootstrap/)
  })
})

/** The command line of `npm run sim`: what it asks for, and what it says when it cannot be understood. */
import { describe, expect, it } from 'vitest'
import { commandFor } from './command.ts'
import { parseOrder } from './options.ts'

const parse = (line: string): ReturnType<typeof parseOrder> =>
  parseOrder(line === '' ? [] : line.split(' '), 2)
const complaint = (line: string): string => {
  const order = parse(line)
  if (order.kind !== 'tell' || !order.isError) throw new Error(`${line} was understood`)
  return order.text
}

describe('npm run sim', () => {
  it('lives 200 lives from seed 1 on all cores unless it is told otherwise', () => {
    expect(parse('')).toEqual({
      ...{ kind: 'swarm', from: 1, seeds: 200, jobs: 2, minutes: null, twice: 0, isVerbose: false },
      groupChance: undefined,
    })
    expect(parse('--seeds 2000 --from 7 --jobs 3 --groups 0.5 --minutes 1.5 --twice 50')).toEqual({
      ...{ kind: 'swarm', from: 7, seeds: 2000, jobs: 3, minutes: 1.5, twice: 50, isVerbose: false },
      groupChance: 0.5,
    })
  })

  it('lives as many lives as the minutes allow if it is told nothing but those', () => {
    expect(parse('--minutes 2')).toMatchObject({ seeds: null, minutes: 2 })
  })

  it('lives one seed, with what is left out of it', () => {
    const line =
      '--seed 42 --groups 1 --without 3,5-7 --producers 1 --consumers 0 --no-group --no-operator --storm-ms 900'
    expect(parse(`${line} --verbose --trace /dev/null`)).toEqual({
      kind: 'replay',
      isVerbose: true,
      tracePath: '/dev/null',
      task: {
        ...{ seed: 42, groupChance: 1, without: new Set([3, 5, 6, 7]), producers: 1, consumers: 0 },
        ...{ hasGroup: false, hasOperator: false, stormMs: 900 },
      },
    })
  })

  it('understands every command that it prints', () => {
    for (const line of [
      '--seed 1',
      '--seed 9 --without 0,2-4 --no-operator',
      '--seed 5 --groups 1 --storm-ms 0',
    ]) {
      const order = parse(line)
      if (order.kind !== 'replay') throw new Error('One life')
      expect(commandFor(order.task)).toBe(`npm run sim -- ${line}`)
    }
  })

  it.each([
    ['--seeds 0', '--seeds <count>', 'Wanted a whole number from 1'],
    ['--seeds many', "'many' is invalid", 'Wanted a whole number'],
    ['--seeds 1.5', "'1.5' is invalid", 'Wanted a whole number'],
    ['--seed x12', "'x12' is invalid", 'Wanted a whole number'],
    ['--seed -3', 'Wanted a whole number', '--seed <seed>'],
    ['--seed', 'argument missing', '--seed <seed>'],
    ['--sed 4', "Unknown option '--sed'", '--seed'],
    ['--seeeds 4', 'Did you mean --seeds?', "'--seeeds'"],
    ['17', 'Too many arguments', 'See npm run sim -- --help'],
    ['--jobs 0', '--jobs <count>', 'Wanted a whole number from 1 to 256'],
    ['--groups 2', '--groups <chance>', 'Wanted a number from 0 to 1'],
    ['--minutes 0', '--minutes <count>', 'Wanted a number greater than 0'],
    ['--seed 1 --without 3,x', '--without <acts>', 'got "x"'],
    ['--seed 1 --without 9-3', '--without <acts>', 'a range goes up'],
    ['--seed 1 --seeds 4', '--seeds is for many lives', '--seed names one'],
    ['--without 3', '--without is for one life', 'name it by --seed'],
    ['--no-group', '--no-group is for one life', 'name it by --seed'],
    ['--storm-ms 30', '--storm-ms is for one life', 'name it by --seed'],
  ])('says what is wrong with %j', (line, first, second) => {
    expect(complaint(line)).toContain(first)
    expect(complaint(line)).toContain(second)
  })

  it('helps, with examples', () => {
    const order = parse('--help')
    expect(order).toMatchObject({ kind: 'tell', isError: false })
    expect(order).toHaveProperty('text', expect.stringContaining('npm run sim -- --seed 42'))
  })
})

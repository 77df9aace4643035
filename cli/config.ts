/** `millrace config explain`: every setting of a broker, its value, and who set it. */
import { Command } from 'commander'
import type { ExplainedSetting } from '../src/index.ts'
import { addBrokerOptions, brokerSources } from './broker-settings.ts'
import type { BrokerOptions } from './broker-settings.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { nearestName } from './nearest.ts'
import { addOutputOption, outputFormat, printRows } from './output.ts'
import type { Column, OutputFormat } from './output.ts'

interface ExplainOptions extends BrokerOptions {
  readonly given?: boolean
  readonly output?: OutputFormat
}

const isDefault = (setting: ExplainedSetting): boolean => setting.source === 'default'

const COLUMNS: readonly Column<ExplainedSetting>[] = [
  {
    name: 'name',
    title: 'SETTING',
    value: ({ name }) => name,
    style: (setting) => (isDefault(setting) ? null : 'bold'),
  },
  { name: 'value', title: 'VALUE', value: ({ value }) => value },
  {
    name: 'source',
    title: 'FROM',
    value: ({ source }) => source,
    style: (setting) => (isDefault(setting) ? 'dim' : 'green'),
  },
  { name: 'documentation', title: 'MEANING', value: ({ documentation }) => documentation, isDetail: true },
]

export function configCommand(context: Context): Command {
  const explain = new Command('explain')
    .summary('show each setting, its value and where that comes from')
    .description(
      'Show each setting of a broker, its value and where that comes from: a flag, an environment variable ' +
        '(MILLRACE_ and the key in capitals, dots as underscores), the settings file, or the default. ' +
        'Takes the flags of `start`. With keys, tells what they mean.',
    )
    .argument('[keys...]', 'settings to tell more about')
    .option('--given', 'only what was set by somebody')
  addBrokerOptions(explain)
  addOutputOption(explain)
  explain.action((keys: string[], options: ExplainOptions) => explainConfig(context, keys, options))
  return new Command('config').description('Explain the settings of a broker').addCommand(explain)
}

async function explainConfig(
  context: Context,
  keys: readonly string[],
  options: ExplainOptions,
): Promise<void> {
  const sources = await brokerSources(options, context.environment)
  const { explainBrokerConfig } = await import('../src/index.ts')
  const all = explainBrokerConfig(sources)
  const named = keys.length === 0 ? all : keys.map((key) => findSetting(all, key))
  const settings = options.given === true ? named.filter((setting) => !isDefault(setting)) : named
  const format = outputFormat(options.output, context.out)
  if (format !== 'table' || keys.length === 0) {
    await printRows(context.out, format, COLUMNS, settings, 'Nothing is set: every setting has its default')
    return
  }
  for (const [index, { name, value, source, documentation }] of settings.entries()) {
    if (index > 0) await context.out.line()
    await context.out.line(`${context.out.style('bold', name)} = ${value === '' ? '(empty)' : value}`)
    await context.out.line(context.out.style('dim', `from ${source}`))
    await context.out.line(documentation)
  }
}

function findSetting(settings: readonly ExplainedSetting[], key: string): ExplainedSetting {
  const found = settings.find(({ name }) => name === key)
  if (found !== undefined) return found
  const nearest = nearestName(
    key,
    settings.map(({ name }) => name),
  )
  const advice = nearest === null ? 'See them all with `millrace config explain`' : `Did you mean ${nearest}?`
  throw new CommandError(
    EXIT.notFound,
    `Cannot explain ${JSON.stringify(key)}: there is no such setting`,
    advice,
  )
}

/** `millrace group …`: the command tree of the family, and listing and deletion. */
import { Command, Option } from 'commander'
import type { Client, GroupDescription, GroupListing } from '../src/index.ts'
import type { OutputOptions } from './broker.ts'
import { canAsk, confirm } from './confirm.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError, describeError, printError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { describeCommand } from './group-describe.ts'
import { seekCommand } from './group-seek.ts'
import { getGroup, withGroup } from './group-view.ts'
import { counted } from './human.ts'
import { addOutputOption, outputFormat, printRows } from './output.ts'
import type { Column } from './output.ts'

interface ListOptions extends OutputOptions {
  readonly state?: string
  readonly kind?: 'classic' | 'consumer'
}

interface DeleteOptions extends ConnectOptions {
  readonly yes?: boolean
  readonly ifExists?: boolean
}

/** As the protocol names them. */
const STATES = [
  ...['Empty', 'Stable', 'Assigning', 'Reconciling', 'PreparingRebalance', 'CompletingRebalance', 'Dead'],
]

export function groupCommand(context: Context): Command {
  return new Command('group')
    .description('List, describe, move and delete consumer groups')
    .addCommand(listCommand(context))
    .addCommand(describeCommand(context))
    .addCommand(seekCommand(context))
    .addCommand(deleteCommand(context))
}

const LISTED_COLUMNS: readonly Column<GroupListing>[] = [
  { name: 'groupId', title: 'GROUP', value: ({ groupId }) => groupId, style: () => 'bold' },
  {
    name: 'state',
    title: 'STATE',
    value: ({ state }) => state,
    style: ({ state }) => (state === 'Stable' ? 'green' : state === 'Empty' ? 'dim' : 'yellow'),
  },
  { name: 'kind', title: 'PROTOCOL', value: ({ kind }) => kind },
  { name: 'coordinator', title: 'COORDINATOR', value: ({ coordinator }) => coordinator, unit: 'id' },
  { name: 'protocolType', title: 'TYPE', value: ({ protocolType }) => protocolType, isDetail: true },
]

function listCommand(context: Context): Command {
  const command = new Command('list')
    .summary('list groups')
    .description('List the groups of the cluster by name, with the protocol that their members speak.')
    .addOption(new Option('--state <state>', 'only groups in this state').choices(STATES))
    .addOption(
      new Option('--kind <protocol>', 'only groups of this protocol').choices(['classic', 'consumer']),
    )
  addOutputOption(command)
  return addConnectOptions(command).action((options: ListOptions) =>
    withClient(context, options, async (client) => {
      const { state, kind, output } = options
      const groups = await client.admin().listGroups({
        ...(state === undefined ? {} : { states: [state] }),
        ...(kind === undefined ? {} : { kinds: [kind] }),
      })
      const isAll = state === undefined && kind === undefined
      const whenEmpty = isAll
        ? 'There are no groups; consumers make them, such as `millrace tail TOPIC --group NAME`'
        : 'There are no such groups; `millrace group list` shows all'
      await printRows(context.out, outputFormat(output, context.out), LISTED_COLUMNS, groups, whenEmpty)
    }),
  )
}

function deleteCommand(context: Context): Command {
  const command = new Command('delete')
    .summary('delete groups and what they have committed')
    .description(
      'Delete groups without members, and the offsets that they have committed, for good: a consumer that comes back under ' +
        'the name begins anew. Asks first on a terminal.',
    )
    .argument('<groups...>', 'the groups')
    .option('-y, --yes', 'do not ask')
    .option('--if-exists', 'a group that does not exist is fine')
  return addConnectOptions(command).action((groupIds: string[], options: DeleteOptions) =>
    withClient(context, options, (client) => deleteGroups(context, client, groupIds, options)),
  )
}

async function deleteGroups(
  context: Context,
  client: Client,
  groupIds: readonly string[],
  options: DeleteOptions,
): Promise<void> {
  const found: GroupDescription[] = []
  for (const groupId of new Set(groupIds)) {
    try {
      found.push(await getGroup(client, groupId))
    } catch (error) {
      const isMissing = error instanceof CommandError && error.exitCode === EXIT.notFound
      if (!isMissing || options.ifExists !== true) throw error
    }
  }
  if (found.length === 0) return
  if (options.yes !== true && !(await confirmDeletion(context, client, found))) {
    throw new CommandError(EXIT.failed, 'Nothing was deleted', 'Answer y, or give --yes')
  }
  const failures: Error[] = []
  // One request each: those that can be deleted are, and each that cannot is told.
  for (const { groupId } of found) {
    try {
      await withGroup(client, groupId, () => client.admin().deleteGroups([groupId]))
      await context.out.line(`Deleted group ${groupId}`)
    } catch (error) {
      failures.push(error as Error)
    }
  }
  const last = failures.pop()
  for (const failure of failures) await printError(context.err, describeError(failure))
  if (last !== undefined) throw last
}

/** Asks a person; without one there is nobody to ask, as for other tools that delete. */
async function confirmDeletion(
  context: Context,
  client: Client,
  groups: readonly GroupDescription[],
): Promise<boolean> {
  const { err } = context
  if (!canAsk(context)) return true
  const committed = await client.admin().listGroupOffsets(groups.map(({ groupId }) => groupId))
  for (const [index, { groupId, members }] of groups.entries()) {
    const count = counted(committed[index]!.offsets.length, 'committed offset')
    await err.line(`  ${err.style('bold', groupId)}  ${counted(members.length, 'member')}, ${count}`)
  }
  return confirm(context, `Delete ${counted(groups.length, 'group')} and all committed offsets?`)
}

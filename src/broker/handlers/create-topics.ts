/**
 * CreateTopics (API key 19). The answer comes when the topics are committed and served here: who asks for them next
 * finds them. A log that the disk has no room for is no reason to refuse: the topic is committed by then, its name taken and
 * its id given, and to undo that would need the room that is missing. Its partition has no leader in Metadata
 * (LEADER_NOT_AVAILABLE) until its log could be opened, which is tried every few seconds (docs/faults.md ST-8).
 */
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import type { BrokerServices } from '../services.ts'

export async function handleCreateTopics(
  services: BrokerServices,
  request: RequestOf<'CreateTopics'>,
): Promise<ResponseOf<'CreateTopics'>> {
  const response = await services.controller.createTopics(request)
  await services.metadataInEffect()
  return response
}
